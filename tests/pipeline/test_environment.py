"""What our processes may not do: the switches are set, and the files that say the same agree with them."""

import configparser
import json
import os
import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx
import pytest

from pipeline import settings
from pipeline.environment import (
    DETERMINISM,
    QUIET,
    TELEMETRY_OFF,
    is_this_machine,
    proxy_problem,
    spared_from_proxies,
)
from tests.support import ROOT


def environment_of_a_child(**variables: str) -> dict[str, str]:
    """The environment after `import pipeline` in a process that starts with these variables."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "SYSTEMROOT")}
    code = "import json, os, pipeline; print(json.dumps(dict(os.environ)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=kept | variables, capture_output=True, check=True)
    result: dict[str, str] = json.loads(done.stdout)
    return result


def test_importing_the_pipeline_sets_every_switch() -> None:
    found = environment_of_a_child()
    assert {name: found.get(name) for name in TELEMETRY_OFF} == TELEMETRY_OFF
    wanted = QUIET | DETERMINISM
    assert {name: found.get(name) for name in wanted} == wanted
    assert found["DO_NOT_TRACK"] == found["DVC_NO_ANALYTICS"] == found["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert found["PYTHONUTF8"] == "1"
    # Or the same inputs give other bytes on another day.
    assert (found["TF_ENABLE_ONEDNN_OPTS"], found["CUDA_VISIBLE_DEVICES"]) == ("0", "-1")


def test_telemetry_is_not_asked_but_the_rest_is() -> None:
    found = environment_of_a_child(
        GRADIO_ANALYTICS_ENABLED="True", PREFECT_SERVER_ANALYTICS_ENABLED="true", TF_CPP_MIN_LOG_LEVEL="0"
    )
    assert found["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert found["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert found["TF_CPP_MIN_LOG_LEVEL"] == "0"


def test_an_empty_switch_is_one_that_is_not_set() -> None:
    assert environment_of_a_child(PYTHONUTF8="", TF_CPP_MIN_LOG_LEVEL="")["PYTHONUTF8"] == QUIET["PYTHONUTF8"]


def test_children_find_the_running_python_first_and_once() -> None:
    own = str(Path(sys.executable).parent)
    for before in ("/usr/bin:/bin", f"/usr/bin:{own}:/bin", ""):
        path = environment_of_a_child(PATH=before)["PATH"].split(os.pathsep)
        assert path == [own, *(part for part in before.split(os.pathsep) if part and part != own)]


def test_no_other_place_sets_that_path() -> None:
    found = [
        path.relative_to(ROOT).as_posix()
        for folder in ("pipeline", "flows", "app", "demo", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"""["']PATH["']""", path.read_text(encoding="utf-8"))
    ]
    assert found == ["pipeline/environment.py"]


PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"])
@pytest.mark.parametrize("before", ["", "corp.example", "[::1]", "[::1]:80,fe80::/10", "*"])
def test_this_machine_is_never_reached_by_proxy(name: str, before: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for one in [one for one in os.environ if one.lower().endswith("_proxy")]:
        monkeypatch.delenv(one)
    assert spared_from_proxies({"NO_PROXY": before}) == {}
    found = spared_from_proxies({name: PROXY, "NO_PROXY": before})
    for one, value in {name: PROXY, **found}.items():
        monkeypatch.setenv(one, value)
    assert proxy_problem() == ""
    with httpx.Client() as client:
        direct = client._transport
        for host in ("127.0.0.1:8", "localhost", "[::1]:8", socket.gethostname().lower()):
            assert client._transport_for_url(httpx.URL(f"http://{host}/")) is direct, host
        through = client._transport_for_url(httpx.URL("https://www.inven.co.kr/")) is not direct
    assert through == (before != "*" and "http_" not in name.lower())


def test_every_process_of_ours_and_its_children_say_so() -> None:
    found = environment_of_a_child(https_proxy=PROXY, NO_PROXY="corp.example")
    assert found["NO_PROXY"] == found["no_proxy"]
    assert found["NO_PROXY"].startswith("corp.example,localhost,127.0.0.1,::1")
    assert "NO_PROXY" not in environment_of_a_child()


def test_the_lower_case_name_wins_and_both_say_the_same() -> None:
    found = spared_from_proxies({"http_proxy": PROXY, "no_proxy": "a.example", "NO_PROXY": "b.example"})
    assert found["no_proxy"] == found["NO_PROXY"]
    assert found["NO_PROXY"].startswith("a.example,localhost,127.0.0.1,::1")


@pytest.mark.parametrize(
    "value",
    [
        "socks://me:secret@proxy:1080",
        "::1:3128",
        "http://[::1",
        "http://proxy:port",
        "http://",
        "ftp://proxy",
        "p:70000",
    ],
)
def test_a_proxy_that_cannot_be_used_is_one_sentence_naming_the_variable(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", value)
    said = proxy_problem()
    assert said.startswith("ALL_PROXY=")
    assert "socks5://HOST:PORT" in said
    assert "secret" not in said
    assert "\n" not in said
    with pytest.raises(settings.SettingsError, match="ALL_PROXY"):
        settings.load()


@pytest.mark.parametrize("value", ["socks5://proxy:1080", "socks5h://[::1]:1080", "http://[2001:db8::1]:3128", "p:1"])
def test_socks_and_ipv6_proxies_can_be_used(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", value)
    assert proxy_problem() == ""
    httpx.Client().close()


def test_no_proxy_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("no_proxy", "::zz")
    assert "NO_PROXY='::zz'" in proxy_problem()


@pytest.mark.parametrize("module", ["flows.up", "flows.worker", "flows.server", "flows.crawl", "app.server"])
def test_every_part_ends_with_that_sentence(module: str) -> None:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "SYSTEMROOT")}
    command = [sys.executable, "-m", module]
    env = kept | {"ALL_PROXY": "socks://proxy:1080"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert "ALL_PROXY='socks://proxy:1080' is no proxy" in done.stderr


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("http://127.0.0.1:8100", True),
        ("http://127.3.2.1", True),
        ("http://LOCALHOST:1/v1", True),
        ("http://maple.localhost", True),
        ("http://[::1]:1234/v1", True),
        ("http://[::ffff:127.0.0.1]/", True),
        (f"http://{socket.gethostname()}:1", True),
        ("http://192.168.0.7:1234", False),
        ("https://www.inven.co.kr", False),
        ("http://localhost.example.org", False),
        ("http://[::1", False),
        ("", False),
    ],
)
def test_what_this_machine_is(url: str, own: bool) -> None:
    assert is_this_machine(url) is own


def test_importing_the_pipeline_loads_neither_prefect_nor_gradio() -> None:
    code = (
        "import sys, pkgutil, importlib, pipeline\n"
        "for found in pkgutil.walk_packages(pipeline.__path__, 'pipeline.'):\n"
        "    if not found.name.endswith(('fused', '__main__')) and '.migrations.' not in found.name:\n"
        "        importlib.import_module(found.name)\n"
        "print([name for name in ('prefect', 'gradio', 'tensorflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_prefects_file_agrees() -> None:
    document = tomllib.loads((ROOT / "prefect.toml").read_text(encoding="utf-8"))
    assert document["server"]["analytics_enabled"] is False
    assert TELEMETRY_OFF["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert TELEMETRY_OFF["DO_NOT_TRACK"] == "1"


def test_dvcs_file_agrees() -> None:
    config = configparser.ConfigParser()
    config.read_string(
        "\n".join(line.strip() for line in (ROOT / ".dvc" / "config").read_text(encoding="utf-8").splitlines())
    )
    assert config.getboolean("core", "analytics") is False
    assert config.getboolean("core", "check_update") is False
    assert config.getboolean("core", "autostage") is False  # DVC would stage files that are a user's
    assert TELEMETRY_OFF["DVC_NO_ANALYTICS"] == "1"
