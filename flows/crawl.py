"""The crawl flow: every board that is due, then keywords and moods of what is new, then a hint to the learn flow.

Run by the deployment `crawl/continuous`; `python -m flows.crawl` runs it once, for every board, due or not (as the
parameter `every_board=true` does). Older posts, in either way:
`prefect deployment run crawl/continuous --param backfill_pages=200` or `python -m flows.crawl --backfill 200`.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import acreate_progress_artifact, acreate_table_artifact, aupdate_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event
from prefect.states import Completed, Failed, State

from flows import home
from flows.score import score_new
from pipeline import clock, settings
from pipeline.boards import board
from pipeline.errors import run
from pipeline.inven import visits
from pipeline.inven.client import InvenClient
from pipeline.inven.crawl import backfill_board, crawl_board
from pipeline.inven.params import CrawlParams
from pipeline.inven.polite import InvenError
from pipeline.inven.report import BoardReport
from pipeline.live.database import StoreError
from pipeline.live.store import Store
from pipeline.lock import Busy, only_run
from pipeline.params import CutParams, ScoreParams, read_params

LEARN_EVENT = "maple.posts.threshold-crossed"
GAP_EVENT = "maple.board.gap"  # of the resource maple.board.2294: how many posts no walk has listed yet, at most
WALK_EVERY = 600.0  # seconds between walks over all boards while a backfill is at work


class BoardTrouble(InvenError):
    """A board's pages could not be read as they should. `report` says what was done all the same."""

    def __init__(self, report: BoardReport) -> None:
        super().__init__(str(report))
        self.report = report


@task(name="crawl-board", task_run_name="crawl-board-{board_id}", cache_policy=NO_CACHE)
async def crawl_one(client: Any, store: Any, board_id: int, params: CrawlParams) -> BoardReport | State:
    """Walk one board. A board that stopped early, or whose pages have changed, is a failed task that says where."""
    walk = crawl_board(
        client,
        store,
        board_id,
        max_pages=params.max_pages,
        comments=params.comments,
        comments_as_posts=params.comments_as_posts,
        reread_age=timedelta(hours=params.reread_age),
        reread_posts=params.reread_posts,
    )
    return await _judged(walk)


@task(name="backfill-board", task_run_name="backfill-board-{board_id}", cache_policy=NO_CACHE)
async def backfill_one(client: Any, store: Any, board_id: int, pages: int, on_page: Any) -> BoardReport | State:
    """Collect a board's older posts. Fails as `crawl_one` does; the next backfill goes on from there."""
    return await _judged(backfill_board(client, store, board_id, pages=pages, on_page=on_page))


async def _judged(walk: Awaitable[BoardReport]) -> BoardReport | State:
    try:
        report = await walk
    except StoreError as error:  # a person can mend it: its sentence, without a traceback
        return Failed(message=str(error), data=error)
    get_run_logger().info(str(report))
    if report.stopped or report.drift:
        raise BoardTrouble(report)
    return report


@flow(name="crawl", validate_parameters=False)
async def crawl(backfill_pages: int = 0, every_board: bool = False) -> Any:
    """One walk over the boards that are due. Ends as failed when one could not be read, after the others were.

    With `every_board` none is left out, not even one that is left alone for refusing us. With `backfill_pages` it then
    collects older posts until each board's newest pages, this many, are stored. That may take many hours: it goes on
    where it was cut off, shows its progress, and walks the boards in between. A database that can't be used ends the
    run as failed with its sentence; the next one goes on.
    """
    try:
        with only_run("crawl"), Store(settings.load().database_url) as store:
            return await _Run(store, read_params("crawl", CrawlParams), every_board).through(int(backfill_pages))
    except Busy as error:
        return Completed(message=str(error))
    except StoreError as error:
        return Failed(message=str(error))


class _Run:
    """One run of the flow: what it has found so far, and what went wrong."""

    def __init__(self, store: Store, params: CrawlParams, every_board: bool) -> None:
        self.store = store
        self.params = params
        self.every_board = every_board
        self.new = self.visited = 0
        self.rows: list[dict[str, Any]] = []
        self.problems: list[str] = []
        self.gaps: dict[int, int] = {}  # by board, after its last walk
        self.walked = float("-inf")

    async def through(self, backfill_pages: int) -> Any:
        """Walk, backfill if asked to, and say how it went."""
        here = settings.load()
        try:
            outlooks = self.outlooks()
            if backfill_pages <= 0 and not any(outlook.due for outlook in outlooks.values()):
                await self.walk(None, outlooks)  # nothing is asked of the site, not even its rules
            else:
                async with InvenClient(
                    here.inven_url,
                    mobile_url=here.inven_mobile_url,
                    contact=here.contact,
                    min_interval=self.params.min_interval,
                    jitter=self.params.jitter,
                    shelf=self.store,
                ) as client:
                    await self.walk(client, outlooks)
                    if backfill_pages > 0:
                        await self.backfill(client, backfill_pages)
        except InvenError as error:  # robots.txt says no, or the site does not answer at all
            self.problems.append(str(error))
        table = [dict.fromkeys(_COLUMNS, "") | row for row in self.rows]
        await acreate_table_artifact(table=table, key="crawl-report", description=f"{self.new} new posts")
        await self.digest()
        posts, _ = self.store.count_pending()
        if self.problems:
            return Failed(message="; ".join(self.problems)[:2000])
        said = f"{self.new} new posts, {posts} waiting for the next chunk;"
        said += f" {self.visited} of {len(self.params.boards)} boards were due"
        if gap := sum(self.gaps.values()):
            said += f"; up to {gap:,} posts of a gap are left for the next runs"
        return Completed(message=said)

    def outlook(self, board_id: int) -> visits.Outlook:
        """Whether a board is due, and why."""
        if self.every_board:
            return visits.Outlook(True, "every board was asked for")
        return visits.outlook(
            self.store, board_id, clock.now(), expected_new=self.params.expected_new, max_wait=self.params.max_wait
        )

    def outlooks(self) -> dict[int, visits.Outlook]:
        """The same of every board."""
        return {board_id: self.outlook(board_id) for board_id in self.params.boards}

    async def walk(self, client: InvenClient | None, outlooks: dict[int, visits.Outlook]) -> None:
        """Every board that is due, once. Without a client none is."""
        self.visited = 0
        for board_id, outlook in outlooks.items():
            if client is None or not outlook.due:
                self.rows.append({"board": board(board_id).name, "visit": f"not due: {outlook.why}"} | _NOTHING)
                continue
            self.visited += 1
            state = await crawl_one(client, self.store, board_id, self.params, return_state=True)  # type: ignore[misc]
            await self.take(board_id, state, outlook.why)
        self.walked = time.monotonic()

    async def backfill(self, client: InvenClient, pages: int) -> None:
        """Older pages of one board after the other. Every WALK_EVERY seconds the boards are walked in between."""
        boards = self.params.boards
        progress = await acreate_progress_artifact(0.0, key="crawl-backfill", description=f"{pages} pages a board")
        for place, board_id in enumerate(boards):

            async def on_page(number: int, place: int = place, board_id: int = board_id) -> None:
                done = 100 * (place + number / pages) / len(boards)
                text = f"{board(board_id).name}: page {number} of {pages}"
                await aupdate_progress_artifact(progress, progress=min(done, 100.0), description=text)
                if time.monotonic() - self.walked >= WALK_EVERY:
                    await self.walk(client, self.outlooks())
                    await self.digest()

            if (outlook := self.outlook(board_id)).blocked:
                self.problems.append(f"{board(board_id).name}: {outlook.why}")
                continue
            state = await backfill_one(client, self.store, board_id, pages, on_page, return_state=True)  # type: ignore[misc]
            await self.take(board_id, state, "older pages", " (backfill)")
        await aupdate_progress_artifact(progress, progress=100.0, description=f"{self.new} posts in this run")

    async def take(self, board_id: int, state: Any, why: str, what: str = "") -> None:
        """Note a task's report, also of one that failed."""
        name = board(board_id).name + what
        result = await state.aresult(raise_on_failure=False)
        if isinstance(result, StoreError):
            raise result  # no other board will do better
        report = result if isinstance(result, BoardReport) else getattr(result, "report", None)
        row: dict[str, Any] = {"board": name, "visit": why}
        if report is not None:
            self.new += report.new
            row |= _figures(report)
            self.gaps[board_id] = report.gap
            if report.gap or report.gap_before:
                resource = {
                    "prefect.resource.id": f"maple.board.{board_id}",
                    "prefect.resource.name": board(board_id).name,
                }
                emit_event(GAP_EVENT, resource=resource, payload={"posts": report.gap, "before": report.gap_before})
        if not isinstance(result, BoardReport):
            self.problems.append(f"{name}: {result}")
            row["problem"] = str(result)[:300]
        self.rows.append(row)

    async def digest(self) -> None:
        """Keywords and moods of what is new, or not of today's making; a hint to the learn flow when enough waits."""
        batch = read_params("score", ScoreParams).batch
        get_run_logger().info(await asyncio.to_thread(score_new, self.store, batch))
        posts, _ = self.store.count_pending()
        if posts >= read_params("cut", CutParams).size:
            # A hint that shortens the wait; the learn flow counts for itself.
            emit_event(LEARN_EVENT, resource={"prefect.resource.id": "maple.posts"}, payload={"pending": posts})


_COUNTS = ("pages", "new", "known", "gone", "failed", "edited", "deleted", "comments")
_NOTHING = dict.fromkeys(_COUNTS, 0) | {"seconds": 0.0}
# Prefect's page shows the columns of a table's first row, so that every row has all of them.
_COLUMNS = ("board", *_NOTHING, "gap", "new categories", "odd pages", "visit", "problem")


def _figures(report: BoardReport) -> dict[str, Any]:
    figures = {name: getattr(report, name) for name in _NOTHING}
    words = {"gap": report.gap or "", "new categories": ", ".join(report.new_categories), "odd pages": ""}
    if report.odd:
        words["odd pages"] = f"{report.odd}, the first {report.remark}"[:300]
    return figures | {"seconds": round(report.seconds, 1)} | words


def main() -> None:
    """`python -m flows.crawl`: one run over every board, now."""
    parser = argparse.ArgumentParser(prog="python -m flows.crawl", description="Walk every board once, due or not.")
    parser.add_argument(
        "--backfill", type=int, default=0, metavar="PAGES", help="then collect each board's newest PAGES list pages"
    )
    parser.add_argument("--due", action="store_true", help="only boards that are due, as the deployment does it")
    given = parser.parse_args()
    with home.any_server():
        run = crawl(backfill_pages=given.backfill, every_board=not given.due, return_state=True)
        state: Any = asyncio.run(run)  # type: ignore[arg-type]
    sys.exit(None if state.is_completed() else state.message)


if __name__ == "__main__":
    run(main)
