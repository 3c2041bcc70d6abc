"""What the database gives to freezing: numbers, and posts of late apart from old ones."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.live.records import Feedback, Post
from pipeline.live.store import Store
from tests.pipeline.conftest import START

MakePost = Callable[..., Post]
OLD = START - timedelta(days=2000)


@pytest.fixture
def add(store: Store, make_post: MakePost) -> Callable[..., list[int]]:
    """Add so many posts, of late or `old`. Returns their ids."""
    added = 0

    def go(count: int, *, old: bool = False) -> list[int]:
        nonlocal added
        ids = list(range(added, added + count))
        store.add_posts([make_post(i, posted_at=(OLD if old else START) + timedelta(minutes=i)) for i in ids])
        added += count
        return ids

    return go


def chunk(store: Store, number: int) -> list[int]:
    return [row["post_id"] for row in store.posts_of_chunk(number)]


def test_numbers_with_gaps(store: Store, add: Callable[..., list[int]]) -> None:
    assert (store.chunk_numbers(), store.archive_numbers()) == ([], [])
    add(6)
    store.assign_chunk(2)
    store.assign_chunk(2, after=7)
    store.add_feedback(Feedback("글", 1))
    store.assign_archive(1, after=4)
    assert (store.chunk_numbers(), store.archive_numbers()) == ([1, 8], [5])
    store.renumber_chunk(8, 11)
    store.renumber_archive(5, 6)
    assert (store.chunk_numbers(), store.archive_numbers()) == ([1, 11], [6])
    assert chunk(store, 11) == [2, 3]


def test_old_posts_fill_chunks_of_their_own(store: Store, add: Callable[..., list[int]]) -> None:
    """A backfill runs beside the crawl: nine old posts for each new one."""
    new: list[int] = []
    for _ in range(4):
        new += add(1)
        add(9, old=True)
    assert store.count_waiting(4) == (4, 36)
    assert store.assign_chunk(4) == 1
    assert chunk(store, 1) == new
    assert store.assign_chunk(4) == 2
    assert all(i not in new for i in chunk(store, 2))


def test_a_few_old_ones_that_are_left_ride_along(store: Store, add: Callable[..., list[int]]) -> None:
    add(10)
    assert store.assign_chunk(10) == 1
    left = add(7, old=True)
    assert store.assign_chunk(10) is None
    new = add(9)
    assert store.assign_chunk(10) is None  # 16 wait, but neither kind fills a chunk
    new += add(1)
    assert store.assign_chunk(10) == 2
    assert chunk(store, 2) == [*left[:4], *new[:6]]  # less than half, so that it stays a chunk of new posts
    new += add(6)
    assert store.assign_chunk(10) == 3
    assert chunk(store, 3) == [*left[4:], *new[6:13]]
    assert store.count_waiting(10) == (3, 0)


def test_while_a_backfill_goes_on_its_posts_do_not_ride_along(store: Store, add: Callable[..., list[int]]) -> None:
    new = add(10)
    old = add(3, old=True)
    new += add(1)
    assert store.assign_chunk(10) == 1
    assert chunk(store, 1) == new[:10]
    assert store.count_waiting(10) == (1, 3)
    assert old


def test_an_import_of_old_posts_alone_is_not_old(store: Store, add: Callable[..., list[int]]) -> None:
    """Before the first crawl: there is nothing newer."""
    assert add(10, old=True)
    assert store.count_waiting(5) == (10, 0)
    assert [store.assign_chunk(5), store.assign_chunk(5)] == [1, 2]


def test_a_few_posts_from_the_future_make_nothing_old(
    store: Store, make_post: MakePost, add: Callable[..., list[int]]
) -> None:
    """A clock ran ahead while they were collected."""
    add(10)
    store.add_posts([make_post(1000 + i, posted_at=START + timedelta(days=3650)) for i in range(4)])
    assert store.count_waiting(5) == (14, 0)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=12))
def test_every_post_ends_in_one_chunk_and_few_wait(steps: list[tuple[int, bool]]) -> None:
    size, added = 4, 0
    with Store("sqlite://") as store:
        for count, old in steps:
            posts = [
                Post(1, added + i, None, None, None, "t", "b", "u", (OLD if old else START), START)
                for i in range(count)
            ]
            added += store.add_posts(posts)
            while store.assign_chunk(size):
                pass
            recent, late = store.count_waiting(size)
            assert recent < size
            assert late < size
        chunks = [chunk(store, number) for number in store.chunk_numbers()]
        assert all(len(found) == size for found in chunks)
        frozen = [i for found in chunks for i in found]
        assert len(frozen) == len(set(frozen)) == added - sum(store.count_waiting(size))
