"""The page's server: FastAPI with health checks and security headers, Gradio mounted on it.

`python -m app.server`, from the project's root. Listens on APP_HOST:APP_PORT (127.0.0.1:7860).
"""

import asyncio
import errno
import logging
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse

from pipeline import errors, settings
from pipeline.errors import UserError
from pipeline.live.store import Store

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from app.services import Services

MAX_BODY = 256 * 1024  # bytes of one request; a text of 2,000 characters is at most 24 kB, however it is escaped
HEADERS = {
    # Everything comes from here, so the browser need not talk to anyone else, whatever a post says. Gradio's
    # page has scripts and styles inside it, and its HTML component compiles its template (measured: no page
    # without unsafe-eval).
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; object-src 'none'; "
        "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class CannotListen(UserError):
    """The address can't be opened. The message says what to do."""


class Guard:
    """ASGI middleware: security headers on every answer; no uploads and no huge requests.

    The page takes no files, yet Gradio's upload route would let anyone fill the disk.
    """

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app
        self._headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: "Message") -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *self._headers]}
            await send(message)

        refusal = _refusal(scope)
        app: ASGIApp = JSONResponse({"error": refusal[1]}, refusal[0]) if refusal else self._app
        await app(scope, receive, with_headers)


def _refusal(scope: "Scope") -> tuple[int, str] | None:
    if scope["method"] not in ("POST", "PUT", "PATCH"):
        return None
    if scope["path"].rstrip("/").endswith("/upload"):
        return 403, "this page takes no files"
    length = dict(scope["headers"]).get(b"content-length", b"")
    if not length.isdigit():
        return 411, "a request needs a Content-Length"
    if int(length) > MAX_BODY:
        return 413, f"a request has at most {MAX_BODY} bytes"
    return None


def create_app(services: "Services") -> FastAPI:
    """The web application over these services."""
    import gradio as gr

    from app.theme import CSS, HEAD, theme
    from app.ui import build_ui

    # No /docs: FastAPI's page of it loads scripts from a public CDN.
    app = FastAPI(title="Maple Pulse", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @app.get("/readyz")
    def readyz() -> JSONResponse:
        """200 when the database can be read and a model is loaded, else 503 and which one is missing."""
        database = services.database_works()
        classifier = services.classifier()
        body = {
            "ready": database and classifier is not None,
            "database": database,
            "model": classifier.version if classifier else None,
        }
        return JSONResponse(body, status_code=200 if body["ready"] else 503)

    root = gr.mount_gradio_app(
        app,
        build_ui(services),
        path="/",
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
    root.add_middleware(Guard)
    return root


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


class _Stopping(logging.Filter):
    """Drops what uvicorn logs when it stops while a page is open: cancelling its event stream is no error."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, asyncio.CancelledError) and "running task(s)" not in str(record.msg)


def serve(listener: socket.socket, make: Callable[[], FastAPI]) -> None:
    """Serve until a signal says stop; a visitor's open event stream doesn't hold that up."""
    config = uvicorn.Config(
        make(), log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=1
    )
    logging.getLogger("uvicorn.error").addFilter(_Stopping())
    host, port = listener.getsockname()[:2]
    print(f"Maple Pulse: http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
    uvicorn.Server(config).run(sockets=[listener])


def main() -> None:
    """Start the page. Raises UserError when something it needs is not there."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for talkative in ("httpx", "alembic"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    here = settings.load()
    chunk_size = int(settings.params("cut")["size"])
    archive_size = int(settings.params("archive")["size"])
    listener = listen(here.app_host, here.app_port)  # before the slow imports: fail at once
    store = Store(here.database_url)

    from app.services import Services
    from pipeline.serve.classifier import ProductionModel
    from pipeline.serve.keywords import load_stopwords

    model = ProductionModel()
    services = Services(store, model, chunk_size=chunk_size, archive_size=archive_size, stopwords=load_stopwords())

    def make() -> FastAPI:
        app = create_app(services)
        # The first load takes seconds; the page opens meanwhile.
        threading.Thread(target=services.classifier, name="load-model", daemon=True).start()
        return app

    with store:
        serve(listener, make)


if __name__ == "__main__":
    errors.run(main)
