"""The window goes by the time of the posts, and so does the order in which chunks are labelled."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from pipeline.clock import KST
from pipeline.files import write_csv
from pipeline.freeze.catalog import Catalog, by_time
from pipeline.freeze.window import file_time, median, posted_times, to_label
from pipeline.layout import NO_CHAMPION, labeled_path, raw_path
from pipeline.live.records import Post
from pipeline.live.store import Store

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=KST)
EMPTY = Catalog("20261122T154500", NO_CHAMPION, (), ())


def names(*numbers: int) -> tuple[str, ...]:
    return tuple(f"{number:04d}" for number in numbers)


def test_a_backfill_pushes_nothing_out() -> None:
    """20 chunks of this month, then 25 of 2019."""
    posted = {f"{n:04d}": f"2026-11-{n:02d}T12:00:00+09:00" for n in range(1, 21)}
    posted |= {f"{n:04d}": f"2019-01-{n - 20:02d}T12:00:00+09:00" for n in range(21, 46)}
    catalog = EMPTY
    for name in posted:
        catalog = catalog.with_chunk(name, 20, posted)
    assert catalog.chunks == names(*range(1, 21))
    newer = catalog.with_chunk("0046", 20, posted | {"0046": "2026-11-21T00:00:00+09:00"})
    assert newer.chunks == names(*range(2, 21), 46)


def test_old_chunks_train_while_there_is_room_and_leave_first() -> None:
    posted = {"0001": "2026-11-20", "0002": "2019-01-01", "0003": "2026-11-21", "0004": "2026-11-22"}
    catalog = EMPTY.with_chunk("0001", 3, posted).with_chunk("0002", 3, posted).with_chunk("0003", 3, posted)
    assert catalog.chunks == names(2, 1, 3)  # oldest first: the last is the newest chunk, whatever its number
    assert catalog.with_chunk("0004", 3, posted).chunks == names(1, 3, 4)


def test_a_chunk_of_unknown_time_is_as_old_as_the_number_before_it() -> None:
    assert by_time(names(1, 2, 3), {}) == names(1, 2, 3)
    assert by_time(names(1, 2, 3), {"0001": "2026", "0003": "2019"}) == names(3, 1, 2)


def test_a_few_wrong_dates_do_not_move_a_chunk() -> None:
    assert median(["2036-01-01", "2026-11-22", "2026-11-22", "2001-01-01", "2026-11-23"]) == "2026-11-22"
    assert median([]) is None


def test_a_chunks_time_is_in_its_file(tmp_path: Path) -> None:
    write_csv(raw_path("0001", tmp_path), [{"posted_at": "2019"}], ("posted_at",))
    assert file_time("0001", tmp_path) == "2019"
    write_csv(labeled_path("0001", tmp_path), [{"posted_at": "2020"}], ("posted_at",))
    assert posted_times(names(1, 2), tmp_path) == {"0001": "2020"}


def test_what_is_too_old_to_train_on_is_labelled_last(
    tmp_path: Path, store: Store, make_post: Callable[..., Post]
) -> None:
    for chunk, posted in enumerate((NOW, NOW - timedelta(days=2000), NOW + timedelta(days=1)), start=1):
        store.add_posts([make_post(10 * chunk + i, posted_at=posted) for i in range(2)])
        assert store.assign_chunk(2) == chunk
    assert to_label([1, 2, 3], store, EMPTY, 2, tmp_path) == ([1, 3], [2])
    assert to_label([1, 2, 3], store, EMPTY, 3, tmp_path) == ([1, 2, 3], [])
    assert to_label([], store, EMPTY, 3, tmp_path) == ([], [])
    listed = Catalog("20261122T154500", NO_CHAMPION, ("0001", "0003"), ())
    for name, posted in (("0001", NOW), ("0003", NOW + timedelta(days=1))):
        write_csv(labeled_path(name, tmp_path), [{"posted_at": posted.isoformat()}], ("posted_at",))
    assert to_label([2], store, listed, 2, tmp_path) == ([], [2])
