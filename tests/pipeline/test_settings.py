"""Where things are (environment, .env) and the numbers (params.yaml)."""

import os
import re
from pathlib import Path

import pytest

from pipeline import settings
from pipeline.settings import SettingsError
from tests.support import ROOT

NOWHERE = Path("/nonexistent/.env")


def test_defaults_are_loopback_and_lm_studio() -> None:
    found = settings.load({}, NOWHERE)
    assert found.database_url == "sqlite:///data/live/maple.db"
    assert found.inven_url == "https://www.inven.co.kr"
    assert found.llm_endpoints == ("http://127.0.0.1:1234/v1",)
    assert (found.app_host, found.app_port) == ("127.0.0.1", 7860)
    assert found.contact == ""


def test_environment_beats_the_file_and_the_file_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(
        "APP_PORT=8000\nLLM_MODEL=젬마\nCRAWL_CONTACT=\nDATABASE_URL=sqlite:///from-file.db\n", encoding="utf-8"
    )
    found = settings.load({"DATABASE_URL": "sqlite:///from-environment.db"}, path)
    assert found.database_url == "sqlite:///from-environment.db"
    assert found.app_port == 8000
    assert found.llm_model == "젬마"


def test_without_arguments_it_reads_the_process_and_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("LLM_MODEL=here\n", encoding="utf-8")
    monkeypatch.delenv("LLM_MODEL", raising=False)
    monkeypatch.setenv("APP_PORT", "9999")
    found = settings.load()
    assert (found.llm_model, found.app_port) == ("here", 9999)


def test_an_empty_variable_is_one_that_is_not_set(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("APP_PORT=8000\nLLM_MODEL=gemma\n", encoding="utf-8")
    found = settings.load({"APP_PORT": "", "LLM_MODEL": "", "APP_HOST": ""}, path)
    assert (found.app_port, found.llm_model, found.app_host) == (8000, "gemma", "127.0.0.1")


def test_the_file_reaches_parts_that_read_the_environment_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ".env"
    path.write_text("PREFECT_API_URL=http://127.0.0.1:4300/api\nAPP_PORT=8000\nLLM_MODEL=\n", encoding="utf-8")
    given = {"APP_PORT": "9000", "PREFECT_API_URL": "", "PREFECT_HOME": "", "PATH": os.environ["PATH"]}
    monkeypatch.setattr(os, "environ", dict(given))
    settings.export(path)
    del given["PREFECT_HOME"]
    assert os.environ == given | {"PREFECT_API_URL": "http://127.0.0.1:4300/api"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949", "utf-16"])
def test_a_file_from_a_windows_editor_is_read_or_refused_in_one_sentence(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / ".env"
    path.write_bytes("CRAWL_CONTACT=me@example.org\r\n# 내 서버\r\nLLM_MODEL=gemma\r\n".encode(encoding))
    if encoding.startswith("utf-8"):
        found = settings.load({}, path)
        assert (found.contact, found.llm_model) == ("me@example.org", "gemma")
    else:
        with pytest.raises(SettingsError, match=r"\.env is not UTF-8"):
            settings.load({}, path)


def test_where_the_page_is_served_and_whom_it_answers() -> None:
    found = settings.load({}, NOWHERE)
    assert (found.app_root_path, found.app_allowed_hosts, found.trusted_proxies) == ("", (), ())
    found = settings.load(
        {
            "APP_ROOT_PATH": "/maple/pulse/",
            "APP_ALLOWED_HOSTS": "Pulse.example.org, *.example.net,[2001:db8::1]",
            "FORWARDED_ALLOW_IPS": "10.0.0.2, 192.168.3.7/24,::1",
        },
        NOWHERE,
    )
    assert found.app_root_path == "/maple/pulse"
    assert found.app_allowed_hosts == ("pulse.example.org", "*.example.net", "2001:db8::1")
    assert found.trusted_proxies == ("10.0.0.2/32", "192.168.3.0/24", "::1/128")
    assert settings.load({"APP_ROOT_PATH": "https://example.org/pulse/"}, NOWHERE).app_root_path.endswith("org/pulse")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("APP_ROOT_PATH", "pulse"),
        ("APP_ROOT_PATH", "/a b"),
        ("APP_ROOT_PATH", "/a/../b?x"),
        ("APP_ROOT_PATH", "javascript:alert(1)"),
        ("APP_ALLOWED_HOSTS", "*"),
        ("APP_ALLOWED_HOSTS", "a.example:8000"),
        ("APP_ALLOWED_HOSTS", "http://a.example"),
        ("FORWARDED_ALLOW_IPS", "*"),
        ("FORWARDED_ALLOW_IPS", "0.0.0.0/0"),
        ("FORWARDED_ALLOW_IPS", "proxy"),
    ],
)
def test_what_would_let_anyone_in_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        settings.load({name: value}, NOWHERE)


def test_several_endpoints() -> None:
    found = settings.load({"LLM_ENDPOINTS": " http://127.0.0.1:1/v1/ ,, https://host/v1"}, NOWHERE)
    assert found.llm_endpoints == ("http://127.0.0.1:1/v1", "https://host/v1")


@pytest.mark.parametrize("text", ["0", "65536", "-1", "http", "80.5", "²", "8000 "])
def test_a_bad_port_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match=f"APP_PORT={re.escape(repr(text))} is not a port"):
        settings.load({"APP_PORT": text}, NOWHERE)


@pytest.mark.parametrize("name", ["INVEN_URL", "LLM_ENDPOINTS"])
def test_a_bad_address_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name}='127.0.0.1:80' is not an address"):
        settings.load({name: "127.0.0.1:80"}, NOWHERE)


def test_the_example_lists_every_variable() -> None:
    listed = set(re.findall(r"^#? ?([A-Z_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
    read = set(re.findall(r'"([A-Z]+_[A-Z_]+)"', Path(settings.__file__).read_text(encoding="utf-8")))
    assert len(read) >= 8
    assert read <= listed
