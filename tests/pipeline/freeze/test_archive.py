"""Archive: corrections become a file; files of several become one without losing a row."""

from pathlib import Path

import pytest

from pipeline.files import DataFileError, read_csv, write_csv
from pipeline.freeze.archive import compact_archives, write_archive
from pipeline.layout import ARCHIVE_COLUMNS, archive_path
from pipeline.learn.prepare import read_archive
from pipeline.live.records import Feedback
from pipeline.live.store import Store

HOSTILE = ["=1+1", 'said "no",\nreally', "ㅋㅋㅠㅠ", "a\r\nb\rc", "x\0y"]


def three_archives(store: Store) -> None:
    for number in range(1, 4):
        for i, text in enumerate(HOSTILE):
            store.add_feedback(Feedback(f"{number} {text}", i % 3, predicted=0, confidence=0.5, client="secret"))
        assert store.assign_archive(1) == number


def test_the_file_holds_the_corrections_in_order(tmp_path: Path, store: Store) -> None:
    store.add_feedback(Feedback("갓패치", 2, predicted=0, confidence=0.61, model_version="20261122T154500"))
    store.add_feedback(Feedback("노답", 0, board_id=2294, post_id=7, client="hash-of-a-session"))
    store.assign_archive(2, after=2)
    path = write_archive(store, "0003", tmp_path)
    assert path == tmp_path / "data" / "archived_feedback" / "feedback_0003.csv"
    rows = read_csv(path, ARCHIVE_COLUMNS)
    assert [(r["text"], r["label"], r["sentiment"], r["predicted"], r["post_id"]) for r in rows] == [
        ("갓패치", "2", "긍정", "0", ""),
        ("노답", "0", "부정", "", "7"),
    ]
    assert b"hash-of-a-session" not in path.read_bytes()  # who said it stays in the live database
    first = path.read_bytes()
    store.add_feedback(Feedback("later", 1))
    assert write_archive(store, "0003", tmp_path).read_bytes() == first


def test_compacting_files_equals_writing_the_range(tmp_path: Path, store: Store) -> None:
    three_archives(store)
    for number in ("0001", "0002", "0003"):
        write_archive(store, number, tmp_path / "files")
    path = compact_archives(["0001", "0002", "0003"], tmp_path / "files")
    assert path == archive_path("0001-0003", tmp_path / "files")
    rows = read_csv(path, ARCHIVE_COLUMNS)
    assert [row["text"] for row in rows] == [f"{number} {text}" for number in range(1, 4) for text in HOSTILE]
    assert path.read_bytes() == write_archive(store, "0001-0003", tmp_path / "range").read_bytes()


def test_archives_say_whose_word_it_is_and_older_ones_are_read_without(tmp_path: Path, store: Store) -> None:
    store.add_feedback(Feedback("갓패치", 2))
    store.add_missing_feedback("imported:old", [Feedback("노답", 0)])
    store.assign_archive(2)
    path = write_archive(store, "0001", tmp_path)
    assert ARCHIVE_COLUMNS[-1] == "source"
    assert [row["source"] for row in read_csv(path, ARCHIVE_COLUMNS)] == ["anonymous", "imported:old"]
    older = ARCHIVE_COLUMNS[:-1]
    write_csv(archive_path("0002", tmp_path), [dict.fromkeys(older, "") | {"text": "글", "label": "1"}], older)
    assert [example.text for example in read_archive("0002", tmp_path)] == ["글"]
    rows = read_csv(compact_archives(["0001", "0002"], tmp_path), ARCHIVE_COLUMNS)
    assert [(row["text"], row["source"]) for row in rows] == [
        ("갓패치", "anonymous"),
        ("노답", "imported:old"),
        ("글", "anonymous"),
    ]


def test_a_compacted_archive_is_compacted_again(tmp_path: Path, store: Store) -> None:
    three_archives(store)
    for number in ("0001", "0002", "0003"):
        write_archive(store, number, tmp_path)
    compact_archives(["0001", "0002"], tmp_path)
    path = compact_archives(["0001-0002", "0003"], tmp_path)
    assert path.name == "feedback_0001-0003.csv"
    assert len(read_csv(path, ARCHIVE_COLUMNS)) == 3 * len(HOSTILE)


def test_a_missing_member_is_named_and_nothing_is_written(tmp_path: Path, store: Store) -> None:
    three_archives(store)
    with pytest.raises(DataFileError, match="no feedback of archive 0004: `git checkout feedback-0004"):
        write_archive(store, "0002-0004", tmp_path)
    assert not archive_path("0002-0004", tmp_path).exists()
    write_archive(store, "0001", tmp_path)
    with pytest.raises(DataFileError, match=r"feedback_0002\.csv is missing"):
        compact_archives(["0001", "0002"], tmp_path)
    assert not archive_path("0001-0002", tmp_path).exists()
