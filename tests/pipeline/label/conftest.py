"""What every test of the labeler needs: no long pauses."""

import pytest

from pipeline.label import dispatch as run
from pipeline.label import server


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure, and before a server that is out is asked again."""
    monkeypatch.setattr(run, "BACKOFF_S", (0.01, 0.02))
    monkeypatch.setattr(run, "REVIVE_S", (0.05, 0.1))
    monkeypatch.setattr(server, "PROBE_PAUSE_S", 0.01)
