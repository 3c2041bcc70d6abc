"""Crawl: how many requests does a busy day cost, and how fast are pages read beside BeautifulSoup?

    make bench BENCH=crawl

Requests are counted by the replay over HTTP, while a clock runs through a day on which 5,000 posts appear (most of them
on the free board): every request counts, robots.txt too, which each run reads anew. Parsing is measured in CPU seconds
of one core on the replay's pages; BeautifulSoup reads the same pages with the same selectors.
"""

import argparse
import asyncio
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import uvicorn
import yaml
from bs4 import BeautifulSoup

from benchmarks.harness import ROOT, Row, report
from demo.replay import make_app
from demo.replay_pages import article_page, list_page
from demo.replay_posts import Draft, ReplayPost, read_posts, schedule
from pipeline import boards, settings
from pipeline.clock import KST
from pipeline.inven.client import InvenClient
from pipeline.inven.crawl import crawl_board
from pipeline.inven.parse import parse_article, parse_list
from pipeline.store import Store
from pipeline.text import normalise

START = datetime(2026, 11, 20, 0, 0, tzinfo=KST)
BEFORE = 600  # posts that are there and known when the day begins
SHARES = {5974: 0.6, 2294: 0.08, 2295: 0.08, 2296: 0.08, 2297: 0.08, 2298: 0.08}
DAY = timedelta(days=1)


def main() -> None:
    """Measure, print the table, write benchmarks/results/crawl.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crawl", description=__doc__.splitlines()[0])
    parser.add_argument("--posts", type=int, default=5000, help="posts of the day")
    given = parser.parse_args()
    numbers = settings.params("crawl", ROOT / "params.yaml")
    interval = deployed_interval()
    once = Day(given.posts, 1000).costs(DAY)
    often = Day(given.posts, numbers["max_pages"]).costs(interval)
    slow = Day(given.posts, numbers["max_pages"]).costs(timedelta(minutes=40))
    rows = [
        Row("requests_per_new_post", often["ratio"], f"requests, a run every {interval.seconds // 60} min"),
        Row("requests_per_new_post_40_min", slow["ratio"], "requests, a run every 40 min"),
        Row("requests_per_new_post_at_once", once["ratio"], "requests, the day in one run"),
        Row("requests_idle_cycle", often["idle"], "list requests, 6 boards"),
        Row("posts_lost", often["lost"] + slow["lost"] + once["lost"], "posts"),
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
    """A busy day on the replay, and a crawler that looks at it every so often."""

    def __init__(self, count: int, max_pages: int) -> None:
        chance = random.Random(20261122)
        chosen = chance.choices(list(SHARES), list(SHARES.values()), k=BEFORE + count)
        drafts = [Draft(board, None, f"글 {n}", f"본문 {n}\n둘째 줄") for n, board in enumerate(chosen)]
        per_minute = count / (DAY.total_seconds() / 60)
        self.posts = schedule(drafts, start=START, initial=BEFORE, per_minute=per_minute)
        self.max_pages = max_pages
        self.now = START

    def costs(self, interval: timedelta) -> dict[str, float]:
        """Requests for each new post of the day, list requests of a run without news, posts not stored."""
        app = make_app(self.posts, lambda: self.now)
        replay = app.state.replay
        with (
            tempfile.TemporaryDirectory(prefix="maple-crawl-") as folder,
            serving(app) as url,
            Store(f"sqlite:///{folder}/live.db") as store,
        ):
            asyncio.run(self.run(url, store))
            known = store.count_pending()[0]
            replay.requests.clear()
            while self.now < START + DAY:
                self.now += interval
                asyncio.run(self.run(url, store))
            asked = sum(replay.requests.values())
            new = store.count_pending()[0] - known
            replay.requests.clear()
            asyncio.run(self.run(url, store))
            idle = sum(count for (kind, _), count in replay.requests.items() if kind == "list")
            lost = len(self.posts) - store.count_pending()[0]
        print(f"every {interval}: {asked} requests, {new} new posts", flush=True)
        return {"ratio": round(asked / new, 4), "idle": idle, "lost": lost, "new": new}

    async def run(self, url: str, store: Store) -> None:
        """What one flow run does."""
        async with InvenClient(url, contact="", min_interval=0.0, jitter=0.0) as client:
            for board_id in boards.CRAWLED:
                await crawl_board(client, store, board_id, max_pages=self.max_pages)


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
    main()
