"""The crawl flow: every board once, then keywords and moods of what is new, then a hint to the learn flow.

Run by the deployment `crawl/continuous`; `python -m flows.crawl` runs it once. Older posts, in either way:
`prefect deployment run crawl/continuous --param backfill_pages=200` or `python -m flows.crawl --backfill 200`.
"""

import argparse
import asyncio
import time
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import acreate_progress_artifact, acreate_table_artifact, aupdate_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event
from prefect.states import Completed, Failed

from flows.lock import Busy, only_run
from pipeline import settings
from pipeline.boards import board
from pipeline.catalog import NO_CHAMPION
from pipeline.champion import production_version
from pipeline.classifier import Classifier
from pipeline.inven.client import InvenClient
from pipeline.inven.crawl import backfill_board, crawl_board
from pipeline.inven.polite import InvenError
from pipeline.inven.report import BoardReport
from pipeline.score import extract_keywords, score_posts
from pipeline.store import Store

LEARN_EVENT = "maple.posts.threshold-crossed"
WALK_EVERY = 600.0  # seconds between walks over all boards while a backfill is at work


class BoardTrouble(InvenError):
    """A board's pages could not be read as they should. `report` says what was done all the same."""

    def __init__(self, report: BoardReport) -> None:
        super().__init__(str(report))
        self.report = report


@task(name="crawl-board", task_run_name="crawl-board-{board_id}", cache_policy=NO_CACHE)
async def crawl_one(client: Any, store: Any, board_id: int, numbers: dict[str, Any]) -> BoardReport:
    """Walk one board. A board that stopped early, or whose pages have changed, is a failed task that says where."""
    report = await crawl_board(
        client,
        store,
        board_id,
        max_pages=numbers["max_pages"],
        comments=numbers["comments"],
        comments_as_posts=numbers["comments_as_posts"],
    )
    return _judged(report)


@task(name="backfill-board", task_run_name="backfill-board-{board_id}", cache_policy=NO_CACHE)
async def backfill_one(client: Any, store: Any, board_id: int, pages: int, on_page: Any) -> BoardReport:
    """Collect a board's older posts. Fails as `crawl_one` does; the next backfill goes on from there."""
    return _judged(await backfill_board(client, store, board_id, pages=pages, on_page=on_page))


def _judged(report: BoardReport) -> BoardReport:
    get_run_logger().info(str(report))
    if report.stopped or report.drift:
        raise BoardTrouble(report)
    return report


@task(name="score-posts", cache_policy=NO_CACHE)
def score_new(store: Any, batch: int) -> str:
    """Keywords for new posts, and the production model's mood for posts that it has not judged."""
    words = extract_keywords(store, batch)
    scored, version = 0, production_version()
    if version != NO_CHAMPION and store.posts_to_score(version, 1):  # loading TensorFlow only when there is work
        scored = score_posts(store, Classifier.load(), batch)
    return f"keywords of {words} posts, moods of {scored}"


@flow(name="crawl", validate_parameters=False)
async def crawl(backfill_pages: int = 0) -> Any:
    """One walk over all boards. Ends as failed when a board could not be read, after the others were.

    With `backfill_pages` it then collects older posts until each board's newest pages, this many, are stored. That
    may take many hours: it goes on where it was cut off, shows its progress, and walks the boards in between.
    """
    try:
        with only_run("crawl"), Store(settings.load().database_url) as store:
            return await _Run(store, settings.params("crawl")).through(int(backfill_pages))
    except Busy as error:
        return Completed(message=str(error))


class _Run:
    """One run of the flow: what it has found so far, and what went wrong."""

    def __init__(self, store: Store, numbers: dict[str, Any]) -> None:
        self.store = store
        self.numbers = numbers
        self.new = self.digested = 0
        self.rows: list[dict[str, Any]] = []
        self.problems: list[str] = []
        self.walked = float("-inf")

    async def through(self, backfill_pages: int) -> Any:
        """Walk, backfill if asked to, and say how it went."""
        here = settings.load()
        try:
            async with InvenClient(
                here.inven_url,
                mobile_url=here.inven_mobile_url,
                contact=here.contact,
                min_interval=self.numbers["min_interval"],
                jitter=self.numbers["jitter"],
            ) as client:
                await self.walk(client)
                if backfill_pages > 0:
                    await self.backfill(client, backfill_pages)
        except InvenError as error:  # robots.txt says no, or the site does not answer at all
            self.problems.append(str(error))
        await acreate_table_artifact(table=self.rows, key="crawl-report", description=f"{self.new} new posts")
        await self.digest()
        posts, _ = self.store.count_pending()
        if self.problems:
            return Failed(message="; ".join(self.problems)[:2000])
        return Completed(message=f"{self.new} new posts, {posts} waiting for the next chunk")

    async def walk(self, client: InvenClient) -> None:
        """Every board once."""
        for board_id in self.numbers["boards"]:
            state = await crawl_one(client, self.store, board_id, self.numbers, return_state=True)  # type: ignore[misc]
            await self.take(board_id, state)
        self.walked = time.monotonic()

    async def backfill(self, client: InvenClient, pages: int) -> None:
        """Older pages of one board after the other. Every WALK_EVERY seconds the boards are walked in between."""
        boards = self.numbers["boards"]
        progress = await acreate_progress_artifact(0.0, key="crawl-backfill", description=f"{pages} pages a board")
        for place, board_id in enumerate(boards):

            async def on_page(number: int, place: int = place, board_id: int = board_id) -> None:
                done = 100 * (place + number / pages) / len(boards)
                text = f"{board(board_id).name}: page {number} of {pages}"
                await aupdate_progress_artifact(progress, progress=min(done, 100.0), description=text)
                if time.monotonic() - self.walked >= WALK_EVERY:
                    await self.walk(client)
                    await self.digest()

            state = await backfill_one(client, self.store, board_id, pages, on_page, return_state=True)  # type: ignore[misc]
            await self.take(board_id, state, " (backfill)")
        await aupdate_progress_artifact(progress, progress=100.0, description=f"{self.new} posts in this run")

    async def take(self, board_id: int, state: Any, what: str = "") -> None:
        """Note a task's report, also of one that failed."""
        name = board(board_id).name + what
        result = await state.aresult(raise_on_failure=False)
        report = result if isinstance(result, BoardReport) else getattr(result, "report", None)
        row: dict[str, Any] = {"board": name}
        if report is not None:
            self.new += report.new
            row |= _figures(report)
        if not isinstance(result, BoardReport):
            self.problems.append(f"{name}: {result}")
            row["problem"] = str(result)[:300]
        self.rows.append(row)

    async def digest(self) -> None:
        """Keywords and moods of what is new; a hint to the learn flow when enough is waiting."""
        if self.new > self.digested:
            self.digested = self.new
            batch = settings.params("score")["batch"]
            get_run_logger().info(await asyncio.to_thread(score_new, self.store, batch))
        posts, _ = self.store.count_pending()
        if posts >= settings.params("cut")["size"]:
            # A hint that shortens the wait; the learn flow counts for itself.
            emit_event(LEARN_EVENT, resource={"prefect.resource.id": "maple.posts"}, payload={"pending": posts})


def _figures(report: BoardReport) -> dict[str, Any]:
    return {
        "pages": report.pages,
        "new": report.new,
        "known": report.known,
        "gone": report.gone,
        "failed": report.failed,
        "comments": report.comments,
        "new categories": ", ".join(report.new_categories),
        "seconds": round(report.seconds, 1),
    }


def main() -> None:
    """`python -m flows.crawl`: one run, now."""
    parser = argparse.ArgumentParser(prog="python -m flows.crawl", description="Walk every board once.")
    parser.add_argument(
        "--backfill", type=int, default=0, metavar="PAGES", help="then collect each board's newest PAGES list pages"
    )
    asyncio.run(crawl(backfill_pages=parser.parse_args().backfill))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
