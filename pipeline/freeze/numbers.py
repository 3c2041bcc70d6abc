"""Numbers of chunks and archives: which are still to be frozen on this branch, and that no two things get the same.

The live database gives numbers, a branch's history says what is frozen. On another branch of this checkout the same
number is the same thing, and is frozen there again. What another machine has frozen is something else: where its tag
takes a number that is assigned here and not frozen yet, ours gets a new one.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.files import DataFileError, csv_bytes, read_csv
from pipeline.freeze.archive import archive_rows
from pipeline.freeze.cut import chunk_rows
from pipeline.freeze.repository import Repository
from pipeline.layout import ARCHIVE_COLUMNS, CHUNK_COLUMNS, archive_path, labeled_path, raw_path
from pipeline.live.store import Store

_LOOK_BACK = 50  # frozen numbers that are looked at for one that came with somebody else's commits


def open_chunks(store: Store, repository: Repository) -> list[int]:
    """Chunks that are assigned here and not frozen on this branch, ascending."""
    numbers, frozen = store.chunk_numbers(), repository.frozen("chunk")
    # Never labelled here, and yet frozen: it may have come with a merge.
    foreign = [
        number
        for number in numbers[-_LOOK_BACK:]
        if number in frozen and not store.is_labelled(number) and _taken(store, repository, "chunk", number)
    ]
    return sorted({*foreign, *(number for number in numbers if number not in frozen)})


def open_archives(store: Store, repository: Repository) -> list[int]:
    """Archives of corrections that are assigned here and not frozen on this branch, ascending."""
    frozen = repository.frozen("feedback")
    return [number for number in store.archive_numbers() if number not in frozen]


def assign(store: Store, repository: Repository, *, posts_needed: int, corrections_needed: int) -> None:
    """Give numbers to all pending posts and corrections that fill a chunk or an archive. Can be repeated."""
    for number in open_archives(store, repository):
        if _taken(store, repository, "feedback", number):
            _remove(repository, archive_path(f"{number:04d}"))
            store.renumber_archive(number, _next("feedback", store.last_archive(), repository))
    for number in open_chunks(store, repository):
        if _taken(store, repository, "chunk", number):
            name = f"{number:04d}"
            _remove(repository, raw_path(name), labeled_path(name), labeled_path(name).with_suffix(".json"))
            store.renumber_chunk(number, _next("chunk", store.last_chunk(), repository))
    store.assign_archive(corrections_needed, after=repository.last_number("feedback"))
    while store.assign_chunk(posts_needed, after=repository.last_number("chunk")) is not None:
        pass


def _next(kind: str, last: int, repository: Repository) -> int:
    return max(last, repository.last_number(kind)) + 1


def _taken(store: Store, repository: Repository, kind: str, number: int) -> bool:
    """Whether a commit or tag, on any branch, has other rows under this number."""
    name = f"{kind}-{number:04d}"
    history = repository.history()
    revision = history.holds(name) or history.tags.get(name)
    if revision is None:
        return False
    path, rows, columns, key = _KINDS[kind](store, f"{number:04d}")
    md5 = repository.recorded(revision, path)
    if md5 is None or md5 == hashlib.md5(csv_bytes(rows, columns), usedforsecurity=False).hexdigest():
        return False
    # Ours all the same when its rows are, written by another version of this code: then it is in our own cache.
    kept = repository.cached(md5)
    try:
        there = read_csv(kept, key) if kept else []
    except DataFileError:
        return True
    return [[row[name] for name in key] for row in there] != [[str(row[name]) for name in key] for row in rows]


def _remove(repository: Repository, *paths: Path) -> None:
    """Take files of a number that is not ours any more out of the work tree; whose they are comes back."""
    for path in paths:
        (repository.root / path).unlink(missing_ok=True)
        repository.take(path, "HEAD")


_Found = tuple[Path, Sequence[Mapping[str, Any]], Sequence[str], Sequence[str]]
_KINDS: dict[str, Callable[[Store, str], _Found]] = {
    "chunk": lambda store, name: (
        raw_path(name),
        chunk_rows(store, name),
        CHUNK_COLUMNS,
        ("board_id", "post_id"),
    ),
    "feedback": lambda store, name: (
        archive_path(name),
        archive_rows(store, name),
        ARCHIVE_COLUMNS,
        ("created_at", "text"),
    ),
}
