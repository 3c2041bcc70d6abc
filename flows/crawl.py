"""The crawl flow: every board once, then keywords and moods of what is new, then a hint to the learn flow.

Run by the deployment `crawl/continuous`; `python -m flows.crawl` runs it once.
"""

import asyncio
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import acreate_table_artifact
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
from pipeline.inven.crawl import crawl_board
from pipeline.inven.polite import InvenError
from pipeline.inven.report import BoardReport
from pipeline.score import extract_keywords, score_posts
from pipeline.store import Store

LEARN_EVENT = "maple.posts.threshold-crossed"


@task(name="crawl-board", task_run_name="crawl-board-{board_id}", cache_policy=NO_CACHE)
async def crawl_one(client: Any, store: Any, board_id: int, max_pages: int) -> BoardReport:
    """Walk one board. A board that stopped early is a failed task that says where and why."""
    report = await crawl_board(client, store, board_id, max_pages=max_pages)
    get_run_logger().info(str(report))
    if report.stopped:
        raise InvenError(str(report))
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
async def crawl() -> Any:
    """One walk over all boards. Ends as failed when a board could not be read, after the others were."""
    logger = get_run_logger()
    try:
        with only_run("crawl"), Store(settings.load().database_url) as store:
            return await _crawl(store, logger)
    except Busy as error:
        return Completed(message=str(error))


async def _crawl(store: Store, logger: Any) -> Any:
    here, numbers = settings.load(), settings.params("crawl")
    rows: list[dict[str, Any]] = []
    problems: list[str] = []
    new = 0
    try:
        async with InvenClient(
            here.inven_url, contact=here.contact, min_interval=numbers["min_interval"], jitter=numbers["jitter"]
        ) as client:
            for board_id in numbers["boards"]:
                state = await crawl_one(client, store, board_id, numbers["max_pages"], return_state=True)  # type: ignore[misc]
                result = await state.aresult(raise_on_failure=False)
                if isinstance(result, BoardReport):
                    new += result.new
                    rows.append({"board": board(board_id).name, **_figures(result)})
                else:
                    problems.append(f"{board(board_id).name}: {result}")
                    rows.append({"board": board(board_id).name, "problem": str(result)[:300]})
    except InvenError as error:  # robots.txt says no, or the site does not answer at all
        problems.append(str(error))
    await acreate_table_artifact(table=rows, key="crawl-report", description=f"{new} new posts")
    if new:
        logger.info(await asyncio.to_thread(score_new, store, settings.params("score")["batch"]))
    posts, _ = store.count_pending()
    if posts >= settings.params("cut")["size"]:
        # A hint that shortens the wait; the learn flow counts for itself.
        emit_event(LEARN_EVENT, resource={"prefect.resource.id": "maple.posts"}, payload={"pending": posts})
    if problems:
        return Failed(message="; ".join(problems)[:2000])
    return Completed(message=f"{new} new posts, {posts} waiting for the next chunk")


def _figures(report: BoardReport) -> dict[str, Any]:
    return {
        "pages": report.pages,
        "new": report.new,
        "known": report.known,
        "gone": report.gone,
        "failed": report.failed,
        "seconds": round(report.seconds, 1),
    }


if __name__ == "__main__":
    asyncio.run(crawl())  # type: ignore[arg-type]
