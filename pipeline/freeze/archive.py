"""Archive: feedback that was pending becomes `data/archived_feedback/feedback_0003.csv`.

Like `cut`: the number is assigned in one transaction, the file is a pure function of the rows. A compacted
archive, `0001-0005`, holds the rows of all its members: no correction ever leaves training.
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline import errors, settings
from pipeline.files import DataFileError, read_csv, write_csv
from pipeline.labels import SENTIMENTS
from pipeline.layout import ARCHIVE_COLUMNS, archive_path
from pipeline.live.records import ANONYMOUS
from pipeline.live.store import Store


def archive_rows(store: Store, number: str) -> list[dict[str, Any]]:
    """The corrections of an assigned archive, or of a range of them. Raises DataFileError when a member has none."""
    first, last = int(number.split("-")[0]), int(number.split("-")[-1])
    rows: list[dict[str, Any]] = []
    for member in range(first, last + 1):
        found = store.feedback_of_archive(member)
        if not found:
            raise DataFileError(
                f"the live database has no feedback of archive {member:04d}: "
                f"`git checkout feedback-{member:04d} && dvc pull` brings the file back"
            )
        rows.extend({**row, "sentiment": SENTIMENTS[row["label"]]} for row in found)
    return rows


def write_archive(store: Store, number: str, root: Path = Path()) -> Path:
    """Write an assigned archive, or a range of them. Raises DataFileError when a member has no row."""
    path = archive_path(number, root)
    write_csv(path, archive_rows(store, number), ARCHIVE_COLUMNS)
    return path


def compact_archives(members: Sequence[str], root: Path = Path()) -> Path:
    """Join the files of consecutive archives into one, named by the first and the last. Raises DataFileError."""
    rows = [
        {"source": ANONYMOUS, **row}
        for member in members
        for row in read_csv(archive_path(member, root), ARCHIVE_COLUMNS[:-1])
    ]
    path = archive_path(f"{members[0].split('-')[0]}-{members[-1].split('-')[-1]}", root)
    write_csv(path, rows, ARCHIVE_COLUMNS)
    return path


def _number(text: str) -> str:
    parts = re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", text)
    first, last = (int(parts[1]), int(parts[2] or parts[1])) if parts else (0, 0)
    if not 0 < first <= last:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no archive's number, such as 0003, nor a range, such as 0001-0005"
        )
    return f"{first:04d}" if first == last else f"{first:04d}-{last:04d}"


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -m pipeline.freeze.archive 0003` or `python -m pipeline.freeze.archive 0001-0005`."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.freeze.archive", description=__doc__)
    parser.add_argument(
        "numbers", nargs="+", type=_number, metavar="NUMBER", help="assigned archives, for example 0003 or 0001-0005"
    )
    given = parser.parse_args(arguments)
    with Store(settings.load().database_url) as store:
        for number in given.numbers:
            print(write_archive(store, number))


if __name__ == "__main__":
    errors.run(main)
