"""Labelling again what is labelled already, because a better prompt or model is there: an explicit act.

A changed prompt or model never relabels anything by itself. `python -m pipeline.label --relabel 0007..` writes the
chunks that are asked for and says what to commit; no commit and no tag is made here.
"""

import re
from pathlib import Path

from pipeline.files import DataFileError
from pipeline.layout import RAW_CHUNKS

_ONE = r"(?:chunk-)?(\d{4,})"
_RANGE = re.compile(rf"{_ONE}(?:(\.\.)(?:{_ONE})?)?")


def chosen_chunks(asked: str, root: Path = Path()) -> list[str]:
    """The raw chunks that `0007`, `chunk-0007..` or `0007..0009` names, oldest first. Raises DataFileError."""
    match = _RANGE.fullmatch(asked.strip())
    if not match:
        raise DataFileError(f"{asked!r} names no chunks: say chunk-0007, chunk-0007.. or chunk-0007..chunk-0009")
    first, to, last = match.groups()
    if not to:
        return [first]
    names = [path.stem.removeprefix("raw_data_") for path in (root / RAW_CHUNKS).glob("raw_data_*.csv")]
    end = int(last) if last else max((int(name) for name in names), default=0)
    found = sorted((name for name in names if int(first) <= int(name) <= end), key=int)
    if not found:
        raise DataFileError(
            f"no raw chunk of {asked} is in data/raw_chunks: `git checkout chunk-{first} && dvc pull` brings one back"
        )
    return found


def what_to_commit(chunks: list[str], labeler: str) -> str:
    """The commands that record relabelled chunks; after them the learn flow trains on the new labels."""
    stages = " ".join(f"label@{name}" for name in chunks)
    span = chunks[0] if len(chunks) == 1 else f"{chunks[0]}..{chunks[-1]}"
    return (
        "Nothing is recorded yet. Look at the new files; `dvc checkout` brings the old ones back. To keep them:\n"
        f"  dvc commit --force {stages}\n"
        f'  git commit -m "Relabel chunk {span} with {labeler}" dvc.lock\n'
        "  dvc push        # where a remote is configured\n"
        f'  git tag --annotate -m "Chunk {span}, labelled again" chunk-{chunks[-1]}-relabelled'
    )
