"""Command line: `python -m pipeline.label 0007` labels a chunk, `python -m pipeline.label --check` the gold."""

import argparse
import logging
import sys
import time
from collections.abc import Callable

from pipeline import settings as configuration
from pipeline.cut import labeled_path
from pipeline.files import DataFileError
from pipeline.label.answer import LabelError, Progress
from pipeline.label.check import check, read_gold
from pipeline.label.chunk import label_chunk
from pipeline.label.run import Options
from pipeline.settings import SettingsError
from pipeline.store import Store, StoreError


def _progress_line() -> Callable[[Progress], None]:
    """A line on stderr, at most one a second: how many, how fast, how long still."""
    begin = last = time.monotonic()

    def show(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < 1 and progress.done < progress.total:
            return
        last = now
        fresh = progress.done - progress.cached
        pace = fresh / max(now - begin, 1e-9)
        left = f", {(progress.total - progress.done) / pace:.0f} s left" if pace else ""
        print(
            f"{progress.done}/{progress.total} ({progress.cached} known, {progress.failed} without a label, "
            f"{pace:.1f} a second{left})",
            file=sys.stderr,
        )

    return show


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 done, 1 with a message on stderr."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.label", description=__doc__)
    parser.add_argument("chunks", nargs="*", metavar="NUMBER", help="raw chunks to label, for example 0007")
    parser.add_argument("--check", action="store_true", help="label data/gold/*.csv and compare with people")
    chosen = parser.parse_args(arguments)
    if not chosen.check and not chosen.chunks:
        parser.error("name a chunk, or --check")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        settings = configuration.load()
        params = configuration.params("label")
        with Store(settings.database_url) as store:
            for number in chosen.chunks:
                report = label_chunk(
                    number, settings=settings, store=store, params=params, on_progress=_progress_line()
                )
                print(f"{labeled_path(report.chunk)}: {report.labelled} of {report.posts} labelled, {report.counts}")
            if chosen.check:
                options = Options.of(params)
                print(check(read_gold(), settings=settings, store=store, options=options, on_progress=_progress_line()))
    except (LabelError, DataFileError, SettingsError, StoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
