"""Settings of this installation (environment, `.env`) and numbers of the pipeline (`params.yaml`).

What changes a result stands in `params.yaml`, where DVC watches it. What says where things are (addresses,
ports, the database) stands in the environment or `.env`; `.env.example` lists every name.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from dotenv import dotenv_values

from pipeline.errors import UserError

PARAMS_FILE = Path("params.yaml")
ENV_FILE = Path(".env")
INVEN, INVEN_MOBILE = "https://www.inven.co.kr", "https://m.inven.co.kr"


class SettingsError(UserError):
    """A setting or parameter is missing or malformed. The message names it and its file."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where this installation's parts are. Every field has an environment variable (`.env.example`)."""

    database_url: str
    inven_url: str
    inven_mobile_url: str
    contact: str
    llm_endpoints: tuple[str, ...]
    llm_model: str
    llm_api_key: str
    app_host: str
    app_port: int


def load(environ: Mapping[str, str] | None = None, env_file: Path = ENV_FILE) -> Settings:
    """Settings from the environment, then `.env`, then defaults. Raises SettingsError.

    The defaults are Inven itself, LM Studio's address (http://127.0.0.1:1234/v1, its documented default)
    and the loopback interface.
    """
    values: dict[str, str] = {k: v for k, v in dotenv_values(env_file).items() if v}
    values.update(os.environ if environ is None else environ)

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
    )


def params(section: str, path: Path = PARAMS_FILE) -> dict[str, Any]:
    """One section of `params.yaml`. Raises SettingsError naming the file and the section."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path.absolute()} is missing: run from the project's root") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get(section), dict):
        raise SettingsError(f"{path} has no section '{section}'")
    return dict(document[section])
