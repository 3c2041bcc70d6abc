"""The learn flow: looks at the world and does what is due: archive, cut, label, freeze, train, release.

It holds no memory of its own: killed anywhere, the next run finishes the same work. Run by the deployment
`learn/gated` every few minutes and on the crawl's event; `python -m flows.learn` runs it once.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import acreate_markdown_artifact, acreate_progress_artifact, aupdate_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event
from prefect.states import Completed, Failed

from flows import home
from flows.score import score_new
from pipeline import clock, settings
from pipeline.errors import run
from pipeline.freeze import due as gate
from pipeline.freeze.catalog import read_catalog
from pipeline.freeze.commit import freeze_archive, freeze_chunk, keep_window, take_labelled
from pipeline.freeze.numbers import assign
from pipeline.freeze.repository import Repository
from pipeline.freeze.window import to_label
from pipeline.label.attempts import next_attempt, setup_of, waiting
from pipeline.label.chunk import label_chunk, live_labels
from pipeline.label.estimate import Estimate, Eta
from pipeline.label.records import CoverageError, LabelError, LabelReport, Progress, QualityError
from pipeline.live.database import StoreError
from pipeline.live.store import Store
from pipeline.lock import LEARN, Busy, only_run
from pipeline.params import ArchiveParams, CatalogParams, CutParams, ScoreParams, read_params, read_section
from pipeline.release.model import release_model

_PROGRESS_EVERY_S = 5.0
_LABELS = {"prefect.resource.id": "maple.labels"}  # what events about labels are about


@task(name="archive-feedback", task_run_name="archive-feedback-{number:04d}", cache_policy=NO_CACHE)
def archive_feedback(repository: Any, store: Any, number: int) -> str:
    """Freeze one feedback archive. Returns its tag."""
    return freeze_archive(repository, store, number, read_params("catalog", CatalogParams).window)


@task(name="label-chunk", task_run_name="label-chunk-{number:04d}", cache_policy=NO_CACHE)
async def label(store: Any, number: int) -> LabelReport:
    """Label a raw chunk, with progress on Prefect's page."""
    name = f"{number:04d}"
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
        params=read_section("label"),
        on_progress=on_progress,
        on_estimate=on_estimate,
    )
    await aupdate_progress_artifact(artifact, progress=100.0)
    return report


@task(name="freeze-chunk", task_run_name="freeze-chunk-{number:04d}", cache_policy=NO_CACHE)
def freeze(repository: Any, store: Any, number: int) -> str:
    """Record the labelled chunk in DVC and Git, and its labels beside the live posts. Returns the tag."""
    store.set_post_labels(live_labels(f"{number:04d}"))
    return freeze_chunk(repository, number, read_params("catalog", CatalogParams).window)


@task(name="train-and-release", cache_policy=NO_CACHE)
def train_and_release(repository: Any) -> dict[str, Any]:
    """prepare, train, evaluate and promote by `dvc repro`, then commit, push and tag. Returns the decision."""
    return release_model(repository)


@flow(name="learn", validate_parameters=False)
async def learn(reason: str = "schedule") -> Any:
    """One look, and everything that is due. Raises what stopped it: the message says what to do."""
    try:
        with only_run(LEARN), Store(settings.load().database_url) as store:
            return await _learn(store, Repository(), reason)
    except Busy as error:
        return Completed(message=str(error))
    except StoreError as error:  # a person can mend it: its sentence, without a traceback
        return Failed(message=str(error))


async def _learn(store: Store, repository: Repository, reason: str) -> Any:
    logger, window = get_run_logger(), read_params("catalog", CatalogParams).window
    sizes = {
        "posts_needed": read_params("cut", CutParams).size,
        "corrections_needed": read_params("archive", ArchiveParams).size,
    }
    due = await asyncio.to_thread(gate.look, store, repository, **sizes)
    if not due.anything:
        return Completed(message=str(due))
    logger.info("due (%s): %s", reason, due)
    await asyncio.to_thread(repository.require_ready)
    await asyncio.to_thread(assign, store, repository, **sizes)
    due = await asyncio.to_thread(gate.look, store, repository, **sizes)
    await asyncio.to_thread(keep_window, repository, window, due.open_chunks)

    # People's corrections first: they do not wait for an LLM server that may be down.
    for number in due.open_archives:
        logger.info("frozen: %s", await asyncio.to_thread(archive_feedback, repository, store, number))
    newest, older = await asyncio.to_thread(to_label, due.open_chunks, store, read_catalog(), window)
    waits: list[str] = []
    problem = await _label_and_freeze(store, repository, newest, waits)

    message = str(due)
    if await asyncio.to_thread(lambda: bool(due.outdated or repository.begun() or repository.untrained())):
        decision = await asyncio.to_thread(train_and_release, repository)
        message = f"model-{decision['challenger']} {decision['verdict']}: {'; '.join(decision['reasons'])}"
        logger.info(message)
        await acreate_markdown_artifact(key="release", markdown=_report(decision))
    logger.info(await asyncio.to_thread(score_new, store, read_params("score", ScoreParams).batch))
    # Posts too old to train on: one chunk a run, so that nothing new waits behind a backfill.
    problem = problem or await _label_and_freeze(store, repository, older[:1], waits)
    if problem:
        raise problem
    return Completed(message="; ".join([message, *waits]))


async def _label_and_freeze(
    store: Store, repository: Repository, numbers: Sequence[int], waits: list[str]
) -> LabelError | None:
    """Label and freeze chunks one after another. Returns the first problem, to be said when all else is done.

    A chunk that can't be labelled keeps none of the others back, and is left alone for a while (`waits` then says how
    long); a server that does not answer, or is not to be trusted now, ends it.
    """
    logger, first = get_run_logger(), None
    setup = setup_of(settings.load(), read_section("label"))
    for number in numbers:
        try:
            if await asyncio.to_thread(take_labelled, repository, store, number):
                logger.info("chunk %04d has its labels: from a run that was killed, or from another branch", number)
            elif failure := waiting(store, number, setup):
                until = clock.iso(next_attempt(failure))
                waits.append(
                    f"chunk {number:04d} failed {failure.failures} times and waits until {until} "
                    f"(`python -m pipeline.label {number:04d}` asks now): {failure.reason}"
                )
                continue
            else:
                report = await label(store, number)
                logger.info("labelled chunk %s: %s", report.chunk, report.counts)
                for warning in report.warnings:
                    logger.warning("chunk %s: %s", report.chunk, warning)
                if report.refused:
                    _tell("maple.labels.refused", number, refused=report.refused, posts=report.posts)
        except CoverageError as problem:
            _tell("maple.labels.failed", number, reason=str(problem))
            first = first or problem
            continue
        except LabelError as problem:
            if isinstance(problem, QualityError):
                _tell("maple.labels.failed", number, reason=str(problem))
            return first or problem
        logger.info("frozen: %s", await asyncio.to_thread(freeze, repository, store, number))
    return first


def _tell(event: str, number: int, **more: Any) -> None:
    """An event that a person's automation can act on."""
    emit_event(event, resource=_LABELS, payload={"chunk": f"{number:04d}", **more})


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
