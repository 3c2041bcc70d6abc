"""Copies for spreadsheets: no text is a formula, the data itself stays as it is."""

from pathlib import Path

import pytest

from pipeline.files import DataFileError, formula_safe, read_csv, write_csv
from pipeline.spreadsheet import SameFile, copy

FORMULAS = ["=1+1", "+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠A"]


@pytest.mark.parametrize("text", FORMULAS)
def test_what_would_begin_a_formula_gets_an_apostrophe(text: str) -> None:
    assert formula_safe(text) == f"'{text}"


@pytest.mark.parametrize("value", ["", "글 = 1+1", " =1", "'=1", "ㅋㅋ", -5, 0.5, None])
def test_everything_else_stays(value: object) -> None:
    assert formula_safe(value) == value


def test_a_copy_of_a_frozen_file(tmp_path: Path) -> None:
    source, target = tmp_path / "feedback_0001.csv", tmp_path / "copy.csv"
    write_csv(source, [{"id": n, "text": text} for n, text in enumerate(FORMULAS)], ("id", "text"))
    before = source.read_bytes()
    assert copy(source, target) == len(FORMULAS)
    assert [row["text"] for row in read_csv(target, ("id", "text"))] == [f"'{text}" for text in FORMULAS]
    assert target.read_bytes().startswith(b"\xef\xbb\xbf")
    assert source.read_bytes() == before
    with pytest.raises(SameFile, match="give the copy another name"):
        copy(source, source)
    assert source.read_bytes() == before
    with pytest.raises(DataFileError, match="can't be written: Is a directory"):
        copy(source, tmp_path)
    with pytest.raises(DataFileError, match="can't be written: File exists"):
        copy(source, target / "below.csv")
    with pytest.raises(DataFileError, match="is missing"):
        copy(tmp_path / "none.csv", target)
