"""The learn flow: looks at the world and does what is due: archive, cut, label, freeze, train, release.

It holds no memory of its own: killed anywhere, the next run finishes the same work. Run by the deployment
`learn/gated` every few minutes and on the crawl's event; `python -m flows.learn` runs it once.
"""

import argparse
import asyncio
import sys
import time
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import acreate_markdown_artifact, acreate_progress_artifact, aupdate_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed, Failed

from flows import home
from flows.lock import Busy, only_run
from flows.score import score_new
from pipeline import settings
from pipeline.errors import run
from pipeline.files import read_csv
from pipeline.freeze import due as gate
from pipeline.freeze.commit import freeze_archive, freeze_chunk
from pipeline.freeze.cut import write_chunk
from pipeline.freeze.repository import Repository
from pipeline.label.chunk import label_chunk
from pipeline.label.estimate import Estimate, Eta
from pipeline.label.records import LabelError, LabelReport, Progress
from pipeline.layout import labeled_path
from pipeline.live.database import StoreError
from pipeline.live.store import Store
from pipeline.release.model import release_model

_PROGRESS_EVERY_S = 5.0
LABELED_COLUMNS = ("board_id", "post_id", "label", "confidence", "labeler")


@task(name="archive-feedback", task_run_name="archive-feedback-{number:04d}", cache_policy=NO_CACHE)
def archive_feedback(repository: Any, store: Any, number: int) -> str:
    """Freeze one feedback archive. Returns its tag."""
    return freeze_archive(repository, store, number, settings.params("catalog")["window"])


@task(name="label-chunk", task_run_name="label-chunk-{number:04d}", cache_policy=NO_CACHE)
async def label(store: Any, number: int) -> LabelReport:
    """Write the raw chunk and label it, with progress on Prefect's page."""
    name = f"{number:04d}"
    write_chunk(store, name)
    artifact = await acreate_progress_artifact(progress=0.0, key=f"label-{name}", description=f"Labelling chunk {name}")
    logger, eta = get_run_logger(), Eta()
    loop, shown = asyncio.get_running_loop(), time.monotonic()

    def on_estimate(estimate: Estimate) -> None:
        logger.info("chunk %s: %s", name, estimate)

    def on_progress(progress: Progress) -> None:
        nonlocal shown
        if time.monotonic() - shown >= _PROGRESS_EVERY_S:
            shown = time.monotonic()
            share = 100.0 * progress.done / max(1, progress.total)
            update = aupdate_progress_artifact(
                artifact, progress=share, description=f"Labelling chunk {name}: {eta.line(progress)}"
            )
            asyncio.run_coroutine_threadsafe(update, loop)  # type: ignore[arg-type]

    report = await asyncio.to_thread(
        label_chunk,
        name,
        settings=settings.load(),
        store=store,
        params=settings.params("label"),
        on_progress=on_progress,
        on_estimate=on_estimate,
    )
    await aupdate_progress_artifact(artifact, progress=100.0)
    return report


@task(name="freeze-chunk", task_run_name="freeze-chunk-{number:04d}", cache_policy=NO_CACHE)
def freeze(repository: Any, store: Any, number: int) -> str:
    """Record the labelled chunk in DVC and Git, and its labels beside the live posts. Returns the tag."""
    store.set_post_labels(
        [
            {
                "board_id": int(row["board_id"]),
                "post_id": int(row["post_id"]),
                "label": int(row["label"]),
                "confidence": float(row["confidence"]) if row["confidence"] else None,
                "labeler": row["labeler"],
            }
            for row in read_csv(
                labeled_path(f"{number:04d}"), ("board_id", "post_id", "label", "confidence", "labeler")
            )
            if row["label"]
        ]
    )
    return freeze_chunk(repository, number, settings.params("catalog")["window"])


@task(name="train-and-release", cache_policy=NO_CACHE)
def train_and_release(repository: Any) -> dict[str, Any]:
    """prepare, train, evaluate and promote by `dvc repro`, then commit, push and tag. Returns the decision."""
    return release_model(repository)


@flow(name="learn", validate_parameters=False)
async def learn(reason: str = "schedule") -> Any:
    """One look, and everything that is due. Raises what stopped it: the message says what to do."""
    try:
        with only_run("learn"), Store(settings.load().database_url) as store:
            return await _learn(store, Repository(), reason)
    except Busy as error:
        return Completed(message=str(error))
    except StoreError as error:  # a person can mend it: its sentence, without a traceback
        return Failed(message=str(error))


async def _learn(store: Store, repository: Repository, reason: str) -> Any:
    logger = get_run_logger()
    size, archive_size = settings.params("cut")["size"], settings.params("archive")["size"]
    due = await asyncio.to_thread(gate.look, store, repository, posts_needed=size, corrections_needed=archive_size)
    if not due.anything:
        return Completed(message=str(due))
    logger.info("due (%s): %s", reason, due)
    await asyncio.to_thread(repository.require_ready)

    # People's corrections first: they do not wait for an LLM server that may be down.
    store.assign_archive(archive_size, after=repository.last_number("feedback"))
    for number in range(repository.last_number("feedback") + 1, store.last_archive() + 1):
        logger.info("frozen: %s", await asyncio.to_thread(archive_feedback, repository, store, number))

    while store.assign_chunk(size, after=repository.last_number("chunk")) is not None:
        pass
    label_problem: LabelError | None = None
    try:
        for number in range(repository.last_number("chunk") + 1, store.last_chunk() + 1):
            report = await label(store, number)
            logger.info("labelled chunk %s: %s", report.chunk, report.counts)
            for warning in report.warnings:
                logger.warning("chunk %s: %s", report.chunk, warning)
            logger.info("frozen: %s", await asyncio.to_thread(freeze, repository, store, number))
    except LabelError as problem:
        label_problem = problem  # said at the end; what is frozen already is learned from first

    message = str(due)
    if await asyncio.to_thread(repository.untrained):
        decision = await asyncio.to_thread(train_and_release, repository)
        message = f"model-{decision['challenger']} {decision['verdict']}: {'; '.join(decision['reasons'])}"
        logger.info(message)
        await acreate_markdown_artifact(key="release", markdown=_report(decision))
    logger.info(await asyncio.to_thread(score_new, store, settings.params("score")["batch"]))
    if label_problem:
        raise label_problem
    return Completed(message=message)


def _report(decision: dict[str, Any]) -> str:
    figures = "\n".join(f"| {name} | {value} |" for name, value in decision.items() if name != "reasons")
    reasons = "\n".join(f"- {reason}" for reason in decision["reasons"])
    return f"# model-{decision['challenger']}: {decision['verdict']}\n\n{reasons}\n\n| | |\n|---|---|\n{figures}\n"


def main() -> None:
    """`python -m flows.learn`: one run, now."""
    argparse.ArgumentParser(prog="python -m flows.learn", description="Do what is due, once, now.").parse_args()
    with home.any_server():
        state: Any = asyncio.run(learn(return_state=True))  # type: ignore[arg-type]
    sys.exit(None if state.is_completed() else state.message)


if __name__ == "__main__":
    run(main)
