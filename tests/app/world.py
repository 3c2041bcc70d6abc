"""A small world for the page's tests: 40 posts in a real SQLite file, and a classifier that reads four words."""

import asyncio
import math
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn

from app.guard import Site
from app.server import configured, create_app
from app.services import Services
from app.suspects import Suspects
from pipeline.clock import KST
from pipeline.evaluate.suspects import COLUMNS
from pipeline.files import write_csv
from pipeline.live.records import Feedback, Post, Prediction
from pipeline.live.store import Store

CANARY = '<img src=x onerror="window.canary=1"> ![x](http://outside.example/x.png)'
VERSION = "20261122T061500"
NOW = datetime(2026, 11, 22, 15, 0, tzinfo=KST)
_MOODS = {"갓캐": 2.0, "최고": 2.0, "너프": -2.0, "망겜": -2.0}


@dataclass(frozen=True)
class Verdict:
    """The contract's verdict."""

    label: int
    probabilities: tuple[float, float, float]
    confidence: float
    tokens: tuple[tuple[str, float], ...]
    certain: bool


class WordClassifier:
    """Counts four words; keeps the contract of `pipeline.serve.classifier.Classifier`."""

    version = VERSION

    def predict(self, texts: Sequence[str], explain: bool = False) -> list[Verdict]:
        """A verdict for each text."""
        return [self._judge(text, explain) for text in texts]

    def _judge(self, text: str, explain: bool) -> Verdict:
        weights = [(word, _MOODS.get(word, 0.0)) for word in text.split()]
        total = sum(weight for _, weight in weights)
        odds = [math.exp(-total), math.exp(0.5), math.exp(total)]
        shares = (odds[0] / sum(odds), odds[1] / sum(odds), odds[2] / sum(odds))
        label = shares.index(max(shares))
        sign = label - 1
        tokens = tuple((word, weight * sign / 4) for word, weight in weights) if explain else ()
        return Verdict(label, shares, shares[label], tokens, shares[label] >= 0.5)


class Model:
    """A model provider whose model can be taken away."""

    def __init__(self, classifier: Any = None, warming_up: bool = False, outdated: bool = False) -> None:
        self.classifier, self.warming_up, self.outdated = classifier, warming_up, outdated

    def current(self) -> Any:
        """The classifier, or None."""
        return self.classifier


def fill(store: Store, now: datetime = NOW) -> None:
    """40 posts of the last days: 30 of 비숍, 6 of 아델, 3 of 캡틴, one without a job and with a hostile title."""
    jobs = [("마법사", "비숍", 2295)] * 30 + [("전사", "아델", 2294)] * 6 + [("해적", "캡틴", 2298)] * 3
    posts = [
        Post(
            board_id=board,
            post_id=1000 + number,
            category=job,
            job_group=group,
            job=job,
            title=f"{job} 이야기 {number}",
            body="본문",
            url=f"https://www.inven.co.kr/board/maple/{board}/{1000 + number}",
            posted_at=now - timedelta(hours=3 * (40 - number)),
            collected_at=now - timedelta(minutes=40 - number),
        )
        for number, (group, job, board) in enumerate(jobs)
    ]
    hostile = Post(5974, 1, None, None, None, CANARY, "본문", "https://x/](javascript:alert(1))", now, now, 1, 1, 1)
    store.add_posts([*posts, hostile])
    words = {"비숍": "비숍 파티 힐", "아델": "아델 검기 손맛", "캡틴": "캡틴 배틀쉽"}
    store.save_keywords(
        "test", [(number + 1, f"{words[post.job or '']} 사냥") for number, post in enumerate(posts)] + [(40, "사냥")]
    )
    store.set_post_labels(
        [
            {"board_id": post.board_id, "post_id": post.post_id, "label": number % 3, "confidence": 0.9, "labeler": "t"}
            for number, post in enumerate(posts[:20])
        ]
    )
    store.save_predictions(VERSION, [Prediction(post.board_id, post.post_id, 2, 0.8) for post in posts[18:38]])
    store.add_feedback(Feedback(text="비숍 이야기 0", label=2, board_id=2295, post_id=1000, source="imported:old"))


def services_of(store: Store, model: Model, suspects: Path = Path("none.csv"), **options: Any) -> Services:
    """The page's services with the project's sizes. `suspects` is the file of suspicious labels."""
    options = {"stopwords": lambda: {"이야기"}, "suspects": Suspects(store, suspects), **options}
    return Services(store, model, chunk_size=1000, archive_size=100, **options)


def flag(path: Path, *posts: tuple[int, int], source: str = "chunk-0001") -> Path:
    """A file of suspicious labels as `evaluate` writes it: these posts, 부정 that may be 긍정."""
    marks = {"label": "부정", "label_probability": 0.1, "suggested": "긍정", "suggested_probability": 0.8}
    ids = [{"row": i, "board_id": board, "post_id": post} for i, (board, post) in enumerate(posts)]
    write_csv(path, [{**one, **marks, "source": source, "excerpt": ""} for one in ids], COLUMNS)
    return path


class Running:
    """The page over these services, as it is served, on a free port of 127.0.0.1."""

    def __init__(self, services: Services, site: Site | None = None) -> None:
        self._services = services
        self._site = site or Site()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server: uvicorn.Server | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self._config.http.keywords["connections"])  # type: ignore[union-attr]

    async def _serve(self) -> None:
        # Made inside a running loop, because Gradio makes one for each of its locks otherwise and closes none.
        self.app = create_app(self._services, self._site)
        self._config = configured(self.app, self._site, log_level="critical")
        self._server = uvicorn.Server(self._config)
        await self._server.serve(sockets=[self._socket])

    def __enter__(self) -> "Running":
        self._thread.start()
        deadline = time.monotonic() + 60
        while not (self._server and self._server.started):
            assert self._thread.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server
        self._server.should_exit = True
        self._thread.join(timeout=20)
        self._socket.close()
