"""Prefect's place in this checkout: a home of its own, one address, and a login that nobody else knows.

All of it lies in `.run/prefect/`, which `prefect.toml` names too, so that commands typed here find the same. The user's
own `~/.prefect` and the other projects in it are left alone.
"""

import os
import secrets
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from pipeline import settings
from pipeline.environment import is_this_machine
from pipeline.settings import SettingsError

HOME = Path(".run/prefect")
PROFILES = HOME / "profiles.toml"  # Prefect's own file for settings of a person: only they can read it
DEFAULT_API = "http://127.0.0.1:4200/api"
_CLIENT, _SERVER = "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"
_PROFILE = f"""active = "maple-pulse"

[profiles.maple-pulse]
PREFECT_API_URL = "{DEFAULT_API}"
{_CLIENT} = "maple:%(password)s"
{_SERVER} = "maple:%(password)s"
"""


def settle() -> None:
    """Tell Prefect, before it is imported, where its home is and what its login. Raises SettingsError.

    What the environment or `.env` says stays. Does nothing in another folder than the project's root: a flow run
    that a worker starts has all of it from the worker.
    """
    if not Path("prefect.toml").exists():
        return
    settings.export()
    HOME.mkdir(mode=0o700, parents=True, exist_ok=True)  # Prefect makes no parents
    os.environ.setdefault("PREFECT_HOME", str(HOME.absolute()))
    os.environ.setdefault("PREFECT_PROFILES_PATH", str(PROFILES.absolute()))
    if PROFILES.exists():
        _use(_kept())


def login() -> str:
    """The login of this checkout's server, user:password; made at the first call. Raises SettingsError."""
    HOME.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not PROFILES.exists():
        handle, name = tempfile.mkstemp(dir=HOME)  # readable for its owner only
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(_PROFILE % {"password": secrets.token_urlsafe(24)})
        try:
            os.link(name, PROFILES)  # fails when a process that started together with us was faster
        except FileExistsError:
            pass
        finally:
            Path(name).unlink()
    _use(_kept())
    return os.environ[_CLIENT]


def _kept() -> str:
    try:
        profile = tomllib.loads(PROFILES.read_text(encoding="utf-8"))["profiles"]["maple-pulse"]
        found = profile[_CLIENT]
        if not isinstance(found, str) or ":" not in found:
            raise ValueError("no user:password")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{PROFILES} has no login for Prefect ({error}): delete it and start again, and a new one is made"
        ) from None
    if PROFILES.stat().st_mode & 0o077:
        PROFILES.chmod(0o600)
    return found


def _use(kept: str) -> None:
    """Server and client get one login: the user's own, else the kept one."""
    ours = os.environ.setdefault(_CLIENT, os.environ.get(_SERVER) or kept)
    os.environ.setdefault(_SERVER, ours)


def address() -> str:
    """Where Prefect's API is: PREFECT_API_URL, else port 4200 of this machine. Raises SettingsError."""
    url = (os.environ.get("PREFECT_API_URL") or DEFAULT_API).rstrip("/")
    parts = urlsplit(url)
    try:
        port = parts.port or 4200
    except ValueError:
        port = 0
    if parts.scheme not in ("http", "https") or not parts.hostname or not port:
        raise SettingsError(f"PREFECT_API_URL={url!r} is not an address: it is written like {DEFAULT_API}")
    return url


def port() -> int:
    """The port of that address."""
    return urlsplit(address()).port or 4200


def client(timeout_s: float = 30.0) -> httpx.Client:
    """An HTTP client of Prefect's API with our login."""
    user, _, password = os.environ.get(_CLIENT, "").partition(":")
    return httpx.Client(
        base_url=address(),
        auth=(user, password) if user else None,
        timeout=timeout_s,
        trust_env=not is_this_machine(address()),
    )


def status() -> int:
    """What Prefect's API answers to our login: 200, 401 when its login is another one, 0 when nothing answers."""
    try:
        with client(5.0) as http:
            return http.get("/admin/version").status_code
    except httpx.HTTPError:
        return 0


@contextmanager
def any_server() -> Iterator[None]:
    """For a flow run typed by hand: the checkout's server if it answers, else one inside this process.

    Raises SettingsError when the user names a server that does not answer.
    """
    named = bool(os.environ.get("PREFECT_API_URL"))
    found = status()
    if found == 200:
        os.environ["PREFECT_API_URL"] = address()
    elif named:
        raise SettingsError(problem(found))
    from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_EPHEMERAL_ENABLED, temporary_settings

    if found == 200:
        with temporary_settings({PREFECT_API_URL: address()}):
            yield
    else:
        login()
        with temporary_settings({PREFECT_SERVER_EPHEMERAL_ENABLED: True}, restore_defaults={PREFECT_API_URL}):
            yield


def problem(found: int) -> str:
    """What is wrong with a server that answers our login with this status (0: not at all), and what to do."""
    if found == 401:
        return (
            f"Prefect's server at {address()} has another login, so it is another checkout's: set PREFECT_API_URL in "
            "this checkout's .env to a free port, or PREFECT_API_AUTH_STRING to that server's login"
        )
    said = f"answers {found}" if found else "does not answer"
    return f"Prefect's server {said} at {address()}: start it with `python -m flows.server`, or set PREFECT_API_URL"
