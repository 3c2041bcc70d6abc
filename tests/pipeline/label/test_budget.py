"""Whether what a post may take fits a server's context is known before the first post is asked."""

import asyncio
import logging
from pathlib import Path

import pytest

from pipeline.files import write_csv
from pipeline.label.budget import require_room, room_for_post
from pipeline.label.chunk import label_chunk
from pipeline.label.prompt import load_prompt
from pipeline.label.records import LabelServerError
from pipeline.label.server import PROBE, Server, ServerProfile
from pipeline.layout import CHUNK_COLUMNS as RAW_COLUMNS
from pipeline.layout import raw_path
from pipeline.live.store import Store
from tests.pipeline.label.labelling import PARAMS, PROBES, TEXTS, settings_for
from tests.support.llm_server import llm_url  # noqa: F401
from tests.support.llm_stand_in import Reply, StandIn

PROMPT = load_prompt("mood-1")


def profile(context: int | None, prompt_tokens: int | None = 900) -> ServerProfile:
    return ServerProfile("http://127.0.0.1:9/v1", "m", "logprobs", context=context, prompt_tokens=prompt_tokens)


def test_room_is_what_prompt_and_answer_leave() -> None:
    assert room_for_post(profile(4096), PROMPT) == 4096 - 900 - 1
    assert room_for_post(profile(None), PROMPT) is None
    bound = sum(len(turn["content"].encode()) for turn in PROMPT.messages(PROBE))
    assert room_for_post(profile(9000, prompt_tokens=None), PROMPT) == 9000 - bound - 1


def room_at(url: str, texts: list[str], max_chars: int) -> None:
    async def go() -> None:
        async with await Server.connect(url, PROMPT, timeout_s=30) as server:
            await require_room(server, PROMPT, texts, max_chars, 0.0)

    asyncio.run(go())


def props(context: int) -> Reply:
    return Reply(body={"total_slots": 2, "default_generation_settings": {"n_ctx": context}})


def test_max_chars_that_may_not_fit_stop_the_chunk_before_it_begins(store: Store, tmp_path: Path) -> None:
    with StandIn() as server:  # counts no tokens: the prompt's bound is its bytes
        bound = sum(len(turn["content"].encode()) for turn in PROMPT.messages(PROBE)) + 1
        server.pages["/props"] = props(bound + 2400)
        room_at(server.url, TEXTS, 600)
        server.pages["/props"] = props(bound + 2399)
        with pytest.raises(LabelServerError, match=r"600 may take 2,400.*or set label.max_chars to 599"):
            room_at(server.url, TEXTS, 600)
        server.pages["/props"] = props(100)
        with pytest.raises(LabelServerError, match=r"leaves 0 for a post.*of context or more .llama.cpp: [^)]*\)$"):
            room_at(server.url, TEXTS, 600)
        write_csv(raw_path("0007", tmp_path), [dict.fromkeys(RAW_COLUMNS, "") | {"title": "최고"}], RAW_COLUMNS)
        before = len(server.asked)
        with pytest.raises(LabelServerError, match="a context of 100 tokens"):
            label_chunk(7, settings=settings_for(server.url), store=store, params=PARAMS, root=tmp_path)
        assert len(server.asked) == before + PROBES


def test_one_server_with_room_is_enough(store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_csv(raw_path("0007", tmp_path), [dict.fromkeys(RAW_COLUMNS, "") | {"title": "최고"}], RAW_COLUMNS)
    with StandIn() as small, StandIn() as large, caplog.at_level(logging.WARNING):
        small.pages["/props"] = props(2048)
        large.pages["/props"] = props(32768)
        settings = settings_for(small.url, large.url)
        assert label_chunk(7, settings=settings, store=store, params=PARAMS, root=tmp_path).labelled == 1
        assert len(small.asked) == PROBES
    assert f"{small.url} has a context of 2,048 tokens" in caplog.text


def test_the_real_server_counts_the_tokens_of_these_very_texts(
    llm_url: str,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def go() -> None:
        async with await Server.connect(llm_url, PROMPT, timeout_s=60) as server:
            room = room_for_post(server.profile, PROMPT)
            assert room is not None
            assert 2500 < room < 4000, "the probe's question was counted by the server"
            counts = await server.count_tokens(["가", "가 나 다 라", "뷁" * 10])
            assert counts is not None
            assert 0 < counts[0] < counts[1] < counts[2] <= 31
            long, rare = "오늘 사냥터 " * 300, "뷁" * room  # 2,100 ordinary characters; three tokens each
            await require_room(server, PROMPT, [long], 3000, 0.0)
            with pytest.raises(LabelServerError, match="1 of 2 texts have more than that"):
                await require_room(server, PROMPT, [long, rare], 3000, 0.05)
            with caplog.at_level(logging.WARNING):
                await require_room(server, PROMPT, [long] * 19 + [rare], 3000, 0.05)
            assert f"1 of 20 texts have more than {room} tokens" in caplog.text

    asyncio.run(go())
