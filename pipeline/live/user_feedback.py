"""The old system's corrections, `user_feedback.csv` (content or text, label): read into the live database, and written.

    python -m pipeline.live.user_feedback import user_feedback.csv [--source NAME]
    python -m pipeline.live.user_feedback export user_feedback.csv [--for-spreadsheet]

Import: corrections of the source `imported:NAME` (default: the file's name), pending as if people had just sent them.
Rows without a text or a label are listed with their line; the others go in. Importing a file again adds nothing, and
a file that has grown adds its new rows, as long as the source is the same. A file whose quotes don't match is refused
as a whole: where it goes on would be a guess.
Export: every correction, also those that are archived. Texts as they are stored, so that a file that is imported again
gives the same; `--for-spreadsheet` puts a ' before what a spreadsheet would take for a formula.
"""

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline import errors, settings
from pipeline.errors import UserError
from pipeline.files import export_csv, formula_safe, read_rows
from pipeline.labels import parse_label
from pipeline.layout import BASE_COLUMNS, TEXT_ALIASES
from pipeline.live.imported import Imported
from pipeline.live.records import IMPORTED, Feedback
from pipeline.live.store import Store
from pipeline.text import normalise

COLUMNS = ("content", "label", "created_at", "source")
_NAME = re.compile(r"[\w.-]{1,40}")


class SourceError(UserError):
    """A source has no name that can be stored."""


def import_feedback(store: Store, path: Path, source: str | None = None) -> Imported:
    """Store the corrections of a file that are not there yet. Raises DataFileError and SourceError."""
    name = normalise(source or path.name.removesuffix(".gz").rpartition(".")[0] or path.name)
    if not _NAME.fullmatch(name):
        raise SourceError(f"{name!r} is no name for a source: give --source 1 to 40 letters, digits, _ . -")
    done = Imported("corrections")
    items = []
    for line, row in read_rows(path, BASE_COLUMNS, also=TEXT_ALIASES):
        done.rows += 1
        text = normalise(row["text"])
        try:
            if not text:
                raise ValueError("the text is empty")
            items.append(Feedback(text, parse_label(row["label"])))
        except ValueError as error:
            done.bad.append((line, str(error)))
    done.new = store.add_missing_feedback(IMPORTED + name, items)
    return done


def export_feedback(store: Store, path: Path, *, for_spreadsheet: bool = False) -> int:
    """Write every correction in order of arrival. Returns how many there are."""
    count = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal count
        for row in store.stored_feedback():
            count += 1
            text = formula_safe(row["text"]) if for_spreadsheet else row["text"]
            yield {"content": text} | {name: row[name] for name in COLUMNS[1:]}

    export_csv(path, rows(), COLUMNS)
    return count


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -m pipeline.live.user_feedback import|export FILE`."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.live.user_feedback", description="The old system's user_feedback.csv"
    )
    actions = parser.add_subparsers(dest="action", required=True)
    importing = actions.add_parser("import", help="store a file's corrections; bad rows are listed with their lines")
    importing.add_argument("--source", metavar="NAME", help="whose corrections these are (default: the file's name)")
    exporting = actions.add_parser("export", help="write every correction")
    exporting.add_argument(
        "--for-spreadsheet", action="store_true", help="no text is a formula; not to be imported again"
    )
    for action in (importing, exporting):
        action.add_argument("file", type=Path, metavar="FILE")
    given = parser.parse_args(arguments)
    with Store(settings.load().database_url) as store:
        if given.action == "import":
            print(import_feedback(store, given.file, given.source))
        else:
            count = export_feedback(store, given.file, for_spreadsheet=given.for_spreadsheet)
            print(f"{count:,} corrections written to {given.file}")


if __name__ == "__main__":
    errors.run(main)
