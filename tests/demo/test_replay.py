"""The replay: posts files, the timetable, pages as the reference describes them, and the command itself."""

import gzip
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from demo.replay import main
from demo.replay_pages import GONE, list_date
from demo.replay_posts import FIRST_IDS, Draft, PostsFileError, read_posts, schedule
from tests.support import ROOT as REPOSITORY
from tests.support.replay_server import START, Clock, ReplayServer, drafts, timetable


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Iterator[ReplayServer]:
    posts = timetable(drafts(60), initial=50, per_minute=2, deleted=1) + timetable(drafts(3, 5974), initial=3)
    with ReplayServer(posts, clock) as running:
        yield running


def get(server: ReplayServer, path: str) -> str:
    answer = httpx.get(server.url + path, trust_env=False)
    assert answer.status_code == 200
    return answer.text


def state(server: ReplayServer) -> dict[str, dict[str, int]]:
    return dict(json.loads(get(server, "/_replay/state")))


def write(path: Path, *items: object) -> Path:
    path.write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items), encoding="utf-8")
    return path


# --- posts files --------------------------------------------------------------------------------------


def test_json_lines_with_and_without_optional_keys(tmp_path: Path) -> None:
    file = write(
        tmp_path / "a.jsonl",
        {"board_id": 2294, "category": "히어로", "title": "가", "body": "나", "mood": "긍정"},
        {"board_id": 2294, "category": None, "title": "다", "body": "", "post_id": 9, "views": 3}
        | {"posted_at": "2026-01-02T03:04:05+09:00", "recommends": 1, "comments": 2},
    )
    first, second = read_posts([tmp_path])
    assert first == Draft(2294, "히어로", "가", "나")
    assert (second.post_id, second.views, second.recommends, second.comments) == (9, 3, 1, 2)
    assert second.posted_at is not None
    assert second.posted_at.isoformat() == "2026-01-02T03:04:05+09:00"
    assert read_posts([file]) == [first, second]


@pytest.mark.parametrize("packed", [False, True])
def test_a_table_of_texts(tmp_path: Path, packed: bool) -> None:
    long = '그래픽은 좋은데 "최적화가 너무 안 되어서 환불했습니다'
    content = f"label\tdocument\n1\t짧은 글\n0\t{long}\n0\t\n\n".encode()
    file = tmp_path / ("texts.tsv.gz" if packed else "texts.tsv")
    file.write_bytes(gzip.compress(content) if packed else content)
    short, other = read_posts([file], text_column="document")
    assert (short.board_id, short.title, short.body) == (5974, "짧은 글", "짧은 글")
    assert other.body == long
    assert other.body.startswith(other.title)
    assert 10 < len(other.title) <= 20


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.jsonl", "{", "line 1"),
        ("a.jsonl", '{"board_id": 2294, "title": "가"}', "body"),
        ("a.jsonl", '{"board_id": 1, "title": "가", "body": "나"}', "no board 1"),
        ("a.jsonl", "[]", "line 1"),
        ("a.jsonl", '{"board_id": 2294, "title": "가", "body": "나", "post_id": "9"}', "post_id is '9'"),
        ("a.jsonl", '{"board_id": 2294, "title": "가", "body": "나", "views": -1}', "views is -1"),
        ("a.tsv.gz", "not packed", "gzip"),
        ("a.tsv.gz", "text\tlabel\n좋다\n", "gzip"),
        ("missing.jsonl", None, "missing"),
        ("empty", None, "missing"),
    ],
)
def test_a_bad_posts_file_is_named(tmp_path: Path, name: str, content: str | None, complaint: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    column = "text" if name.endswith("gz") else None
    with pytest.raises(PostsFileError, match=complaint):
        read_posts([tmp_path / name], text_column=column)


def test_a_missing_column_and_an_empty_folder_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("a\tb\n", encoding="utf-8")
    with pytest.raises(PostsFileError, match="it has a, b"):
        read_posts([tmp_path / "a.tsv"], text_column="c")
    with pytest.raises(PostsFileError, match=r"no \.jsonl"):
        read_posts([tmp_path])


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PostsFileError, match=r"none\.jsonl"):
        main(["--posts", str(tmp_path / "none.jsonl")])
    with pytest.raises(SystemExit, match="2"):
        main(["--posts", str(tmp_path), "--board", "1"])
    assert "--board 1 is none of 2294" in capsys.readouterr().err


# --- timetable ----------------------------------------------------------------------------------------


def test_the_timetable() -> None:
    posts = schedule(drafts(10), start=START, initial=4, per_minute=30, deleted=2)
    assert [post.post_id for post in posts] == [FIRST_IDS[2294] + n for n in range(1, 11)]
    assert [post.appears_at for post in posts[:4]] == [START] * 4
    assert [post.appears_at - START for post in posts[4:]] == [timedelta(seconds=2 * n) for n in range(1, 7)]
    assert all(post.posted_at < START for post in posts[:4])
    assert all(post.posted_at == post.appears_at for post in posts[4:])
    assert [post.deleted for post in posts] == [False, True, False, True] + [False] * 6


def test_without_a_rate_later_posts_never_appear() -> None:
    assert len(schedule(drafts(10), start=START, initial=4)) == 4
    assert len(schedule(drafts(10), start=START)) == 10


def test_a_seed_shuffles_the_same_way_each_time() -> None:
    one, two = (schedule(drafts(30), start=START, seed=5) for _ in range(2))
    assert one == two
    assert [post.title for post in one] != [draft.title for draft in drafts(30)]


def test_ids_of_the_file_rise_with_the_order_of_appearance() -> None:
    given = [Draft(2294, None, str(n), "", post_id=n) for n in (30, 10, 20)]
    assert [post.post_id for post in schedule(given, start=START)] == [10, 20, 30]
    with pytest.raises(PostsFileError, match="doubled"):
        schedule([given[0], given[0]], start=START)
    with pytest.raises(PostsFileError, match="missing"):
        schedule([given[0], Draft(2294, None, "x", "")], start=START)


def test_list_dates() -> None:
    assert list_date(START - timedelta(hours=1), START) == "11:00"
    assert list_date(START - timedelta(days=1), START) == "12:00"
    assert list_date(START - timedelta(days=2), START) == "11-18"
    assert list_date(START - timedelta(days=700), START) == "2024-12-20"


# --- pages --------------------------------------------------------------------------------------------


def test_posts_appear_as_time_passes(server: ReplayServer, clock: Clock) -> None:
    assert state(server)["visible"] == {"2294": 50, "5974": 3}
    clock.pass_time(minutes=2)
    assert state(server)["visible"] == {"2294": 54, "5974": 3}
    assert state(server)["ids"]["2294"] == [457001, 457054]
    assert "457054" in get(server, "/board/maple/2294")
    assert GONE in get(server, "/board/maple/2294/457055")


def test_pages_hold_forty_posts_and_end(server: ReplayServer) -> None:
    rows = [get(server, f"/board/maple/2294?p={n}").count('<td class="num"><span>') for n in (1, 2, 3, 9999)]
    assert rows == [40, 10, 0, 0]
    assert get(server, "/board/maple/2294?p=x").count('<td class="num"><span>') == 40


def test_filters_and_carried_queries(server: ReplayServer) -> None:
    page = get(server, "/board/maple/2294?my=chu&p=1")
    assert "?my=chu" in page
    assert 0 < page.count('<td class="num"><span>') < 40


def test_deleted_posts_are_listed_but_gone(server: ReplayServer) -> None:
    assert "457026" in get(server, "/board/maple/2294?p=1")
    assert GONE in get(server, "/board/maple/2294/457026")
    assert state(server)["gone"] == 1


def test_everything_is_escaped() -> None:
    nasty = Draft(2294, "<i>", '<script>alert("t")</script>', "<img src=x onerror=y>\n&amp;")
    with ReplayServer(schedule([nasty], start=START)) as server:
        for path in ("/board/maple/2294", "/board/maple/2294/457001", '/board/maple/2294?my="><script>'):
            text = get(server, path)
            assert "<script>alert" not in text
            assert "<img src=x" not in text
            assert '"><script>' not in text


def test_requests_are_counted(server: ReplayServer) -> None:
    for path in ("/robots.txt", "/board/maple/2294", "/board/maple/2294/457001", "/board/maple/2294/1"):
        get(server, path)
    assert httpx.get(f"{server.url}/board/maple/1", trust_env=False).status_code == 404
    found = state(server)
    assert found["requests"] == {"robots": 1, "list": 1, "article": 1, "gone": 2}
    assert found["requests_by_board"] == {"2294": {"list": 1, "article": 1, "gone": 1}}


def test_the_command_serves_on_loopback(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", {"board_id": 5974, "category": "수다", "title": "가", "body": "나"})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "demo.replay", "--posts", str(tmp_path), "--port", str(port)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert f"http://127.0.0.1:{port}" in process.stdout.readline()
            deadline = time.monotonic() + 30
            while True:
                try:
                    answer = httpx.get(f"http://127.0.0.1:{port}/board/maple/5974", trust_env=False)
                    break
                except httpx.ConnectError:
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
            assert "[수다]" in answer.text
        finally:
            process.terminate()
