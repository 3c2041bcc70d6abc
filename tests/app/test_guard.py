"""Whom the page answers: rebound names, foreign pages, proxies that nobody named, routes that nobody uses."""

import json
import re
from collections.abc import Iterator

import httpx
import pytest

from app.guard import ROUTES, Site
from app.services import FEEDBACK_PER_MINUTE
from pipeline import settings
from pipeline.live.store import Store
from tests.app.world import Model, Running, WordClassifier, fill, services_of


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Store]]:
    """A page for this machine only."""
    with Store(f"sqlite:///{tmp_path_factory.mktemp('guard') / 'live.db'}") as store:
        fill(store)
        with Running(services_of(store, Model(WordClassifier()))) as running:
            yield running, store


def call(url: str, name: str, *data: object, **options: object) -> tuple[int, str]:
    """Status of a call to an endpoint, and its event or its error."""
    answer = httpx.post(f"{url}/gradio_api/call/{name}", json={"data": data}, timeout=30, **options)  # type: ignore[arg-type]
    if answer.status_code != 200:
        return answer.status_code, answer.text
    ended = httpx.get(f"{url}/gradio_api/call/{name}/{answer.json()['event_id']}", timeout=30, **options)  # type: ignore[arg-type]
    return ended.status_code, ended.text


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "evil@127.0.0.1", "localhost.", "", "10.0.0.7"],
)
def test_a_name_that_was_rebound_to_this_machine_is_not_answered(world, host):
    for path in ("/", "/config", "/healthz", "/gradio_api/info"):
        answer = httpx.get(world[0].url + path, headers={"Host": host})
        assert answer.status_code == 400
        assert "APP_ALLOWED_HOSTS" in answer.text
    status, said = call(world[0].url, "feedback", "비숍", "부정", headers={"Host": host})
    assert (status, "APP_ALLOWED_HOSTS" in said) == (400, True)


def test_this_machines_own_names_are_answered(world):
    for host in ("127.0.0.1", "localhost", "LOCALHOST:7860", "[::1]:7860"):
        assert httpx.get(f"{world[0].url}/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:3000", "https://127.0.0.1:1"])
def test_a_foreign_page_can_neither_send_nor_read(world, origin):
    running, store = world
    before = store.count_pending()[1]
    status, said = call(running.url, "feedback", "비숍", "부정", headers={"Origin": origin})
    assert status == 403, said
    assert store.count_pending()[1] == before
    answer = httpx.get(f"{running.url}/config", headers={"Origin": origin})
    assert not [name for name in answer.headers if name.startswith("access-control-allow-o")]
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    assert httpx.options(f"{running.url}/gradio_api/queue/join", headers=asked).status_code == 405
    own = {"Origin": running.url}
    assert call(running.url, "analyse", "비숍", headers=own)[0] == 200


def test_an_address_that_the_visitor_made_up_is_not_believed(world, monkeypatch):
    running, store = world
    monkeypatch.setattr(running._services._feedbacks, "_calls", type(running._services._feedbacks._calls)())
    before = store.count_pending()[1]
    said = [
        call(running.url, "feedback", f"문장 {i}", "부정", headers={"X-Forwarded-For": f"10.0.0.{i}"})[1]
        for i in range(FEEDBACK_PER_MINUTE + 5)
    ]
    assert store.count_pending()[1] - before == FEEDBACK_PER_MINUTE
    assert "초 뒤에" in json.loads(said[-1].split("data: ")[1])["error"]
    page = httpx.get(
        f"{running.url}/config", headers={"X-Forwarded-Host": "evil.example", "X-Gradio-Server": "http://e"}
    )
    assert page.json()["root"].startswith(running.url)


def test_only_routes_that_are_used_are_open(world):
    from gradio.routes import App

    running, _ = world
    gradio = next(route.app for route in running.app.routes if isinstance(getattr(route, "app", None), App))
    closed = [
        (method, path)
        for route in [*gradio.routes, *gradio.routes[-1].original_router.routes]
        for method in getattr(route, "methods", None) or ()
        if not ROUTES[method].fullmatch(path := re.sub(r"\{[^}]+\}", "0", route.path))
    ]
    assert len(closed) > 50
    for method, path in closed:
        assert httpx.request(method, running.url + path, json={}).status_code == 404, (method, path)
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        assert httpx.request(method, f"{running.url}/").status_code == 405


def test_behind_a_named_proxy_each_visitor_has_limits_of_their_own(tmp_path):
    site = Site(hosts=("pulse.example.org",), proxies=("127.0.0.1/32",))
    with Store(f"sqlite:///{tmp_path / 'live.db'}") as store, Running(services_of(store, Model()), site) as running:
        visitors = [f"198.51.100.{i}" for i in range(3)]
        for visitor in visitors:
            headers = {"Host": "pulse.example.org", "X-Forwarded-For": f"203.0.113.9, {visitor}"}
            for i in range(6):
                assert "complete" in call(running.url, "feedback", f"{visitor} {i}", "부정", headers=headers)[1]
        assert store.count_pending()[1] == 18  # more than one visitor may send
        for i in range(FEEDBACK_PER_MINUTE):  # what the proxy itself says counts, not what the visitor wrote before it
            headers = {"X-Forwarded-For": f"203.0.113.{i}, {visitors[0]}"}
            call(running.url, "feedback", f"또 {i}", "부정", headers=headers)
        assert store.count_pending()[1] == 18 + FEEDBACK_PER_MINUTE - 6
        headers = {"X-Forwarded-Host": "evil.example"}
        assert httpx.get(f"{running.url}/", headers=headers).status_code == 400
        headers = {"Origin": "https://pulse.example.org"}
        assert call(running.url, "analyse", "비숍", headers=headers)[0] == 200
        assert call(running.url, "analyse", "비숍", headers={"Origin": "http://localhost:3000"})[0] == 403


def test_the_site_of_an_installation():
    given = {
        "APP_HOST": "192.168.0.5",
        "APP_ROOT_PATH": "https://Example.org/pulse",
        "APP_ALLOWED_HOSTS": "*.example.net",
        "FORWARDED_ALLOW_IPS": "10.0.0.0/24,::1",
    }
    site = Site.of(settings.load(given, env_file=settings.Path("none")))
    for host in ("192.168.0.5:7860", "example.org", "a.b.example.net", "localhost"):
        assert site.answers_to(host), host
    for host in ("example.net", "xexample.net", "192.168.0.6", "example.org.evil.example", "a b", "example.org:x"):
        assert not site.answers_to(host), host
    assert site.answers_to("192.168.0.6:7860", own="192.168.0.6")  # APP_HOST=0.0.0.0: the address that was connected to
    assert site.prefix == "/pulse"
    assert site.trusts("10.0.0.200")
    assert site.trusts("::1")
    assert not site.trusts("10.0.1.1")
    assert not site.trusts("nonsense")
