"""`make up`: look whether everything is there, say what is missing, then run all parts under honcho.

`python -m flows.up --check` only looks.
"""

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from flows import home
from pipeline import errors, settings
from pipeline.environment import is_this_machine
from pipeline.errors import UserError
from pipeline.files import read_text
from pipeline.freeze.repository import Repository
from pipeline.label.server import find_problem
from pipeline.layout import BASE_FILE
from pipeline.learn.base import read_base
from pipeline.live.store import Store
from pipeline.release.first import see_to_model
from pipeline.settings import Settings


def missing(here: Settings, prefect_port: int) -> list[str]:
    """What stands in the way of starting, one clear sentence each; empty when nothing does."""
    checks: list[Callable[[], str | None]] = [
        lambda: port_problem(here.app_host, here.app_port, "APP_PORT"),
        lambda: port_problem("127.0.0.1", prefect_port, "PREFECT_API_URL"),
        lambda: llm_problem(here),
        base_problem,
        lambda: contact_problem(here),
        lambda: _said(lambda: Repository().require_ready()),
        lambda: _said(lambda: Store(here.database_url).close()),
    ]
    return [problem for check in checks if (problem := check())]


def port_problem(host: str, port: int, name: str) -> str | None:
    """A sentence when something listens there already."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return None
    return f"port {port} is in use: stop what listens there, or set {name} in .env to another one"


def llm_problem(here: Settings) -> str | None:
    """A sentence when no LLM server could label: what is wrong with each, and what to do."""
    found = [asyncio.run(find_problem(endpoint, here.llm_model, here.llm_api_key)) for endpoint in here.llm_endpoints]
    problems = [problem for problem in found if problem]
    return f"no LLM server: {'; '.join(problems)}" if len(problems) == len(found) else None


def base_problem() -> str | None:
    """A sentence when the base file is there but unusable. A missing one is made by `dvc repro`."""
    return _said(read_base) if BASE_FILE.exists() else None


def contact_problem(here: Settings) -> str | None:
    """A sentence when we would visit a site without saying who we are."""
    if here.contact or is_this_machine(here.inven_url):
        return None
    return "CRAWL_CONTACT is not set: put an e-mail address in .env, so that Inven knows whom to write to"


def _said(action: Callable[[], object]) -> str | None:
    try:
        action()
    except UserError as error:
        return str(error)
    return None


def main() -> int:
    """Exit code 1 with a list when something is missing; else runs until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m flows.up", description="Start all parts, until Ctrl-C.")
    parser.add_argument("--check", action="store_true", help="only look whether everything is there")
    given = parser.parse_args()
    here = settings.load()
    port = home.port()
    if problems := missing(here, port):
        print("Maple Pulse can't start yet:", *(f"  - {problem}" for problem in problems), sep="\n", file=sys.stderr)
        return 1
    print("Everything is there.")
    if given.check:
        return 0
    home.login()
    see_to_model(Repository(), lambda text: print(text, flush=True))
    host = f"[{here.app_host}]" if ":" in here.app_host else here.app_host
    print(f"Page: http://{host}:{here.app_port}   Prefect: http://127.0.0.1:{port}   Ctrl-C stops all.")
    print(f"Prefect's page asks for a login: {home.PROFILES} has it, and nobody else can read that file.")
    if (place := Path(os.environ.get("PREFECT_HOME", home.HOME)).absolute()) != home.HOME.absolute():
        print(f"Prefect's records lie in {place} (PREFECT_HOME), with those of whoever else uses it.")
    return run_all()


def run_all() -> int:
    """Server, worker and page under honcho (`Procfile`), until one ends or Ctrl-C."""
    from honcho.manager import Manager
    from honcho.printer import Printer

    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    manager = Manager(Printer())
    for line in read_text(Path("Procfile")).splitlines():
        if line.strip() and not line.startswith("#"):
            name, command = line.split(":", 1)
            manager.add_process(name.strip(), command.strip(), env=environment)
    manager.loop()
    return int(manager.returncode or 0)


if __name__ == "__main__":
    errors.run(main)
