"""When a board is visited: by the rate of its own posts, by the clock, and after trouble; and what robots.txt costs."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text, update
from starlette.responses import PlainTextResponse

from pipeline.inven import visits
from pipeline.inven.client import COOL_DOWN, BoardBlocked, InvenClient, RobotsDisallowed, SiteUnavailable
from pipeline.inven.records import ListPage
from pipeline.inven.walk import Walk
from pipeline.live.records import Comment, Post, Visit
from pipeline.live.store import Store
from pipeline.live.tables import robots as robots_table
from tests.pipeline.inven.test_crawl import BOARD, broken, path_of, walk
from tests.support.replay_server import START, Clock, ReplayServer, drafts, page, timetable

Serve = Callable[..., ReplayServer]
LIMITS = {"expected_new": 25, "max_wait": 60}


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def posted(store: Store, count: int, since: timedelta, until: timedelta, board_id: int = BOARD) -> None:
    """That many posts, evenly between these times before START."""
    first = store.count_posted(board_id, START - timedelta(days=9), START) + board_id * 1000
    times = [START - since + (since - until) * n / count for n in range(count)]
    store.add_posts(
        [
            Post(board_id, first + n, None, None, None, f"글 {n}", "", "", time.replace(microsecond=0), START)
            for n, time in enumerate(times)
        ]
    )


def due_after(store: Store, count: float, board_id: int = BOARD, **limits: float) -> bool:
    return visits.outlook(store, board_id, START + minutes(count), **{**LIMITS, **limits}).due


# --- by rate and clock --------------------------------------------------------------------------------


def test_a_board_is_due_when_enough_posts_are_to_be_expected(store: Store) -> None:
    posted(store, 50, minutes(60), minutes(0))
    posted(store, 500, minutes(200), minutes(61))  # another time, and another board: neither counts
    posted(store, 500, minutes(60), minutes(0), 5974)
    visits.end(store, BOARD, START)
    assert not due_after(store, 29)
    assert due_after(store, 30)  # 50 an hour
    assert due_after(store, 15, expected_new=12)
    said = visits.outlook(store, BOARD, START + minutes(20), **LIMITS)
    assert "about 17 new posts expected since 12:00" in said.why


def test_yesterdays_hour_counts_where_today_was_quieter(store: Store) -> None:
    day = 24 * 60
    posted(store, 5, minutes(60), minutes(0))
    posted(store, 100, minutes(day), minutes(day - 60))
    visits.end(store, BOARD, START)
    assert not due_after(store, 14)
    assert due_after(store, 15)


def test_a_quiet_board_is_looked_at_all_the_same(store: Store) -> None:
    visits.end(store, BOARD, START)
    assert not due_after(store, 59)
    assert due_after(store, 60)
    assert due_after(store, 0, max_wait=0)  # each run visits every board
    assert due_after(store, -1)  # the clock was set back


def test_comments_kept_as_posts_are_no_posts_of_the_board(store: Store) -> None:
    posted(store, 1, minutes(5), minutes(0))
    said = [Comment(n, None, f"댓글 {n}", 0, START - minutes(n / 10 + 0.1)) for n in range(1, 100)]
    assert store.add_comments(BOARD, BOARD * 1000, said, 99, as_posts=True) == 99
    assert store.count_posted(BOARD, START - minutes(60), START) == 1


def test_the_rate_is_read_from_an_index_alone(store: Store) -> None:
    asked: list[Any] = []
    event.listen(store.engine, "before_cursor_execute", lambda *details: asked.append(details[2:4]))
    store.count_posted(BOARD, START, START)
    statement, values = next(entry for entry in asked if "count" in entry[0])
    with store.reading() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    assert [row[-1].partition(" (")[0] for row in plan] == [
        "SEARCH posts USING COVERING INDEX posts_by_board_time",
    ]


# --- after a walk -------------------------------------------------------------------------------------


def test_a_visit_that_ended_well_is_remembered_from_its_beginning(serve: Serve, store: Store) -> None:
    clock = Clock()
    server = serve(timetable(drafts(3)), clock)
    server.fault = lambda path, count: clock.pass_time(minutes=2)
    assert visits.outlook(store, BOARD, START, **LIMITS).due
    walk(server, store, manners={"wall": clock})
    began = store.last_visit(BOARD).began
    assert began is not None
    assert began == START + minutes(2)  # after robots.txt, before the list was read
    assert not visits.outlook(store, BOARD, clock(), **LIMITS).due
    assert visits.outlook(store, 2295, clock(), **LIMITS).due


@pytest.mark.parametrize("trouble", ["changed", "unreadable", "down", "killed"])
def test_a_visit_that_did_not_end_well_is_due_again_at_once(
    serve: Serve, store: Store, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    posts = timetable(drafts(4))
    server = serve(posts)
    visits.end(store, BOARD, START)
    assert not due_after(store, 1)
    at_start: dict[str, Any] = {"manners": {"wall": lambda: START}}
    if trouble == "changed":
        server.fault = broken(posts[2])
        assert walk(server, store, **at_start).stopped
    elif trouble == "unreadable":
        bad = path_of(posts[1])
        server.fault = lambda path, count: PlainTextResponse("", 500) if path == bad else None
        assert walk(server, store, **at_start).failed
    elif trouble == "down":
        server.fault = lambda path, count: PlainTextResponse("", 500) if "robots" not in path else None
        with pytest.raises(SiteUnavailable):
            walk(server, store, **at_start)
    else:

        def killed(*_: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Walk, "_post", killed)
        with pytest.raises(KeyboardInterrupt):
            walk(server, store, **at_start)
        monkeypatch.undo()
    assert due_after(store, 1)
    server.fault = lambda path, count: None
    walk(server, store, **at_start)
    assert walk(server, store, **at_start).failed == 0
    assert not due_after(store, 1)


def test_a_board_that_refuses_is_left_alone_by_later_runs_too(serve: Serve, store: Store) -> None:
    server = serve(timetable(drafts(20)))
    server.fault = lambda path, count: page("no", 403) if "/45" in path else None
    with pytest.raises(BoardBlocked):
        walk(server, store, manners={"wall": lambda: START})
    wait = COOL_DOWN / 60
    blocked = visits.outlook(store, BOARD, START + minutes(wait - 1), **LIMITS)
    assert (blocked.due, blocked.blocked) == (False, True)
    assert "12:30" in blocked.why
    assert not due_after(store, wait - 1, max_wait=0)
    assert due_after(store, wait)
    server.fault = lambda path, count: None
    walk(server, store, manners={"wall": lambda: START + minutes(wait)})
    assert store.last_visit(BOARD) == Visit(START + minutes(wait))


def test_a_block_that_a_wrong_clock_wrote_is_not_believed(store: Store) -> None:
    visits.block(store, BOARD, START + timedelta(days=3650) + timedelta(seconds=COOL_DOWN))
    assert due_after(store, 0)
    visits.block(store, BOARD, START + timedelta(seconds=COOL_DOWN))
    assert not due_after(store, 0)
    assert not due_after(store, -20)  # set back by as much as clocks are corrected


# --- robots.txt from run to run -----------------------------------------------------------------------


def look(server: ReplayServer, store: Store, after: timedelta = timedelta(), url: str = "") -> None:
    """One run: its rules, and one list page."""

    async def within() -> None:
        manners: dict[str, Any] = {"shelf": store, "wall": lambda: START + after}
        client = InvenClient(url, contact="", min_interval=0, jitter=0, **manners) if url else server.client(**manners)
        async with client:
            assert isinstance(await client.get_list(BOARD, 1), ListPage)

    asyncio.run(within())


def test_robots_are_read_once_a_day_and_not_by_each_run(serve: Serve, store: Store) -> None:
    server = serve(timetable(drafts(3)))
    for hours in (0, 1, 23.9):
        look(server, store, timedelta(hours=hours))
    assert server.count("robots") == 1
    look(server, store, timedelta(hours=24))
    assert server.count("robots") == 2
    look(server, store, timedelta(hours=47))
    assert server.count("robots") == 2


def test_a_day_is_counted_from_the_reading_not_from_the_run(serve: Serve, store: Store) -> None:
    server = serve(timetable(drafts(3)))
    look(server, store)
    now = [0.0]

    async def within() -> None:
        manners = {"shelf": store, "wall": lambda: START + timedelta(hours=23), "monotonic": lambda: now[0]}
        async with server.client(**manners) as client:
            await client.get_list(BOARD, 1)
            assert server.count("robots") == 1
            now[0] = 3601.0
            client.wall = lambda: START + timedelta(hours=24, seconds=1)
            await client.get_list(BOARD, 1)

    asyncio.run(within())
    assert server.count("robots") == 2


def test_kept_rules_are_obeyed(serve: Serve, store: Store) -> None:
    server = serve(timetable(drafts(3)))
    server.replay.robots = "User-agent: *\nDisallow: /board/maple/2294\0\nCrawl-delay: 7\n"
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(round(seconds))

    async def within() -> None:
        manners = {"shelf": store, "wall": lambda: START, "sleep": sleep, "monotonic": lambda: 0.0}
        async with server.client(**manners) as client:
            with pytest.raises(RobotsDisallowed):
                await client.get_list(BOARD, 1)
            await client.get_list(2295, 1)
            await client.get_list(2295, 2)

    asyncio.run(within())
    waits.clear()
    asyncio.run(within())
    assert waits == [7]
    assert server.count("robots") == 1


@pytest.mark.parametrize("damage", [{"fetched_at": "yesterday"}, {"fetched_at": "2026-11-20T12:00:01+09:00"}])
def test_a_kept_copy_that_can_not_be_used_is_fetched_again(serve: Serve, store: Store, damage: dict[str, str]) -> None:
    server = serve(timetable(drafts(3)))
    look(server, store)
    with store.writing() as connection:
        connection.execute(update(robots_table).values(**damage))  # the second: from the future
    look(server, store)
    look(server, store)
    assert server.count("robots") == 2


def test_what_is_no_rules_is_not_kept(serve: Serve, store: Store) -> None:
    server = serve(timetable(drafts(3)))
    server.fault = lambda path, count: PlainTextResponse("", 404) if path == "/robots.txt" else None
    look(server, store)
    server.fault = lambda path, count: PlainTextResponse("", 500) if path == "/robots.txt" else None
    with pytest.raises(SiteUnavailable, match="nothing is requested"):
        look(server, store)
    with store.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM robots")).scalar() == 0


def test_each_site_has_rules_of_its_own(serve: Serve, store: Store) -> None:
    first, second = serve(timetable(drafts(3))), serve(timetable(drafts(3)))
    second.replay.robots = "User-agent: *\nDisallow: /\n"
    look(first, store)
    with pytest.raises(RobotsDisallowed):
        look(second, store)
    look(first, store, url=first.url + "/")
    assert (first.count("robots"), second.count("robots")) == (1, 1)
