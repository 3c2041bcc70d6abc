"""Fixtures: replay servers that stop with the test, and a live database of its own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.live.store import Store
from tests.support.replay_server import ReplayServer


@pytest.fixture
def serve() -> Iterator[Callable[..., ReplayServer]]:
    """Start a ReplayServer with these arguments."""
    with ExitStack() as stack:
        yield lambda *arguments, **options: stack.enter_context(ReplayServer(*arguments, **options))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(f"sqlite:///{tmp_path / 'live.db'}") as opened:
        yield opened
