"""Command line: `python -m pipeline.label 0007` labels a chunk, `python -m pipeline.label --check` the gold.

`--relabel chunk-0007..` labels chunks again after the prompt or the model was changed on purpose. `--ask-again` asks
once more for posts that were refused for good.
"""

import argparse
import logging
import sys
import time
from collections.abc import Callable

from pipeline import errors
from pipeline import settings as configuration
from pipeline.files import DataFileError
from pipeline.gold import read_gold
from pipeline.label.check import check
from pipeline.label.chunk import label_chunk, live_labels
from pipeline.label.estimate import Estimate, Eta
from pipeline.label.options import Options
from pipeline.label.records import LabelReport, Progress
from pipeline.label.relabel import chosen_chunks, what_to_commit
from pipeline.layout import GOLD, labeled_path
from pipeline.live.store import Store
from pipeline.lock import LEARN, only_run
from pipeline.params import read_params, read_section
from pipeline.settings import Settings


def _progress_line() -> Callable[[Progress], None]:
    """A line on stderr, at most one a second: how many, how fast, how long still."""
    eta, last = Eta(), time.monotonic()

    def show(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= 1 or progress.done == progress.total:
            last = now
            print(eta.line(progress), file=sys.stderr)

    return show


def _label(number: str, settings: Settings, store: Store, ask_again: bool) -> LabelReport:
    def announce(estimate: Estimate) -> None:
        print(f"chunk {number}: {estimate}", file=sys.stderr)

    report = label_chunk(
        number,
        settings=settings,
        store=store,
        params=read_section("label"),
        on_progress=_progress_line(),
        on_estimate=announce,
        ask_again=ask_again,
    )
    gold, canaries = report.quality["gold"] or {}, report.quality["canaries"]
    kappa = f"κ {gold['kappa']:.2f} on {gold['labelled']} gold texts, " if "kappa" in gold else ""
    print(
        f"{labeled_path(report.chunk)}: {report.labelled} of {report.posts} labelled, {report.counts}; "
        f"{kappa}{canaries['fallen']} of {canaries['texts']} canaries fallen"
    )
    for warning in report.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return report


def main(arguments: list[str] | None = None) -> None:
    """`python -m pipeline.label NUMBER …`, `--check` or `--relabel CHUNKS`."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.label", description=__doc__)
    parser.add_argument("chunks", nargs="*", metavar="NUMBER", help="raw chunks to label, for example 0007")
    parser.add_argument("--check", action="store_true", help="label data/gold/*.csv and compare with the labels there")
    parser.add_argument(
        "--relabel", metavar="CHUNKS", help="label again: chunk-0007, chunk-0007.. or chunk-0007..chunk-0009"
    )
    parser.add_argument("--ask-again", action="store_true", help="ask again for posts that were refused for good")
    chosen = parser.parse_args(arguments)
    if not (chosen.check or chosen.chunks or chosen.relabel):
        parser.error("name a chunk, or --check, or --relabel")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    settings = configuration.load()
    with Store(settings.database_url) as store:
        for number in chosen.chunks:
            _label(number, settings, store, chosen.ask_again)
        if chosen.relabel:
            with only_run(LEARN):  # a learn run may freeze or remove these files
                again = chosen_chunks(chosen.relabel)
                for number in again:
                    report = _label(number, settings, store, chosen.ask_again)
                    store.set_post_labels(live_labels(number))
            print(what_to_commit(again, report.labeler))
        if chosen.check:
            options = read_params("label", Options)
            if not (gold := read_gold()):
                raise DataFileError(f"no gold post in {GOLD}: `dvc pull` restores tracked files")
            print(check(gold, settings=settings, store=store, options=options, on_progress=_progress_line()))


if __name__ == "__main__":
    errors.run(main)
