"""Settings of this installation: where things are, from the environment and `.env`.

What changes a result stands in `params.yaml`, where DVC watches it. What says where things are (addresses,
ports, the database) stands in the environment or `.env`; `.env.example` lists every name.
"""

import io
import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values

from pipeline.environment import proxy_problem, spared_from_proxies
from pipeline.errors import UserError
from pipeline.files import DataFileError, read_text

ENV_FILE = Path(".env")
INVEN, INVEN_MOBILE = "https://www.inven.co.kr", "https://m.inven.co.kr"


class SettingsError(UserError):
    """A setting or parameter is missing or malformed. The message names it and its file."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where this installation's parts are. Every field has an environment variable (`.env.example`).

    The page is served at `app_root_path`, a path ("" or /pulse) or a whole address, and answers to loopback names,
    `app_host` and `app_allowed_hosts` (lower case; *.example.org for every name below). What the proxies at
    `trusted_proxies` (addresses and networks) say about a visitor is believed; of anyone else it is not.
    """

    database_url: str
    inven_url: str
    inven_mobile_url: str
    contact: str
    llm_endpoints: tuple[str, ...]
    llm_model: str
    llm_api_key: str
    app_host: str
    app_port: int
    app_root_path: str
    app_allowed_hosts: tuple[str, ...]
    trusted_proxies: tuple[str, ...]


def load(environ: Mapping[str, str] | None = None, env_file: Path = ENV_FILE) -> Settings:
    """Settings from the environment, then `.env`, then defaults. An empty variable is one that is not set.

    The defaults are Inven itself, LM Studio's address (http://127.0.0.1:1234/v1, its documented default) and the
    loopback interface. Raises SettingsError, also for a proxy variable that no HTTP client can use.
    """
    if environ is None:
        _check_proxies()
    given = os.environ if environ is None else environ
    values = read_env(env_file) | {name: value for name, value in given.items() if value}

    def number(name: str, default: int) -> int:
        text = values.get(name) or str(default)
        if not text.isdecimal() or not 0 < int(text) < 65536:
            raise SettingsError(f"{name}={text!r} is not a port: set a number from 1 to 65535 in .env")
        return int(text)

    def address(name: str, text: str) -> str:
        if not text.startswith(("http://", "https://")):
            raise SettingsError(f"{name}={text!r} is not an address: it starts with http:// or https://")
        return text.rstrip("/")

    inven_url = address("INVEN_URL", values.get("INVEN_URL") or INVEN)
    # Another site than Inven has no mobile site unless one is named: tests and demos must not meet the real one.
    mobile_url = values.get("INVEN_MOBILE_URL") or (INVEN_MOBILE if inven_url == INVEN else "")
    endpoints = values.get("LLM_ENDPOINTS") or "http://127.0.0.1:1234/v1"
    return Settings(
        database_url=values.get("DATABASE_URL") or "sqlite:///data/live/maple.db",
        inven_url=inven_url,
        inven_mobile_url=address("INVEN_MOBILE_URL", mobile_url) if mobile_url else "",
        contact=values.get("CRAWL_CONTACT") or "",
        llm_endpoints=tuple(address("LLM_ENDPOINTS", part.strip()) for part in endpoints.split(",") if part.strip()),
        llm_model=values.get("LLM_MODEL") or "",
        llm_api_key=values.get("LLM_API_KEY") or "not-needed",
        app_host=values.get("APP_HOST") or "127.0.0.1",
        app_port=number("APP_PORT", 7860),
        app_root_path=_root_path(values.get("APP_ROOT_PATH") or ""),
        app_allowed_hosts=_listed(values.get("APP_ALLOWED_HOSTS") or "", _host_pattern),
        trusted_proxies=_listed(values.get("FORWARDED_ALLOW_IPS") or "", _network),
    )


def read_env(path: Path = ENV_FILE) -> dict[str, str]:
    """What `.env` says: the one reader of that file. Empty values are left out. Raises SettingsError."""
    if not path.exists():
        return {}
    try:
        text = read_text(path, utf16=False)
    except DataFileError as error:
        raise SettingsError(str(error)) from None
    return {name: value for name, value in dotenv_values(stream=io.StringIO(text)).items() if value}


def export(path: Path = ENV_FILE) -> None:
    """Give this process and its children what `.env` says, where the environment says nothing.

    For parts that read the environment themselves (Prefect): an empty variable of theirs is taken away. Raises
    SettingsError, as `load` does.
    """
    for name in [name for name, value in os.environ.items() if name.startswith("PREFECT_") and not value]:
        del os.environ[name]
    for name, value in read_env(path).items():
        if not os.environ.get(name):
            os.environ[name] = value
    os.environ.update(spared_from_proxies(os.environ))
    _check_proxies()


def _check_proxies() -> None:
    if problem := proxy_problem():
        raise SettingsError(problem)


def _listed(text: str, read: Callable[[str], str]) -> tuple[str, ...]:
    return tuple(read(part.strip()) for part in text.split(",") if part.strip())


def _root_path(text: str) -> str:
    """The path below which the page is served, or its whole address, without a slash at the end."""
    text = text.rstrip("/")
    parts = urlsplit(text)
    whole = parts.scheme in ("http", "https") and parts.netloc and not parts.query and not parts.fragment
    if text and not whole and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", text):
        raise SettingsError(
            f"APP_ROOT_PATH={text!r} is not a path: it is written like /pulse, or as the page's whole address, "
            "https://example.org/pulse"
        )
    return text


def _host_pattern(text: str) -> str:
    if not re.fullmatch(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[?[0-9a-f:.]+\]?", text.lower()):
        raise SettingsError(
            f"APP_ALLOWED_HOSTS holds {text!r}, which is no host name: write names without a port, such as "
            "pulse.example.org or *.example.org"
        )
    return text.lower().strip("[]")


def _network(text: str) -> str:
    try:
        network = ipaddress.ip_network(text, strict=False)
        if network.prefixlen == 0:
            raise ValueError("every address")
        return str(network)
    except ValueError:
        raise SettingsError(
            f"FORWARDED_ALLOW_IPS holds {text!r}, which is no address: write the proxy's own, such as 10.0.0.2 or "
            "10.0.0.0/24. (Any address, *, would let each visitor write what address is theirs.)"
        ) from None
