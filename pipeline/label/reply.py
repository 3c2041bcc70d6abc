"""Reading a chat.completions reply with suspicion: bytes from a server in, an Answer or a reason out.

Servers answer 200 with an error inside, null choices, empty text, half a JSON or a fourth label (all measured
or reported). None of that may become a label, so a reply is read as untrusted data, not as the SDK's types.
"""

import json
import re
from typing import Any, Literal

from pipeline.label.no_label import Kind, NoLabel, refusal
from pipeline.label.scores import Words, read_scores
from pipeline.live.records import Answer

Mode = Literal["logprobs", "schema", "text"]
MODES: tuple[Mode, ...] = ("logprobs", "schema", "text")

SCHEMA_KEY = "mood"

_THOUGHT = re.compile(r"<think>|<\|?channel|<\|think\|>|\[THINK\]", re.IGNORECASE)
_WRAPPING = " \t\r\n\"'`*.。!:「」『』“”‘’[]()"


def parse_body(text: str) -> dict[str, Any]:
    """The JSON object of a 200 reply. Raises NoLabel for anything that is not a completion."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        shape = "a web page" if text.lstrip()[:1] == "<" else "broken JSON" if text.strip() else "nothing"
        raise NoLabel(Kind.MALFORMED, f"the server answered with {shape} instead of JSON") from None
    if not isinstance(body, dict):
        raise NoLabel(Kind.MALFORMED, "the server's JSON is not an object")
    if body.get("error"):
        raise refusal(200, body)
    return body


def read_answer(body: dict[str, Any], mode: Mode, words: Words) -> Answer:
    """The Answer in a reply. Raises NoLabel; never guesses."""
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        raise NoLabel(Kind.MALFORMED, "the answer has no choices")
    message = choice["message"]
    content = message.get("content")
    content = content if isinstance(content, str) else ""
    refused = message.get("refusal")
    if choice.get("finish_reason") == "content_filter" or (isinstance(refused, str) and refused):
        raise NoLabel(Kind.FILTERED, f"the model refuses the text ({refused or content!r:.80})")
    if _thinks(body, message, content):
        raise NoLabel(Kind.THINKING, "the model thinks before it answers")
    if mode == "logprobs":
        if not content and not choice.get("logprobs"):
            raise NoLabel(Kind.EMPTY, "the answer is empty")
        label, scores = read_scores(choice.get("logprobs"), content, words)
        return Answer(label=label, confidence=scores[label], scores=scores)
    if not content.strip():
        raise NoLabel(Kind.EMPTY, "the answer is empty")
    return Answer(label=_spoken_label(content, mode, words))


def _spoken_label(content: str, mode: Mode, words: Words) -> int:
    if mode == "schema":
        try:
            value = json.loads(content)
        except json.JSONDecodeError:
            raise NoLabel(Kind.NONSENSE, f"the answer is not whole JSON ({content[:40]!r})") from None
        except (ValueError, RecursionError):  # a number of 5,000 digits, lists in lists in lists
            raise NoLabel(Kind.MALFORMED, f"the answer is JSON that nobody can read ({content[:40]!r})") from None
        spoken = value.get(SCHEMA_KEY) if isinstance(value, dict) and len(value) == 1 else None
    else:
        spoken = content.strip(_WRAPPING)
    if spoken not in words:
        raise NoLabel(Kind.NONSENSE, f"the answer is none of {'/'.join(reversed(words))} ({content.strip()[:40]!r})")
    return words.index(spoken)


def _thinks(body: dict[str, Any], message: dict[str, Any], content: str) -> bool:
    usage = body.get("usage")
    details = usage.get("completion_tokens_details") if isinstance(usage, dict) else None
    tokens = details.get("reasoning_tokens") if isinstance(details, dict) else None
    counted = isinstance(tokens, int) and tokens > 0
    return bool(message.get("reasoning_content") or message.get("reasoning") or counted or _THOUGHT.search(content))
