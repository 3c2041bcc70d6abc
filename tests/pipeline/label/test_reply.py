"""Reading replies: a label comes only from an answer that says it."""

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.label.no_label import Kind, NoLabel, error_text, refusal
from pipeline.label.reply import MODES, Mode, parse_body, read_answer
from pipeline.live.records import Answer
from tests.support.llm_stand_in import completion, tokens

WORDS = ("나쁨", "보통", "좋음")

KEYS = ["choices", "message", "content", "logprobs", "top_logprobs", "token", "bytes", "logprob", "mood", "error"]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.sampled_from(WORDS),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(
            st.sampled_from(KEYS),
            children,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(json_values, st.sampled_from(MODES))
def test_no_json_whatever_breaks_the_reader(value: Any, mode: Mode) -> None:
    for body in (value, {"choices": [{"message": {"content": value}, "logprobs": value}]}):
        with contextlib.suppress(NoLabel):
            assert read_answer(parse_body(json.dumps(body)), mode, WORDS).label in (0, 1, 2)


@given(st.lists(st.tuples(st.text(max_size=4), st.floats()), max_size=8))
def test_scores_are_probabilities_or_nothing(top: list[tuple[str, float]]) -> None:
    items = [{"token": token, "logprob": value} for token, value in [*top, ("좋음", -1.0)]]
    body = completion("좋음", logprobs={"content": [{"top_logprobs": items}]}).body
    with contextlib.suppress(NoLabel):
        answer = read_answer(body, "logprobs", WORDS)
        assert answer.label == 2
        assert answer.scores is not None
        assert math.isclose(sum(answer.scores), 1.0)
        assert all(0 <= score <= 1 for score in answer.scores)


def test_scores_sum_the_tokens_that_begin_a_word() -> None:
    top = tokens(**{" 좋": math.log(0.4), "좋음": math.log(0.2), "나": math.log(0.2), "다음": math.log(0.1)})
    answer = read_answer(completion(" 좋", logprobs=top).body, "logprobs", WORDS)
    assert answer.label == 2
    assert answer.scores == pytest.approx((0.25, 0.0, 0.75))
    assert answer.confidence == pytest.approx(0.75)


def test_a_token_of_half_a_character_counts_only_when_it_can_be_one_word_only() -> None:
    def top(*pieces: tuple[bytes, float]) -> dict[str, Any]:
        items = [{"token": "\ufffd", "bytes": list(raw), "logprob": math.log(p)} for raw, p in pieces]
        return {"content": [{"top_logprobs": items}]}

    good, bad = "좋".encode(), "나".encode()
    answer = read_answer(completion("\ufffd", logprobs=top((good[:2], 0.6), (bad, 0.3))).body, "logprobs", WORDS)
    assert answer.scores == pytest.approx((1 / 3, 0.0, 2 / 3))
    with pytest.raises(NoLabel):  # 나 and 보 share their first byte
        read_answer(completion("\ufffd", logprobs=top((bad[:1], 0.9))).body, "logprobs", WORDS)


@pytest.mark.parametrize("said", ["좋음", " 좋음.", '"좋음"', "**좋음**\n"])
def test_plain_text_answers(said: str) -> None:
    assert read_answer(completion(said).body, "text", WORDS) == Answer(label=2)


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("text", "긍정"),
        ("text", "좋음이 아니라 나쁨"),
        ("text", "좋음/나쁨"),
        ("text", "매우 좋음"),
        ("schema", '{"mood": "최고"}'),
        ("schema", '{"mood": "좋음"'),
        ("schema", '{"mood": ["좋음"]}'),
        ("schema", '{"mood": "좋음", "why": "x"}'),
        ("schema", "좋음"),
        ("schema", " \n\t \n" * 20),
        ("schema", ""),
        ("logprobs", "좋음"),
    ],
)
def test_anything_else_is_no_label(mode: Mode, said: str) -> None:
    with pytest.raises(NoLabel):
        read_answer(completion(said).body, mode, WORDS)


@pytest.mark.parametrize(
    "body",
    [
        completion("", reasoning_content="먼저 글을 읽어 보면").body,
        completion("<think>글은").body,
        completion("좋음").body | {"usage": {"completion_tokens_details": {"reasoning_tokens": 7}}},
    ],
)
def test_thinking_is_noticed(body: dict[str, Any]) -> None:
    with pytest.raises(NoLabel) as caught:
        read_answer(body, "text", WORDS)
    assert caught.value.kind is Kind.THINKING


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, "request (12008 tokens) exceeds the available context size (2048 tokens)", Kind.OVERFLOW),
        (400, "Trying to keep the first 900 tokens when context the overflows.", Kind.OVERFLOW),
        (404, "No models loaded. Please load a model in the developer page", Kind.NO_MODEL),
        (400, 'Failed to load model "x". Error: out of memory', Kind.NO_MODEL),
        (404, "The model `x` does not exist.", Kind.NO_MODEL),
        (401, "Invalid API key", Kind.UNAUTHORISED),
        (403, "You are not allowed to request logprobs from this model", Kind.REFUSED),
        (404, "Not Found", Kind.WRONG_ADDRESS),
        (503, "Loading model", Kind.LOADING),
        (429, "slow down", Kind.BUSY),
        (500, "boom", Kind.FAILED),
        (400, "The model has crashed without additional information", Kind.FAILED),
        (400, "prompt triggering content management policy", Kind.FILTERED),
        (451, "not here", Kind.FILTERED),
        (400, "temperature must be 1", Kind.REFUSED),
        (402, "Payment required", Kind.NO_CREDIT),
    ],
)
def test_errors_are_told_apart(status: int, body: str, kind: Kind) -> None:
    problem = refusal(status, {"error": {"message": body, "code": None}})
    assert (problem.kind, body in problem.reason) == (kind, True)
    assert refusal(status, body).kind is kind


def test_an_error_says_its_kind_by_its_code_too() -> None:
    assert refusal(400, {"error": {"message": "no", "code": "content_filter"}}).kind is Kind.FILTERED
    assert refusal(429, {"error": {"message": "no", "code": "insufficient_quota"}}).kind is Kind.NO_CREDIT


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": {"message": "x"}}, "x"),
        ({"error": "x"}, "x"),
        ({"message": "x", "code": 400}, "x"),
        ({"detail": {"error": {"message": "x"}}}, "x"),
        ({"detail": [{"loc": ["body"], "msg": "x"}]}, "x"),
        ("x", "x"),
        ({}, "no reason given"),
        ({"error": {"error": {"error": {"error": {"error": "x"}}}}}, "an error of an unknown form"),
        ({"error": "a\n\tb\x00c\ud800d" + 999 * "e"}, "a b\ufffdc\ufffdd" + 293 * "e"),
    ],
)
def test_the_message_of_an_error_is_found(body: Any, said: str) -> None:
    assert error_text(body) == said
