"""Prefect's server as we start it: who gets in, whose runs it deletes, and what its worker's runs can reach."""

import os
import re
import stat
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from demo.replay_posts import read_posts, schedule
from flows import home
from pipeline import clock
from pipeline.live.store import Store
from tests.flows.conftest import Place, free_port, login
from tests.support import ROOT
from tests.support.replay_server import Clock, ReplayServer

FOREIGN = {"Origin": "http://evil.example"}


def ask(place: Place, path: str, method: str = "GET", **options: object) -> httpx.Response:
    return httpx.request(method, place.env["PREFECT_API_URL"] + path, trust_env=False, timeout=30, **options)


@pytest.mark.slow
@pytest.mark.timeout(300)
class TestServer:
    """One real server, many visitors."""

    def test_a_foreign_page_reads_nothing_and_starts_nothing(self, place: Place) -> None:
        answer = ask(place, "/deployments/name/crawl/continuous", headers=FOREIGN)
        assert answer.status_code == 401
        assert "access-control-allow-origin" not in answer.headers
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        preflight = ask(place, "/deployments/x/create_flow_run", "OPTIONS", headers=FOREIGN | asked)
        assert preflight.status_code == 400
        assert "access-control-allow-origin" not in preflight.headers
        body = {"job_variables": {"command": "touch pwned"}, "state": {"type": "SCHEDULED"}}
        for headers in (FOREIGN, {"Content-Type": "text/plain"}, {"Authorization": "Basic bWFwbGU6"}):
            assert ask(place, "/flow_runs/", "POST", headers=headers, json=body).status_code == 401

    def test_its_own_page_may_ask_under_both_names_of_this_machine(self, place: Place) -> None:
        for name in ("127.0.0.1", "localhost", "[::1]"):
            origin = re.sub(r"127\.0\.0\.1", name, place.env["PREFECT_API_URL"].removesuffix("/api"))
            answer = ask(place, "/admin/version", headers={"Origin": origin}, auth=login(place.root))
            assert (answer.status_code, answer.headers.get("access-control-allow-origin")) == (200, origin)

    @pytest.mark.parametrize("host", ["evil.example", "evil.example:4200", "127.0.0.1.evil.example", "localhost.", ""])
    def test_a_name_that_was_rebound_to_this_machine_is_refused(self, place: Place, host: str) -> None:
        for path in ("/health", "/admin/version"):
            answer = ask(place, path, headers={"Host": host}, auth=login(place.root))
            assert answer.status_code == 400, (path, answer.text)

    def test_a_web_socket_needs_the_login_too(self, place: Place) -> None:
        from websockets.exceptions import ConnectionClosed, InvalidHandshake
        from websockets.sync.client import connect

        url = place.env["PREFECT_API_URL"].replace("http", "ws") + "/events/out"

        def guess(**options: object) -> None:
            with connect(url, proxy=None, **options) as socket:
                socket.send('{"type": "auth", "token": "maple:guessed"}')
                socket.recv(timeout=20)

        for options in ({}, {"subprotocols": ["prefect"]}):
            with pytest.raises((ConnectionClosed, InvalidHandshake)):
                guess(**options)

    def test_the_login_is_for_its_owner_only_and_commands_typed_there_have_it(self, place: Place) -> None:
        path = place.root / home.PROFILES
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert len(login(place.root)[1]) >= 32
        assert (place.root / home.HOME / "prefect.db").exists()
        done = place.python("-m", "prefect", "--no-prompt", "work-pool", "ls")
        assert done.returncode == 0, done.stderr
        done = place.python("-m", "prefect", "--no-prompt", "work-pool", "ls", PREFECT_API_AUTH_STRING="maple:guessed")
        assert done.returncode != 0

    def test_a_worker_of_another_checkout_is_told_so(self, place: Place, tmp_path: Path) -> None:
        other = Place(tmp_path, place.env)
        for name in ("pipeline", "flows", "prefect.toml", "prefect.yaml"):
            (tmp_path / name).symlink_to(place.root / name)
        done = other.python("-m", "flows.worker")
        assert done.returncode == 1
        assert "has another login" in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr

    def test_the_workers_runs_reach_the_server_and_stay_in_this_checkout(self, place: Place, tmp_path: Path) -> None:
        drafts = read_posts([ROOT / "demo/posts.jsonl"])[:12]
        start = clock.now() - timedelta(minutes=5)
        posts = schedule(drafts, start=start, initial=12, per_minute=0, deleted=0)
        database, user = f"sqlite:///{tmp_path}/live.db", tmp_path / "user"
        # A proxy is set and nothing is said of this machine: it is reached all the same.
        proxies = {name: f"http://127.0.0.1:{free_port()}" for name in ("HTTP_PROXY", "HTTPS_PROXY", "all_proxy")}
        with ReplayServer(posts, Clock(start)) as site, (tmp_path / "worker.log").open("w") as log:
            env = place.env | proxies | {"INVEN_URL": site.url, "DATABASE_URL": database, "HOME": str(user)}
            command = [sys.executable, "-m", "flows.worker"]
            worker = subprocess.Popen(command, cwd=place.root, env=env, stdout=log, stderr=log, start_new_session=True)
            try:
                deadline = time.monotonic() + 240
                while True:
                    with Store(database) as store:
                        if store.count_pending()[0] == 12:
                            break
                    assert worker.poll() is None, (tmp_path / "worker.log").read_text()
                    assert time.monotonic() < deadline, (tmp_path / "worker.log").read_text()[-5000:]
                    time.sleep(1)
            finally:
                os.killpg(worker.pid, 9)
                worker.wait(30)
        assert not (user / ".prefect").exists()


def settings_of_a_server(folder: Path, **environ: str) -> str:
    """What a server that starts in this folder would delete, as Prefect itself reads it."""
    code = (
        "from flows import server; server.prepare()\n"
        "from prefect.settings import get_current_settings; s = get_current_settings().server\n"
        "print(sorted(s.services.db_vacuum.enabled), s.events.retention_period.days)"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    env = kept | {"PYTHONPATH": str(ROOT), "PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api"} | environ
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_runs_are_deleted_from_a_database_of_our_own_only(tmp_path: Path) -> None:
    (tmp_path / "prefect.toml").write_text((ROOT / "prefect.toml").read_text())
    assert settings_of_a_server(tmp_path) == "['events', 'flow_runs'] 2"
    for elsewhere in (
        {"PREFECT_HOME": str(tmp_path / "shared")},
        {"PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{tmp_path}/shared.db"},
    ):
        assert settings_of_a_server(tmp_path, **elsewhere) == "['events'] 7"
