"""Command line: `python -m pipeline.evaluate` is the stage, `python -m pipeline.evaluate --on FILE.tsv` a report."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pipeline import errors
from pipeline.evaluate.params import EvaluateParams
from pipeline.layout import PRODUCTION
from pipeline.params import read_params


def main(arguments: Sequence[str] | None = None) -> None:
    """Evaluate the candidate, or with `--on` the production model on a file."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.evaluate", description=__doc__)
    parser.add_argument(
        "--on", type=Path, metavar="FILE.tsv", help="columns text and label (0 부정, 1 중립, 2 긍정); .gz is read too"
    )
    parser.add_argument("--model", type=Path, metavar="FOLDER", help=f"another model than {PRODUCTION}, with --on")
    given = parser.parse_args(arguments)
    if given.model and not given.on:
        parser.error("--model goes with --on")
    if given.on:
        from pipeline.evaluate.on_file import report

        params = read_params("evaluate", EvaluateParams)
        print(report(given.on, given.model or PRODUCTION, samples=params.bootstrap, seed=params.seed))
    else:
        from pipeline.evaluate.run import write_evaluation

        write_evaluation()


if __name__ == "__main__":
    errors.run(main)
