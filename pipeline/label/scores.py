"""The label words' probabilities in a reply, and whether they may be believed.

At temperature 0 the sampled token is the most likely one, so the words' scores must agree with what the message
says. Servers are known that replace parts of characters by U+FFFD (Ollama, vLLM), that leave the sampled token out of
its alternatives or write tokens in another alphabet (LMDeploy), or that give no alternatives at all.
"""

import math
from dataclasses import dataclass
from typing import Any

from pipeline.label.no_label import Kind, NoLabel

# Of the first token's probability, at most this may belong to none of the words: else the model was saying something
# else. Gemma 3 270M, the weakest model tried, leaves 0.13 to 0.38.
MAX_UNATTRIBUTED = 0.5
# Of the words' share, at most this may be parts of characters that could begin any of them. Gemma: up to 0.07.
MAX_UNDECIDED = 0.2
# A word's tokens (나, 나쁨) are summed, so another word may come out a little ahead of the sampled one (1 text in 198).
NEAR_TIE = 0.8
_SLACK = 1.01  # probabilities add up to 1; servers round

Words = tuple[str, str, str]
Scores = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Token:
    """One alternative: its bytes and its probability."""

    raw: bytes
    probability: float


def read_scores(logprobs: object, said: str, words: Words) -> tuple[int, Scores]:
    """The label that the message says (`said` is its text), and the words' probabilities.

    Raises NoLabel when there are none, or when they can't be believed.
    """
    try:
        scores = word_scores(logprobs, words)
    except NoLabel as problem:
        raise NoLabel(problem.kind, f"{problem.reason} (it said {said[:40]!r})") from None
    label = _said(said, logprobs, words)
    if scores[label] < NEAR_TIE * max(scores):
        best = words[max(range(3), key=scores.__getitem__)]
        raise NoLabel(Kind.NONSENSE, f"the answer is {words[label]}, its probabilities say {best}")
    return label, scores


def word_scores(logprobs: object, words: Words) -> Scores:
    """Probabilities of the label words as the first token, summing to 1. `logprobs` is the choice's object.

    They are those before grammar and sampling, over the whole vocabulary; each word's are summed by the bytes that a
    token begins with. Raises NoLabel when they are not there, or too much of them is nobody's.
    """
    mass, undecided = [0.0, 0.0, 0.0], 0.0
    for token in _alternatives(_first(logprobs)):
        labels = _labels(token.raw, words)
        if len(labels) == 1:
            mass[labels[0]] += token.probability
        elif labels:
            undecided += token.probability
    known = sum(mass)
    if undecided > MAX_UNDECIDED * (known + undecided):
        share = f"{undecided:.0%} of the probability"
        raise NoLabel(Kind.NONSENSE, f"{share} is on parts of characters that may begin any of the words")
    if known < 1 - MAX_UNATTRIBUTED:
        raise NoLabel(Kind.NONSENSE, f"the server gives no probabilities of the words, or too little ({known:.0%})")
    return mass[0] / known, mass[1] / known, mass[2] / known


def _first(logprobs: object) -> dict[str, Any]:
    """The first generated token's entry. Raises NoLabel when there is none."""
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    first = content[0] if isinstance(content, list) and content else None
    if not isinstance(first, dict):
        raise NoLabel(Kind.NONSENSE, "the server gives no probabilities of the words")
    return first


def _alternatives(first: dict[str, Any]) -> list[Token]:
    """The alternatives, the sampled token among them. Raises NoLabel."""
    top = first.get("top_logprobs")
    tokens = [_token(item) for item in (top if isinstance(top, list) else ())]
    if (sampled := _sampled(first)) and all(sampled.raw != token.raw for token in tokens):
        tokens.append(sampled)
    total = sum(token.probability for token in tokens)
    if total > _SLACK:
        raise NoLabel(Kind.MALFORMED, f"the probabilities add up to {total:.2f}")
    return tokens


def _sampled(first: dict[str, Any]) -> Token | None:
    return _token(first) if first.get("token") or first.get("bytes") else None


def _said(said: str, logprobs: object, words: Words) -> int:
    """The label that the message says, or the sampled token where that is a part of a character. Raises NoLabel."""
    raw = said.encode(errors="replace")
    if not any(character.isalnum() for character in said):
        first = _first(logprobs)
        sampled = _sampled(first) or max(_alternatives(first), key=lambda token: token.probability, default=None)
        raw = sampled.raw if sampled else b""
    labels = _labels(raw, words)
    if len(labels) != 1:
        raise NoLabel(Kind.NONSENSE, f"the answer is none of {'/'.join(reversed(words))} ({said[:40]!r})")
    return labels[0]


def _token(item: object) -> Token:
    """An alternative as the server gives it. Raises NoLabel for anything that is none."""
    fields: dict[str, Any] = item if isinstance(item, dict) else {}
    name, raw, value = fields.get("token"), fields.get("bytes"), fields.get("logprob")
    try:
        data = bytes(raw) if isinstance(raw, list) else name.encode()  # type: ignore[union-attr]
        if isinstance(value, bool) or not isinstance(value, int | float) or not value <= 0.001:  # NaN fails too
            raise ValueError(value)
        return Token(data, math.exp(value))
    except (ValueError, TypeError, AttributeError, OverflowError):  # a UnicodeError is a ValueError
        raise NoLabel(Kind.MALFORMED, "the probabilities are not as they should be") from None


def _labels(raw: bytes, words: Words) -> list[int]:
    """The labels whose words may begin with this token, or that begin it: one, none, or all for a U+FFFD."""
    text = raw.replace("▁".encode(), b" ").strip()
    if not text or text.startswith("\ufffd".encode()):
        return [0, 1, 2]
    encoded = [word.encode() for word in words]
    return [label for label, word in enumerate(encoded) if word.startswith(text) or text.startswith(word)]
