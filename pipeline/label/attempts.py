"""When a chunk whose labelling failed is tried again: later after each failure, at once when the settings changed.

The learn flow looks every few minutes; asking a server that refuses or lies each time would cost money for nothing.
By hand (`python -m pipeline.label`) nothing waits.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pipeline import clock
from pipeline.hashing import content_hash
from pipeline.label.records import CoverageError, QualityError
from pipeline.live.records import LabelFailure
from pipeline.live.store import Store
from pipeline.settings import Settings

FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=10), timedelta(hours=12)


def setup_of(settings: Settings, params: Mapping[str, Any]) -> str:
    """A hash of the settings that decide how a chunk is labelled."""
    told = [settings.llm_endpoints, settings.llm_model, settings.llm_api_key, dict(params)]
    return content_hash(json.dumps(told, sort_keys=True, default=str))


def next_attempt(failure: LabelFailure) -> datetime:
    """When the chunk is due again: 10 minutes after the first failure, twice as long after each, at most 12 hours."""
    wait = min(FIRST_WAIT * 2 ** min(failure.failures - 1, 20), LONGEST_WAIT)
    return failure.failed_at + wait


def waiting(store: Store, chunk: int, setup: str, now: datetime | None = None) -> LabelFailure | None:
    """The failure that the chunk waits after; None when it is due."""
    failure, now = store.label_failure(chunk), now or clock.now()
    if failure is None or failure.setup != setup or now >= next_attempt(failure):
        return None
    return failure if failure.failed_at <= now else None  # a clock that ran ahead is no reason to wait


class Attempts:
    """Keeps count of one chunk's failures."""

    def __init__(self, store: Store, chunk: int, setup: str) -> None:
        self._store, self._chunk, self._setup = store, chunk, setup
        self._last = store.label_failure(chunk)

    @property
    def failed_before(self) -> bool:
        """Whether the last run's labels were not to be trusted."""
        return self._last is not None and self._last.kind == "quality"

    def failed(self, problem: CoverageError | QualityError) -> None:
        """Keep it, one more in a row."""
        kind = "quality" if isinstance(problem, QualityError) else "coverage"
        before = self._last.failures if self._last and self._last.setup == self._setup else 0
        failure = LabelFailure(self._chunk, self._setup, before + 1, kind, str(problem), clock.now())
        self._store.save_label_failure(failure)

    def succeeded(self) -> None:
        """Nothing is wrong any more."""
        if self._last:
            self._store.clear_label_failure(self._chunk)
