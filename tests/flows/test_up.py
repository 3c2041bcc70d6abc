"""`make up` says what is missing, in one clear sentence each, before it starts anything."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flows import up
from pipeline import settings
from tests.support.project import make_project

HERE = settings.load({}, Path("no-such-file"))


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_in_use_is_named_with_the_setting_that_moves_it(taken: int) -> None:
    problem = up.port_problem("127.0.0.1", taken, "APP_PORT")
    assert problem is not None
    assert str(taken) in problem
    assert "APP_PORT" in problem


def test_a_missing_llm_server_is_named_with_what_to_start() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    problem = up.llm_problem(replace(HERE, llm_endpoints=(url,)))
    assert problem is not None
    assert url in problem
    assert "LM Studio" in problem


def test_the_real_site_needs_a_contact_and_a_replay_does_not() -> None:
    assert "CRAWL_CONTACT" in str(up.contact_problem(replace(HERE, contact="")))
    assert up.contact_problem(replace(HERE, contact="me@example.org")) is None
    assert up.contact_problem(replace(HERE, contact="", inven_url="http://127.0.0.1:8100")) is None


def test_everything_that_is_missing_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    root = make_project(tmp_path / "project")
    monkeypatch.chdir(root)
    (root / "params.yaml").write_text("cut: {size: 1}\n")
    (root / "data/base").mkdir(exist_ok=True)
    (root / "data/base/merged_label_final.csv").write_text("sentence,label\nx,1\n")
    here = replace(HERE, app_port=taken, llm_endpoints=("http://127.0.0.1:9/v1",), database_url="nonsense")
    said = "\n".join(up.missing(here, taken))
    for expected in (
        f"port {taken}",
        "no LLM server",
        "merged_label_final.csv lacks the column(s) text",
        "CRAWL_CONTACT",
        "uncommitted changes in params.yaml",
        "DATABASE_URL",
    ):
        assert expected in said


def test_what_honcho_runs_is_in_the_procfile() -> None:
    names = [line.split(":")[0] for line in Path("Procfile").read_text().splitlines() if not line.startswith("#")]
    assert names == ["prefect", "worker", "app"]


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_make_hands_on_what_is_said_and_nothing_else() -> None:
    rule = f"show: ; @{sys.executable} -c 'import os; print(os.environ.get(\"APP_PORT\"))'"
    for given, expected in (([], "None"), (["APP_PORT=8999"], "8999")):
        command = ["make", "--no-print-directory", f"--eval={rule}", "show", *given]
        env = {name: value for name, value in os.environ.items() if name != "APP_PORT"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == expected


def test_a_port_on_an_ipv6_address_is_seen_as_taken() -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    with listener:
        assert up.port_problem("::1", listener.getsockname()[1], "APP_PORT") is not None
