"""Cut: posts that were pending become a raw chunk, `data/raw_chunks/raw_data_0007.csv`.

The chunk's number is assigned in the live database in one transaction (`Store.assign_chunk`); the file is then
a pure function of its rows and can be written again with the same bytes: `python -m pipeline.freeze.cut 0007`.
"""

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline import errors, settings
from pipeline.files import DataFileError, write_csv
from pipeline.hashing import file_hash
from pipeline.layout import CHUNK_COLUMNS, labeled_path, raw_path
from pipeline.live.store import Store


def chunk_rows(store: Store, number: str) -> list[dict[str, Any]]:
    """The posts of an assigned number. Raises DataFileError when no post carries it."""
    rows = store.posts_of_chunk(int(number))
    if not rows:
        raise DataFileError(
            f"the live database has no post of chunk {number}: `dvc pull {raw_path(number)}` restores the file"
        )
    return rows


def write_chunk(store: Store, number: str, root: Path = Path()) -> Path:
    """Write the raw chunk of an assigned number. Raises DataFileError when no post carries it."""
    path = raw_path(number, root)
    write_csv(path, chunk_rows(store, number), CHUNK_COLUMNS)
    return path


def is_labelled(name: str, root: Path = Path()) -> bool:
    """Whether a labelled chunk is whole: its provenance is written last, and names the files that it belongs to."""
    path = labeled_path(name, root)
    try:
        said = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        return bool(said["labeled_sha256"] == file_hash(path) and said["raw_sha256"] == file_hash(raw_path(name, root)))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _number(text: str) -> str:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no chunk's number, such as 0007")
    return f"{int(text):04d}"


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -m pipeline.freeze.cut 0007`."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.freeze.cut", description=__doc__)
    parser.add_argument("numbers", nargs="+", type=_number, metavar="NUMBER", help="assigned chunks, for example 0007")
    given = parser.parse_args(arguments)
    with Store(settings.load().database_url) as store:
        for number in given.numbers:
            print(write_chunk(store, number))


if __name__ == "__main__":
    errors.run(main)
