"""Walks over the replay: no post lost, none doubled, none asked for twice, and a site that changes stops us."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from starlette.responses import PlainTextResponse

from demo.replay_pages import NICKNAME, article_page
from demo.replay_posts import Draft, ReplayPost
from pipeline.inven import quarantine
from pipeline.inven.client import BoardBlocked, SiteUnavailable
from pipeline.inven.crawl import BoardReport, crawl_board, crawl_page
from pipeline.inven.listing import GIVE_UP
from pipeline.inven.walk import STRANGE, Walk
from pipeline.live.store import Store
from pipeline.live.tables import posts as posts_table
from tests.support.replay_server import START, Clock, ReplayServer, drafts, page, timetable

Serve = Callable[..., ReplayServer]
BOARD = 2294


def walk(server: ReplayServer, store: Store, board_id: int = BOARD, **options: Any) -> BoardReport:
    async def within() -> BoardReport:
        async with server.client(**options.pop("manners", {})) as client:
            settings = {"max_pages": 50, "quarantine_folder": folder_of(store), **options}
            return await crawl_board(client, store, board_id, **settings)

    return asyncio.run(within())


def folder_of(store: Store) -> Path:
    return Path(str(store.engine.url.database)).parent / "quarantine"


def stored(store: Store, board_id: int = BOARD) -> list[int]:
    """Ids in order of collection."""
    query = select(posts_table.c.post_id).where(posts_table.c.board_id == board_id).order_by(posts_table.c.seq)
    with store.reading() as connection:
        return list(connection.scalars(query))


def high_water(store: Store, board_id: int = BOARD) -> int:
    """Up to where every post is settled."""
    progress = store.progress(board_id)
    assert progress is not None
    return progress.high_water


def ids(posts: Sequence[ReplayPost], board_id: int = BOARD) -> list[int]:
    return [post.post_id for post in posts if post.board_id == board_id and not post.deleted]


def path_of(post: ReplayPost) -> str:
    return f"/board/maple/{post.board_id}/{post.post_id}"


def broken(post: ReplayPost, html: str = "<html><div id='tbArticle'>새 모양</div></html>") -> Any:
    """A fault: this post's page is of another kind."""
    return lambda path, count: page(html) if path == path_of(post) else None


# --- the ordinary -------------------------------------------------------------------------------------


def test_every_post_once_in_order_of_posting(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(95))
    server = serve(posts)
    report = walk(server, store)
    assert stored(store) == ids(posts)
    assert (report.new, report.known, report.gone, report.failed, report.pages) == (
        95,
        0,
        0,
        0,
        4,
    )  # the fourth page is empty
    assert report.gap == 0
    assert not report.stopped
    assert server.count("article") == 95
    assert len(set(server.paths)) == len(server.paths)
    assert high_water(store) == ids(posts)[-1]


def test_what_is_stored_is_what_was_written(serve: Serve, store: Store) -> None:
    own = [Draft(5974, "수다", "썬콜은 왜 이럼", "첫 줄\n<둘째> & 줄 ㅋㅋㅠㅠ", comments=7), *drafts(1, 5974)]
    posts = timetable(own)
    walk(serve(posts), store, 5974)
    with store.reading() as connection:
        first, second = connection.execute(select(posts_table).order_by(posts_table.c.seq)).mappings()
    assert (first["title"], first["body"]) == ("썬콜은 왜 이럼", "첫 줄\n<둘째> & 줄 ㅋㅋㅠㅠ")
    assert (first["category"], first["job_group"], first["job"]) == ("수다", "마법사", "아크메이지(썬,콜)")
    assert (second["job_group"], second["job"]) == (None, None)
    assert (first["views"], first["recommends"], first["comments"]) == (
        posts[0].views,
        posts[0].recommends,
        7,
    )
    assert first["posted_at"] == posts[0].posted_at.isoformat(timespec="seconds")
    assert first["url"].endswith(path_of(posts[0]))


def test_no_nickname_is_ever_stored(serve: Serve, store: Store) -> None:
    walk(serve(timetable(drafts(5))), store)
    assert NICKNAME.encode() not in Path(str(store.engine.url.database)).read_bytes()
    with store.reading() as connection:
        assert NICKNAME not in repr(connection.execute(select(posts_table)).all())


def test_an_idle_walk_is_one_list_request(serve: Serve, store: Store) -> None:
    server = serve(timetable(drafts(90), drafts(3, 2295)))
    for board_id in (BOARD, 2295):
        walk(server, store, board_id)
    server.paths.clear()
    for board_id in (BOARD, 2295, 2296):
        report = walk(server, store, board_id)
        assert (report.new, report.failed, report.stopped) == (0, 0, "")
    assert [path for path in server.paths if path != "/robots.txt"] == [
        f"/board/maple/{board_id}?p=1" for board_id in (2294, 2295, 2296)
    ]


def test_the_same_id_on_two_boards_is_two_posts(serve: Serve, store: Store) -> None:
    server = serve(timetable([Draft(2294, None, "가", "가", post_id=7)], [Draft(2295, None, "나", "나", post_id=7)]))
    assert [walk(server, store, board_id).new for board_id in (2294, 2295)] == [1, 1]


def test_image_only_posts_are_kept_with_an_empty_body(serve: Serve, store: Store) -> None:
    assert walk(serve(timetable([Draft(BOARD, "히어로", "사진", "")])), store).new == 1


def test_a_page_with_two_bodies_is_read_and_reported(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(4))
    server = serve(posts)
    odd = {path_of(post): article_page(post) for post in posts[1:3]}
    twice = '<div id="powerbbsContent"></div><div id="powerbbsContent" '
    server.fault = lambda path, count: (
        page(odd[path].replace('<div id="powerbbsContent" ', twice)) if path in odd else None
    )
    report = walk(server, store)
    assert (report.new, report.failed, report.odd) == (4, 0, 2)
    assert f"2 odd pages, the first {server.url}{path_of(posts[1])}: 2 body containers" in str(report)
    with store.reading() as connection:
        assert all(connection.scalars(select(posts_table.c.body)))


def test_crawl_page_stores_one_page_and_leaves_the_high_water(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(90))
    server = serve(posts)

    async def second() -> BoardReport:
        async with server.client() as client:
            return await crawl_page(client, store, BOARD, 2, quarantine_folder=folder_of(store))

    assert asyncio.run(second()).new == 40
    assert stored(store) == ids(posts)[10:50]
    assert store.progress(BOARD) is None
    assert walk(server, store).new == 50  # a page of known posts hides neither what is above nor below it
    assert sorted(stored(store)) == ids(posts)


# --- a board that moves -------------------------------------------------------------------------------


def test_posts_that_arrive_during_the_walk_are_neither_lost_nor_doubled(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(200), initial=100, per_minute=60)
    clock = Clock()
    server = serve(posts, clock)

    def a_second_passes(path: str, count: int) -> None:
        clock.pass_time(seconds=0.7)

    server.fault = a_second_passes
    reports = [walk(server, store) for _ in range(4)]
    clock.pass_time(hours=1)
    reports.append(walk(server, store))
    assert sorted(stored(store)) == ids(posts)
    assert stored(store) == ids(posts)
    assert sum(report.new for report in reports) == 200
    assert server.count("article") == 200
    assert reports[0].pages > 2


@pytest.mark.parametrize("moment", ["?p=2", "?p=3", "?p=4"])
def test_posts_deleted_during_the_listing_hide_no_other(serve: Serve, store: Store, moment: str) -> None:
    posts = timetable(drafts(190))
    server = serve(posts)
    newest = ids(posts)[::-1]

    def delete_two(path: str, count: int) -> None:
        if path.endswith(moment) and count == 0:  # just before this page is read
            for post_id in newest[:2]:
                server.replay.remove(BOARD, post_id)

    server.fault = delete_two
    walk(server, store)
    report = walk(server, store)
    left = ids(posts)[:-2]
    assert [post_id for post_id in sorted(stored(store)) if post_id in set(left)] == left
    assert report.failed == 0


def test_a_walk_cut_off_anywhere_is_finished_by_the_next(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(100))
    server = serve(posts)
    for limit in (1, 20, 60):
        asked = server.count("article")

        def break_down(path: str, count: int, asked: int = asked, limit: int = limit) -> Any:
            done = server.count("article") - asked
            return PlainTextResponse("", 500) if done > limit and "?p=" not in path and "robots" not in path else None

        server.fault = break_down
        with pytest.raises(SiteUnavailable):
            walk(server, store)
        assert stored(store) == ids(posts)[: len(stored(store))]  # no holes
        assert store.failures() == []  # it was not the posts' fault
    server.fault = lambda path, count: None
    walk(server, store)
    assert stored(store) == ids(posts)


def test_a_killed_walk_is_finished_by_the_next(serve: Serve, store: Store, monkeypatch: Any) -> None:
    posts = timetable(drafts(130), initial=85, per_minute=60)
    clock = Clock()
    server = serve(posts, clock)
    walk(server, store)
    clock.pass_time(hours=1)
    add_posts = Store.add_posts

    def die_after_the_first_page(self: Store, new: Any) -> int:
        if len(stored(store)) > 85:
            raise KeyboardInterrupt
        return add_posts(self, new)

    monkeypatch.setattr(Store, "add_posts", die_after_the_first_page)
    monkeypatch.setattr(Walk, "_move_high_water", lambda self: None)  # a killed process does not tidy up
    with pytest.raises(KeyboardInterrupt):
        walk(server, store)
    monkeypatch.undo()
    assert 85 < len(stored(store)) < 130
    walk(server, store)
    assert stored(store) == ids(posts)


def test_older_unknown_posts_behind_a_page_of_known_ones_are_found(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(130))
    server = serve(posts)
    bad = posts[10]
    server.fault = lambda path, count: PlainTextResponse("", 500) if path == path_of(bad) else None
    first = walk(server, store)
    assert (first.new, first.failed) == (129, 1)
    assert high_water(store) == bad.post_id - 1
    server.fault = lambda path, count: None
    assert walk(server, store).new == 1
    assert sorted(stored(store)) == ids(posts)
    assert high_water(store) == ids(posts)[-1]
    assert store.failures() == []


def test_max_pages_bounds_the_walk_and_says_what_is_left_behind(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(400), initial=200, per_minute=60)
    clock = Clock()
    server = serve(posts, clock)
    report = walk(server, store, max_pages=2)
    assert (report.new, report.pages, report.gap) == (80, 2, 0)  # how far back a first walk goes
    clock.pass_time(hours=2)
    report = walk(server, store, max_pages=2)
    assert (report.new, report.gap) == (80, 120)
    assert "a gap of up to 120 posts is left for the next runs" in str(report)
    report = walk(server, store, max_pages=20, overlap_pages=20)  # all the way down, below the first walk's end too
    assert report.new == 400 - 160
    assert report.gap == 0
    assert sorted(stored(store)) == ids(posts)


# --- trouble ------------------------------------------------------------------------------------------


def test_deleted_posts_are_asked_for_once(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(30), deleted=3)
    server = serve(posts)
    report = walk(server, store)
    assert (report.new, report.gone, report.failed) == (27, 3, 0)
    assert {failure["kind"] for failure in store.failures()} == {"gone"}
    report = walk(server, store)
    assert (report.new, report.gone, report.known) == (0, 0, 30)
    assert server.count("article") == 30


def test_a_burst_of_server_errors_costs_nothing(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(20))
    server = serve(posts)
    server.fault = lambda path, count: PlainTextResponse("", 500) if count < 2 and len(path) % 2 else None
    assert walk(server, store).new == 20
    assert stored(store) == ids(posts)


def test_retry_after_is_waited_for(serve: Serve, store: Store) -> None:
    server = serve(timetable(drafts(4)))
    server.fault = lambda path, count: page("", 429, retry_after="33") if count == 0 and "45700" in path else None
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    assert walk(server, store, manners={"sleep": sleep}).new == 4
    assert [wait for wait in waits if wait > 1] == [33] * 4


def test_a_board_that_refuses_is_left_and_resumed(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(20))
    server = serve(posts)
    refused = {path_of(post) for post in posts[5:]}
    server.fault = lambda path, count: page("no", 403) if path in refused else None
    with pytest.raises(BoardBlocked):
        walk(server, store)
    assert stored(store) == ids(posts)[:5]
    server.fault = lambda path, count: None
    assert walk(server, store).new == 15
    assert sorted(stored(store)) == ids(posts)
    assert store.failures() == []


def test_changed_articles_stop_the_board_and_are_quarantined(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(10))
    server = serve(posts)
    server.fault = lambda path, count: page("<html><div id='tbArticle'>새</div></html>") if "/45" in path else None
    report = walk(server, store)
    assert (report.new, report.failed) == (0, 1)
    assert "powerbbsContent" in report.stopped
    assert server.count("article") == 1
    (kept,) = folder_of(store).iterdir()
    assert kept.name == f"{BOARD}-{posts[0].post_id}.html"
    assert "새" in kept.read_text()
    assert [failure["kind"] for failure in store.failures()] == ["drift"]
    for _ in range(10):
        walk(server, store)  # however long it lasts, nothing is given up
    server.fault = lambda path, count: None
    assert walk(server, store).new == 10
    assert sorted(stored(store)) == ids(posts)
    assert store.failures() == []


def test_one_odd_post_stops_one_walk_and_is_given_up_in_the_end(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(60), initial=20, per_minute=60)
    clock = Clock()
    server = serve(posts, clock)
    odd = posts[4]
    server.fault = broken(odd)
    assert walk(server, store).stopped
    report = walk(server, store)
    assert (report.new, report.failed, report.stopped) == (15, 1, "")
    for _ in range(10):
        walk(server, store)
    asked = server.paths.count(path_of(odd))
    (failure,) = store.failures()
    assert failure["attempts"] == 2  # walks that read nothing else do not count
    for _ in range(5):
        clock.pass_time(seconds=1)
        walk(server, store)
    (failure,) = store.failures()
    assert failure["attempts"] == GIVE_UP
    assert server.paths.count(path_of(odd)) == asked + 3
    assert high_water(store) == max(stored(store))
    server.paths.clear()
    walk(server, store)
    assert [path for path in server.paths if path != "/robots.txt"] == [f"/board/maple/{BOARD}?p=1"]


@pytest.mark.parametrize("html", ["<html><body>점검</body></html>", "<html><body>로그인이 필요합니다</body></html>"])
def test_a_site_without_articles_costs_no_posts(serve: Serve, store: Store, html: str) -> None:
    posts = timetable(drafts(20))
    server = serve(posts)
    server.fault = lambda path, count: page(html) if "?p=" not in path and "robots" not in path else None
    for _ in range(8):
        report = walk(server, store)
        assert report.stopped
        assert report.new == 0
    assert server.count("article") == 8 * STRANGE
    server.fault = lambda path, count: None
    walk(server, store)
    assert sorted(stored(store)) == ids(posts)
    assert store.failures() == []


def test_a_post_that_is_gone_without_a_word_counts_when_others_are_read(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(6), initial=5, per_minute=1)
    clock = Clock()
    server = serve(posts, clock)
    silent = {path_of(posts[2]), path_of(posts[4])}
    server.fault = lambda path, count: page("<html><body></body></html>") if path in silent else None
    report = walk(server, store)
    assert (report.new, report.gone, report.failed) == (3, 1, 1)  # after the last one nothing was read
    clock.pass_time(minutes=2)
    report = walk(server, store)
    assert (report.new, report.gone, report.failed) == (1, 1, 0)
    assert {failure["kind"] for failure in store.failures()} == {"gone"}
    assert walk(server, store).known == 6


def test_a_site_that_goes_down_in_the_middle_of_a_walk_costs_no_posts(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(20))
    server = serve(posts)
    later = {path_of(post) for post in posts[8:]}
    server.fault = lambda path, count: page("<html><body>점검</body></html>") if path in later else None
    report = walk(server, store)
    assert (report.new, report.gone) == (8, 0)
    assert report.stopped
    server.fault = lambda path, count: None
    walk(server, store)
    assert sorted(stored(store)) == ids(posts)
    assert store.failures() == []


@pytest.mark.parametrize("html", ["<html><body>새 게시판</body></html>", "<html><table><tr><td>1</table></html>"])
def test_a_changed_list_stops_the_board(serve: Serve, store: Store, html: str) -> None:
    server = serve(timetable(drafts(50)))
    walk(server, store)
    server.fault = lambda path, count: page(html) if "?p=" in path else None
    report = walk(server, store)
    assert "list" in report.stopped
    assert [(f["post_id"], f["kind"]) for f in store.failures()] == [(0, "drift")]
    assert [path.name for path in folder_of(store).iterdir()] == [f"{BOARD}-list-1.html"]
    server.fault = lambda path, count: None
    assert not walk(server, store).stopped
    assert store.failures() == []


def test_a_board_that_lost_all_its_rows_is_drift(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(5))
    server = serve(posts)
    walk(server, store)
    for post in posts:
        server.replay.remove(BOARD, post.post_id)
    assert "no posts any more" in walk(server, store).stopped


def test_an_empty_board_is_no_trouble(serve: Serve, store: Store) -> None:
    report = walk(serve([]), store)
    assert (report.pages, report.new, report.stopped, report.gap) == (1, 0, "", 0)


def test_the_quarantine_stays_small(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(quarantine, "MOST_FILES", 3)
    for n in range(6):
        quarantine.keep(tmp_path, f"page-{n}", b"x")
        quarantine.keep(tmp_path, f"page-{n}", b"y")
    assert len(list(tmp_path.iterdir())) == 3
    assert (tmp_path / "page-5.html").read_bytes() == b"y"


def test_large_pages_do_not_fill_the_disk(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(quarantine, "MOST_BYTES", 250)
    for n in range(5):
        path = quarantine.keep(tmp_path, f"page-{n}", b"x" * 100)
        os.utime(path, (time.time() - 60 + n, time.time() - 60 + n))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page-3.html", "page-4.html"]
    assert quarantine.keep(tmp_path, "page-5", b"x" * 900).exists()  # the newest stays, however large
    assert len(list(tmp_path.iterdir())) == 1


def test_files_dated_ahead_leave_the_quarantine_before_those_of_today(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(quarantine, "MOST_FILES", 3)
    for n in range(3):
        ahead = time.time() + 10 * 365 * 86400
        os.utime(quarantine.keep(tmp_path, f"old-{n}", b"x"), (ahead, ahead))
    for n in range(3):
        assert quarantine.keep(tmp_path, f"new-{n}", b"x").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new-0.html", "new-1.html", "new-2.html"]


def test_a_report_reads_as_a_line() -> None:
    text = str(BoardReport(BOARD, 2, 3, 4, 1, 0, 1.25, stopped="drift"))
    assert text == "전사: 3 new, 4 known, 1 gone, 0 failed on 2 pages in 1.2 s; stopped: drift"


def test_the_replays_clock_is_not_the_walls() -> None:
    assert Clock()() == START


# --- categories and views -----------------------------------------------------------------------------


def test_a_category_that_nobody_knew_is_stored_and_reported_once(serve: Serve, store: Store) -> None:
    own = [
        Draft(BOARD, "새 직업", "출시", "본문"),
        Draft(BOARD, "히어로", "버프", "본문"),
        Draft(BOARD, None, "말", "본문"),
    ]
    posts = timetable([*own, Draft(BOARD, "새 직업", "나중", "본문")], initial=3, per_minute=60)
    clock = Clock()
    server = serve(posts, clock)
    report = walk(server, store)
    assert report.new_categories == ("새 직업",)
    assert "새 직업" in str(report)
    with store.reading() as connection:
        rows = connection.execute(select(posts_table.c.category, posts_table.c.job).order_by(posts_table.c.seq)).all()
    assert [tuple(row) for row in rows] == [("새 직업", None), ("히어로", "히어로"), (None, None)]
    clock.pass_time(minutes=1)
    report = walk(server, store)
    assert (report.new, report.new_categories) == (1, ())


def test_filtered_views_show_the_same_posts(serve: Serve, store: Store) -> None:
    posts = timetable([*drafts(5, recommends=2), *drafts(5, recommends=30)])
    server = serve(posts)

    async def views() -> list[BoardReport]:
        async with server.client() as client:
            return [
                await crawl_page(client, store, BOARD, 1, view=view, quarantine_folder=folder_of(store))
                for view in ("chuchu", "chu", None)
            ]

    assert [(report.new, report.known) for report in asyncio.run(views())] == [(5, 0), (0, 5), (5, 5)]
    assert sorted(stored(store)) == ids(posts)
