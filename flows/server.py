"""`prefect server start` for this checkout: with a login, for this machine's own names, its database here.

`python -m flows.server`. Prefect's own command answers every Host and lets every web page ask (CORS "*"); whoever may
ask may start a flow run with a command of their own (`job_variables`).
"""

import argparse
import os
from pathlib import Path
from urllib.parse import urlsplit

from flows import home
from pipeline.errors import run
from pipeline.settings import SettingsError

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
# What is deleted, and after how long. Only from a database of our own: another project's runs are not ours to delete.
_RETENTION = {
    "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "P2D",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": "P14D",
}


def main() -> None:
    """Serve until a signal says stop. Raises SettingsError."""
    parser = argparse.ArgumentParser(prog="python -m flows.server", description="Prefect's server, with a login.")
    parser.add_argument("--login", action="store_true", help="only make the login and say where it is")
    only_login = parser.parse_args().login
    names = prepare()
    if only_login:
        print(f"Prefect's login for this checkout is in {home.PROFILES}, which nobody else can read.")
        return

    import uvicorn  # after that: Prefect reads its settings when it is imported
    from prefect.server.api.server import create_app
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    app = create_app(final=True)
    answered = [f"[{name}]" if ":" in name else name for name in names]
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=answered, www_redirect=False)
    host = os.environ["PREFECT_SERVER_API_HOST"]
    print(f"Prefect: {_origin(host)} (login: {home.PROFILES})", flush=True)
    uvicorn.run(app, host=host, port=home.port(), log_level="warning", proxy_headers=False)


def prepare() -> list[str]:
    """Put Prefect's settings into the environment. Returns the names that the server answers to."""
    if "PREFECT_HOME" not in os.environ:
        raise SettingsError(f"{Path('prefect.toml').absolute()} is missing: run from the project's root")
    os.environ["PREFECT_API_URL"] = home.address()
    home.login()
    host = os.environ.setdefault("PREFECT_SERVER_API_HOST", "127.0.0.1")
    names = list(dict.fromkeys((*_LOOPBACK, host, urlsplit(home.address()).hostname or host)))
    os.environ.setdefault("PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS", ",".join(map(_origin, names)))
    if own_database():
        for name, value in _RETENTION.items():
            os.environ.setdefault(name, value)
    return names


def own_database() -> bool:
    """Whether the server's database is the one in this checkout."""
    elsewhere = any(name.startswith("PREFECT_SERVER_DATABASE_") for name in os.environ)
    return not elsewhere and Path(os.environ["PREFECT_HOME"]).absolute() == home.HOME.absolute()


def _origin(host: str) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{home.port()}"


if __name__ == "__main__":
    run(main)
