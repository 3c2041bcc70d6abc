"""Fixtures of the page's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.live.store import Store
from tests.app.world import Model, WordClassifier, fill


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A filled live database in a file."""
    with Store(f"sqlite:///{tmp_path / 'live.db'}") as opened:
        fill(opened)
        yield opened


@pytest.fixture
def model() -> Model:
    """A provider with the word-counting classifier."""
    return Model(WordClassifier())
