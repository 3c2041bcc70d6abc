"""The old system's all_posts.csv: in, out, and the same again."""

import os
import subprocess
import sys
import tracemalloc
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from pipeline import clock
from pipeline.files import DataFileError, read_csv, write_csv
from pipeline.live.all_posts import COLUMNS, Store, export_posts, import_posts
from pipeline.live.records import Post
from pipeline.live.tables import posts as posts_table

LINK = "https://www.inven.co.kr/board/maple/{}/{}"
HEADER = "게시판,번호,제목,본문,링크\n"


def rows_of(store: Store) -> list[tuple[object, ...]]:
    columns = [posts_table.c[name] for name in ("board_id", "post_id", "category", "job", "title", "body", "url")]
    with store.reading() as connection:
        return [tuple(row) for row in connection.execute(select(*columns).order_by(posts_table.c.seq))]


def old_file(path: Path, *rows: tuple[object, ...]) -> Path:
    write_csv(path, [dict(zip(COLUMNS, row, strict=True)) for row in rows], COLUMNS)
    return path


def test_rows_become_posts(store: Store, tmp_path: Path) -> None:
    path = old_file(
        tmp_path / "all_posts.csv",
        ("전사", 7, "[히어로]\xa0버프 \u1109\u1165", "첫 줄\n둘째, 줄", LINK.format(2294, 7) + "?my=chu&p=3"),
        ("마법사", 7, "[밸런스] 썬콜은", "", LINK.format(2295, 7)),  # the same number on another board
        ("자유 게시판", "1,234", "=1+1", "본문", ""),
        ("해적 게시판", 8, "[아크] 글", "본문", "https://www.inven.co.kr/board/powerbbs.php?come_idx=2298&l=8"),
    )
    done = import_posts(store, path, date(2025, 6, 30))
    assert (done.rows, done.new, done.bad) == (4, 4, [])
    assert rows_of(store) == [
        (2294, 7, "히어로", "히어로", "버프 서", "첫 줄\n둘째, 줄", LINK.format(2294, 7)),
        (2295, 7, None, "아크메이지(썬,콜)", "[밸런스] 썬콜은", "", LINK.format(2295, 7)),
        (5974, 1234, None, None, "=1+1", "본문", LINK.format(5974, 1234)),
        (2298, 8, "아크", "아크", "글", "본문", LINK.format(2298, 8)),
    ]
    with store.reading() as connection:
        assert connection.scalars(select(posts_table.c.posted_at).distinct()).all() == ["2025-06-30T00:00:00+09:00"]
    again = import_posts(store, path)
    assert (again.rows, again.new) == (4, 0)
    assert "4 known before" in str(again)
    assert store.count_pending() == (4, 0)


def test_a_link_counts_only_where_it_leads_to_a_post_of_inven(store: Store, tmp_path: Path) -> None:
    path = old_file(
        tmp_path / "all_posts.csv",
        ("자유_30추", 1, "제목", "본문", "/board/maple/5974/1?my=chuchu"),  # as a page has it
        ("전사", 2, "제목", "본문", "javascript:alert(1)//board/maple/2294/2"),
        ("마법사", 3, "제목", "본문", "https://elsewhere.example/board/maple/2295/3"),
        ("자유_10추", "4.0", "제목", "본문", "https://www.inven.co.kr.evil.example/board/maple/2294/4"),
        ("도적 게시판", 5, "제목", "본문", "//m.inven.co.kr/board/maple/2297/5"),
        ("궁수", 6, "제목", "본문", "https://www.inven.co.kr/board/maple/4538/6"),  # another game's board
        ("궁수", 7, "제목", "본문", LINK.format(2296, 8)),
    )
    done = import_posts(store, path)
    assert [(row[0], row[1], row[-1]) for row in rows_of(store)] == [
        (board, post, LINK.format(board, post))
        for board, post in ((5974, 1), (2294, 2), (2295, 3), (5974, 4), (2297, 5))
    ]
    assert [line for line, _ in done.bad] == [7, 8]


def test_bad_rows_are_listed_with_their_lines_and_the_others_go_in(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "all_posts.csv"
    path.write_text(
        HEADER
        + f'전사,1,"두\n줄",본문,{LINK.format(2294, 1)}\n'  # lines 2 and 3
        + "전사,둘,제목,본문,\n"
        + f"전사,3,제목,본문,{LINK.format(2294, 4)}\n"
        + "어디,5,제목,본문,https://example.org/5\n"
        + "전사,6,제목\n"
        + "전사,7,,,\n"
        + '전사,8,"a"b,본문,\n'
        + "\n"
        + "전사,9,제목,본문,\n"
        + '전사,10,"nie geschlossen,본문,\n',
        encoding="utf-8",
    )
    done = import_posts(store, path)
    assert (done.rows, done.new) == (9, 2)
    assert [line for line, _ in done.bad] == [4, 5, 6, 7, 8, 9, 12]
    said = str(done)
    for words in (
        "line 4: 번호 is no post id: '둘'",
        "링크 leads to 4",
        "no board",
        "3 field(s)",
        "a quote opens here and is never closed",
        "neither",
        "9 rows: 2 new",
    ):
        assert words in said
    assert [row[1] for row in rows_of(store)] == [1, 9]


def test_posts_are_never_dated_ahead(store: Store, tmp_path: Path) -> None:
    path = old_file(tmp_path / "all_posts.csv", ("전사", 1, "제목", "본문", ""))
    ahead = clock.now() + timedelta(days=400)
    with pytest.raises(DataFileError, match="lies in the future"):
        import_posts(store, path, ahead.date())
    os.utime(path, (ahead.timestamp(), ahead.timestamp()))
    import_posts(store, path)
    with store.reading() as connection:
        assert connection.scalar(select(posts_table.c.posted_at)) <= clock.iso(clock.now())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "lacks the column"),
        ("게시판,제목\n".encode(), "번호, 본문, 링크"),
        ("게시판,번호".encode("cp949"), "not UTF-8"),
        (None, "is missing"),
    ],
)
def test_another_file_is_refused_with_a_reason(store: Store, tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "all_posts.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataFileError, match=words):
        import_posts(store, path)


def test_what_is_exported_can_be_imported_as_it_was(store: Store, tmp_path: Path) -> None:
    now = clock.now()
    texts = [
        ("히어로", "버프 ㅋㅋㅠㅠ", "첫 줄\n둘째 \"줄\", '셋'"),
        (None, "[질문] 스펙", ""),
        (None, "=HYPERLINK(1)", "+1\n-1\n@x"),
        ("기타", "", "본문만"),
    ]
    new = [
        Post(
            2294,
            n,
            category,
            "전사",
            "히어로" if category == "히어로" else None,
            title,
            body,
            LINK.format(2294, n),
            now,
            now,
        )
        for n, (category, title, body) in enumerate(texts, start=1)
    ]
    store.add_posts(new)
    path = tmp_path / "out" / "all_posts.csv"
    assert export_posts(store, path) == 4
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    assert read_csv(path, COLUMNS)[0]["제목"] == "[히어로] 버프 ㅋㅋㅠㅠ"
    assert read_csv(path, COLUMNS)[2]["제목"] == "=HYPERLINK(1)"
    with Store(f"sqlite:///{tmp_path}/other.db") as other:
        assert import_posts(other, path).bad == []
        assert rows_of(other) == rows_of(store)
        first = path.read_bytes()
        export_posts(other, path)
        assert path.read_bytes() == first


def test_an_export_for_spreadsheets_holds_no_formula(store: Store, tmp_path: Path) -> None:
    now = clock.now()
    store.add_posts([Post(2294, 1, None, "전사", None, "=HYPERLINK(1)", "@SUM(1)", LINK.format(2294, 1), now, now)])
    export_posts(store, tmp_path / "a.csv", for_spreadsheet=True)
    row = read_csv(tmp_path / "a.csv", COLUMNS)[0]
    assert (row["번호"], row["제목"], row["본문"]) == ("1", "'=HYPERLINK(1)", "'@SUM(1)")
    assert row["링크"] == LINK.format(2294, 1)


def test_an_export_takes_the_memory_of_a_few_posts_not_of_all(store: Store, tmp_path: Path) -> None:
    now, body = clock.now(), "가" * 4000  # 12 kB in the file
    for start in range(0, 6000, 1000):
        numbers = range(start, start + 1000)
        store.add_posts(
            [Post(2294, n + 1, None, "전사", None, f"제목 {n}", body, LINK.format(2294, n), now, now) for n in numbers]
        )
    path = tmp_path / "all_posts.csv"
    tracemalloc.start()
    try:
        assert export_posts(store, path) == 6000
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 72_000_000
    assert most < 20_000_000


def test_the_command_says_what_it_did(tmp_path: Path) -> None:
    path = old_file(tmp_path / "all_posts.csv", ("전사", 1, "제목", "본문", ""), ("전사", "x", "제목", "본문", ""))
    environment = os.environ | {"DATABASE_URL": f"sqlite:///{tmp_path}/live.db"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pipeline.live.all_posts", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    done = run("import", str(path))
    assert done.returncode == 0, done.stderr
    assert "2 rows: 1 new posts, 0 known before, 1 bad" in done.stdout
    assert "line 3" in done.stdout
    assert "1 posts written" in run("export", str(tmp_path / "out.csv")).stdout
    wrong = run("import", str(tmp_path / "none.csv"))
    assert wrong.returncode == 1
    assert "none.csv is missing" in wrong.stderr
    assert "Traceback" not in wrong.stderr
