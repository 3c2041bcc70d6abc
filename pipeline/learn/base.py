"""Base: the general game text that every model learns from beside the newest posts.

`data/base/merged_label_final.csv` (text, label) is the user's own file when one was put there. Otherwise this
stage writes it from the hand-written rows of `data/base/hand_written.jsonl`. `python -m pipeline.learn.base`.
"""

import json
from pathlib import Path

from pipeline import errors
from pipeline.files import DataFileError, csv_bytes, read_csv, write_bytes
from pipeline.labels import parse_label
from pipeline.layout import BASE_COLUMNS, BASE_FILE
from pipeline.text import normalise

BUILT_IN = Path("data/base/hand_written.jsonl")


def read_base(path: Path = BASE_FILE) -> list[tuple[str, int]]:
    """Texts and labels of the base file. Raises DataFileError with the row that has no text or label."""
    if not path.exists():
        raise DataFileError(
            f"{path} is missing. Put your own file there (columns text, label), "
            "or run `dvc repro base` for the hand-written one"
        )
    result = []
    for number, row in enumerate(read_csv(path, BASE_COLUMNS), start=1):
        text = normalise(row["text"])
        if not text:
            raise DataFileError(f"{path}, row {number}: the text is empty; delete the row")
        try:
            result.append((text, parse_label(row["label"])))
        except ValueError as error:
            raise DataFileError(f"{path}, row {number}: {error}") from None
    if not result:
        raise DataFileError(f"{path} has no rows")
    return result


def built_in_bytes(source: Path = BUILT_IN) -> bytes:
    """The base file made of the hand-written rows."""
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    return csv_bytes(({"text": row["text"], "label": parse_label(row["mood"])} for row in rows), BASE_COLUMNS)


def main() -> None:
    """Keep and check the file that is there; write the hand-written one where there is none."""
    if not BASE_FILE.exists():
        write_bytes(BASE_FILE, built_in_bytes())
    print(f"{BASE_FILE}: {len(read_base())} rows")


if __name__ == "__main__":
    errors.run(main)
