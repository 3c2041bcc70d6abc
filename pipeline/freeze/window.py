"""The window: which chunks are the newest, by the time of their posts.

A chunk's time is the median time at which its posts were posted: a few old posts that were pushed up, or a few with a
wrong date, do not move it.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.files import DataFileError, read_csv
from pipeline.freeze.catalog import Catalog, by_time
from pipeline.freeze.cut import is_labelled
from pipeline.layout import labeled_path, raw_path
from pipeline.live.store import Store


def posted_times(chunks: Iterable[str], root: Path = Path()) -> dict[str, str]:
    """The time (ISO 8601, KST) of each chunk (`0007`) whose file is here."""
    found = {name: file_time(name, root) for name in chunks}
    return {name: time for name, time in found.items() if time}


def file_time(name: str, root: Path = Path()) -> str | None:
    """The time of a chunk by its labelled or raw file; None when neither is here."""
    for path in (labeled_path(name, root), raw_path(name, root)):
        try:
            return median([row["posted_at"] for row in read_csv(path, ("posted_at",))])
        except DataFileError:
            continue
    return None


def median(times: Sequence[str]) -> str | None:
    """The middle one of times as text (ISO 8601, all with one offset, so that they sort); None of none."""
    return sorted(times)[len(times) // 2] if times else None


def to_label(
    numbers: Iterable[int], store: Store, catalog: Catalog, window: int, root: Path = Path()
) -> tuple[list[int], list[int]]:
    """Chunks that are not frozen yet: those that will train or are labelled, and those too old for the window.

    The old ones of a backfill have time: nobody's newest posts, and nobody's corrections, wait behind them.
    """
    names = {number: f"{number:04d}" for number in sorted(numbers)}
    if not names:
        return [], []
    times = posted_times(catalog.chunks, root)
    times |= {name: time for number, name in names.items() if (time := median(store.posted_times(number)))}
    newest = by_time({*catalog.chunks, *names.values()}, times)[-window:]
    first = [number for number, name in names.items() if name in newest or is_labelled(name, root)]
    return first, [number for number in names if number not in first]
