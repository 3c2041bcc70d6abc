"""How long a connection may take, and how many a client may have: uvicorn's protocol with the limits it lacks.

uvicorn waits for ever for the rest of a request, and takes as many connections as the process has files.
"""

import asyncio
import resource
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.limits import visitor

HEAD_S, BODY_S = 10.0, 20.0  # for the whole head and the whole body of a request, however steadily they drip
STALLED_S = 30.0  # for a client that takes nothing of its answer
PER_CLIENT = 256  # a browser opens six; there are offices behind one address
PATIENCE_S = 1.0  # until a connection that asks for nothing may have to make room
OVER_ALL = 512  # with the database and the model's files well below the usual 1,024 of a process


class OpenConnections:
    """The open connections. One too many of a client, or of all, costs the oldest one that still asks for nothing.

    `exempt` tells of an address that many clients share (a proxy): only the limit over all counts for it.
    """

    def __init__(self, per_client: int, over_all: int, exempt: Callable[[str], bool] = lambda _: False) -> None:
        self._per_client, self._over_all, self._exempt = per_client, over_all, exempt
        self._open: dict[GuardedProtocol, str] = {}  # in order of arrival

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, connection: "GuardedProtocol", peer: str) -> bool:
        """Whether the connection may stay. Another one may have to go for it."""
        client = "" if self._exempt(peer) else visitor(peer)
        of_client = [one for one, its in self._open.items() if its == client] if client else []
        if len(of_client) >= self._per_client and not self._make_room(of_client):
            return False
        if len(self._open) >= self._over_all and not self._make_room(list(self._open)):
            return False
        self._open[connection] = client
        return True

    def leave(self, connection: "GuardedProtocol") -> None:
        """The connection is closed."""
        self._open.pop(connection, None)

    def _make_room(self, among: list["GuardedProtocol"]) -> bool:
        for one in among:
            if one.idles():
                self.leave(one)
                one.transport.abort()
                return True
        return False


class GuardedProtocol(H11Protocol):
    """One connection. `connections` are all of them."""

    def __init__(self, *arguments: Any, connections: OpenConnections, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._connections = connections
        self._reading: object = None  # the state of the client that the deadline is for
        self._since = self.loop.time()  # when that began
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def idles(self) -> bool:
        """Whether no request is under way for a while: its head is not there, or the last one is answered."""
        return self.conn.their_state is h11.IDLE and self.loop.time() - self._since > PATIENCE_S

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if not self._connections.enter(self, self.client[0] if self.client else ""):
            transport.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            transport.close()
            return
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.leave(self)
        for timer in (self._deadline, self._stalled):
            if timer:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def _watch(self) -> None:
        """Give the client a deadline for what it is sending. More bytes of the same do not move it."""
        state = self.conn.their_state
        if state is self._reading:
            return
        self._reading, self._since = state, self.loop.time()
        if self._deadline:
            self._deadline.cancel()
        seconds = {h11.IDLE: HEAD_S, h11.SEND_BODY: BODY_S}.get(state)
        self._deadline = self.loop.call_later(seconds, self.transport.abort) if seconds else None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(STALLED_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled:
            self._stalled.cancel()


def room_for_connections() -> int:
    """How many connections this process can hold: OVER_ALL, or half of its files where they are few.

    Asks for more files first, as far as the system lets a process ask.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * OVER_ALL
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return OVER_ALL if soft == resource.RLIM_INFINITY else min(OVER_ALL, soft // 2)
