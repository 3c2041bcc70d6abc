"""Files that are whole or not there, and the CSV dialect."""

import csv
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.files import DataFileError, csv_bytes, read_csv, write_bytes, write_csv, write_json, write_text
from pipeline.hashing import content_hash, file_hash

# Everything UTF-8 can carry.
ANY_TEXT = st.text(st.characters(exclude_categories=("Cs",)))


def test_write_makes_folders_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "가.txt"
    write_text(path, "메이플")
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o644  # mkstemp's 0600 would lock other users out


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_failing_write_leaves_the_old_file_and_no_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def full_disk(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    if broken == "fsync":
        monkeypatch.setattr(os, "fsync", full_disk)
    else:
        monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_text(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_rows_that_end_in_an_error_leave_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    write_csv(path, [{"a": "old"}], ["a"])
    with pytest.raises(KeyError):
        write_csv(path, [{"a": "new"}, {"b": "no such column"}], ["a"])
    assert read_csv(path, ["a"]) == [{"a": "old"}]
    assert list(tmp_path.iterdir()) == [path]


def test_the_final_name_is_taken_only_when_all_bytes_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen = tmp_path / "file.txt", []
    real = os.fsync

    def looking(handle: int) -> None:
        seen.append((path.exists(), os.fstat(handle).st_size))
        real(handle)

    monkeypatch.setattr(os, "fsync", looking)
    write_bytes(path, b"x" * 100_000)
    assert seen == [(False, 100_000)]


def test_text_that_utf8_cannot_carry_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_is_sorted_korean_and_ends_with_a_newline(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"나": 1, "가": ["ㅋㅋ"]})
    assert (tmp_path / "a.json").read_bytes() == '{\n  "가": [\n    "ㅋㅋ"\n  ],\n  "나": 1\n}\n'.encode()


def test_csv_bytes_are_the_dialect() -> None:
    rows = [{"a": 'say "hi"', "b": None, "unused": 1}, {"a": "가,나", "b": 1.5}, {"a": "two\nlines", "b": "=1+1"}]
    assert csv_bytes(rows, ["a", "b"]) == (
        b'\xef\xbb\xbfa,b\n"say ""hi""",\n' + '"가,나",1.5\n"two\nlines",=1+1\n'.encode()
    )


def test_csv_missing_key_is_an_error() -> None:
    with pytest.raises(KeyError):
        csv_bytes([{"a": 1}], ["a", "b"])


@given(st.lists(st.tuples(ANY_TEXT, ANY_TEXT), max_size=5))
def test_csv_gives_back_every_text(rows: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        write_csv(path, ({"text": a, "other": b} for a, b in rows), ["text", "other"])
        assert path.read_bytes().startswith(b"\xef\xbb\xbf")
        assert read_csv(path, ["text"]) == [{"text": a, "other": b} for a, b in rows]


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+82-10",
        "-3줄",
        "@everyone",
        'a "quoted" word',
        "first\nsecond\r\nthird\rfourth",
        "NUL \0 inside",
        " blanks ",
        "ㅋㅋㅠㅠ",
        "가" * 1_000_000,  # the csv module's own limit is 131,072
    ],
    ids=lambda text: repr(text[:10]),
)
def test_csv_on_disk_gives_back_hostile_text(tmp_path: Path, text: str) -> None:
    write_csv(tmp_path / "a.csv", [{"text": text, "label": 1}], ["text", "label"])
    assert read_csv(tmp_path / "a.csv", ["text", "label"]) == [{"text": text, "label": "1"}]


def test_csv_is_read_by_the_standard_reader_too(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", [{"text": 'a\n"b",\r=c'}], ["text"])
    with (tmp_path / "a.csv").open(encoding="utf-8-sig", newline="") as file:
        assert list(csv.reader(file)) == [["text"], ['a\n"b",\r=c']]


def test_a_spreadsheets_csv_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbf" + '텍스트,label\r\n"가\r\n나",1\r\n\r\n다,2'.encode())
    assert read_csv(path, ["텍스트"]) == [{"텍스트": "가\r\n나", "label": "1"}, {"텍스트": "다", "label": "2"}]
    path.write_bytes("text,label\n가,1\n".encode())  # without byte order mark
    assert read_csv(path, ["text"]) == [{"text": "가", "label": "1"}]


@pytest.mark.parametrize("data", ["text,sentiment\n가,1\n", ""], ids=["another name", "empty file"])
def test_a_missing_column_is_named_with_its_file(tmp_path: Path, data: str) -> None:
    path = tmp_path / "my_base.csv"
    path.write_text(data, encoding="utf-8")
    with pytest.raises(DataFileError, match=r"my_base\.csv lacks the column\(s\) label; it has|lacks .*text, label"):
        read_csv(path, ["text", "label"])


def test_a_missing_file_and_another_encoding_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"gone\.csv is missing.*dvc pull"):
        read_csv(tmp_path / "gone.csv", ["text"])
    (tmp_path / "excel.csv").write_bytes("text\n메이플\n".encode("cp949"))
    with pytest.raises(DataFileError, match=r"excel\.csv is not UTF-8.*CSV UTF-8"):
        read_csv(tmp_path / "excel.csv", ["text"])


@pytest.mark.parametrize("row", ["가", "가,1,2"], ids=["too few", "too many"])
def test_a_row_of_another_length_is_named(tmp_path: Path, row: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"text,label\n나,0\n{row}\n", encoding="utf-8")
    with pytest.raises(DataFileError, match=r"a\.csv, line 3: [13] field\(s\), but the header has 2"):
        read_csv(path, ["text", "label"])


def test_hashes(tmp_path: Path) -> None:
    expected = hashlib.sha256("메이플".encode()).hexdigest()
    assert content_hash("메이플") == expected
    (tmp_path / "a").write_bytes("메이플".encode())
    assert file_hash(tmp_path / "a") == expected
