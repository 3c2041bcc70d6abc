"""An OpenAI-compatible server on localhost that misbehaves on demand: for tests of the labeler's faults."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

MODEL = "stand-in-model"


@dataclass
class Reply:
    """What goes over the wire. `cut` closes the connection after that many bytes; `drip_s` paces each byte."""

    status: int = 200
    body: Any = field(default_factory=dict)
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    drip_s: float = 0.0
    cut: int | None = None

    def data(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def completion(content: str | None, *, model: str = MODEL, logprobs: Any = None, **message: Any) -> Reply:
    """A well-formed completion with this content."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content, **message}}
    if logprobs is not None:
        choice["logprobs"] = logprobs
    return Reply(body={"id": "x", "object": "chat.completion", "model": model, "choices": [choice]})


def tokens(**logprobs: float) -> dict[str, Any]:
    """The logprobs object of one generated token with these alternatives."""
    top = [{"token": word, "bytes": list(word.encode()), "logprob": value} for word, value in logprobs.items()]
    return {"content": [{**top[0], "top_logprobs": top}]}


def asked_post(request: dict[str, Any]) -> str:
    """The post that a request asks about."""
    return str(request["messages"][-1]["content"])


def by_keyword(request: dict[str, Any], model: str = MODEL) -> Reply:
    """A good labeler: 최고 in the post is 좋음, 망했 is 나쁨, the rest 보통; with probabilities when asked."""
    post = asked_post(request)
    right = "좋음" if "최고" in post else "나쁨" if "망했" in post else "보통"
    if "response_format" in request:
        return completion(json.dumps({"mood": right}), model=model)
    odds = {word: -0.3 if word == right else -2.5 for word in ("나쁨", "보통", "좋음")}
    ranked = dict(sorted(odds.items(), key=lambda item: -item[1]))
    return completion(right, model=model, logprobs=tokens(**ranked) if request.get("logprobs") else None)


def error(status: int, message: str, **headers: str) -> Reply:
    """An OpenAI-style error."""
    return Reply(status, {"error": {"message": message, "type": "x", "code": None}}, headers=headers)


class StandIn:
    """Context manager. `answer(request, count)` decides each chat reply; `pages` the GETs; `asked` logs requests."""

    def __init__(self, answer: Callable[[dict[str, Any], int], Reply] | None = None) -> None:
        self.answer = answer or (lambda request, count: by_keyword(request))
        self.pages: dict[str, Reply] = {"/v1/models": Reply(body={"data": [{"id": MODEL}]})}
        self.asked: list[dict[str, Any]] = []
        self.posts: dict[str, Callable[[dict[str, Any]], Reply]] = {}  # what else than chat is answered
        self.posted: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []  # of every request
        self._lock = threading.Lock()
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                stand_in.headers.append({name.lower(): value for name, value in self.headers.items()})
                self._send(stand_in.pages.get(self.path, error(404, "Unexpected endpoint or method")))

            def do_POST(self) -> None:
                stand_in.headers.append({name.lower(): value for name, value in self.headers.items()})
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path in stand_in.posts:
                    stand_in.posted.append((self.path, request))
                    self._send(stand_in.posts[self.path](request))
                elif self.path.endswith("/chat/completions"):
                    with stand_in._lock:
                        stand_in.asked.append(request)
                        count = len(stand_in.asked)
                    self._send(stand_in.answer(request, count))
                else:
                    self._send(error(404, "Unexpected endpoint or method"))

            def _send(self, reply: Reply) -> None:
                time.sleep(reply.delay_s)
                data = reply.data()
                self.send_response(reply.status)
                self.send_header("Content-Type", reply.content_type)
                self.send_header("Content-Length", str(len(data)))
                for name, value in reply.headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                try:
                    if reply.drip_s:
                        for byte in data:
                            self.wfile.write(bytes([byte]))
                            time.sleep(reply.drip_s)
                    else:
                        self.wfile.write(data[: reply.cut])
                except OSError:
                    self.close_connection = True
                if reply.cut is not None:
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.root = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.root}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
