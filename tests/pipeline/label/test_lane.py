"""How many questions a server is given at once; servers that go and come back; storms of refusals."""

import heapq
import random
import threading
import time
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.label import labeler as labeling
from pipeline.label import lane, watch
from pipeline.label.server import ServerProfile
from pipeline.live.store import Store
from tests.pipeline.label import labelling
from tests.pipeline.label.labelling import PROBES, RIGHT, TEXTS, labels
from tests.support.llm_stand_in import MODEL, Reply, StandIn, asked_post, by_keyword, completion, error, tokens

label = partial(labelling.label, concurrency=0)


class Slots:
    """A server's reply that takes a while, a few at a time; knows how many questions were there at most."""

    def __init__(self, slots: int, seconds: float) -> None:
        self._slots, self._seconds, self._lock = threading.Semaphore(slots), seconds, threading.Lock()
        self.now = self.most = 0

    def __call__(self, request: dict[str, Any], count: int) -> Reply:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        with self._slots:
            time.sleep(self._seconds)
        with self._lock:
            self.now -= 1
        return by_keyword(request)


def props(slots: int) -> Reply:
    return Reply(body={"total_slots": slots, "default_generation_settings": {"n_ctx": 4096}})


def test_a_server_that_tells_its_slots_gets_one_question_more(store: Store) -> None:
    slots = Slots(3, 0.02)
    with StandIn(slots) as server:
        server.pages["/props"] = props(3)
        answers, _ = label(store, server.url)
    assert labels(answers) == RIGHT
    assert slots.most == 4


def test_a_single_slot_gets_one_question_at_a_time(store: Store) -> None:
    slots = Slots(1, 0.001)
    with StandIn(slots) as server:
        server.pages["/props"] = props(1)
        label(store, server.url)
    assert slots.most == 1


class Simulated:
    """A lane that is kept full and its server, in simulated time: how many at once, how busy were the slots."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, slots: int, seconds: float, timeout_s: float = 120, probe_s: float = 0.0
    ) -> None:
        self.now, self.slots, self.seconds = 0.0, slots, seconds
        self.most, self.done, self.slower = 0, 0, 1.0
        monkeypatch.setattr(lane, "time", self)
        monkeypatch.setattr(watch, "time", self)
        profile = ServerProfile("http://x/v1", "m", "logprobs", probe_s=probe_s or seconds)
        self.lane = lane.Lane("http://x/v1", SimpleNamespace(profile=profile), timeout_s=timeout_s)  # type: ignore[arg-type]
        self._free = [0.0] * slots  # when each slot has done what it has
        self._answers: list[tuple[float, float]] = []  # when it comes, when it was asked
        self._rng = random.Random(1)

    def monotonic(self) -> float:
        return self.now

    def answer(self, count: int, spread: float = 0.0) -> None:
        """Bring so many answers; each takes `seconds` in a slot, give or take a share of `spread`."""
        for _ in range(count):
            while len(self._answers) < self.lane.limit:
                took = self.seconds * self.slower * self._rng.uniform(1 - spread, 1 + spread)
                begin = max(self.now, heapq.heappop(self._free))
                heapq.heappush(self._free, begin + took)
                heapq.heappush(self._answers, (begin + took, self.now))
            self.most = max(self.most, len(self._answers))
            self.now, asked = heapq.heappop(self._answers)
            self.done += 1
            self.lane.answered(self.now - asked)

    @property
    def utilisation(self) -> float:
        return self.done * self.seconds / (self.slots * self.now)


@pytest.mark.parametrize("spread", [0.0, 0.25])
@pytest.mark.parametrize("slots", [3, 4, 7, 8, 16])
def test_the_slots_of_a_server_that_tells_nothing_are_found(
    monkeypatch: pytest.MonkeyPatch, slots: int, spread: float
) -> None:
    server = Simulated(monkeypatch, slots, 0.2)
    server.answer(60 * slots, spread)
    assert slots <= server.lane.limit <= 3 * slots
    assert server.utilisation >= (0.95 if slots <= 8 else 0.93)
    server.answer(3000, spread)
    assert slots <= server.lane.limit <= 3 * slots, "looking again and again does not let it grow"


def test_a_slow_server_with_one_slot_is_not_flooded(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Simulated(monkeypatch, 1, 30.0, timeout_s=120)
    server.answer(600)
    assert server.most == 2, "two at once: the second waits half a minute, no question comes near the timeout"
    quick = Simulated(monkeypatch, 1, 0.5, timeout_s=120)
    quick.answer(300)
    assert quick.most <= 8
    assert quick.lane.limit <= 5
    assert quick.utilisation == pytest.approx(1, abs=0.02)


def test_a_server_that_becomes_free_later_is_given_more(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Simulated(monkeypatch, 4, 0.2)
    server.answer(100)
    assert server.lane.limit <= 8
    server._free += [server.now] * 12
    server.answer(6000)
    assert server.lane.limit >= 16


def test_too_many_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Simulated(monkeypatch, 8, 0.2)
    server.answer(100)
    before = server.lane.limit
    server.lane.too_many()
    assert server.lane.limit == before * 3 // 4
    server.answer(300)
    assert server.lane.limit == before * 3 // 4


def test_a_server_that_gets_slower_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Simulated(monkeypatch, 8, 0.2)
    server.answer(1000)
    assert server.lane.watch.slowdown == pytest.approx(1, abs=0.1)
    assert str(server.lane.watch) == ""
    server.slower = 3.0
    server.answer(200)
    assert server.lane.watch.slowdown == pytest.approx(3, abs=0.3)
    assert " times slower than when this run began" in str(server.lane.watch)


def test_a_fixed_number_is_kept(store: Store) -> None:
    slots = Slots(8, 0.005)
    with StandIn(slots) as server:
        server.pages["/props"] = props(8)
        label(store, server.url, concurrency=2)
    assert slots.most <= 2


def test_a_storm_of_429_costs_no_post_its_label(store: Store) -> None:
    def stormy(request: dict[str, Any], count: int) -> Reply:
        return error(429, "too many requests", Retry_After="0") if 3 < count < 40 else by_keyword(request)

    with StandIn(stormy) as server:
        answers, opened = label(store, server.url, max_attempts=2)
        assert labels(answers) == RIGHT
        assert opened.lanes[0].limit < 4, "it is given less"


def waiting_for(other: StandIn, questions: int) -> Callable[[dict[str, Any], int], Reply]:
    """A server that stops answering after ten texts until the other was asked that many questions."""

    def answer(request: dict[str, Any], count: int) -> Reply:
        deadline = time.monotonic() + 20
        while count > 10 and len(other.asked) < questions and time.monotonic() < deadline:
            time.sleep(0.01)
        return by_keyword(request)

    return answer


def test_a_server_that_comes_back_works_again(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    def away(request: dict[str, Any], count: int) -> Reply:
        return error(404, "No models loaded") if 4 < count < 10 else by_keyword(request)

    with StandIn(away) as second, StandIn(waiting_for(second, 15)) as first:
        answers, opened = label(store, first.url, second.url, timeout_s=30)
        assert labels(answers) == RIGHT
        assert len(opened.servers) == 2
        assert len(second.asked) >= 15
    assert f"{second.url} labels again" in caplog.text


def test_a_server_that_was_not_there_at_the_start_joins_later(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    def late(request: dict[str, Any], count: int) -> Reply:
        return error(500, "boom") if count < 10 else by_keyword(request)

    with StandIn(late) as second, StandIn(waiting_for(second, 20)) as first:
        answers, _ = label(store, first.url, second.url, timeout_s=30)
        assert labels(answers) == RIGHT
        assert len(second.asked) >= 20
    assert f"{second.url} labels again" in caplog.text


def test_one_that_comes_back_with_another_model_stays_out(store: Store) -> None:
    def other(request: dict[str, Any], count: int) -> Reply:
        return error(500, "boom") if count < 4 else by_keyword(request, model="other")

    with StandIn(other) as second, StandIn(waiting_for(second, 5)) as first:
        answers, opened = label(store, first.url, second.url, timeout_s=30)
        assert labels(answers) == RIGHT
        assert opened.model == MODEL
        assert [server.profile.url for server in opened.servers] == [first.url]


def test_one_slow_answer_blocks_nothing(store: Store) -> None:
    order: list[str] = []

    def stalling(request: dict[str, Any], count: int) -> Reply:
        reply = by_keyword(request)
        if sorted(TEXTS)[0] in asked_post(request):
            reply.delay_s = 0.5
        order.append(asked_post(request))
        return reply

    with StandIn(stalling) as server:
        server.pages["/props"] = props(2)
        answers, _ = label(store, server.url)
    assert labels(answers) == RIGHT
    assert len(order) == PROBES + 30


FAULTS: list[Callable[[], Reply]] = [
    lambda: error(429, "slow down"),
    lambda: error(500, "boom"),
    lambda: error(503, "Loading model"),
    lambda: error(400, "'response_format.type' must be 'json_schema' or 'text'"),
    lambda: Reply(body=b"<html></html>", content_type="text/html"),
    lambda: Reply(body=completion("좋음", logprobs=tokens(좋음=-0.1)).data()[:-30]),
    lambda: Reply(body=completion("좋음", logprobs=tokens(좋음=-0.1)).body, cut=40),
    lambda: completion("최고", logprobs=tokens(최고=-0.1)),
    lambda: completion(""),
    lambda: Reply(body={"error": "context length exceeded"}),
    lambda: Reply(body=completion("좋음").body, delay_s=0.6),
]


def test_a_hailstorm_of_faults_ends_in_labels_or_reasons(store: Store) -> None:
    def hostile(request: dict[str, Any], count: int) -> Reply:
        return FAULTS[count // 2 % len(FAULTS)]() if count > 1 and count % 2 else by_keyword(request)

    with StandIn(hostile) as server:
        answers, _ = label(store, server.url, timeout_s=0.3, concurrency=4)
    assert len(answers) == len(TEXTS)
    for text, answer in answers.items():
        assert answer.label == RIGHT[text] or (answer.label is None and answer.note), text
    assert sum(answer.label is not None for answer in answers.values()) > 20
    assert len(TEXTS) < labeling.SMALL_JOB
