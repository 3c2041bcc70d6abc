"""Command line: `python -m pipeline.release` trains and releases a model now, for example the base model."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pipeline import errors
from pipeline.freeze.repository import Repository
from pipeline.lock import LEARN, only_run
from pipeline.release.first import say_own_base
from pipeline.release.model import release_model


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and release a model from the catalog as it stands. Raises Busy while a learn run is at work."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.release", description=__doc__)
    parser.add_argument(
        "--champion",
        metavar="VERSION",
        help="the model to compare with, in place of the one that is served; none: whatever is trained is served",
    )
    given = parser.parse_args(arguments)
    with only_run(LEARN):
        repository = Repository(Path())
        repository.require_ready()
        say_own_base(repository, print)
        decision = release_model(repository, given.champion)
    print(f"model-{decision['challenger']}: {decision['verdict']} ({'; '.join(decision['reasons'])})")


if __name__ == "__main__":
    errors.run(main)
