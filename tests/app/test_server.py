"""The page's server: health, headers, refusals, endpoints, and what it says when it can't start."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.guard import HEADERS, MAX_BODY
from app.server import CannotListen, listen
from pipeline.live.store import Store
from tests.app.world import VERSION, Model, Running, WordClassifier, fill, services_of
from tests.support import ROOT


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Store, Model]]:
    """A served page, its database and its model."""
    with Store(f"sqlite:///{tmp_path_factory.mktemp('server') / 'live.db'}") as store:
        fill(store)
        model = Model(WordClassifier())
        with Running(services_of(store, model)) as running:
            yield running, store, model


def test_health_and_readiness(world):
    running, _, model = world
    assert httpx.get(f"{running.url}/healthz").json() == {"status": "ok"}
    answer = httpx.get(f"{running.url}/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"ready": True, "database": True, "model": VERSION, "warming_up": False}
    model.classifier = None
    try:
        answer = httpx.get(f"{running.url}/readyz")
    finally:
        model.classifier = WordClassifier()
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "database": True, "model": None, "warming_up": False}


def test_a_database_that_went_away_is_not_ready(tmp_path: Path):
    with Store(f"sqlite:///{tmp_path / 'live.db'}") as store:
        services = services_of(store, Model(WordClassifier()))
        assert services.database_works()
        with store.writing() as connection:
            connection.exec_driver_sql("DROP TABLE posts")
        assert not services.database_works()


@pytest.mark.parametrize("path", ["/", "/healthz", "/config", "/no-such-page"])
def test_every_answer_carries_the_security_headers(world, path):
    answer = httpx.get(world[0].url + path)
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_the_page_names_no_other_host_to_load_from(world):
    page = httpx.get(world[0].url + "/").text
    for tag in page.split("<")[1:]:
        if tag.startswith(("script", "link", "iframe", "img")):
            assert "http://" not in tag.split(">")[0] or world[0].url in tag
            assert "https://" not in tag.split(">")[0]


def test_uploads_and_huge_requests_are_refused(world):
    url = world[0].url
    assert httpx.post(f"{url}/gradio_api/upload", files={"files": b"x"}).status_code == 404
    assert httpx.post(f"{url}/gradio_api/call/analyse", content=b"x" * (MAX_BODY + 1)).status_code == 413
    chunks = iter([b"{}"])
    assert httpx.post(f"{url}/gradio_api/call/analyse", content=chunks).status_code == 411


def test_files_docs_and_run_history_are_not_served(world):
    url = world[0].url
    for path in (ROOT / "pyproject.toml", ROOT / "data" / "korean_stopwords.txt", Path("/etc/passwd")):
        assert httpx.get(f"{url}/gradio_api/file={path}").status_code == 404
    for path in ("docs", "redoc", "gradio_api/runs", "monitoring"):
        assert httpx.get(f"{url}/{path}").status_code == 404, path


def test_three_endpoints_are_public_and_speak_json(world):
    from gradio_client import Client
    from gradio_client.exceptions import AppError

    running, store, _ = world
    client = Client(running.url, verbose=False)
    api = client.view_api(return_format="dict", print_info=False)
    assert sorted(api["named_endpoints"]) == ["/analyse", "/dashboard", "/feedback"]
    assert api["unnamed_endpoints"] == {}

    verdict = client.predict("비숍 갓캐", api_name="/analyse")
    assert (verdict["label"], verdict["model_version"]) == ("긍정", VERSION)
    assert sum(verdict["probabilities"].values()) == pytest.approx(1)
    assert verdict["words"][1][0] == "갓캐"
    before = store.count_pending()[1]
    assert client.predict("비숍 갓캐", "중립", api_name="/feedback")["feedback"] == before + 1
    assert client.predict("전체", api_name="/dashboard")["posts"] == 40
    for arguments, words in ((("가" * 2001,), "2,000자"), (("  ",), "입력해")):
        with pytest.raises(AppError, match=words):
            client.predict(*arguments, api_name="/analyse")
    with pytest.raises(AppError, match="정답"):
        client.predict("비숍", "좋음", api_name="/feedback")
    assert store.count_pending()[1] == before + 1


def test_a_port_in_use_is_one_clear_message(world):
    port = int(world[0].url.rsplit(":", 1)[1])
    with pytest.raises(CannotListen, match=f"port {port} on 127.0.0.1 is in use.*APP_PORT"):
        listen("127.0.0.1", port)
    with pytest.raises(CannotListen, match="APP_HOST"):
        listen("192.0.2.1", 0)  # an address for documentation: on no machine


def test_a_port_just_given_back_can_be_used_again():
    first = listen("127.0.0.1", 0)
    port = first.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port)):
        first.accept()[0].close()
    first.close()
    listen("127.0.0.1", port).close()


def start(environ: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", "app.server"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_ends_with_one_line_when_it_cannot_start(world, tmp_path: Path):
    (tmp_path / "params.yaml").write_text("cut: {size: 1000}\narchive: {size: 100}\n", encoding="utf-8")
    port = world[0].url.rsplit(":", 1)[1]
    for environ, words in (
        ({"APP_PORT": port}, "is in use"),
        ({"APP_PORT": "0"}, "is not a port"),
        ({"APP_PORT": "1", "DATABASE_URL": "sqlite:///x.db", "APP_HOST": "192.0.2.1"}, "can't be opened"),
    ):
        ended = start(environ, tmp_path)
        assert ended.returncode == 1
        assert ended.stderr.count("\n") == 1, ended.stderr
        assert words in ended.stderr
    elsewhere = start({}, tmp_path.parent)
    assert elsewhere.returncode == 1
    assert "run from the project's root" in elsewhere.stderr


def test_nonsense_is_refused_without_an_error_in_the_log(world, caplog, capfd):
    running, store, _ = world
    api = f"{running.url}/gradio_api"
    half = r'"\ud800"'  # half of a character, as a text that was cut in the middle of an emoji has it
    before = store.count_pending()[1]
    calls = {
        "call/feedback": [
            (f'{{"data": [{half}, "부정"]}}', 200),
            (f'{{"data": ["비숍", {half}]}}', 200),
            (f'{{"data": ["비숍", "부정"], "session_hash": {half}}}', 400),
            ('{"data": ["비숍"]}', 422),
            ('{"data": [["비숍"], {}]}', 200),
            ("[]", 422),
            ('{"data": ["비숍", "부정"]', 422),
        ],
        "call/v2/feedback": [(f'{{"text": "비숍", "label": "부정", "session_hash": {half}}}', 422), ("{}", 422)],
        "call/dashboard": [(f'{{"data": [{half}, {half}, {half}]}}', 200)],
        "call/nothing": [('{"data": []}', 404)],
        "queue/join": [
            (f'{{"fn_index": 0, "data": [], "session_hash": "{"x" * 65}"}}', 400),
            ('{"fn_index": 99, "data": [], "session_hash": "x"}', 422),
            ('{"fn_index": {}, "data": [], "session_hash": "x"}', 422),
        ],
    }
    for path, asked in calls.items():
        for body, expected in asked:
            headers = {"Content-Type": "application/json"}
            answer = httpx.post(f"{api}/{path}", content=body.encode(), headers=headers)
            assert answer.status_code == expected, (path, body, answer.text)
            if expected == 200:
                ended = httpx.get(f"{api}/{path}/{answer.json()['event_id']}").text
                assert "event: error" in ended, (path, body, ended)
    assert store.count_pending()[1] == before
    httpx.get(f"{running.url}/healthz")
    assert "Traceback" not in "".join(capfd.readouterr())
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
