"""A copy of a CSV file for spreadsheets: what strangers wrote is text there, never a formula.

    python -m pipeline.spreadsheet data/archived_feedback/feedback_0003.csv ~/feedback_0003.csv

The project's own files hold texts exactly as they were written, because models learn from them: opened by a double
click, one that begins with = + - or @ is a formula. The copy is for people, not for learning from.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pipeline import errors
from pipeline.errors import UserError
from pipeline.files import export_csv, formula_safe, read_csv


class SameFile(UserError):
    """The copy would take the place of the data."""


def copy(source: Path, target: Path) -> int:
    """Write the copy. Returns its rows. Raises DataFileError and SameFile."""
    rows = read_csv(source, ())
    if target.exists() and target.samefile(source):
        raise SameFile(f"{target} is the file itself: give the copy another name")
    columns = list(rows[0]) if rows else []
    export_csv(target, [{name: formula_safe(row[name]) for name in columns} for row in rows], columns)
    return len(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -m pipeline.spreadsheet FILE COPY`."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.spreadsheet", description="Copy a CSV file so that no text in it is a formula."
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("copy", type=Path, metavar="COPY")
    given = parser.parse_args(arguments)
    print(f"{given.copy}: {copy(given.file, given.copy):,} rows, no text a formula")


if __name__ == "__main__":
    errors.run(main)
