"""Gaps: what walks could not reach is remembered and filled, however the board moves and whatever is cut off."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import clock
from pipeline.inven import gaps, visits
from pipeline.inven.client import SiteUnavailable
from pipeline.inven.crawl import BoardReport, backfill_board, crawl_board
from pipeline.inven.records import Article, Failure, ListPage, ListRow
from pipeline.live.records import Gap
from pipeline.live.store import Store
from tests.pipeline.inven.test_crawl import BOARD, broken, ids, path_of, stored, walk
from tests.support.replay_server import START, Clock, ReplayServer, drafts, page, timetable

Serve = Callable[..., ReplayServer]
GAPS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda ends: Gap(min(ends), max(ends), 1)), max_size=5
)


def inside(found: Any) -> set[int]:
    return {post_id for gap in found for post_id in range(gap.after + 1, gap.before)}


# --- the arithmetic -----------------------------------------------------------------------------------


@given(GAPS, st.integers(0, 60), st.integers(0, 60))
def test_joining_and_taking_away_are_those_of_sets(parts: list[Gap], one: int, other: int) -> None:
    whole: tuple[Gap, ...] = ()
    for part in parts:
        whole = gaps.joined(whole, part)
    assert inside(whole) == inside(parts)
    assert gaps.ids(whole) == len(inside(whole))
    assert all(gaps.covers(whole, post_id) == (post_id in inside(whole)) for post_id in range(62))
    assert list(whole) == sorted(whole, key=lambda gap: gap.after)
    assert all(low.before <= high.after for low, high in pairwise(whole))  # apart
    lowest, highest = min(one, other), max(one, other)
    assert inside(gaps.without(whole, lowest, highest, 7)) == inside(whole) - set(range(lowest, highest + 1))


def test_the_page_of_a_gap_is_where_its_upper_edge_stands() -> None:
    assert gaps.without([Gap(10, 100, 3)], 50, 99, 8) == (Gap(10, 50, 8),)
    assert gaps.without([Gap(10, 100, 3)], 40, 50, 8) == (Gap(10, 40, 8), Gap(50, 100, 3))
    assert gaps.joined([Gap(10, 100, 3)], Gap(90, 200, 1)) == (Gap(10, 200, 1),)


# --- on the replay ------------------------------------------------------------------------------------


def weekend(serve: Serve, store: Store, there: int = 200, new: int = 300) -> tuple[ReplayServer, list[int]]:
    """A board that was walked, and then not for a while."""
    posts = timetable(drafts(there + new), initial=there, per_minute=60)
    clock_ = Clock()
    server = serve(posts, clock_)
    walk(server, store)
    clock_.pass_time(hours=48)
    server.paths.clear()
    return server, ids(posts)


def test_what_a_walk_could_not_reach_is_filled_by_the_next_the_newest_first(serve: Serve, store: Store) -> None:
    server, every = weekend(serve, store)
    first = walk(server, store, max_pages=3)
    assert (first.new, first.gap, first.gap_before) == (120, 180, 0)
    second = walk(server, store, max_pages=4)  # page 1, then page 3 again, where the gap begins
    assert (second.new, second.pages, second.gap, second.gap_before) == (80, 4, 100, 180)
    assert stored(store)[200:] == [*every[-120:], *every[-160:-120], *every[-200:-160]]  # page by page
    third, fourth = (walk(server, store, max_pages=4) for _ in range(2))
    assert (third.gap, fourth.gap) == (20, 0)
    assert "a gap of up to 20 posts is filled" in str(fourth)
    assert sorted(stored(store)) == every
    assert server.count("article") == 300  # none twice
    assert walk(server, store).pages == 1  # and then it is as quiet as ever


def test_a_board_with_a_gap_is_due_at_every_run(serve: Serve, store: Store) -> None:
    server, _ = weekend(serve, store)
    at = {"manners": {"wall": server.clock}}

    def look() -> visits.Outlook:
        return visits.outlook(store, BOARD, server.clock(), expected_new=10**6, max_wait=10**6)

    walk(server, store, max_pages=3, **at)
    assert (look().due, look().why) == (True, "a gap of up to 180 posts is to be filled")
    walk(server, store, **at)
    assert not look().due


def test_the_gap_is_found_again_though_posts_arrive_and_leave(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(1200), initial=600, per_minute=60)
    clock_ = Clock()
    server = serve(posts, clock_)
    walk(server, store, max_pages=1)
    clock_.pass_time(minutes=5)  # 300 new
    assert walk(server, store, max_pages=2).gap == 220
    clock_.pass_time(minutes=5)  # 300 more push it down
    report = walk(server, store, max_pages=12)
    assert report.pages <= 12
    for post_id in ids(posts)[-200:]:
        server.replay.remove(BOARD, post_id)  # and up
    for _ in range(2):
        report = walk(server, store, max_pages=12)
    assert report.gap == 0
    assert set(ids(posts)[600:1000]) <= set(stored(store))


def test_a_walk_that_needs_all_its_pages_fills_its_gaps_all_the_same(serve: Serve, store: Store) -> None:
    server, every = weekend(serve, store, new=160)
    assert walk(server, store, max_pages=1).gap == 120
    reports = [walk(server, store, max_pages=1) for _ in range(2)]
    assert [(report.pages, report.gap) for report in reports] == [(4, 40), (3, 0)]
    assert sorted(stored(store)) == every


def test_a_second_gap_is_filled_before_an_older_one(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(900), initial=200, per_minute=60)
    clock_ = Clock()
    server = serve(posts, clock_)
    walk(server, store)
    for _ in range(2):
        clock_.pass_time(seconds=350)
        walk(server, store, max_pages=1)
    ends = []
    while (progress := store.progress(BOARD)) and progress.gaps:
        ends.append([(gap.after, gap.before) for gap in progress.gaps])
        walk(server, store, max_pages=1)
    (older, _), *_ = ends
    both = [entry for entry in ends if len(entry) == 2]
    assert len(both) > 1
    assert all(entry[0] == older for entry in both)  # untouched while there is a newer one
    assert sorted(stored(store)) == ids(posts)


def test_a_post_in_a_gap_that_can_not_be_read_holds_nothing_up_and_is_tried_again(serve: Serve, store: Store) -> None:
    server, every = weekend(serve, store)
    odd = server.replay.find(BOARD, every[260])
    assert odd is not None
    server.fault = broken(odd)
    walk(server, store, max_pages=3)
    assert path_of(odd) in walk(server, store, max_pages=12).stopped  # perhaps the site has changed
    report = walk(server, store, max_pages=12)
    assert (report.stopped, report.gap) == ("", 1)
    assert sorted(stored(store)) == [post_id for post_id in every if post_id != odd.post_id]
    server.fault = lambda path, count: None
    assert (walk(server, store, max_pages=12).new, walk(server, store).gap) == (1, 0)


def test_a_list_that_is_empty_for_a_moment_closes_no_gap(serve: Serve, store: Store) -> None:
    server, every = weekend(serve, store)
    empty = "<html><body><div id='new-board'><div class='board-list'><table></table></div></div></body></html>"
    server.fault = lambda path, count: page(empty) if path.endswith("?p=2") and count == 0 else None
    assert "was empty, and at once no longer" in walk(server, store, max_pages=3).stopped
    walk(server, store, max_pages=3)
    server.paths.clear()
    server.fault = lambda path, count: page(empty) if path.endswith("?p=4") and count == 0 else None
    for _ in range(5):
        walk(server, store, max_pages=4)
    assert sorted(stored(store)) == every


def test_a_gap_below_the_lists_last_page_does_not_wait_for_ever(serve: Serve, store: Store) -> None:
    server, every = weekend(serve, store)
    walk(server, store, max_pages=3)
    for post_id in every[:300]:  # the site shows no more than the newest pages
        server.replay.remove(BOARD, post_id)
    report = walk(server, store, max_pages=12)
    assert report.gap == 0
    assert set(every[300:]) <= set(stored(store))


# --- a weekend, with its pace ---------------------------------------------------------------------------


class Pace:
    """Time as the crawler and the site see it: it passes where the crawler waits, and a little with each request."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.starts: list[float] = []

    def __call__(self) -> Any:
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def request(self, path: str, count: int) -> None:
        self.starts.append(self.seconds)
        self.seconds += 0.2


def test_after_48_hours_off_every_post_is_stored_in_a_stated_number_of_runs_at_the_same_pace(
    serve: Serve, store: Store
) -> None:
    """A tenth of 5,000 posts a day, and of the pages; at full size: `benchmarks/crawl.py`."""
    rate = 5000 / 10 * 0.6 / (24 * 60)  # of the free board, a minute
    there, off = 140, round(rate * 48 * 60)
    posts = timetable(drafts(there + off + 60, 5974), initial=there, per_minute=rate)
    pace = Pace()
    server = serve(posts, pace)
    server.fault = pace.request
    manners = {
        "min_interval": 1.5,
        "jitter": 0.5,
        "wall": pace,
        "monotonic": pace.monotonic,
        "sleep": pace.sleep,
        "shelf": store,
    }

    def run() -> BoardReport:
        began = pace.seconds
        report = walk(server, store, 5974, max_pages=3, manners=manners)
        pace.seconds = max(pace.seconds, began + 600)  # the next tick
        return report

    run()
    pace.seconds += 48 * 3600
    reports = []
    while not reports or reports[-1].gap:
        reports.append(run())
        assert len(reports) <= 4, reports
    assert len(reports) == 4  # 210 posts, then what stands on page 1 and on three pages of the gap's
    there_now = [post.post_id for post in server.replay.visible(5974)]
    run()  # what has come meanwhile
    found = stored(store, 5974)
    assert sorted(found)[: len(there_now)] == there_now
    assert len(found) == len(set(found))
    articles = Counter(path for path in server.paths if "?p=" not in path and "robots" not in path)
    assert set(articles.values()) == {1}  # none asked for twice
    apart = [after - before for before, after in pairwise(pace.starts)]
    assert min(apart) >= 1.5
    assert all(report.pages <= 4 for report in reports)


# --- anything, in any order ---------------------------------------------------------------------------


class Board:
    """A board in memory that moves, hides posts, and fails where it is told to."""

    def __init__(self, chance: random.Random, rows: int = 4) -> None:
        self.chance = chance
        self.rows = rows
        self.posts: list[int] = []
        self.unreadable: set[int] = set()
        self.asked: Counter[int] = Counter()
        self.lists = 0
        self.moving = 0.0  # chance that a request sees another board than the one before
        self.fails_after: int | None = None
        self._top = 100

    def arrive(self, count: int) -> None:
        for _ in range(count):
            self._top += self.chance.choice((1, 1, 1, 2, 5))
            self.posts.append(self._top)

    def delete(self, count: int) -> None:
        for _ in range(min(count, len(self.posts) - self.rows)):
            self.posts.remove(self.chance.choice(self.posts[-40:]))

    def _request(self) -> None:
        if self.chance.random() < self.moving:
            self.chance.choice((self.arrive, self.delete))(1)
        if self.fails_after is not None:
            self.fails_after -= 1
            if self.fails_after < 0:
                raise SiteUnavailable("down")

    # What a walk asks of a client.
    def wall(self) -> Any:
        return clock.now()

    async def mobile(self) -> None:
        return None

    def list_url(self, board: int, page: int, view: Any = None) -> str:
        return f"list/{page}"

    def article_url(self, board: int, post_id: int) -> str:
        return f"post/{post_id}"

    async def get_list(self, board: int, page: int, view: Any = None) -> ListPage:
        self._request()
        self.lists += 1
        shown = self.posts[::-1][(page - 1) * self.rows : page * self.rows]
        return ListPage(board, page, tuple(ListRow(board, i, None, f"글 {i}", "", None, 0, 0, 0) for i in shown), 0)

    async def get_article(self, board: int, post_id: int) -> Article | Failure:
        self._request()
        if post_id not in self.posts:
            return Failure("gone", self.article_url(board, post_id), "the site says that the page cannot be found")
        if post_id in self.unreadable:
            return Failure("refused", self.article_url(board, post_id), "HTTP 403")
        self.asked[post_id] += 1
        return Article(board, post_id, None, f"글 {post_id}", "본문", clock.now(), 0, 0)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_whatever_happens_in_whatever_order_nothing_is_lost_or_asked_twice(tmp_path_factory: Any, seed: int) -> None:
    chance = random.Random(seed)
    folder: Path = tmp_path_factory.mktemp("gaps")
    site = Board(chance)
    site.arrive(20)
    with Store(f"sqlite:///{folder}/live.db") as store:

        def crawl(max_pages: int) -> BoardReport | None:
            try:
                return asyncio.run(
                    crawl_board(site, store, BOARD, max_pages=max_pages, quarantine_folder=folder)  # type: ignore[arg-type]
                )
            except SiteUnavailable:
                return None

        def backfill() -> None:
            pages = chance.randrange(1, 9)
            with suppress(SiteUnavailable):
                asyncio.run(backfill_board(site, store, BOARD, pages=pages, quarantine_folder=folder))  # type: ignore[arg-type]

        crawl(2)
        first = min(site.posts[-2 * site.rows :])  # a first walk begins here
        for _ in range(chance.randrange(3, 14)):
            site.moving = chance.choice((0.0, 0.02, 0.1))
            site.fails_after = chance.choice((None, None, chance.randrange(1, 40)))
            site.unreadable = set(chance.sample(site.posts, 2)) if chance.random() < 0.3 else set()
            action = chance.randrange(5)
            if action == 0:
                site.arrive(chance.randrange(1, 60))
            elif action == 1:
                site.delete(chance.randrange(1, 6))
            elif action == 2:
                backfill()
            else:
                pages = chance.randrange(1, 7)
                before = site.lists
                crawl(pages)
                assert site.lists - before <= 3 * (pages + 3)  # with the looks at a page again after a deletion
        site.moving, site.fails_after, site.unreadable = 0.0, None, set()
        for _ in range(60):
            report = crawl(6)
            if report is not None and not (report.gap or report.new or report.failed or report.stopped):
                break
        else:
            raise AssertionError(f"still at work: {report}, {store.progress(BOARD)}")
        found = stored(store)
        assert len(found) == len(set(found))
        assert {post_id for post_id in site.posts if post_id >= first} <= set(found)
        assert max(site.asked.values()) == 1
        quiet = site.lists
        crawl(6)
        assert site.lists == quiet + 1


pytestmark = pytest.mark.timeout(120)
