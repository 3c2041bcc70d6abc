"""The page's server: FastAPI with health checks and security headers, Gradio mounted on it.

`python -m app.server`, from the project's root. Listens on APP_HOST:APP_PORT (127.0.0.1:7860).
"""

import argparse
import asyncio
import errno
import logging
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse

from app import connections
from app.connections import GuardedProtocol, OpenConnections, room_for_connections
from app.guard import Guard, Site, refused
from pipeline import errors, settings
from pipeline.errors import UserError
from pipeline.live.store import Store
from pipeline.params import ArchiveParams, CutParams, TextParams, read_params

if TYPE_CHECKING:
    from app.services import Services


log = logging.getLogger(__name__)


class CannotListen(UserError):
    """The address can't be opened. The message says what to do."""


def create_app(services: "Services", site: Site | None = None) -> FastAPI:
    """The web application over these services, answering as `site` says (default: to this machine only)."""
    import gradio as gr
    from starlette.middleware.cors import CORSMiddleware

    from app.theme import CSS, HEAD, theme
    from app.ui import build_ui

    # No /docs: FastAPI's page of it loads scripts from a public CDN.
    app = FastAPI(title="Maple Pulse", docs_url=None, redoc_url=None, openapi_url=None)
    site = site or Site()

    @app.api_route("/healthz", methods=["GET", "HEAD"])
    def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @app.api_route("/readyz", methods=["GET", "HEAD"])
    def readyz() -> JSONResponse:
        """200 when the database can be read and a model is loaded, else 503 and which one is missing."""
        database = services.database_works()
        classifier = services.classifier()
        body = {
            "ready": database and classifier is not None,
            "database": database,
            "model": classifier.version if classifier else None,
            "warming_up": services.warming_up,
        }
        return JSONResponse(body, status_code=200 if body["ready"] else 503)

    root = gr.mount_gradio_app(
        app,
        build_ui(services),
        path="/",
        root_path=site.root_path or None,
        footer_links=["api"],
        run_history=False,
        show_error=False,
        allowed_paths=[],
        blocked_paths=[str(Path.cwd())],  # database, models, .env: nothing here is a public file
        max_file_size="1kb",
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        theme=theme(),
        css=CSS,
        head=HEAD,
    )
    gradio_app = next(route.app for route in root.routes if isinstance(getattr(route, "app", None), gr.routes.App))
    for nonsense in (KeyError, TypeError, ValueError):  # an endpoint called with arguments that it hasn't
        gradio_app.add_exception_handler(nonsense, _not_understood)
    # Allows no other origin. Without it Gradio has rules of its own: under a public name it allows every one.
    root.add_middleware(CORSMiddleware)
    root.add_middleware(Guard, site=site)
    return root


async def _not_understood(request: Request, error: Exception) -> JSONResponse:
    log.info("%s is not understood: %s", request.url.path, error)
    return refused(422, "the request is not understood")


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises CannotListen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise CannotListen(
                f"port {port} on {host} is in use. Is the page running already? Stop the program that uses the "
                "port, or set APP_PORT in .env to a free one."
            ) from None
        raise CannotListen(
            f"{host}:{port} can't be opened ({error.strerror or error}). Set APP_HOST and APP_PORT in .env to an "
            "address of this machine and a port above 1023."
        ) from None
    return listener


class _NoError(logging.Filter):
    """Drops what uvicorn logs as an error and is none: a page's event stream that is cancelled when the page stops,
    and one that a visitor asks for who has no session (any more).
    """

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        expected = isinstance(error, asyncio.CancelledError | HTTPException)
        return not expected and "running task(s)" not in str(record.msg)


def configured(app: FastAPI, site: Site, **options: Any) -> uvicorn.Config:
    """How uvicorn serves the page: with limits for connections (`app.connections`), and no web sockets."""
    open_connections = OpenConnections(connections.PER_CLIENT, room_for_connections(), exempt=site.trusts)
    return uvicorn.Config(
        app,
        http=partial(GuardedProtocol, connections=open_connections),  # type: ignore[arg-type]
        ws="none",
        proxy_headers=False,  # app.guard reads them, of proxies that are named
        backlog=128,  # taken at once: many more would be more files than there are
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        **{"log_level": "warning", **options},
    )


def serve(listener: socket.socket, make: Callable[[], FastAPI], site: Site) -> None:
    """Serve until a signal says stop; a visitor's open event stream doesn't hold that up."""
    config = configured(make(), site)
    logging.getLogger("uvicorn.error").addFilter(_NoError())
    host, port = listener.getsockname()[:2]
    print(f"Maple Pulse: http://{f'[{host}]' if ':' in host else host}:{port}{site.prefix}", flush=True)
    uvicorn.Server(config).run(sockets=[listener])


def main(arguments: Sequence[str] | None = None) -> None:
    """Start the page. Raises UserError when something it needs is not there."""
    argparse.ArgumentParser(prog="python -m app.server", description=__doc__).parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for talkative in ("httpx", "alembic"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    here = settings.load()
    chunk_size = read_params("cut", CutParams).size
    archive_size = read_params("archive", ArchiveParams).size
    listener = listen(here.app_host, here.app_port)  # before the slow imports: fail at once
    store = Store(here.database_url)
    site = Site.of(here)

    from app.services import Services
    from pipeline.serve.keywords import Stopwords
    from pipeline.serve.production import ProductionModel
    from pipeline.text import tokenizer

    model = ProductionModel()
    services = Services(store, model, chunk_size=chunk_size, archive_size=archive_size, stopwords=Stopwords())

    # The tokenizer's first words hold Python's lock for seconds: they come while Gradio is imported, not when somebody
    # has opened the page (measured).
    words = read_params("text", TextParams).tokenizer
    threading.Thread(target=lambda: tokenizer(words)(["준비"]), name="tokenizer", daemon=True).start()

    def make() -> FastAPI:
        app = create_app(services, site)
        watched.enter_context(model.watched())  # takes seconds; the page opens meanwhile
        return app

    with store, ExitStack() as watched:
        serve(listener, make, site)


if __name__ == "__main__":
    errors.run(main)
