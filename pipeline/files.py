"""Files that are whole or not there: atomic writes, and one guarded reader for what people bring.

What we write as CSV is UTF-8 with a byte order mark (Korean spreadsheets need it), RFC 4180 quoting, LF line ends.
What is read may come from any editor: UTF-8 with or without a mark, UTF-16 with one, CRLF, gzip. Another encoding is
never guessed: text that was guessed wrong is no error, only nonsense to learn from.
"""

import codecs
import csv
import gzip
import io
import json
import os
import sys
import tempfile
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def formula_safe(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: a text that would begin one gets a ' in front; numbers stay.

    The characters are those of OWASP's "CSV Injection". For what people open, never for data: it is another text then.
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


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


def export_csv(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """`write_csv` to a place that a person named. Raises DataFileError when nothing can be written there."""
    try:
        write_csv(path, rows, columns)
    except OSError as error:
        raise DataFileError(f"{path} can't be written: {error.strerror or error}") from None


def read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file of ours with at least these columns, as strings. Raises DataFileError."""
    return [row for _, row in read_rows(path, columns, separators=",")]


# --- what people bring ----------------------------------------------------------------------------

SEPARATORS = ",\t;"
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_PULL = "`dvc pull` restores tracked files"
_WAY_OUT = "Save it as UTF-8 (Excel: 'CSV UTF-8'; Notepad: Save as, Encoding UTF-8)"


@dataclass(frozen=True, slots=True)
class Record:
    """A row of a table: the line where it begins (the header is line 1), and its fields or what is wrong with it."""

    line: int
    fields: dict[str, str] = field(default_factory=dict)
    problem: str = ""


def read_text(path: Path, *, utf16: bool = True, missing: str = _PULL) -> str:
    """A text file as people save it: any editor's line ends are LF. Raises DataFileError naming the file and the line.

    `utf16` False: refuse UTF-16 as well, for files that other programs (DVC, Prefect) read too. `missing`: what to do
    when the file is not there.
    """
    data = _load(path, missing)
    if not utf16 and _encoding(data).startswith("utf-16"):
        raise DataFileError(f"{path} is not UTF-8 but UTF-16, which others that read this file can't. {_WAY_OUT}.")
    text = _decode(path, data).replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataFileError(f"{path}, line {line}: a NUL byte, which no text holds. {_WAY_OUT}.")
    return text


def read_table(
    path: Path, columns: Sequence[str], *, also: Mapping[str, str] | None = None, separators: str = SEPARATORS
) -> Iterator[Record]:
    """The rows of a table with a header, one after the other. Raises DataFileError when it is no such table.

    The separator is the one (comma, tab, semicolon) that makes the header hold `columns`. `also` gives columns another
    name each: {"content": "text"}. Fields are quoted as in RFC 4180; between tabs a quote is a character like others,
    unless the file begins with one or is in UTF-16, as Excel writes it. Empty lines are passed over. What is wrong with
    a row stands in its Record; after a quote that is never closed no row follows.
    """
    data = _load(path)
    text = _decode(path, data)
    quotes = text.startswith('"') or _encoding(data) == "utf-16"
    headers = []
    for separator in separators:
        rows = _rows(text, separator, quoted=separator != "\t" or quotes)
        _, header, problem = next(rows, (1, [], ""))
        header = [unicodedata.normalize("NFC", name).strip() for name in header]  # macOS writes 제목 in pieces
        for other, name in (also or {}).items():
            if name in columns and name not in header and other in header:
                header[header.index(other)] = name
        if all(header.count(name) == 1 for name in columns):
            return _records(rows, header)
        headers.append((header, problem))
    header, problem = max(headers, key=lambda found: (sum(name in columns for name in found[0]), len(found[0])))
    if problem:
        raise DataFileError(f"{path}, line 1: {problem}")
    if doubled := [name for name in columns if header.count(name) > 1]:
        raise DataFileError(f"{path}, line 1: the column {doubled[0]} is there more than once")
    missing = ", ".join(name for name in columns if name not in header)
    there = ", ".join(name if len(name) <= 40 else f"{name[:39]}…" for name in header[:20] if name) or "none"
    raise DataFileError(f"{path} lacks the column(s) {missing}; it has {there}.")


def read_rows(
    path: Path, columns: Sequence[str], *, also: Mapping[str, str] | None = None, separators: str = SEPARATORS
) -> list[tuple[int, dict[str, str]]]:
    """`read_table` where every row must be whole: line and fields of each. Raises DataFileError with the line."""
    rows = []
    for record in read_table(path, columns, also=also, separators=separators):
        if record.problem:
            raise DataFileError(f"{path}, line {record.line}: {record.problem}")
        rows.append((record.line, record.fields))
    return rows


def _records(rows: Iterator[tuple[int, list[str], str]], header: list[str]) -> Iterator[Record]:
    for line, values, problem in rows:
        if problem:
            yield Record(line, problem=problem)
        elif len(values) == len(header):
            yield Record(line, dict(zip(header, values, strict=True)))
        elif len(values) > 1 or values[0].strip():  # else a line of blanks
            yield Record(line, problem=f"{len(values)} field(s), but the header has {len(header)}")


def _rows(text: str, separator: str, *, quoted: bool) -> Iterator[tuple[int, list[str], str]]:
    """Line, fields and what is wrong with them."""
    if not quoted:
        for line, row in enumerate(text.split("\n"), start=1):  # only there: a text may hold other separators
            if row := row.removesuffix("\r"):
                yield line, row.split(separator), ""
        return
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            unclosed = "unexpected end" in str(error)
            yield line, [], "a quote opens here and is never closed" if unclosed else f"quotes do not match ({error})"
            continue
        if fields:
            yield line, fields, ""


def _load(path: Path, missing: str = _PULL) -> bytes:
    """The file's bytes, unpacked where they are gzip."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataFileError(f"{path} is missing: {missing}.") from None
    except OSError as error:
        raise DataFileError(f"{path} can't be read: {error.strerror or error}") from None
    if path.suffix == ".gz" or data.startswith(_GZIP):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise DataFileError(f"{path} is no whole gzip file: {error}") from None
    if data.startswith(_ZIP):
        raise DataFileError(f"{path} is a workbook or another packed file, not text. {_WAY_OUT}.")
    return data


def _encoding(data: bytes) -> str:
    """The encoding that the mark at the beginning names, "" without one."""
    marks = (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")
    return next((name for mark, name in marks if data.startswith(mark)), "")


def _decode(path: Path, data: bytes) -> str:
    """The text as it is, without a mark. Raises DataFileError naming the line, and what the file may be instead."""
    named = _encoding(data)
    if not named and data.count(0) * 10 > len(data):
        raise DataFileError(f"{path} is not UTF-8: it looks like UTF-16 without a mark. {_WAY_OUT}.")
    try:
        return data.decode(named or "utf-8")
    except UnicodeDecodeError as error:
        line, reason = data.count(b"\n", 0, error.start) + 1, error.reason
    if named.startswith("utf-16"):
        raise DataFileError(f"{path} is no whole UTF-16 file ({reason}). {_WAY_OUT}.")
    try:
        korean = any("가" <= character <= "힣" for character in data.decode("cp949"))
    except UnicodeDecodeError:
        korean = False
    if korean:
        raise DataFileError(f"{path} is not UTF-8 but cp949, the old Korean encoding of Windows. {_WAY_OUT}.")
    raise DataFileError(f"{path}, line {line}: not UTF-8 ({reason}). {_WAY_OUT}.")
