"""Older posts: a backfill collects them once, and goes on where it was cut off however the board has moved."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from pipeline.inven.client import SiteUnavailable
from pipeline.inven.crawl import BoardReport, backfill_board
from pipeline.live.store import Store
from tests.pipeline.inven.test_crawl import BOARD, broken, folder_of, ids, path_of, stored, walk
from tests.support.replay_server import Clock, ReplayServer, drafts, timetable

Serve = Callable[..., ReplayServer]


class Cut(Exception):
    """The process ends here."""


def backfill(server: ReplayServer, store: Store, pages: int, cut_after: int | None = None) -> BoardReport:
    async def on_page(number: int) -> None:
        if number == cut_after:
            raise Cut

    async def within() -> BoardReport:
        async with server.client() as client:
            return await backfill_board(
                client, store, BOARD, pages=pages, on_page=on_page, quarantine_folder=folder_of(store)
            )

    return asyncio.run(within())


def test_older_pages_are_collected_and_the_second_time_nothing_is_asked(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(400))
    server = serve(posts)
    walk(server, store, max_pages=2)
    assert backfill(server, store, 6).new == 160
    assert sorted(stored(store)) == ids(posts)[-240:]
    server.paths.clear()
    assert backfill(server, store, 6).pages == 0
    assert server.paths == ["/robots.txt"]
    assert backfill(server, store, 200).new == 160  # there are ten pages
    assert sorted(stored(store)) == ids(posts)
    assert server.count("article") == 160
    server.paths.clear()
    backfill(server, store, 200)
    assert server.paths == ["/robots.txt"]  # the board's end is remembered
    assert walk(server, store).pages == 1


def test_it_goes_on_where_it_was_cut_off_though_posts_arrived_and_left(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(500), initial=400, per_minute=60)
    clock = Clock()
    server = serve(posts, clock)
    walk(server, store, max_pages=1)
    with pytest.raises(Cut):
        backfill(server, store, 10, cut_after=4)
    assert sorted(stored(store)) == ids(posts)[400 - 160 : 400]
    clock.pass_time(hours=1)  # a hundred more posts: pages have moved
    walk(server, store)
    server.paths.clear()
    with pytest.raises(Cut):
        backfill(server, store, 13, cut_after=8)
    assert server.count("list") <= 6  # none of the pages above is read again
    for post_id in ids(posts)[430:]:
        server.replay.remove(BOARD, post_id)  # and back
    assert server.count("article") + 260 == len(stored(store))
    backfill(server, store, 20)
    assert sorted(stored(store)) == ids(posts)
    assert len(stored(store)) == len(set(stored(store)))


def test_a_site_that_breaks_down_costs_no_post(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(200))
    server = serve(posts)
    walk(server, store, max_pages=1)
    for allowed in (3, 50, 90):
        start = len(server.paths)
        server.fault = lambda path, count, limit=start + allowed: (
            PlainTextResponse("", 500) if len(server.paths) > limit else None
        )
        with pytest.raises(SiteUnavailable):
            backfill(server, store, 10)
    server.fault = lambda path, count: None
    backfill(server, store, 10)
    assert sorted(stored(store)) == ids(posts)
    assert store.failures() == []


def test_a_post_that_can_not_be_read_is_tried_again(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(200))
    server = serve(posts)
    walk(server, store, max_pages=1)
    odd = posts[100]
    server.fault = broken(odd)
    assert str(path_of(odd)) in backfill(server, store, 10).stopped
    assert not backfill(server, store, 10).stopped  # the second time it comes last
    assert len(stored(store)) == 199
    server.fault = lambda path, count: None
    assert backfill(server, store, 10).new == 1
    assert sorted(stored(store)) == ids(posts)


def test_posts_left_behind_by_a_short_walk_are_found(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(400), initial=200, per_minute=60)
    clock = Clock()
    server = serve(posts, clock)
    walk(server, store)
    clock.pass_time(hours=2)
    report = walk(server, store, max_pages=2)
    assert report.gap == 120
    assert backfill(server, store, 8).new == 120
    assert sorted(stored(store)) == ids(posts)


def test_a_post_deleted_between_two_pages_hides_no_other(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(200))
    server = serve(posts)
    walk(server, store, max_pages=1)
    gone = ids(posts)[-1]

    def delete(path: str, count: int) -> Any:
        if path.endswith("?p=3") and count == 0:
            server.replay.remove(BOARD, gone)

    server.fault = delete
    backfill(server, store, 10)
    assert sorted(stored(store)) == ids(posts)
