"""What stands before the page: whom it answers, which routes are open, how large a request may be.

ASGI middleware, outside of everything else. What it does not let through never reaches Gradio.
"""

import re
from collections import Counter
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fastapi.responses import JSONResponse, RedirectResponse
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app.limits import visitor

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from pipeline.settings import Settings

AT_ONCE = 64  # requests of a visitor that are being answered, open event streams included; a tab has two or three
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
# What the page, its API panel and gradio_client ask for (seen in a browser). Gradio has some sixty routes more.
_ENDPOINT = "call/(v2/)?(analyse|feedback|dashboard)"
ROUTES = {
    "GET": re.compile(
        r"/|/healthz|/readyz|/config/?|/theme\.css|/favicon\.ico|/robots\.txt|/(assets|static)/.+"
        r"|/gradio_api/(info/?|openapi\.json|app_id/?|startup-events|queue/data|heartbeat/[^/]+"
        rf"|{_ENDPOINT}/[0-9a-f]+)"
    ),
    "POST": re.compile(rf"/gradio_api/(queue/join|{_ENDPOINT}/?)"),
}
ROUTES["HEAD"] = ROUTES["GET"]
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?")
# Gradio builds the page's own address from these.
_ADDRESS_HEADERS = (b"forwarded", b"x-gradio-server")


@dataclass(frozen=True, slots=True)
class Site:
    """Where the page is served (`pipeline.settings.Settings` says what the fields mean)."""

    root_path: str = ""
    hosts: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()

    @classmethod
    def of(cls, here: "Settings") -> "Site":
        """The site of an installation: it answers to the host it listens on, and to that of its whole address."""
        hosts = (here.app_host.strip("[]"), urlsplit(here.app_root_path).hostname, *here.app_allowed_hosts)
        return cls(here.app_root_path, tuple(host.lower() for host in hosts if host), here.trusted_proxies)

    @property
    def prefix(self) -> str:
        """The path below which the page is served: "" or /pulse."""
        return urlsplit(self.root_path).path

    @property
    def origin(self) -> str:
        """Scheme and host of the whole address, where one is given: https://example.org."""
        parts = urlsplit(self.root_path)
        return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""

    def trusts(self, peer: str) -> bool:
        """Whether this address is a proxy's whose word counts."""
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        return any(address in ip_network(proxy) for proxy in self.proxies)

    def answers_to(self, host: str, own: str = "") -> bool:
        """Whether a Host header may be answered: a name of this machine or of the site, or the address `own`.

        Names that someone else chose (DNS rebinding) would make their page one of ours.
        """
        found = _HOST.fullmatch(host.lower())
        if not found:
            return False
        name = found[1] or found[2]
        patterns = (*_LOOPBACK, *self.hosts)
        return name == own or any(name == p or (p[:2] == "*." and name.endswith(p[1:])) for p in patterns)


class AtOnce:
    """ASGI middleware: so many requests of a visitor at once, and no more."""

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app
        self._counts: Counter[str] = Counter()

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        client = visitor((scope.get("client") or ("",))[0])
        if self._counts[client] >= AT_ONCE:
            await refused(503, "too many requests at once")(scope, receive, send)
            return
        self._counts[client] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._counts[client] -= 1
            if not self._counts[client]:
                del self._counts[client]


class Guard:
    """The middleware. `site` says whom to answer."""

    def __init__(self, app: "ASGIApp", site: Site) -> None:
        self._site = site
        within: Any = AtOnce(app)  # uvicorn's types and starlette's are not the same
        self._within = within
        self._behind_proxy: Any = ProxyHeadersMiddleware(within, trusted_hosts=list(site.proxies))
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

        trusted = self._site.trusts((scope.get("client") or ("",))[0])
        scope = _without_address_headers(scope, trusted)
        path = self._path(scope["path"])
        if refusal := self._refusal(scope, path):
            app: ASGIApp = refused(*refusal)
        elif path == "":
            app = RedirectResponse(f"{self._site.prefix}/", 308)  # what the page loads is named relative to it
        else:
            scope = {**scope, "path": path, "raw_path": path.encode()}
            app = self._behind_proxy if trusted else self._within
        await app(scope, receive, with_headers)

    def _path(self, path: str) -> str:
        """The path within the site, whether or not the proxy has cut the prefix off."""
        prefix = self._site.prefix
        return path.removeprefix(prefix) if prefix and f"{path}/".startswith(f"{prefix}/") else path

    def _refusal(self, scope: "Scope", path: str) -> tuple[int, str] | None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        hosts = [headers.get(b"host", ""), *([h] if (h := headers.get(b"x-forwarded-host")) else [])]
        for host in hosts:
            if not self._site.answers_to(host, (scope.get("server") or ("",))[0]):
                return 400, f"this page does not answer to {host[:100]!r}: if it should, add that to APP_ALLOWED_HOSTS"
        open_routes = ROUTES.get(scope["method"])
        if open_routes is None:
            return 405, "this page takes GET, HEAD and POST"
        if path and not open_routes.fullmatch(path):
            return 404, "there is nothing here"
        if scope["method"] != "POST":
            return None
        if not self._own_page(headers.get(b"origin"), hosts):
            return 403, "another site's page may not send anything here: if it is this one's, see APP_ALLOWED_HOSTS"
        length = headers.get(b"content-length", "")
        if not (length.isascii() and length.isdigit()):
            return 411, "a request needs a Content-Length"
        if int(length) > MAX_BODY:
            return 413, f"a request has at most {MAX_BODY} bytes"
        return None

    def _own_page(self, origin: str | None, hosts: list[str]) -> bool:
        """Whether a browser sent this from our own page. Programs name no origin."""
        if origin is None:
            return True
        _, _, host = origin.partition("://")
        if host in hosts or origin == self._site.origin:
            return True
        # A proxy that hands on another Host than the visitor's: then the site's own names count.
        named = Site(hosts=self._site.hosts)
        return bool(self._site.hosts) and not _is_loopback(host) and named.answers_to(host)


def refused(status: int, words: str) -> JSONResponse:
    """A refusal, as programs and Gradio's page read it."""
    return JSONResponse({"error": words, "detail": words}, status)


def _is_loopback(host: str) -> bool:
    return Site().answers_to(host)


def _without_address_headers(scope: "Scope", trusted: bool) -> "Scope":
    """The request without what only a trusted proxy may say about it."""
    kept = [
        (name, value)
        for name, value in scope["headers"]
        if name not in _ADDRESS_HEADERS and (trusted or not name.startswith(b"x-forwarded-"))
    ]
    return {**scope, "headers": kept}
