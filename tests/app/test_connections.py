"""Connections that ask for nothing, or too slowly, or too often: the page stays open for the others."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from app import connections
from app.connections import OpenConnections
from app.guard import AT_ONCE
from pipeline.live.store import Store
from tests.app.world import Model, Running, WordClassifier, fill, services_of

HALF = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half"
WHOLE = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Store(f"sqlite:///{tmp_path_factory.mktemp('connections') / 'live.db'}") as store:
        fill(store)
        with Running(services_of(store, Model(WordClassifier()))) as page:
            yield page


@pytest.fixture
def opened(running: Running) -> Iterator[contextlib.ExitStack]:
    """Closes what a test opens, and waits until the page has seen it."""
    with contextlib.ExitStack() as stack:
        yield stack
    deadline = time.monotonic() + 10
    while running.connections and time.monotonic() < deadline:
        time.sleep(0.05)


def connect(running: Running, stack: contextlib.ExitStack, sent: bytes = b"", source: str = "127.0.0.1"):
    port = int(running.url.rsplit(":", 1)[1])
    one = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(source, 0)))
    one.sendall(sent)
    return one


def health(running: Running, source: str = "127.0.0.1") -> int:
    with httpx.Client(transport=httpx.HTTPTransport(local_address=source), timeout=5) as client:
        return client.get(f"{running.url}/healthz").status_code


def answered(one: socket.socket) -> bool:
    """Whether a whole answer to a question for health comes."""
    said = b""
    while not said.endswith(b"}"):
        if not (piece := one.recv(4000)):
            return False
        said += piece
    return b"200 OK" in said


def still_open(sockets: list[socket.socket]) -> int:
    """How many of these connections the page has not closed."""
    count = 0
    for one in sockets:
        one.setblocking(False)
        try:
            while one.recv(4000):
                pass
        except BlockingIOError:
            count += 1
        except ConnectionError:
            pass
    return count


def is_closed(one: socket.socket, seconds: float) -> bool:
    one.settimeout(seconds)
    try:
        while one.recv(4000):
            pass
        return True
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def test_a_thousand_half_requests_keep_nobody_out(running: Running, opened: contextlib.ExitStack):
    half = []
    for _ in range(1100):
        with contextlib.suppress(ConnectionError):
            half.append(connect(running, opened, HALF))
    time.sleep(connections.PATIENCE_S)
    assert health(running) == 200  # from the same address, too
    assert health(running, "127.0.0.2") == 200
    assert 0 < still_open(half) <= connections.PER_CLIENT


def test_many_addresses_together_are_limited_as_well(tmp_path, monkeypatch):
    monkeypatch.setattr(connections, "OVER_ALL", 40)
    monkeypatch.setattr(connections, "PER_CLIENT", 10)
    with (
        Store(f"sqlite:///{tmp_path / 'live.db'}") as store,
        Running(services_of(store, Model())) as page,
        contextlib.ExitStack() as stack,
    ):
        half = []
        for i in range(90):
            with contextlib.suppress(ConnectionError):
                half.append(connect(page, stack, HALF, f"127.0.1.{i % 9 + 1}"))
        time.sleep(connections.PATIENCE_S)
        assert health(page, "127.0.0.9") == 200
        assert 0 < still_open(half) <= 40


def test_open_streams_of_one_visitor_are_limited_and_stay_open(running: Running, opened: contextlib.ExitStack):
    streams = []
    for i in range(AT_ONCE):
        asked = f"GET /gradio_api/heartbeat/s{i} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        streams.append(connect(running, opened, asked, "127.0.0.3"))
    for one in streams:
        assert b"200 OK" in one.recv(200)
    assert health(running, "127.0.0.3") == 503
    assert health(running, "127.0.0.4") == 200
    streams[0].close()
    time.sleep(0.5)
    assert health(running, "127.0.0.3") == 200


def test_many_requests_at_the_same_moment_are_all_answered(running: Running):
    async def ask() -> list[int]:
        limits = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(limits=limits, timeout=30) as client:
            return [
                a.status_code for a in await asyncio.gather(*(client.get(f"{running.url}/config") for _ in range(200)))
            ]

    assert set(asyncio.run(ask())) <= {200, 503}


@pytest.mark.parametrize(
    ("what", "first", "drip"),
    [
        ("HEAD_S", b"", b""),
        ("HEAD_S", HALF, b"x"),
        ("HEAD_S", WHOLE + HALF, b""),
        ("BODY_S", b"POST /gradio_api/queue/join HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5000\r\n\r\n{", b" "),
    ],
)
def test_a_request_that_never_ends_is_cut_off(running, opened, monkeypatch, what, first, drip):
    monkeypatch.setattr(connections, what, 1.0)
    one = connect(running, opened, first)
    if first.startswith(WHOLE):
        assert answered(one)
    stop = threading.Event()

    def slowly() -> None:
        with contextlib.suppress(OSError):
            while drip and not stop.wait(0.2):
                one.sendall(drip)

    dripping = threading.Thread(target=slowly, daemon=True)
    dripping.start()
    started = time.monotonic()
    assert is_closed(one, 8)
    assert time.monotonic() - started < 7.5  # uvicorn's own limit for a kept connection is five
    stop.set()
    dripping.join()


def test_a_client_that_takes_nothing_of_its_answer_is_cut_off(running, opened, monkeypatch):
    monkeypatch.setattr(connections, "STALLED_S", 1.0)
    port = int(running.url.rsplit(":", 1)[1])
    one = opened.enter_context(socket.socket())
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.connect(("127.0.0.1", port))
    one.sendall(b"GET /config HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 60)
    deadline = time.monotonic() + 15
    while running.connections and time.monotonic() < deadline:
        time.sleep(0.1)
    assert running.connections == 0


def test_a_slow_but_honest_request_is_answered(running: Running, opened: contextlib.ExitStack):
    one = connect(running, opened, WHOLE[:10])
    time.sleep(1)
    one.sendall(WHOLE[10:])
    assert answered(one)
    one.sendall(WHOLE)  # and the connection is kept
    assert answered(one)


def test_web_sockets_are_closed(running: Running, opened: contextlib.ExitStack):
    upgrade = (
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\n"
    )
    one = connect(running, opened, b"GET /gradio_api/queue/data HTTP/1.1\r\nHost: 127.0.0.1\r\n" + upgrade + b"\r\n")
    assert b"101" not in one.recv(40)


def test_a_shared_address_is_exempt_and_a_household_is_one(monkeypatch):
    class Connection:
        def __init__(self, waits: bool) -> None:
            self.idles = lambda: waits
            self.transport = self
            self.gone = False

        def abort(self) -> None:
            self.gone = True

    doors = OpenConnections(2, 100, exempt=lambda peer: peer == "10.0.0.2")
    assert all(doors.enter(Connection(False), "10.0.0.2") for _ in range(50))
    household = [Connection(True), Connection(False)]
    for number, one in enumerate(household):
        assert doors.enter(one, f"2001:db8::{number + 1}")
    assert doors.enter(late := Connection(False), "2001:db8::3")  # the oldest that asks for nothing makes room
    assert [one.gone for one in (*household, late)] == [True, False, False]
    assert not doors.enter(Connection(True), "2001:db8::4")
    assert doors.enter(Connection(True), "2001:db8:0:1::4")
    assert len(doors) == 53
