"""Reading a chat.completions reply with suspicion: bytes from a server in, an Answer or a reason out.

Servers answer 200 with an error inside, null choices, empty text, half a JSON or a fourth label (all measured
or reported). None of that may become a label, so a reply is read as untrusted data, not as the SDK's types.
"""

import json
import math
import re
from typing import Any, Literal

from pipeline.live.records import Answer

Mode = Literal["logprobs", "schema", "text"]
MODES: tuple[Mode, ...] = ("logprobs", "schema", "text")

# The three words' share of the first token's probability below which the model was saying something else.
# Gemma 3 270M, the weakest model tried, gives 0.56 to 0.9.
MIN_LABEL_MASS = 0.1
SCHEMA_KEY = "mood"

_OVERFLOW = re.compile(
    r"context (size|length|window)|maximum context|context the overflows|exceeds? the (available )?context",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(r"no models? (is )?(currently )?loaded|failed to load model|model .*not found", re.IGNORECASE)
_CRASHED = re.compile(r"crashed|channel error|loading|unloaded", re.IGNORECASE)
_THOUGHT = re.compile(r"<think>|<\|?channel|<\|think\|>|\[THINK\]", re.IGNORECASE)
_WRAPPING = " \t\r\n\"'`*.。!:「」『』“”‘’[]()"


class NoLabel(Exception):
    """A question that brought no label.

    `retry`: asking again may help. `lasting`: this text will never get one from this labeler.
    `fatal`: no text will get one from this server. `thinking`: the model reasons before it answers.
    `loading`: the server is up but its model is not. `busy`: it has too much to do (429).
    `unreachable`: nothing is there.
    `wait_s`: how long the server asked to wait.
    """

    def __init__(
        self,
        reason: str,
        *,
        retry: bool = False,
        lasting: bool = False,
        fatal: bool = False,
        thinking: bool = False,
        loading: bool = False,
        busy: bool = False,
        unreachable: bool = False,
        wait_s: float = 0.0,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry = retry
        self.lasting = lasting
        self.fatal = fatal
        self.thinking = thinking
        self.loading = loading
        self.busy = busy
        self.unreachable = unreachable
        self.wait_s = wait_s


def parse_body(text: str) -> dict[str, Any]:
    """The JSON object of a 200 reply. Raises NoLabel for anything that is not a completion."""
    try:
        body = json.loads(text)
    except ValueError:
        shape = "a web page" if text.lstrip()[:1] == "<" else "broken JSON" if text.strip() else "nothing"
        raise NoLabel(f"the server answered with {shape} instead of JSON", retry=True) from None
    if not isinstance(body, dict):
        raise NoLabel("the server's JSON is not an object", retry=True)
    if body.get("error"):
        raise refusal(200, error_text(body))
    return body


def error_text(body: object) -> str:
    """The message of an OpenAI-style error body (`{"error": {"message": …}}` or `{"error": "…"}`)."""
    error = body.get("error", body) if isinstance(body, dict) else body
    message = error.get("message", error) if isinstance(error, dict) else error
    return " ".join(str(message).split())[:300]


def refusal(status: int, message: str, wait_s: float = 0.0) -> NoLabel:
    """What an error reply means: worth another try, hopeless for this text, or hopeless for this server."""
    said = f"HTTP {status}: {message}"
    if status in (401, 403):
        return NoLabel(f"the server refuses the API key ({said})", fatal=True)
    if _OVERFLOW.search(message):
        return NoLabel(f"context overflow ({said})", lasting=True)
    if _NO_MODEL.search(message):
        return NoLabel(f"no model is loaded ({said})", fatal=True)
    loading = status == 503 and "loading" in message.lower()
    if loading or status in (408, 425, 429) or status >= 500 or _CRASHED.search(message):
        busy = status == 429
        return NoLabel(f"the server is not ready ({said})", retry=True, loading=loading, busy=busy, wait_s=wait_s)
    if status == 404:
        return NoLabel(f"nothing answers at this address ({said}): it should end in /v1", fatal=True)
    return NoLabel(f"the server refused the question ({said})")


def read_answer(body: dict[str, Any], mode: Mode, words: tuple[str, str, str]) -> Answer:
    """The Answer in a reply. Raises NoLabel; never guesses."""
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        raise NoLabel("the answer has no choices", retry=True)
    message = choice["message"]
    content = message.get("content")
    content = content if isinstance(content, str) else ""
    if _thinks(body, message, content):
        raise NoLabel("the model thinks before it answers", thinking=True)
    if mode == "logprobs":
        scores = word_scores(choice.get("logprobs"), words)
        if scores is None and not content:
            raise NoLabel("the answer is empty", retry=True)
        if scores is None:
            raise NoLabel(f"the server gives no probabilities of the words (it said {content[:40]!r})")
        label = max(range(3), key=scores.__getitem__)
        return Answer(label=label, confidence=scores[label], scores=scores)
    if not content.strip():
        raise NoLabel("the answer is empty", retry=True)
    return Answer(label=_spoken_label(content, mode, words))


def word_scores(logprobs: object, words: tuple[str, str, str]) -> tuple[float, float, float] | None:
    """Probabilities of the label words as the first token, summing to 1; None when they are not there.

    The server's probabilities are those before grammar and sampling, over its whole vocabulary: the words'
    share is summed by the bytes that a token begins with, and divided by their total.
    """
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    first = content[0] if isinstance(content, list) and content else None
    top = first.get("top_logprobs") if isinstance(first, dict) else None
    mass = [0.0, 0.0, 0.0]
    for item in top if isinstance(top, list) else ():
        label = _label_of_token(item, words)
        value = item.get("logprob") if isinstance(item, dict) else None
        if label is None or not isinstance(value, int | float) or not value <= 0.001:  # NaN fails too
            continue
        mass[label] += math.exp(value)
    total = sum(mass)
    if not total >= MIN_LABEL_MASS:
        return None
    return mass[0] / total, mass[1] / total, mass[2] / total


def _label_of_token(item: object, words: tuple[str, str, str]) -> int | None:
    """The one label whose word begins with this token (or that begins this token); None if none or several."""
    if not isinstance(item, dict):
        return None
    raw = item.get("bytes")
    try:
        token = bytes(raw) if isinstance(raw, list) else str(item.get("token", "")).encode()
    except (ValueError, TypeError, UnicodeEncodeError):
        return None
    token = token.replace("▁".encode(), b" ").strip()
    if not token:
        return None
    encoded = [word.encode() for word in words]
    hits = [i for i, word in enumerate(encoded) if word.startswith(token) or token.startswith(word)]
    return hits[0] if len(hits) == 1 else None


def _spoken_label(content: str, mode: Mode, words: tuple[str, str, str]) -> int:
    if mode == "schema":
        try:
            value = json.loads(content)
        except ValueError:
            raise NoLabel(f"the answer is not whole JSON ({content[:40]!r})") from None
        spoken = value.get(SCHEMA_KEY) if isinstance(value, dict) and len(value) == 1 else None
    else:
        spoken = content.strip(_WRAPPING)
    if spoken not in words:
        raise NoLabel(f"the answer is none of {'/'.join(reversed(words))} ({content.strip()[:40]!r})")
    return words.index(spoken)


def _thinks(body: dict[str, Any], message: dict[str, Any], content: str) -> bool:
    usage = body.get("usage")
    details = usage.get("completion_tokens_details") if isinstance(usage, dict) else None
    tokens = details.get("reasoning_tokens") if isinstance(details, dict) else None
    return bool(message.get("reasoning_content") or message.get("reasoning") or tokens or _THOUGHT.search(content))
