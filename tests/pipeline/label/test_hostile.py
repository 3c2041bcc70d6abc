"""Replies that are meant to hurt end in a reason or in no server: never in a traceback, never in a label."""

import gzip
import json
import threading
import time
import tracemalloc
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from pipeline.label.no_label import Kind, NoLabel
from pipeline.label.records import LabelServerError
from pipeline.label.reply import parse_body, read_answer
from pipeline.label.server import MODEL_CHARS
from pipeline.label.transport import MAX_REPLY
from pipeline.live.store import Store
from tests.pipeline.label.labelling import RIGHT, TEXTS, label, labels
from tests.support.llm_stand_in import MODEL, Reply, StandIn, asked_post, by_keyword, completion, error, tokens

WORDS = ("나쁨", "보통", "좋음")
DEEP = "[" * 5000 + "]" * 5000
HUGE = "9" * 5000
GOOD = completion("좋음", logprobs=tokens(좋음=-0.1)).body


def good_with(**more: Any) -> Reply:
    return Reply(body=GOOD | more)


def raw(text: str) -> Reply:
    return Reply(body=text.encode())


HOSTILE: dict[str, Callable[[], Reply]] = {
    "nested 5,000 deep": lambda: raw(DEEP),
    "nested beside the answer": lambda: raw(json.dumps(GOOD)[:-1] + f', "x": {DEEP}}}'),
    "a number of 5,000 digits": lambda: raw(json.dumps(GOOD)[:-1] + f', "x": {HUGE}}}'),
    "a logprob of 400 digits": lambda: raw(json.dumps(GOOD).replace("-0.1", f"-1{'0' * 400}")),
    "logprobs that are NaN": lambda: raw(json.dumps(GOOD).replace("-0.1", "NaN")),
    "logprobs nested deep": lambda: raw(
        json.dumps(GOOD).replace('"좋음"'.encode("ascii", "backslashreplace").decode(), DEEP)
    ),
    "schema nested deep": lambda: completion(DEEP),
    "schema with a huge number": lambda: completion('{"mood": ' + HUGE + "}"),
    "content that is a number": lambda: Reply(body={"model": MODEL, "choices": [{"message": {"content": 5}}]}),
    "choices that are a text": lambda: Reply(body={"model": MODEL, "choices": "좋음"}),
    "a model's name of a lone surrogate": lambda: raw(json.dumps(GOOD).replace(MODEL, "\\ud800")),
    "a model's name of a megabyte": lambda: good_with(model="x" * 2**20),
    "a model's name with control characters": lambda: good_with(model="gemma\n\x1b[31m"),
    "content of lone surrogates and zeros": lambda: completion("\ud800\x00" * 50),
    "an error of lone surrogates and zeros": lambda: error(400, "\ud800\x00\x1b[2J"),
    "an error nested deep": lambda: raw('{"error": ' + '{"error": ' * 500 + "1" + "}" * 501),
    "an error that is a list": lambda: Reply(400, {"error": [[[["x"]]]]}),
    "an error of a megabyte": lambda: error(400, "x" * 2**20),
    "longer than memory bears": lambda: raw(" " * (MAX_REPLY + 1)),
    "a gzip bomb": lambda: Reply(body=gzip.compress(b" " * 200 * 2**20), headers={"Content-Encoding": "gzip"}),
    "an error that is a gzip bomb": lambda: Reply(
        500, gzip.compress(b" " * 200 * 2**20), headers={"Content-Encoding": "gzip"}
    ),
    "packed twice": lambda: Reply(body=b"x", headers={"Content-Encoding": "gzip, deflate"}),
    "waiting for less than nothing": lambda: error(429, "slow down", Retry_After="-inf"),
    "waiting for nothing": lambda: error(503, "Loading model", Retry_After="nan"),
}
# What is beside the answer is not read, so these say what they say.
HARMLESS: dict[str, Callable[[], dict[str, Any]]] = {
    "negative usage": lambda: {"usage": {"prompt_tokens": -1, "completion_tokens_details": {"reasoning_tokens": -5}}},
    "usage of 300 digits": lambda: {"usage": {"prompt_tokens": 10**300}},
    "usage that is NaN": lambda: {"usage": {"prompt_tokens": float("nan")}},
    "usage that is a list": lambda: {"usage": [1]},
}


def one_bomb(reply: Reply) -> Callable[[dict[str, Any], int], Reply]:
    """A good labeler that answers so about one text, once."""
    told: list[int] = []

    def answer(request: dict[str, Any], count: int) -> Reply:
        if TEXTS[4] in asked_post(request) and not told:
            told.append(count)
            return reply
        return by_keyword(request)

    return answer


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_reply_costs_its_text_the_label_and_nothing_else(store: Store, name: str) -> None:
    mode = "schema" if "schema" in name else "logprobs"
    with StandIn(one_bomb(HOSTILE[name]())) as server:
        answers, _ = label(store, server.url, texts=TEXTS[:8], answer_mode=mode, max_attempts=1)
    right = {text: RIGHT[text] for text in TEXTS[:8]}
    assert labels(answers) in (right, right | {TEXTS[4]: None})
    answer = answers[TEXTS[4]]
    assert answer.label is not None or 0 < len(answer.note) < 1000


@pytest.mark.parametrize("name", HARMLESS)
def test_nonsense_beside_an_answer_changes_nothing(store: Store, name: str) -> None:
    def odd(request: dict[str, Any], count: int) -> Reply:
        return Reply(body=by_keyword(request).body | HARMLESS[name]())

    with StandIn(odd) as server:
        assert labels(label(store, server.url)[0]) == RIGHT


# Without its probabilities an answer is still one, and a server that is loading is waited for.
@pytest.mark.parametrize("name", [name for name in HOSTILE if "waiting" not in name and "logprob" not in name])
def test_a_server_that_answers_so_from_the_start_is_named(store: Store, name: str) -> None:
    reply = HOSTILE[name]()
    with StandIn(lambda request, count: reply) as server:
        with pytest.raises(LabelServerError) as caught:
            label(store, server.url)
        assert server.url in str(caught.value)
        for path in ("/v1/models", "/api/v1/models", "/props"):
            server.pages[path] = reply
        with pytest.raises(LabelServerError, match="can't label"):
            label(store, server.url)


@pytest.mark.parametrize("text", [DEEP, HUGE, f'{{"a": {HUGE}}}', '{"a": ' * 5000])
def test_json_that_nobody_can_read_is_malformed(text: str) -> None:
    with pytest.raises(NoLabel) as caught:
        parse_body(text)
    assert caught.value.kind is Kind.MALFORMED
    with pytest.raises(NoLabel) as caught:
        read_answer(completion(text).body, "schema", WORDS)
    assert caught.value.kind in (Kind.MALFORMED, Kind.NONSENSE)


def test_a_stream_that_never_ends_is_cut_off(store: Store) -> None:
    """It sends as fast as it can: the time-out alone would let it fill the memory."""
    sent = 0

    class Endless(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonlocal sent
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            try:
                while sent < 2**30:
                    sent += self.wfile.write(b'{"data": [' + b" " * 2**16)
            except OSError:
                pass

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    tracemalloc.start()
    began = time.monotonic()
    try:
        with pytest.raises(LabelServerError, match="longer than"):
            label(store, f"http://127.0.0.1:{server.server_port}/v1")
        assert tracemalloc.get_traced_memory()[1] < 20 * MAX_REPLY
    finally:
        tracemalloc.stop()
        server.shutdown()
        server.server_close()
    assert sent < 2**30
    assert time.monotonic() - began < 60


def test_the_longest_names_of_models_are_shorter_than_the_limit() -> None:
    assert len("lmstudio-community/gemma-4-12b-it-gguf/gemma-4-12b-it-q4_k_m.gguf") < MODEL_CHARS
