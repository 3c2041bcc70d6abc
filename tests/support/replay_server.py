"""The demo's replay of Inven on a real port of localhost, with faults on demand: for tests."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Self

import uvicorn
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from demo.replay import Replay, make_app
from demo.replay_posts import Draft, ReplayPost, schedule
from pipeline import boards
from pipeline.clock import KST
from pipeline.inven.client import InvenClient

START = datetime(2026, 11, 20, 12, 0, tzinfo=KST)

# (path with query, how many times it was asked before) -> an answer in place of the replay's, or None
Fault = Callable[[str, int], Response | ASGIApp | None]


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, moment: datetime = START) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment

    def pass_time(self, **amount: float) -> None:
        """Let time go by, given as for timedelta."""
        self.moment += timedelta(**amount)


class ReplayServer:
    """A context manager: serves posts at `url`; `paths` logs requests, `fault` may answer in the replay's place."""

    def __init__(self, posts: Sequence[ReplayPost], clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.app = make_app(posts, self.clock)
        self.replay: Replay = self.app.state.replay
        self.paths: list[str] = []
        self.times: list[float] = []
        self.agents: set[str] = set()
        self.fault: Fault = lambda path, count: None
        config = uvicorn.Config(
            self._serve, interface="asgi3", host="127.0.0.1", port=0, log_level="critical", lifespan="off"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] + (f"?{query}" if (query := scope["query_string"].decode()) else "")
        count = self.paths.count(path)
        self.paths.append(path)
        self.times.append(time.monotonic())
        self.agents.add(dict(scope["headers"]).get(b"user-agent", b"").decode())
        answer = self.fault(path, count)
        await (self.app if answer is None else answer)(scope, receive, send)

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + 20
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise RuntimeError("the replay server did not start")
            time.sleep(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True  # its thread ends by itself within a moment; no test waits for it

    def client(self, **changes: Any) -> InvenClient:
        """A client of this server in a hurry."""
        manners = {"min_interval": 0.0, "jitter": 0.0, "timeout": 5.0, "backoff": 0.01, "max_attempts": 3}
        return InvenClient(self.url, contact="test@example.org", **{**manners, **changes})

    def count(self, kind: str) -> int:
        """Requests so far: `list`, `article` (found or gone) or `robots`."""
        if kind == "robots":
            return self.paths.count("/robots.txt")
        wanted = "?p=" if kind == "list" else "/"
        return sum(wanted in path.removeprefix("/board/maple/") for path in self.paths if "/board/" in path)


def drafts(count: int, board_id: int = 2294, **changes: Any) -> list[Draft]:
    """`count` different posts of a board, with invented texts."""
    labels = {2294: "히어로", 2295: "아크(썬콜)", 5974: "수다"}
    return [
        Draft(board_id, labels.get(board_id), f"글 제목 {n}", f"본문 {n} <b>&amp;\n둘째 줄 {n}", **changes)
        for n in range(count)
    ]


def timetable(*boards_of_drafts: Sequence[Draft], start: datetime = START, **settings: Any) -> list[ReplayPost]:
    """Schedules of several boards, each with the same settings."""
    return [post for drafts_ in boards_of_drafts for post in schedule(drafts_, start=start, **settings)]


def page(text: str, status: int = 200, **headers: str) -> Response:
    """An HTML answer; underscores of header names stand for hyphens."""
    return HTMLResponse(
        text, status_code=status, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


async def cut_off(scope: Scope, receive: Receive, send: Send) -> None:
    """An answer that promises more bytes than it sends."""
    headers = [(b"content-type", b"text/html"), (b"content-length", b"5000")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"<html><body>half", "more_body": True})
    raise ConnectionAbortedError("as wanted by the test")


async def never(scope: Scope, receive: Receive, send: Send) -> None:
    """No answer for a long time."""
    await asyncio.sleep(30)


BOARD_IDS = tuple(board.id for board in boards.BOARDS)
