"""A server that cuts long questions silently is found out by the tokens that it counts, before the chunk begins."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.files import write_csv
from pipeline.label.chunk import label_chunk
from pipeline.label.no_label import NoLabel
from pipeline.label.prompt import load_prompt
from pipeline.label.records import LabelServerError
from pipeline.label.server import Server
from pipeline.label.truncation import Counts, long_post, require_whole
from pipeline.layout import CHUNK_COLUMNS, labeled_path, raw_path
from pipeline.live.store import Store
from tests.pipeline.label.labelling import PARAMS, PROBES, settings_for
from tests.support.llm_server import llm_url  # noqa: F401
from tests.support.llm_stand_in import Reply, StandIn, by_keyword, error

PROMPT = load_prompt("mood-1")
RATE = 1.25  # tokens a character of the stand-ins' vocabulary
FRAME = 4  # tokens of a turn's frame

Messages = list[dict[str, str]]
Cut = Callable[[Messages, int], int]


def size(messages: Messages) -> int:
    return int(sum(len(turn["content"]) * RATE + FRAME for turn in messages))


def whole(messages: Messages, context: int) -> int:
    return size(messages)


def drop_oldest(messages: Messages, context: int) -> int:
    """Ollama: whole messages, the oldest first; the last stays."""
    kept = list(messages)
    while size(kept) > context and len(kept) > 1:
        kept.pop(0)
    return min(size(kept), context)


def keep_the_end(messages: Messages, context: int) -> int:
    return min(size(messages), context)


def halve(messages: Messages, context: int) -> int:
    """llama.cpp as it once was: half of the context goes."""
    return size(messages) if size(messages) <= context else context // 2


def counting(cut: Cut, context: int) -> StandIn:
    def answer(request: dict[str, Any], count: int) -> Reply:
        reply = by_keyword(request)
        tokens = cut(request["messages"], context)
        reply.body["usage"] = {"prompt_tokens": tokens, "completion_tokens": 1, "total_tokens": 9}
        return reply

    return StandIn(answer)


def checked(server: StandIn, chars: int = 600) -> tuple[Counts | None, Server]:
    async def go() -> tuple[Counts | None, Server]:
        async with await Server.connect(server.url, PROMPT, timeout_s=20) as opened:
            return await require_whole(opened, PROMPT, chars), opened

    return asyncio.run(go())


NEEDED = size(PROMPT.messages(long_post(PROMPT, 600)))  # about 2,600 tokens
BARE = size(PROMPT.messages(""))  # about 1,500


def test_a_long_post_is_as_long_as_one_may_be_and_made_of_ordinary_words() -> None:
    for chars in (20, 300, 600, 5000):
        post = long_post(PROMPT, chars)
        assert 1.5 * chars - 2 <= len(post) <= 1.5 * chars
    assert PROMPT.calibration[0].title in long_post(PROMPT, 600)


def test_counts_that_add_up_are_whole_and_say_what_any_question_has_at_least() -> None:
    with counting(whole, 0) as server:
        counts, opened = checked(server)
        assert counts is not None
        assert counts.lost == 0
        assert opened.least_tokens == counts.fixed
        assert BARE - 60 < counts.fixed <= BARE
        assert len(server.asked) == PROBES + 5


def test_the_real_servers_counts_add_up(llm_url: str) -> None:  # noqa: F811
    async def go() -> Counts | None:
        async with await Server.connect(llm_url, PROMPT, timeout_s=60) as server:
            return await require_whole(server, PROMPT, 600)

    counts = asyncio.run(go())
    assert counts is not None
    assert counts.lost == 0
    assert abs(counts.post - (counts.long - counts.short)) <= 2, "what a post adds is what it has"


@pytest.mark.parametrize("cut", [drop_oldest, keep_the_end, halve])
@pytest.mark.parametrize("context", [256, 512, 1024, 1536, 2048, NEEDED - 40])
def test_a_server_that_cuts_is_found_out(cut: Cut, context: int) -> None:
    with (
        counting(cut, context) as server,
        pytest.raises(LabelServerError, match="cuts what is longer than its context"),
    ):
        checked(server)


@pytest.mark.parametrize("cut", [drop_oldest, keep_the_end, halve])
def test_a_context_that_is_large_enough_is(cut: Cut) -> None:
    with counting(cut, NEEDED) as server:
        counts, _ = checked(server)
        assert counts is not None


def test_a_shorter_post_that_would_fit_is_named() -> None:
    with (
        counting(drop_oldest, 2200) as server,
        pytest.raises(LabelServerError, match=r"or set label.max_chars to 300$"),
    ):
        checked(server)
    with counting(drop_oldest, 1000) as server, pytest.raises(LabelServerError, match=r"tokens or more$"):
        checked(server)


def test_a_server_that_refuses_what_is_too_long_is_told_from_one_that_cuts() -> None:
    def loud(request: dict[str, Any], count: int) -> Reply:
        if size(request["messages"]) > 2000:
            return error(400, "prompt is too long: it exceeds the context window")
        reply = by_keyword(request)
        reply.body["usage"] = {"prompt_tokens": size(request["messages"])}
        return reply

    with StandIn(loud) as server, pytest.raises(LabelServerError, match=r"refuses a post of 600 .*max_chars to 150$"):
        checked(server)


def test_where_nobody_counts_it_is_said_that_it_can_not_be_checked(caplog: pytest.LogCaptureFixture) -> None:
    with StandIn() as server, caplog.at_level(logging.WARNING):
        counts, opened = checked(server)
        assert counts is None
        assert "does not count" in opened.unchecked
        assert len(server.asked) == PROBES
    with counting(lambda messages, context: 700, 0) as server:
        counts, opened = checked(server)
        assert counts is None
        assert "does not count" in opened.unchecked
        assert len(server.asked) == PROBES + 1


@pytest.mark.parametrize("tokens", [-5, 0, True, "700", 1.5, None, 10**30, float("nan")])
def test_a_count_that_is_none_is_no_count(tokens: Any) -> None:
    with counting(lambda messages, context: tokens, 0) as server:
        counts, opened = checked(server)
        assert (counts, opened.usage) == (None, None)


def test_a_server_that_begins_to_cut_later_stops_the_run() -> None:
    """It was started again with less context: the oldest messages go, and the instructions with them."""
    context = NEEDED

    def shrinking(messages: Messages, _: int) -> int:
        return drop_oldest(messages, context)

    async def go(url: str) -> None:
        nonlocal context
        async with await Server.connect(url, PROMPT, timeout_s=20) as server:
            assert await require_whole(server, PROMPT, 600)
            assert (await server.ask("오늘 최고")).label == 2
            context = BARE - 100
            with pytest.raises(NoLabel, match="has cut the question") as caught:
                await server.ask("오늘 최고")
            assert caught.value.kind.fatal

    with counting(shrinking, 0) as server:
        asyncio.run(go(server.url))


def test_no_chunk_is_labelled_by_a_server_that_cuts(store: Store, tmp_path: Path) -> None:
    rows = [dict.fromkeys(CHUNK_COLUMNS, "") | {"title": f"{i}번", "body": "최고 " + "가" * 10 * i} for i in range(40)]
    write_csv(raw_path("0007", tmp_path), rows, CHUNK_COLUMNS)
    with counting(drop_oldest, 2200) as server:
        server.pages["/v1/models"] = Reply(body={"data": [{"id": "some:7b", "owned_by": "library"}]})
        before = len(server.asked)
        with pytest.raises(LabelServerError, match="OLLAMA_CONTEXT_LENGTH"):
            label_chunk(7, settings=settings_for(server.url), store=store, params=PARAMS, root=tmp_path)
        assert not labeled_path("0007", tmp_path).exists()
        assert len(server.asked) < before + 15
        shorter = {**PARAMS, "max_chars": 300}
        report = label_chunk(7, settings=settings_for(server.url), store=store, params=shorter, root=tmp_path)
        assert report.labelled == 40
    with StandIn() as server:
        report = label_chunk(7, settings=settings_for(server.url), store=store, params=PARAMS, root=tmp_path)
        assert any("can't be checked" in warning for warning in report.warnings)
