"""What is asked of a server beside the messages, and the fingerprint of everything that can change an answer."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pipeline.label.prompt import Prompt
from pipeline.label.reply import SCHEMA_KEY, Mode
from pipeline.label.samples import TEMPERATURE

Fields = Mapping[str, Any]  # of a request
_NONE: Fields = {}


def decoding(mode: Mode, words: tuple[str, str, str], thinking_off: Fields = _NONE, samples: int = 0) -> dict[str, Any]:
    """The request's parameters beside model and messages. Part of the labeler's fingerprint.

    `thinking_off`: fields that switch thinking off at this server. With `samples` and without probabilities each
    question is asked that often, each time with another seed.
    """
    request: dict[str, Any] = {"temperature": 0.0, "seed": 0}
    if samples_of(mode, samples):
        request = {"temperature": TEMPERATURE}
    if mode == "logprobs":  # one token: a JSON answer costs four times as much (measured)
        request |= {"max_tokens": 1, "logprobs": True, "top_logprobs": 20}
    elif mode == "schema":
        schema = {
            "type": "object",
            "properties": {SCHEMA_KEY: {"type": "string", "enum": list(words)}},
            "required": [SCHEMA_KEY],
            "additionalProperties": False,
        }
        wrapped = {"name": SCHEMA_KEY, "strict": True, "schema": schema}
        request |= {"max_tokens": 40, "response_format": {"type": "json_schema", "json_schema": wrapped}}
    else:
        request |= {"max_tokens": 16}
    if thinking_off:
        request["extra_body"] = dict(thinking_off)
    return request


def samples_of(mode: Mode, samples: int) -> int:
    """How often each text is asked for one answer; 0: once. Probabilities say more than samples, for less."""
    return samples if samples > 1 and mode != "logprobs" else 0


def fingerprint(model: str, prompt: Prompt, mode: Mode, thinking_off: Fields = _NONE, samples: int = 0) -> str:
    """16 hex digits that change with anything that can change a label: model, prompt, mode, decoding, samples."""
    identity: list[Any] = [model, prompt.digest, mode, decoding(mode, prompt.words, thinking_off, samples)]
    identity += [samples] if samples_of(mode, samples) else []
    text = json.dumps(identity, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
