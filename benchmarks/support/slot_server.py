"""An LLM server with a fixed number of slots and a fixed latency, which keeps count of how busy its slots were.

    python -m benchmarks.support.slot_server --slots 8 --latency 0.2     # prints its address

`GET /_busy` gives {busy, span, questions} since the last one: slot-seconds of work, seconds from the first question's
begin to the last one's end, and how many there were.
"""

import argparse
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pipeline import errors

MODEL = "slots"
_TOP = [
    {"token": word, "bytes": list(word.encode()), "logprob": logprob}
    for word, logprob in (("보통", -0.3), ("나쁨", -2.0), ("좋음", -2.0))
]
_CHOICE = {
    "index": 0,
    "finish_reason": "stop",
    "message": {"role": "assistant", "content": "보통"},
    "logprobs": {"content": [{**_TOP[0], "top_logprobs": _TOP}]},
}
_ANSWER = {"id": "x", "object": "chat.completion", "model": MODEL, "choices": [_CHOICE]}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, slots: int, latency: float, tells: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.slots, self.latency, self.tells = slots, latency, tells
        self.free = threading.BoundedSemaphore(slots)
        self.spans: list[tuple[float, float]] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        pages: dict[str, Any] = {"/v1/models": {"data": [{"id": MODEL}]}}
        if self.server.tells:
            pages["/props"] = {"total_slots": self.server.slots}
        if self.path == "/_busy":
            spans, self.server.spans = self.server.spans, []
            busy = sum(end - begin for begin, end in spans)
            span = max(end for _, end in spans) - min(begin for begin, _ in spans) if spans else 0.0
            pages[self.path] = {"busy": busy, "span": span, "questions": len(spans)}
        self._send(200 if self.path in pages else 404, pages.get(self.path, {"error": "not here"}))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.free:
            begin = time.monotonic()
            time.sleep(self.server.latency)
            self.server.spans.append((begin, time.monotonic()))
        self._send(200, _ANSWER)

    def _send(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.support.slot_server", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds an answer takes")
    parser.add_argument("--silent", action="store_true", help="do not tell the number of slots")
    given = parser.parse_args()
    server = _Server(given.slots, given.latency, not given.silent)
    print(f"http://127.0.0.1:{server.server_port}/v1", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    errors.run(main)
