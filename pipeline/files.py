"""Files that are whole or not there: atomic writes, and the CSV dialect of the frozen files.

CSV is UTF-8 with a byte order mark (Korean spreadsheets need it), RFC 4180 quoting, LF line ends.
"""

import csv
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pipeline.errors import UserError

# A post body can be long; the csv module's own limit is 131,072 characters a field.
csv.field_size_limit(min(sys.maxsize, 2**31 - 1))


class DataFileError(UserError):
    """A data file is missing, unreadable or lacks a column. The message names the file and the way out."""


@contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to that takes its final name in one step, at the end of the block, with all that was written.

    A reader sees the old file or the new, never half. When the block raises, the old file stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` under its final name in one step (`writing`)."""
    with writing(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of the text in UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Sorted keys, two spaces, Korean as it is, a newline at the end: the same value, the same bytes."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n")


def csv_lines(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> Iterator[bytes]:
    """The CSV file of these rows, row by row. None becomes an empty field; a missing key is a KeyError."""
    written = _Written()
    # Told of CRLF, the writer quotes a lone CR as well; with LF it does so only from Python 3.13 on (measured).
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(columns)
    yield written.row.encode("utf-8-sig")
    for row in rows:
        writer.writerow(["" if row[name] is None else row[name] for name in columns])
        yield written.row.encode("utf-8")


class _Written:
    """Takes a row from the csv module and ends it with LF."""

    row = ""

    def write(self, row: str) -> None:
        self.row = row.removesuffix("\r\n") + "\n"


def csv_bytes(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> bytes:
    """`csv_lines` as one piece."""
    return b"".join(csv_lines(rows, columns))


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write rows as CSV in one step (`writing`), one after the other: a file may be larger than memory."""
    with writing(path) as file:
        file.writelines(csv_lines(rows, columns))


def read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file with at least these columns, as strings. Raises DataFileError."""
    try:
        text = path.read_bytes().decode("utf-8-sig")  # read_text would turn a text's own CRLF into LF
    except FileNotFoundError:
        raise DataFileError(f"{path} is missing. `dvc pull` restores tracked files.") from None
    except UnicodeDecodeError as error:
        raise DataFileError(f"{path} is not UTF-8 ({error}). Save it as 'CSV UTF-8'.") from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = [name for name in columns if name not in (reader.fieldnames or [])]
    if missing:
        raise DataFileError(
            f"{path} lacks the column(s) {', '.join(missing)}; it has {', '.join(reader.fieldnames or ['none'])}."
        )
    rows = []
    for row in reader:
        if None in row or None in row.values():
            raise DataFileError(f"{path}, line {reader.line_num}: the number of fields differs from the header's.")
        rows.append(row)
    return rows
