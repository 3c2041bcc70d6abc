"""What the learn flow does with chunks that can't be labelled: says so, goes on with others, waits, asks again."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows import learn
from pipeline import clock, settings
from pipeline.label.attempts import setup_of
from pipeline.label.records import CoverageError, LabelReport, LabelServerError, QualityError
from pipeline.live.records import LabelFailure
from pipeline.live.store import Store
from pipeline.params import read_section


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(f"sqlite:///{tmp_path}/live.db") as opened:
        yield opened


class Flow:
    """The part of the flow that labels, with outcomes that are told to it; notes what was asked, frozen and told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, store: Store, outcomes: dict[int, Any]) -> None:
        self.store, self.outcomes = store, outcomes
        self.asked: list[int] = []
        self.frozen: list[int] = []
        self.told: list[tuple[str, dict[str, Any]]] = []
        monkeypatch.setattr(learn, "get_run_logger", lambda: logging.getLogger("flow"))
        monkeypatch.setattr(
            learn, "take_labelled", lambda repository, store, number: self.outcomes[number] == "labelled"
        )
        monkeypatch.setattr(learn, "label", self._label)
        monkeypatch.setattr(learn, "freeze", lambda repository, store, number: self.frozen.append(number))
        monkeypatch.setattr(learn, "emit_event", lambda name, resource, payload: self.told.append((name, payload)))

    async def _label(self, store: Store, number: int) -> LabelReport:
        self.asked.append(number)
        outcome = self.outcomes[number]
        if isinstance(outcome, Exception):
            raise outcome
        return LabelReport(f"{number:04d}", "m:1", "mood-1", "text", 10, 10 - outcome, outcome, 1.0, 10)

    def run(self, *numbers: int) -> tuple[Any, list[str]]:
        waits: list[str] = []
        return asyncio.run(learn._label_and_freeze(self.store, None, numbers, waits)), waits  # type: ignore[arg-type]


def test_a_chunk_that_fails_is_told_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    flow = Flow(monkeypatch, store, {1: CoverageError("six of sixty"), 2: 0, 3: 3})
    problem, waits = flow.run(1, 2, 3)
    assert (str(problem), waits) == ("six of sixty", [])
    assert flow.frozen == [2, 3]
    assert flow.told == [
        ("maple.labels.failed", {"chunk": "0001", "reason": "six of sixty"}),
        ("maple.labels.refused", {"chunk": "0003", "refused": 3, "posts": 10}),
    ]


@pytest.mark.parametrize(("problem", "events"), [(QualityError("liar"), 1), (LabelServerError("down"), 0)])
def test_a_server_that_lies_or_is_down_is_asked_no_further_chunk(
    monkeypatch: pytest.MonkeyPatch, store: Store, problem: Exception, events: int
) -> None:
    flow = Flow(monkeypatch, store, {1: problem, 2: 0})
    assert flow.run(1, 2) == (problem, [])
    assert (flow.asked, flow.frozen, len(flow.told)) == ([1], [], events)


def test_a_chunk_that_failed_waits_and_says_until_when(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    setup = setup_of(settings.load(), read_section("label"))
    store.save_label_failure(LabelFailure(1, setup, 3, "coverage", "six of sixty", clock.now()))
    flow = Flow(monkeypatch, store, {1: CoverageError("not asked"), 2: 0})
    problem, (said,) = flow.run(1, 2)
    assert (problem, flow.asked, flow.frozen) == (None, [2], [2])
    assert "chunk 0001 failed 3 times and waits until" in said
    assert "`python -m pipeline.label 0001` asks now): six of sixty" in said
    flow.outcomes[1] = "labelled"  # by hand, or on another branch
    assert flow.run(1) == (None, [])
    assert flow.frozen == [2, 1]
