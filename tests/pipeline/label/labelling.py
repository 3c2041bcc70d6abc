"""Thirty texts of known mood, and labelling them by servers at some addresses."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline import settings as configuration
from pipeline.label import server
from pipeline.label.labeler import Labeler, open_labeler
from pipeline.label.options import Options
from pipeline.label.records import Progress
from pipeline.live.records import Answer
from pipeline.live.store import Store
from pipeline.settings import Settings
from tests.support.llm_stand_in import StandIn, asked_post

PARAMS = {
    "prompt": "mood-1",
    "answer_mode": "auto",
    "samples": 0,
    "max_chars": 600,
    "min_coverage": 0.95,
    "concurrency": 2,
    "reload": False,
    "timeout_s": 5,
    "max_attempts": 3,
    "gold_sample": 0,
    "min_kappa": 0.2,
    "max_kappa_drop": 0.2,
    "repeat_share": 0.0,
    "max_canaries": 1.0,
}
PROBES = len(server.PROBES)  # questions of the start-up probe, where there are probabilities
TEXTS = [f"{number}번 글, 오늘 {('최고', '망했', '그냥')[number % 3]}" for number in range(30)]
RIGHT = {text: (2, 0, 1)[number % 3] for number, text in enumerate(TEXTS)}


def settings_for(*urls: str) -> Settings:
    return configuration.load({"LLM_ENDPOINTS": ",".join(urls)}, env_file=Path("no.env"))


def label(
    store: Store,
    *urls: str,
    texts: list[str] = TEXTS,
    raw: bool = True,
    on_progress: Callable[[Progress], None] | None = None,
    **params: Any,
) -> tuple[dict[str, Answer], Labeler]:
    """The answers to the texts, raw or calibrated, by servers at these addresses."""

    async def go() -> tuple[dict[str, Answer], Labeler]:
        labeler = await open_labeler(settings_for(*urls), store, Options.of({**PARAMS, **params}))
        try:
            method = labeler.raw_answers if raw else labeler.answers
            return await method(texts, on_progress), labeler
        finally:
            await labeler.close()

    return asyncio.run(go())


def labels(answers: dict[str, Answer]) -> dict[str, int | None]:
    return {text: answer.label for text, answer in answers.items()}


def posts_asked(stand_in: StandIn) -> list[str]:
    """The posts of `TEXTS` that a server was asked about, without probes."""
    asked = [asked_post(request).removeprefix("[글]\n").removesuffix("\n[/글]\n기분:") for request in stand_in.asked]
    return [post for post in asked if post in RIGHT]
