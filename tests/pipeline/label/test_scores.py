"""Scores are believed only where they agree with what the message says, and no part of a character decides."""

import math
import random
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.label.no_label import Kind, NoLabel
from pipeline.label.reply import read_answer
from pipeline.label.scores import read_scores, word_scores
from pipeline.live.store import Store
from tests.pipeline.label.labelling import RIGHT, TEXTS, label, labels
from tests.support.llm_stand_in import Reply, StandIn, asked_post, by_keyword, completion

WORDS = ("나쁨", "보통", "좋음")


def token(text: str, probability: float, raw: bytes | None = None) -> dict[str, Any]:
    return {"token": text, "logprob": math.log(probability), "bytes": list(raw or text.encode())}


def logprobs(*alternatives: dict[str, Any], sampled: dict[str, Any] | None = None) -> dict[str, Any]:
    """The first token's entry; the sampled token is the first alternative unless it is named."""
    return {"content": [{**(sampled or alternatives[0]), "top_logprobs": list(alternatives)}]}


def kind(said: str, entry: Any) -> Kind:
    with pytest.raises(NoLabel) as caught:
        read_scores(entry, said, WORDS)
    return caught.value.kind


def test_the_sampled_token_counts_among_the_alternatives() -> None:
    """LMDeploy leaves it out of them."""
    entry = logprobs(token("보통", 0.1), token("나쁨", 0.04), sampled=token("좋음", 0.86))
    assert read_scores(entry, "좋음", WORDS) == (2, pytest.approx((0.04, 0.1, 0.86)))
    again = logprobs(token("좋음", 0.86), token("보통", 0.1), token("나쁨", 0.04))
    assert word_scores(again, WORDS) == pytest.approx((0.04, 0.1, 0.86)), "counted once"


def test_an_empty_place_of_the_sampled_token_is_none() -> None:
    entry = logprobs(token("좋음", 0.9), token("나쁨", 0.1), sampled={"token": "", "bytes": [], "logprob": 0.0})
    assert read_scores(entry, "좋음", WORDS)[0] == 2


@pytest.mark.parametrize(
    ("said", "entry"),
    [
        ("좋음", logprobs(token("나쁨", 0.9), token("좋음", 0.1))),  # another position's alternatives, perhaps
        ("좋음", logprobs(token("나", 0.3), token("나쁨", 0.3), token("좋음", 0.35))),  # two tokens of another word
        ("글쎄", logprobs(token("글쎄", 0.45), token("좋음", 0.5), token("나쁨", 0.05))),
        ("", logprobs(token("\ufffd", 0.15), token("좋음", 0.5), token("나쁨", 0.3))),  # nobody says what was sampled
        ("좋음", logprobs(token("\ufffd", 0.3), token("좋음", 0.6), token("나쁨", 0.1))),
        ("좋음", logprobs(token("좋음", 0.4), token("나쁨", 0.05), token("다음", 0.4))),
        ("좋음", logprobs(token("ì¢ĭìĿĮ", 0.9), token("ëĤĺìģ¨", 0.1))),  # in a byte tokenizer's own alphabet
        ("좋음", {"content": [token("좋음", 0.2)]}),  # the sampled token alone, and it is not likely
    ],
)
def test_a_score_that_disagrees_or_is_nobodys_is_not_used(said: str, entry: Any) -> None:
    assert kind(said, entry) is Kind.NONSENSE


def test_a_near_tie_of_a_word_in_two_tokens_is_no_disagreement() -> None:
    """Seen of Gemma 3 270M in 1 text of 198: 나 alone is the likeliest token, 보 and 보통 together a little more."""
    entry = logprobs(token("나", 0.35), token("보통", 0.30), token("보", 0.1), token("좋", 0.1))
    assert read_scores(entry, "나", WORDS) == (0, pytest.approx((0.35 / 0.85, 0.4 / 0.85, 0.1 / 0.85)))


@pytest.mark.parametrize(
    "broken",
    [
        {"token": "나쁨", "logprob": -(10**400)},
        {"token": "나쁨", "logprob": True},
        {"token": "나쁨", "logprob": None},
        {"token": "나쁨", "logprob": "-0.1"},
        {"token": "나쁨", "logprob": float("nan")},
        {"token": "나쁨", "logprob": 3.0},
        {"token": ["나쁨"], "logprob": -1.0},
        {"token": "나쁨", "bytes": [10**30], "logprob": -1.0},
        {"token": "나쁨", "bytes": [-1], "logprob": -1.0},
        {"token": "나쁨", "bytes": ["a"], "logprob": -1.0},
        {"token": "\ud800", "logprob": -1.0},
        ["나쁨", -1.0],
        None,
    ],
)
def test_alternatives_that_are_none_are_malformed(broken: Any) -> None:
    entry = {"content": [{**token("좋음", 0.9), "top_logprobs": [token("좋음", 0.9), broken]}]}
    assert kind("좋음", entry) is Kind.MALFORMED


def test_probabilities_that_add_up_to_more_than_one_are_malformed() -> None:
    assert kind("좋음", logprobs(token("좋음", 0.9), token("나쁨", 0.9))) is Kind.MALFORMED


def test_minus_infinity_is_a_probability_of_nothing() -> None:
    entry = logprobs(token("좋음", 0.9), {"token": "나쁨", "logprob": float("-inf")})
    assert read_scores(entry, "좋음", WORDS)[1] == (0.0, 0.0, 1.0)


@pytest.mark.parametrize("entry", [None, [], {}, {"content": None}, {"content": []}, {"content": ["x"]}])
def test_no_scores_at_all(entry: Any) -> None:
    assert kind("좋음", entry) is Kind.NONSENSE
    with pytest.raises(NoLabel):
        read_answer(completion("좋음", logprobs=entry).body, "logprobs", WORDS)


# --- found out before the chunk begins ----------------------------------------------------------------


def right_about(request: dict[str, Any]) -> int:
    """What the stand-in's model means."""
    post = asked_post(request)
    return next((mood for text, mood in RIGHT.items() if text in post), 1)


Encoder = Callable[[int, list[float]], tuple[str, dict[str, Any]]]


def ollama_with_byte_tokens(word: int) -> Encoder:
    """This word begins with a token that is a part of a character, which Ollama and vLLM write as U+FFFD."""

    def encode(right: int, odds: list[float]) -> tuple[str, dict[str, Any]]:
        names = ["\ufffd" if label == word else WORDS[label][0] for label in range(3)]
        ranked = sorted(zip(names, odds, strict=True), key=lambda item: -item[1])
        return ranked[0][0], logprobs(*(token(name, p) for name, p in ranked))

    return encode


def lmdeploy(right: int, odds: list[float]) -> tuple[str, dict[str, Any]]:
    others = [token(WORDS[label], odds[label]) for label in range(3) if label != right]
    return WORDS[right], logprobs(*others, sampled=token(WORDS[right], odds[right]))


def byte_alphabet(right: int, odds: list[float]) -> tuple[str, dict[str, Any]]:
    written = [f"ì¢ĭ{label}" for label in range(3)]
    return WORDS[right], logprobs(
        *(token(written[label], odds[label]) for label in range(3)), sampled=token(written[right], odds[right])
    )


def one_off(right: int, odds: list[float]) -> tuple[str, dict[str, Any]]:
    """The alternatives of another text."""
    shifted = odds[-1:] + odds[:-1]
    return WORDS[right], logprobs(*(token(word, p) for word, p in zip(WORDS, shifted, strict=True)))


def certain(right: int, odds: list[float]) -> tuple[str, dict[str, Any]]:
    """After sampling at temperature 0 one token has everything: no confidence can be read from that."""
    return WORDS[right], logprobs(token(WORDS[right], 1.0), token("x", 1e-300))


def serving(encode: Encoder) -> Callable[[dict[str, Any], int], Reply]:
    def answer(request: dict[str, Any], count: int) -> Reply:
        if not request.get("logprobs"):
            return by_keyword(request)
        draw, right = random.Random(asked_post(request)), right_about(request)
        odds = [draw.uniform(0.02, 0.12) for _ in WORDS]
        odds[right] = 0.98 - sum(odds) + odds[right]
        said, entry = encode(right, odds)
        return completion(said, logprobs=entry)

    return answer


@pytest.mark.parametrize(
    ("encode", "mode"),
    [
        (ollama_with_byte_tokens(0), "schema"),
        (ollama_with_byte_tokens(1), "schema"),
        (ollama_with_byte_tokens(2), "schema"),
        (lmdeploy, "logprobs"),
        (byte_alphabet, "schema"),
        (one_off, "schema"),
        (certain, "schema"),
    ],
)
def test_the_probe_finds_out_whether_scores_can_be_believed(store: Store, encode: Encoder, mode: str) -> None:
    with StandIn(serving(encode)) as server:
        answers, labeler = label(store, server.url, concurrency=4)
    assert labels(answers) == RIGHT
    assert labeler.mode == mode


def test_a_server_whose_scores_go_wrong_later_gives_no_label_instead(store: Store) -> None:
    def later(request: dict[str, Any], count: int) -> Reply:
        return serving(one_off if TEXTS[4] in asked_post(request) else lmdeploy)(request, count)

    with StandIn(later) as server:
        answers, _ = label(store, server.url)
    assert labels(answers) == RIGHT | {TEXTS[4]: None}
    assert "its probabilities say" in answers[TEXTS[4]].note
