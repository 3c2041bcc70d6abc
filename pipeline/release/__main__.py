"""Command line: `python -m pipeline.release` trains and releases a model now, for example the base model."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pipeline import errors
from pipeline.freeze.repository import Repository
from pipeline.release.model import release_model


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and release a model from the catalog as it stands."""
    argparse.ArgumentParser(prog="python -m pipeline.release", description=__doc__).parse_args(arguments)
    repository = Repository(Path())
    repository.require_ready()
    decision = release_model(repository)
    print(f"model-{decision['challenger']}: {decision['verdict']} ({'; '.join(decision['reasons'])})")


if __name__ == "__main__":
    errors.run(main)
