"""Base: the general game text that every model learns from beside the newest posts.

`data/base/merged_label_final.csv` (text, label) is the user's own file when one was put there. Otherwise this
stage writes it from the hand-written rows of `data/base/hand_written.jsonl`. `python -m pipeline.learn.base`.
"""

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from pipeline import errors
from pipeline.files import DataFileError, csv_bytes, read_rows, write_bytes
from pipeline.labels import parse_label
from pipeline.layout import BASE_COLUMNS, BASE_FILE, TEXT_ALIASES
from pipeline.text import normalise

BUILT_IN = Path("data/base/hand_written.jsonl")
_OTHER_LABELS = 10  # rows with another label that are passed over in a file of any size
_LISTED = 10  # rows left out that are named


@dataclass(frozen=True, slots=True)
class Base:
    """The base file's texts with their labels, and the rows that say nothing: (line, what is missing)."""

    texts: list[tuple[str, int]]
    left_out: list[tuple[int, str]]

    def __str__(self) -> str:
        lines = [f"{len(self.texts):,} rows"]
        if self.left_out:
            lines[0] += f"; {len(self.left_out):,} left out"
            lines += [f"  line {line}: {why}" for line, why in self.left_out[:_LISTED]]
        if len(self.left_out) > _LISTED:
            lines.append(f"  and {len(self.left_out) - _LISTED:,} more")
        return "\n".join(lines)


def read_base(path: Path = BASE_FILE) -> list[tuple[str, int]]:
    """Texts and labels of the base file (`check_base`)."""
    return check_base(path).texts


def check_base(path: Path = BASE_FILE) -> Base:
    """The base file, columns `text` (or `content`) and `label`. Raises DataFileError naming the line.

    As in the system that this one replaces, a row without text or label is left out, and so is a row with another
    label. More than a few of those (10, or 1 in 100) are labels of another kind, such as stars: the file is refused.
    """
    if not path.exists():
        raise DataFileError(
            f"{path} is missing. Put your own file there (columns text, label), "
            "or run `dvc repro base` for the hand-written one"
        )
    found = Base([], [])
    others: list[str] = []
    rows = read_rows(path, BASE_COLUMNS, also=TEXT_ALIASES)
    for line, row in rows:
        text, label = normalise(row["text"]), row["label"].strip()
        if not text or not label:
            found.left_out.append((line, "no label" if text else "no text"))
            continue
        try:
            found.texts.append((text, parse_label(label)))
        except ValueError as error:
            found.left_out.append((line, str(error)))
            others.append(f"line {line}: {error}")
    if len(others) > min(max(_OTHER_LABELS, len(rows) // 100), len(found.texts)):
        raise DataFileError(f"{path}: {len(others):,} of {len(rows):,} rows have another label, first {others[0]}")
    if not found.texts:
        raise DataFileError(f"{path} has no rows with a text and a label")
    return found


def built_in_bytes(source: Path = BUILT_IN) -> bytes:
    """The base file made of the hand-written rows."""
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    return csv_bytes(({"text": row["text"], "label": parse_label(row["mood"])} for row in rows), BASE_COLUMNS)


def require_no_other(content: bytes, lock: Path = Path("dvc.lock")) -> None:
    """Raise DataFileError when models have learned from another base file than this, as on a fresh clone."""
    document = yaml.safe_load(lock.read_text(encoding="utf-8")) if lock.exists() else {}
    recorded = [out.get("md5") for out in document.get("stages", {}).get("base", {}).get("outs", ())]
    if recorded and hashlib.md5(content, usedforsecurity=False).hexdigest() not in recorded:
        raise DataFileError(
            f"{BASE_FILE} is missing, and the one that the models of this branch learned from is not the hand-written "
            f"one: `dvc pull {BASE_FILE}` brings it, or put your own file there"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Keep and check the file that is there; write the hand-written one where there is none."""
    argparse.ArgumentParser(prog="python -m pipeline.learn.base", description=__doc__).parse_args(arguments)
    if not BASE_FILE.exists():
        content = built_in_bytes()
        require_no_other(content)
        write_bytes(BASE_FILE, content)
    print(f"{BASE_FILE}: {check_base()}")


if __name__ == "__main__":
    errors.run(main)
