"""The crawler goes by proxy where the user has set one, and never to reach this machine."""

import asyncio
import os
import socket
import threading
from collections.abc import Iterator

import pytest

from pipeline.environment import spared_from_proxies
from pipeline.inven.client import InvenClient
from pipeline.inven.records import ListPage
from tests.support.replay_server import ReplayServer, drafts, timetable

SITE = "www.inven.example"  # no such host: only a proxy can reach it


class Proxy:
    """A small proxy, HTTP or SOCKS5, that knows one host: SITE, which is the replay server."""

    def __init__(self, port: int) -> None:
        self.asked: list[str] = []
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._port)) as site:
            first = client.recv(65536)
            if first[:1] == b"\x05":
                client.sendall(b"\x05\x00")
                request = client.recv(65536)  # version, connect, 0, 3, length, name, port
                self.asked.append("socks5 " + request[5 : 5 + request[4]].decode())
                client.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
            else:
                self.asked.append("http " + first.split(b"/")[2].decode())
                site.sendall(first.replace(f"http://{SITE}".encode(), b""))
            threading.Thread(target=self._copy, args=(site, client), daemon=True).start()
            self._copy(client, site)

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data.replace(f"http://{SITE}".encode(), b""))
        except OSError:
            pass

    def close(self) -> None:
        self._listener.close()


@pytest.fixture(scope="module")
def site() -> Iterator[ReplayServer]:
    with ReplayServer(timetable(drafts(3))) as server:
        yield server


@pytest.fixture
def proxy(site: ReplayServer) -> Iterator[Proxy]:
    one = Proxy(int(site.url.rsplit(":", 1)[1]))
    yield one
    one.close()


def read(url: str) -> object:
    async def within() -> object:
        async with InvenClient(url, contact="", min_interval=0, jitter=0, max_attempts=1) as client:
            return await client.get_list(2294, 1)

    return asyncio.run(within())


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_the_users_proxy_reaches_the_site_and_is_not_asked_for_this_machine(
    site: ReplayServer, proxy: Proxy, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("http_proxy", f"{scheme}://{proxy.address}")
    for name, value in spared_from_proxies(os.environ).items():
        monkeypatch.setenv(name, value)
    assert isinstance(read(f"http://{SITE}"), ListPage)
    assert set(proxy.asked) == {f"{scheme} {SITE}"}
    proxy.asked.clear()
    assert isinstance(read(site.url), ListPage)
    assert proxy.asked == []
