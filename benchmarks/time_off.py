"""Time off: how long does it take until everything is stored again, and at what pace?

    make bench BENCH=time_off

The crawler stands still while 5,000 posts a day appear on the replay, most of them on the free board. Then runs begin,
at the deployment's interval or when the run before has ended, with the boards that are due and the project's own
`params.yaml`; posts go on appearing meanwhile. Requests go over HTTP; time is simulated: it passes where the crawler
waits, and `REQUEST` seconds with each request.
"""

import argparse
import asyncio
import random
import tempfile
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy import select

from benchmarks.crawl import BEFORE, NIGHT_AND_DAY, SHARES, START, deployed_interval, moment, serving
from benchmarks.support.harness import ROOT, Row, report
from demo.replay import make_app
from demo.replay_posts import Draft, ReplayPost, schedule
from pipeline import errors
from pipeline.inven import gaps, visits
from pipeline.inven.client import InvenClient
from pipeline.inven.crawl import crawl_board
from pipeline.inven.params import CrawlParams
from pipeline.live.store import Store
from pipeline.live.tables import posts as posts_table
from pipeline.params import read_params

REQUEST = 0.3  # seconds; a guess
LONGEST = 200  # runs after which we give up
DAY = timedelta(days=1)


def main() -> None:
    """Measure, print the table, write benchmarks/results/time_off.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.time_off", description=__doc__.splitlines()[0])
    parser.add_argument("--posts", type=int, default=5000, help="posts a day")
    parser.add_argument("--hours", type=int, default=48, help="time off")
    given = parser.parse_args()
    params = read_params("crawl", CrawlParams, ROOT / "params.yaml")
    off = TimeOff(given.posts, timedelta(hours=given.hours))
    report("time_off", off.measured(deployed_interval(), params), posts_a_day=given.posts, hours_off=given.hours)


class TimeOff:
    """A replay whose clock is the crawler's, and a crawler that comes back."""

    def __init__(self, a_day: int, off: timedelta) -> None:
        self.off = off
        self.seconds = 0.0
        self.starts: list[float] = []
        self.posts = posts_of(a_day, off + 2 * DAY)

    def now(self) -> datetime:
        """The simulated time."""
        return START + timedelta(seconds=int(self.seconds))

    async def sleep(self, seconds: float) -> None:
        """Wait, in simulated time."""
        self.seconds += seconds

    def measured(self, interval: timedelta, params: CrawlParams) -> list[Row]:
        """Come back, and run until everything that had appeared by then is stored."""
        app = make_app(self.posts, self.now)
        asked: Counter[str] = Counter()

        async def counted(scope: Any, receive: Any, send: Any) -> None:
            asked[scope["path"]] += 1
            self.starts.append(self.seconds)
            self.seconds += REQUEST  # before the answer: then the crawler goes on
            await app(scope, receive, send)

        with (
            tempfile.TemporaryDirectory(prefix="maple-off-") as folder,
            serving(counted) as url,
            Store(f"sqlite:///{folder}/live.db") as store,
        ):
            asyncio.run(self.run(url, store, params))
            self.seconds += self.off.total_seconds()
            back = self.seconds
            wanted = {(post.board_id, post.post_id) for post in self.posts if post.appears_at <= self.now()}
            self.starts.clear()
            asked.clear()
            runs, largest = 0, 0
            while runs < LONGEST:
                began = self.seconds
                asyncio.run(self.run(url, store, params))
                runs += 1
                left = {board: gap_of(store, board) for board in params.boards}
                largest = max(largest, sum(left.values()))
                stored = stored_posts(store)
                print(f"run {runs}: {len(stored):,} posts, gaps {sum(left.values()):,} ids", flush=True)
                if not any(left.values()) and wanted <= set(stored):
                    break
                ticks = (self.seconds - began) // interval.total_seconds() + 1
                self.seconds = began + ticks * interval.total_seconds()
        hours = (self.seconds - back) / 3600
        apart = [after - before for before, after in pairwise(self.starts)]
        articles = [count for path, count in asked.items() if path.count("/") == 4]
        return [
            Row("runs_until_stored", runs, "runs"),
            Row("hours_until_stored", round(hours, 1), "h, simulated"),
            Row("posts_collected", len(wanted), "posts"),
            Row("largest_gap", largest, "ids, all boards"),
            Row("posts_lost", len(wanted - set(stored)), "posts"),
            Row("posts_doubled", len(stored) - len(set(stored)), "posts"),
            Row("posts_read_once_more", sum(count > 1 for count in articles), "posts"),
            Row("requests_per_post", round(sum(asked.values()) / len(articles), 4), "requests"),
            Row("shortest_pause", round(min(apart), 2), "s between the starts of two requests"),
        ]

    async def run(self, url: str, store: Store, params: CrawlParams) -> None:
        """What one flow run does (`flows.crawl`)."""
        limits = {"expected_new": params.expected_new, "max_wait": params.max_wait}
        due = [board for board in params.boards if visits.outlook(store, board, self.now(), **limits).due]
        client = InvenClient(
            url,
            contact="",
            min_interval=params.min_interval,
            jitter=params.jitter,
            shelf=store,
            sleep=self.sleep,
            monotonic=lambda: self.seconds,
            wall=self.now,
        )
        async with client:
            for board in due:
                await crawl_board(
                    client,
                    store,
                    board,
                    max_pages=params.max_pages,
                    reread_age=timedelta(hours=params.reread_age),
                    reread_posts=params.reread_posts,
                )


def posts_of(a_day: int, span: timedelta) -> list[ReplayPost]:
    """Posts that appear over a span of time, more by day than by night, after some that are there."""
    chance = random.Random(20261122)
    days = -(-span // DAY)
    chosen = chance.choices(list(SHARES), list(SHARES.values()), k=BEFORE + days * a_day)
    drafts = [Draft(board, None, f"글 {n}", f"본문 {n}\n둘째 줄") for n, board in enumerate(chosen)]
    posts = schedule(drafts, start=START, initial=BEFORE, per_minute=1)
    moments = sorted(START + day * DAY + moment(chance, NIGHT_AND_DAY) for day in range(days) for _ in range(a_day))
    later = zip(posts[BEFORE:], moments, strict=True)
    return posts[:BEFORE] + [replace(post, appears_at=at, posted_at=at) for post, at in later]


def gap_of(store: Store, board_id: int) -> int:
    """Ids of a board that no walk has listed."""
    progress = store.progress(board_id)
    return gaps.ids(progress.gaps) if progress else 0


def stored_posts(store: Store) -> list[tuple[int, int]]:
    """Board and id of every stored post."""
    with store.reading() as connection:
        return [tuple(row) for row in connection.execute(select(posts_table.c.board_id, posts_table.c.post_id))]


if __name__ == "__main__":
    errors.run(main)
