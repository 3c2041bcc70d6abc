"""A real Prefect server on a free port for these tests, started as `make up` does, in a project of its own."""

import os
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from tests.support.project import ENVIRONMENT, make_project, run


@dataclass(frozen=True)
class Place:
    """A project in a temporary folder and the environment of its processes."""

    root: Path
    env: dict[str, str]

    def python(self, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run `python …` there."""
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=self.root, env=self.env | extra, capture_output=True, text=True, timeout=280, check=False
        )

    def api(self, path: str, **body: object) -> list[dict[str, object]]:
        """POST to Prefect's API."""
        user, password = login(self.root)
        url = f"{self.env['PREFECT_API_URL']}{path}"
        answer = httpx.post(url, json=body, auth=(user, password), timeout=30, trust_env=False)
        answer.raise_for_status()
        return answer.json()


def login(root: Path) -> tuple[str, str]:
    """User and password of the Prefect server of a checkout."""
    profiles = tomllib.loads((root / ".run/prefect/profiles.toml").read_text(encoding="utf-8"))["profiles"]
    user, password = profiles["maple-pulse"]["PREFECT_API_AUTH_STRING"].split(":")
    return user, password


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The project with small thresholds, and Prefect's server running in it."""
    base = tmp_path_factory.mktemp("flows")
    root = make_project(base / "project", "flows", "prefect.yaml", "prefect.toml", "demo")
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    params["crawl"] |= {"min_interval": 0.0, "jitter": 0.0}
    params["cut"]["size"], params["archive"]["size"] = 20, 3
    (root / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    run(root, "git", "commit", "--quiet", "--all", "--message", "Make thresholds small")
    port = free_port()
    env = {name: value for name, value in ENVIRONMENT.items() if not name.startswith("PREFECT_")} | {
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "DATABASE_URL": f"sqlite:///{root}/data/live/maple.db",
        "LLM_ENDPOINTS": f"http://127.0.0.1:{free_port()}/v1",
        "PYTHONUNBUFFERED": "1",
    }
    log = (base / "server.log").open("w")
    command = [sys.executable, "-m", "flows.server"]
    server = subprocess.Popen(command, cwd=root, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                if httpx.get(f"{env['PREFECT_API_URL']}/health", timeout=2, trust_env=False).status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            assert server.poll() is None, (base / "server.log").read_text()
            assert time.monotonic() < deadline, (base / "server.log").read_text()
            time.sleep(0.3)
        yield Place(root, env)
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)
        log.close()
