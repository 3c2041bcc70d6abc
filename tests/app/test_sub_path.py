"""The page below a path of somebody else's site, behind a real reverse proxy."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from app.guard import Site
from pipeline.live.store import Store
from tests.app.reverse_proxy import PREFIX, ReverseProxy
from tests.app.test_ui import CHROMIUM, LIVE, analyse, sync_api, visit
from tests.app.world import Model, Running, WordClassifier, fill, services_of

PROXIES = ("127.0.0.1/32",)
WAYS = {
    "the prefix is cut off": {"strip": True},
    "the prefix stays": {"strip": False},
    "another Host, and told": {"strip": True, "own_host": True},
    "another Host, untold": {"strip": True, "own_host": True, "told": False},
}


@contextmanager
def served(folder: Path, way: str) -> Iterator[ReverseProxy]:
    with ReverseProxy(**WAYS[way]) as proxy, Store(f"sqlite:///{folder / 'live.db'}") as store:
        fill(store)
        # A proxy that does not tell: the whole address has to be written down.
        site = Site(PREFIX if "untold" not in way else proxy.url, proxies=PROXIES)
        with Running(services_of(store, Model(WordClassifier())), site) as running:
            proxy.page = running.url
            yield proxy


@pytest.mark.parametrize("way", WAYS)
def test_the_endpoints_answer_there(tmp_path: Path, way: str):
    from gradio_client import Client

    with served(tmp_path, way) as proxy:
        assert httpx.get(proxy.url, follow_redirects=False).headers["location"] == f"{PREFIX}/"
        assert httpx.get(f"{proxy.url}/healthz").json() == {"status": "ok"}
        assert httpx.get(f"{proxy.url}/config").json()["root"] == proxy.url
        if way == "the prefix stays":
            assert httpx.get(f"{proxy.url}{PREFIX}/healthz").status_code == 404
        client = Client(f"{proxy.url}/", verbose=False)
        assert client.predict("비숍 갓캐", api_name="/analyse")["label"] == "긍정"
        assert proxy.elsewhere == []


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium fonts-nanum")
@pytest.mark.parametrize("way", ["the prefix stays", "another Host, untold"])
def test_the_page_works_there(tmp_path: Path, way: str):
    with sync_api.sync_playwright() as playwright, served(tmp_path, way) as proxy:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        with visit(browser, proxy.url) as page:
            page.get_by_role("tab", name=LIVE).click()
            analyse(page, "비숍 갓캐")
            page.get_by_test_id("긍정-confidence-set").wait_for()
        browser.close()
        assert proxy.elsewhere == []
