"""The fault replay: a site that does everything wrong, a crawler that is killed, and nothing is lost or doubled."""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from demo.replay_pages import article_page
from demo.replay_posts import Draft, ReplayPost
from pipeline.inven.crawl import crawl_board
from pipeline.live.store import Store
from pipeline.live.tables import posts as posts_table
from tests.support.crawling import crawl_on, processes
from tests.support.replay_server import Clock, ReplayServer, cut_off, page, timetable

Key = tuple[int, int]
SEED = 20261122
KILLS = 30
BOARDS = (2294, 2295, 5974)
COUNT = 130  # posts a board
RARE = 0.03  # share of requests that go wrong in each way


def test_nothing_is_lost_or_doubled_on_a_faulty_site_through_thirty_kills(
    serve: Callable[..., ReplayServer], tmp_path: Path
) -> None:
    site = FaultySite(serve, random.Random(SEED))
    database, context = f"sqlite:///{tmp_path / 'live.db'}", processes()
    Store(database).close()
    pause = random.Random(SEED + 1)
    stored_at_kill = []
    for _ in range(KILLS):
        crawler = context.Process(
            target=crawl_on, args=(site.server.url, database, BOARDS, str(tmp_path / "quarantine")), daemon=True
        )
        crawler.start()
        site.await_requests(pause.randrange(1, 45))  # counted in work, not in seconds: machines differ
        time.sleep(pause.uniform(0.0, 0.03))
        assert crawler.pid is not None
        assert crawler.is_alive()
        os.kill(crawler.pid, signal.SIGKILL)
        crawler.join()
        with Store(database) as store:
            stored_at_kill.append(len(stored(store)))
    assert len(set(stored_at_kill)) > KILLS // 3  # the kills fell into the work, not around it
    for fault in ("error burst", "retry after", "reset", "drip", "truncated", "deleted"):
        assert site.happened[fault], f"{fault} never happened: {site.happened}"

    site.recover()
    with Store(database) as store:
        reports = [walk_in_peace(site.server, store, board, tmp_path) for _ in range(3) for board in BOARDS]
        found = stored(store)
        gone = {(row["board_id"], row["post_id"]) for row in store.failures() if row["kind"] == "gone"}
        kinds = Counter(row["kind"] for row in store.failures())
    assert not [report.stopped for report in reports if report.stopped]
    assert [report.new for report in reports[-len(BOARDS) :]] == [0] * len(BOARDS)
    assert set(kinds) == {"gone"}
    keys = [(row["board_id"], row["post_id"]) for row in found]
    assert len(keys) == len(set(keys))  # nothing doubled
    assert set(keys) - site.removed == site.readable  # nothing lost, nothing invented
    assert site.unreadable <= gone  # listed, but gone: remembered as such
    for row in found:
        post = site.posts[row["board_id"], row["post_id"]]
        body = post.body if (post.board_id, post.post_id) not in site.bad_bytes else post.body.replace("나", "�")
        assert (row["title"], row["body"]) == (post.title, body)  # no empty body, no half one
        assert row["body"]


class FaultySite:
    """A replay that fails at random, by seed; its posts arrive and shift the pages with every request."""

    def __init__(self, serve: Callable[..., ReplayServer], chance: random.Random) -> None:
        # The same ids on two boards; a third of each board is there at the start.
        drafts = [
            Draft(board, None, f"글 {n}", f"본문 {n} 가나다 ㅋㅋㅠㅠ\n둘째 줄 {n}", post_id=457_000 + n)
            for n in range(COUNT)
            for board in BOARDS
        ]
        posts = timetable(drafts, initial=len(drafts) // 3, per_minute=60, deleted=4)
        self.posts: dict[Key, ReplayPost] = {(post.board_id, post.post_id): post for post in posts}
        self.unreadable = {key for key, post in self.posts.items() if post.deleted}
        self.bad_bytes = {key for key in self.posts if key[1] % 40 == 7}
        self.removed: set[Key] = set()
        self.happened: Counter[str] = Counter()
        self.clock = Clock()
        self.server = serve(posts, self.clock)
        self._chance = chance
        self._broken_until = 0  # a burst of server errors lasts for some requests
        self.server.fault = self._fault

    @property
    def readable(self) -> set[Key]:
        """What an honest copy of the site holds now."""
        return set(self.posts) - self.unreadable - self.removed

    def await_requests(self, count: int) -> None:
        """Wait until it has been asked this often from now on."""
        goal, deadline = len(self.server.paths) + count, time.monotonic() + 60
        while len(self.server.paths) < goal:
            assert time.monotonic() < deadline, "nobody crawls"
            time.sleep(0.001)

    def recover(self) -> None:
        """No more faults but wrong bytes; every post is there."""
        self.clock.pass_time(hours=5)
        self.server.fault = lambda path, count: self._bytes(path)

    def _fault(self, path: str, count: int) -> Response | ASGIApp | None:
        self.clock.pass_time(seconds=self._chance.uniform(0.0, 0.5))  # posts arrive during the walk
        asked = len(self.server.paths)
        if self._broken_until > asked:
            return PlainTextResponse("", 503)
        chance = self._chance.random()
        if chance < RARE / 3:
            self.happened["error burst"] += 1
            self._broken_until = asked + self._chance.randrange(2, 9)
            return PlainTextResponse("", 500)
        faults: list[tuple[str, Any]] = [
            ("retry after", page("", 429, retry_after="0")),
            ("reset", cut_off),
            ("drip", drip),
            ("truncated", page("<html><body><div id='tbArticle'><div class='articleTitle'><h1>반만")),
        ]
        for n, (name, answer) in enumerate(faults):
            if RARE * (n + 1) <= chance < RARE * (n + 1.2 if name == "drip" else n + 2):
                self.happened[name] += 1
                return answer
        if RARE * 6 <= chance < RARE * 6 + 0.02:
            self._delete_one()
        return self._bytes(path)

    def _delete_one(self) -> None:
        """Somebody deletes a post: later ones move up on the list, perhaps between two of our requests."""
        board = self._chance.choice(BOARDS)
        there = self.server.replay.visible(board)
        post = self._chance.choice(there)
        self.happened["deleted"] += 1
        self.removed.add((board, post.post_id))
        self.server.replay.remove(board, post.post_id)

    def _bytes(self, path: str) -> Response | None:
        """A post whose page holds a byte that is no UTF-8, every time."""
        board, _, post_id = path.removeprefix("/board/maple/").partition("/")
        key = (int(board), int(post_id)) if post_id.isdigit() else None
        if key not in self.bad_bytes or self.server.replay.find(*key) is None:
            return None
        html = article_page(self.posts[key]).encode().replace("나".encode(), b"\xb3")
        return Response(html, media_type="text/html; charset=UTF-8")


async def drip(scope: Scope, receive: Receive, send: Send) -> None:
    """A page that comes a few bytes at a time, for longer than anybody should wait."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    for _ in range(40):
        await send({"type": "http.response.body", "body": b"<html> ", "more_body": True})
        await asyncio.sleep(0.05)
    await send({"type": "http.response.body", "body": b"</html>"})


def walk_in_peace(server: ReplayServer, store: Store, board_id: int, folder: Path) -> Any:
    async def within() -> Any:
        async with server.client() as client:
            return await crawl_board(client, store, board_id, max_pages=50, quarantine_folder=folder / "quarantine")

    return asyncio.run(within())


def stored(store: Store) -> list[Any]:
    with store.reading() as connection:
        return list(connection.execute(select(posts_table).order_by(posts_table.c.seq)).mappings())


pytestmark = pytest.mark.slow
