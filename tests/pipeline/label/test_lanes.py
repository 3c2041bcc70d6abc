"""How many questions a server is given at once; servers that go and come back; storms of refusals."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import settings as configuration
from pipeline.label import labeler as labeling
from pipeline.label import run
from pipeline.label.answer import Answer
from pipeline.label.labeler import Labeler, open_labeler
from pipeline.label.lane import Lane
from pipeline.label.options import Options
from pipeline.store import Store
from tests.llm_stand_in import MODEL, Reply, StandIn, asked_post, by_keyword, completion, error, tokens
from tests.pipeline.label.test_label_run import PARAMS, RIGHT, TEXTS


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(f"sqlite:///{tmp_path / 'live.db'}") as opened:
        yield opened


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "BACKOFF_S", (0.01, 0.02))
    monkeypatch.setattr(run, "REVIVE_S", (0.05, 0.1))


def label(store: Store, *urls: str, texts: list[str] = TEXTS, **params: Any) -> tuple[dict[str, Answer], Labeler]:
    settings = configuration.load({"LLM_ENDPOINTS": ",".join(urls)}, env_file=Path("no.env"))

    async def go() -> tuple[dict[str, Answer], Labeler]:
        opened = await open_labeler(settings, store, Options.of({**PARAMS, "concurrency": 0, **params}))
        try:
            return await opened.raw_answers(texts), opened
        finally:
            await opened.close()

    return asyncio.run(go())


def labels(answers: dict[str, Answer]) -> dict[str, int | None]:
    return {text: answer.label for text, answer in answers.items()}


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


def test_the_limit_grows_while_it_pays() -> None:
    clock = Clock()
    with clock:
        lane = Lane("http://x", None)
    for _ in range(200):  # a server with room for 16, whose answers take a second each
        clock.forward(1 / min(lane.limit, 16))
        with clock:
            lane.answered()
    assert 12 <= lane.limit <= 24
    lane.too_many()
    assert lane.limit < 18
    with clock:
        crowded = Lane("http://x", None)
    for _ in range(200):  # more questions at once bring nothing
        clock.forward(0.25)
        with clock:
            crowded.answered()
    assert crowded.limit == 4


class Clock:
    """Time that only moves when told, in place of `time.monotonic`."""

    def __init__(self) -> None:
        self.now = time.monotonic()
        self._patch = pytest.MonkeyPatch()

    def forward(self, seconds: float) -> None:
        self.now += seconds

    def __enter__(self) -> None:
        self._patch.setattr(time, "monotonic", lambda: self.now)

    def __exit__(self, *_: object) -> None:
        self._patch.undo()


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
        return error(500, "boom") if count < 4 else by_keyword(request)

    with StandIn(late) as second, StandIn(waiting_for(second, 8)) as first:
        answers, _ = label(store, first.url, second.url, timeout_s=30)
        assert labels(answers) == RIGHT
        assert len(second.asked) >= 8
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
    assert len(order) == 31


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
