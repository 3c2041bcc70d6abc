"""One visitor's events do not fill the queue for the others."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app import queue
from app.queue import WAITING
from pipeline.live.store import Store
from tests.app.world import Model, Running, WordClassifier, fill, services_of

FLOOD = 200


class Thinking(WordClassifier):
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()

    def predict(self, texts: Any, explain: bool = False) -> Any:
        assert self.may_answer.wait(30)
        return super().predict(texts, explain)


@pytest.fixture
def classifier() -> Thinking:
    return Thinking()


@pytest.fixture
def running(tmp_path, monkeypatch, classifier) -> Iterator[Running]:
    monkeypatch.setattr(queue, "EVENTS_PER_MINUTE", 20 + WAITING)
    with Store(f"sqlite:///{tmp_path / 'live.db'}") as store:
        fill(store)
        with Running(services_of(store, Model(classifier))) as page:
            yield page


def client_at(running: Running, address: str) -> httpx.AsyncClient:
    transport = httpx.AsyncHTTPTransport(local_address=address, limits=httpx.Limits(max_connections=50))
    return httpx.AsyncClient(base_url=f"{running.url}/gradio_api", transport=transport, timeout=30)


async def push(client: httpx.AsyncClient, name: str, *data: str) -> httpx.Response:
    return await client.post(f"/call/{name}", json={"data": data})


async def ask(client: httpx.AsyncClient, name: str, *data: str) -> str:
    joined = await push(client, name, *data)
    assert joined.status_code == 200, joined.text
    return (await client.get(f"/call/{name}/{joined.json()['event_id']}")).text


def test_a_flood_is_refused_and_the_others_are_answered(running: Running, classifier: Thinking):
    async def visitors() -> None:
        async with client_at(running, "127.0.0.1") as flooding, client_at(running, "127.0.0.2") as honest:
            answers = await asyncio.gather(*(push(flooding, "analyse", "가 나 다") for _ in range(FLOOD)))
            counted = Counter(answer.status_code for answer in answers)
            assert counted == {200: WAITING, 429: FLOOD - WAITING}
            refused = next(answer for answer in answers if answer.status_code == 429)
            assert "다시 해 주세요" in refused.json()["detail"]
            assert '"posts": 40' in await ask(flooding, "dashboard", "7일", "전체", "전체")  # another queue
            joined = await push(honest, "analyse", "비숍 갓캐")
            assert joined.status_code == 200
            classifier.may_answer.set()
            answer = await honest.get(f"/call/analyse/{joined.json()['event_id']}")
            assert "complete" in answer.text

    asyncio.run(visitors())


def test_too_many_events_a_minute_are_refused_whatever_they_are(running: Running):
    async def visitor() -> None:
        async with client_at(running, "127.0.0.1") as one, client_at(running, "127.0.0.2") as other:
            counted: Counter[int] = Counter()
            for _ in range(queue.EVENTS_PER_MINUTE + 5):
                joined = await push(one, "dashboard", "없는 기간", "전체", "전체")
                counted[joined.status_code] += 1
                if joined.status_code == 200:
                    await one.get(f"/call/dashboard/{joined.json()['event_id']}")
            assert counted == {200: queue.EVENTS_PER_MINUTE, 429: 5}
            assert '"posts": 40' in await ask(other, "dashboard", "7일", "전체", "전체")

    asyncio.run(visitor())
