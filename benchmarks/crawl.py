"""Crawl: how many requests does a busy day cost, and how fast are pages read beside BeautifulSoup?

    make bench BENCH=crawl

Requests are counted by the replay over HTTP, while a clock runs through a day on which 5,000 posts appear (most of them
on the free board), after a day of the same kind that is not counted: every request counts, robots.txt too. Boards are
visited as the deployment does it: at its interval, those that are due. Parsing is measured in CPU seconds of one core
on the replay's pages; BeautifulSoup reads the same pages with the same selectors.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import uvicorn
import yaml
from bs4 import BeautifulSoup
from sqlalchemy import select

from benchmarks.support.harness import ROOT, Row, report
from demo.replay import make_app
from demo.replay_pages import article_page, list_page
from demo.replay_posts import Draft, ReplayPost, read_posts, schedule
from pipeline import boards, clock, errors
from pipeline.clock import KST
from pipeline.inven import visits
from pipeline.inven.client import InvenClient
from pipeline.inven.crawl import crawl_board
from pipeline.inven.params import CrawlParams
from pipeline.inven.parse import parse_article, parse_list
from pipeline.live.store import Store
from pipeline.live.tables import posts as posts_table
from pipeline.params import read_params
from pipeline.text import normalise

START = datetime(2026, 11, 20, 0, 0, tzinfo=KST)
BEFORE = 600  # posts that are there when the first of the two days begins
SHARES = {5974: 0.6, 2294: 0.08, 2295: 0.08, 2296: 0.08, 2297: 0.08, 2298: 0.08}
DAY = timedelta(days=1)
# Posts of each hour from midnight on, beside the average hour: quiet before dawn, busiest in the evening. Our guess.
_MORNING = (1.1, 0.7, 0.4, 0.2, 0.15, 0.15, 0.2, 0.4, 0.7, 0.9, 1.0, 1.1)
NIGHT_AND_DAY = (*_MORNING, 1.2, 1.2, 1.2, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.7, 1.6, 1.4)


def main() -> None:
    """Measure, print the table, write benchmarks/results/crawl.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crawl", description=__doc__.splitlines()[0])
    parser.add_argument("--posts", type=int, default=5000, help="posts of the day")
    given = parser.parse_args()
    params = read_params("crawl", CrawlParams, ROOT / "params.yaml")
    interval = deployed_interval()
    again = params
    params = replace(params, reread_age=0)  # what new posts cost; reading them once more is a row of its own
    each_run = replace(params, max_wait=0)
    steady = Day(given.posts, (1.0,)).costs(interval, params)
    waves = Day(given.posts, NIGHT_AND_DAY).costs(interval, params)
    eager = Day(given.posts, (1.0,)).costs(interval, each_run)
    once = Day(given.posts, (1.0,)).costs(DAY, replace(each_run, max_pages=1000))
    reread = Day(given.posts, (1.0,)).costs(interval, again)
    every = f"requests, a run every {interval.seconds // 60} min"
    rows = [
        Row("requests_per_new_post", steady["ratio"], every, eager["ratio"], "each board in each run"),
        Row("requests_per_new_post_night_and_day", waves["ratio"], every),
        Row("requests_per_new_post_at_once", once["ratio"], "requests, the day in one run"),
        Row("requests_per_new_post_read_once_more", reread["ratio"], every),
        Row("minutes_until_stored_free_board", steady["free"], "min, median", eager["free"], "each board in each run"),
        Row("minutes_until_stored_job_boards", steady["jobs"], "min, median", eager["jobs"], "each board in each run"),
        Row("requests_idle_cycle", steady["idle"], "list requests, 6 boards"),
        Row("posts_lost", sum(day["lost"] for day in (steady, waves, eager, once, reread)), "posts"),
        *parsing(),
    ]
    report("crawl", rows, posts=given.posts, interval_minutes=interval.seconds // 60)


def deployed_interval() -> timedelta:
    """How often the deployment crawls."""
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    crawl = next(entry for entry in deployments if entry["name"] == "continuous")
    return timedelta(seconds=crawl["schedules"][0]["interval"])


# --- requests -----------------------------------------------------------------------------------------


class Day:
    """Two busy days on the replay, and a crawler that looks at it every so often. The second day is what counts.

    `weights`: how many posts each part of a day has beside the others; one weight is a steady day.
    """

    def __init__(self, count: int, weights: Sequence[float]) -> None:
        chance = random.Random(20261122)
        total = BEFORE + 2 * count
        chosen = chance.choices(list(SHARES), list(SHARES.values()), k=total)
        drafts = [Draft(board, None, f"글 {n}", f"본문 {n}\n둘째 줄") for n, board in enumerate(chosen)]
        posts = schedule(drafts, start=START, initial=BEFORE, per_minute=count / (DAY.total_seconds() / 60))
        moments = sorted(START + day * DAY + moment(chance, weights) for day in (0, 1) for _ in range(count))
        self.posts = posts[:BEFORE] + [
            replace(post, appears_at=at, posted_at=at) for post, at in zip(posts[BEFORE:], moments, strict=True)
        ]
        self.now = START

    def costs(self, interval: timedelta, params: CrawlParams) -> dict[str, float]:
        """Of the second day: requests for each new post, minutes from a post's appearing until it was stored.

        And: list requests of a run over every board when there is no news, posts that are not stored in the end.
        """
        app = make_app(self.posts, lambda: self.now)
        asked: Counter[str] = Counter()
        with (
            tempfile.TemporaryDirectory(prefix="maple-crawl-") as folder,
            serving(app) as url,
            Store(f"sqlite:///{folder}/live.db") as store,
        ):
            requests = app.state.replay.requests
            asyncio.run(self.run(url, store, params))
            waits: dict[int, list[float]] = {}
            while self.now < START + 2 * DAY:
                known = store.count_pending()[0]
                requests.clear()
                self.now += interval
                asyncio.run(self.run(url, store, params))
                if self.now > START + DAY:
                    asked["requests"] += sum(requests.values())
                    asked["new"] += store.count_pending()[0] - known
                    self.note_waits(store, known, waits)
            asyncio.run(self.run(url, store, replace(params, max_wait=0)))  # what is not due yet
            requests.clear()
            asyncio.run(self.run(url, store, replace(params, max_wait=0)))
            idle = sum(count for (kind, _), count in requests.items() if kind == "list")
            lost = len(self.posts) - store.count_pending()[0]
        free = waits.pop(boards.FREE_BOARD)
        jobs = [wait for board_waits in waits.values() for wait in board_waits]
        print(f"every {interval}: {asked['requests']} requests, {asked['new']} new posts", flush=True)
        return {
            "ratio": round(asked["requests"] / asked["new"], 4),
            "free": round(statistics.median(free), 1),
            "jobs": round(statistics.median(jobs), 1),
            "idle": idle,
            "lost": lost,
        }

    async def run(self, url: str, store: Store, params: CrawlParams) -> None:
        """What one flow run does (`flows.crawl`)."""
        limits = {"expected_new": params.expected_new, "max_wait": params.max_wait}
        due = [board for board in boards.CRAWLED if visits.outlook(store, board, self.now, **limits).due]
        if not due:
            return
        manners: dict[str, Any] = {"min_interval": 0.0, "jitter": 0.0, "shelf": store, "wall": lambda: self.now}
        async with InvenClient(url, contact="", **manners) as client:
            for board_id in due:
                await crawl_board(
                    client,
                    store,
                    board_id,
                    max_pages=params.max_pages,
                    reread_age=timedelta(hours=params.reread_age),
                    reread_posts=params.reread_posts,
                )

    def note_waits(self, store: Store, known: int, waits: dict[int, list[float]]) -> None:
        """For the posts that this run has stored: minutes since they appeared, by board."""
        query = select(posts_table.c.board_id, posts_table.c.posted_at).where(posts_table.c.seq > known)
        with store.reading() as connection:
            for row in connection.execute(query):
                waited = self.now - clock.parse_iso(row.posted_at)
                waits.setdefault(row.board_id, []).append(waited.total_seconds() / 60)


def moment(chance: random.Random, weights: Sequence[float]) -> timedelta:
    """A moment of a day at random, cut to seconds."""
    (part,) = chance.choices(range(len(weights)), weights)
    return timedelta(seconds=int((part + chance.random()) / len(weights) * DAY.total_seconds()))


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """An app on a free port of localhost, in a thread."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


# --- parsing ------------------------------------------------------------------------------------------


def parsing() -> list[Row]:
    """Pages per CPU second: a busy board's mix (forty articles to one list), and each kind alone."""
    posts = [
        post
        for post in schedule(read_posts([ROOT / "demo/posts.jsonl"]), start=START)
        if post.board_id == 2294 and post.body
    ][:40]
    listed = list_page(boards.board(2294), 1, posts[::-1], START).encode()
    articles = [(post, article_page(post).encode()) for post in posts]
    check(listed, articles)

    def ours_list() -> None:
        parse_list(listed, board_id=2294, page=1, fetched_at=START, url="https://www.inven.co.kr/board/maple/2294")

    def ours_articles() -> None:
        for post, page in articles:
            parse_article(page, board_id=2294, post_id=post.post_id, url="")

    def soup_articles(tree: str) -> None:
        for _, page in articles:
            soup_article(page, tree)

    seconds = cpu_seconds(
        {
            "ours list": ours_list,
            "ours articles": ours_articles,
            "html.parser list": lambda: soup_list(listed, "html.parser"),
            "html.parser articles": lambda: soup_articles("html.parser"),
            "lxml list": lambda: soup_list(listed, "lxml"),
            "lxml articles": lambda: soup_articles("lxml"),
        }
    )
    rows = []
    for tree, suffix in (("html.parser", ""), ("lxml", "_lxml")):
        name = f"BeautifulSoup, {tree}"
        mine, theirs = (
            {
                "": (len(articles) + 1) / (seconds[f"{who} list"] + seconds[f"{who} articles"]),
                "_list": 1 / seconds[f"{who} list"],
                "_article": len(articles) / seconds[f"{who} articles"],
            }
            for who in ("ours", tree)
        )
        rows += [
            Row(f"parse_pages_per_second{kind}{suffix}", round(mine[kind], 1), "pages/s", round(theirs[kind], 1), name)
            for kind in mine
        ]
    return rows


def cpu_seconds(actions: dict[str, Callable[[], Any]], rounds: int = 15) -> dict[str, float]:
    """The least CPU seconds of each action over some rounds in which they take turns: others use this machine too."""
    best = dict.fromkeys(actions, float("inf"))
    for _ in range(rounds):
        for name, action in actions.items():
            started = time.process_time()
            action()
            best[name] = min(best[name], time.process_time() - started)
    return best


def soup_list(content: bytes, tree: str) -> list[tuple[Any, ...]]:
    """The list's fields by the same selectors."""
    soup = BeautifulSoup(content, tree)
    rows = []
    for tr in soup.select("#new-board .board-list table tr"):
        link = tr.select_one("td.tit a.subject-link")
        if link is None or "notice" in (tr.get("class") or []):
            continue
        label = link.select_one("span.category")
        rows.append(
            (
                int(str(link["href"]).rpartition("/")[2]),
                label.get_text().strip("[]") if label else None,
                link.get_text().replace(label.get_text() if label else "", "", 1).strip(),
                *(text(tr, place) for place in ("td.date", "td.view", "td.reco", "td.tit .con-comment")),
            )
        )
    return rows


def soup_article(content: bytes, tree: str) -> tuple[str, ...]:
    """The article's fields by the same selectors."""
    soup = BeautifulSoup(content, tree)
    body = soup.select_one("#powerbbsContent")
    assert body is not None
    for script in body.select("script, style"):
        script.decompose()
    places = (".articleCategory", ".articleTitle h1", ".articleDate", ".articleHit", "#bbsRecommendNum1")
    return (*(text(soup, place) for place in places), body.get_text("\n"))


def text(element: Any, place: str) -> str:
    """The text of the first element there."""
    found = element.select_one(place)
    return found.get_text().strip() if found else ""


def check(listed: bytes, articles: Sequence[tuple[ReplayPost, bytes]]) -> None:
    """Both ways read the same."""
    page = parse_list(listed, board_id=2294, page=1, fetched_at=START, url="https://www.inven.co.kr/")
    for tree in ("html.parser", "lxml"):
        found = soup_list(listed, tree)
        assert [(row[0], row[1]) for row in found] == [(row.post_id, row.category) for row in page.rows]  # type: ignore[union-attr]
        for post, content in articles:
            assert soup_article(content, tree)[1] == post.title
            assert parse_article(content, board_id=2294, post_id=post.post_id, url="").body == normalise(post.body)  # type: ignore[union-attr]


if __name__ == "__main__":
    errors.run(main)
