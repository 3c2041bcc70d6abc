"""A small real reverse proxy on localhost: the page below /pulse, as nginx or Caddy would hand it on."""

import threading
import time
from typing import Any, Self

import httpx
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse

PREFIX = "/pulse"
_HOP = {"connection", "transfer-encoding", "keep-alive"}


class ReverseProxy:
    """A context manager at `url`, the page's whole address. What is not below PREFIX is somebody else's: 404.

    `strip`: the prefix is cut off before the page sees it. `own_host`: the page gets its own address as Host, and the
    visitor's as X-Forwarded-Host if `told`.
    """

    def __init__(self, page: str = "", *, strip: bool, own_host: bool = False, told: bool = True) -> None:
        self.page, self._strip, self._own_host, self._told = page, strip, own_host, told
        self.elsewhere: list[str] = []
        config = uvicorn.Config(
            self._serve, host="127.0.0.1", port=0, log_level="critical", lifespan="off", interface="asgi3"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        path = request.url.path
        if path == "/favicon.ico":  # of the site above, which browsers ask for by themselves
            await Response(status_code=204)(scope, receive, send)
            return
        if not f"{path}/".startswith(f"{PREFIX}/"):
            self.elsewhere.append(path)
            await PlainTextResponse("another site", 404)(scope, receive, send)
            return
        if self._strip and path == PREFIX:
            await RedirectResponse(f"{PREFIX}/")(scope, receive, send)  # as nginx does for `location /pulse/`
            return
        headers = {name: value for name, value in request.headers.items() if name not in _HOP}
        headers["x-forwarded-for"] = "198.51.100.7"
        headers["x-forwarded-proto"] = "http"
        if self._own_host:
            host = headers.pop("host")
            if self._told:
                headers["x-forwarded-host"] = host
        target = self.page + (path.removeprefix(PREFIX) if self._strip else path)
        async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
            asked = client.build_request(
                request.method, target, params=request.url.query, headers=headers, content=await request.body()
            )
            answer = await client.send(asked, stream=True)
            kept = [(n, v) for n, v in answer.headers.multi_items() if n not in _HOP]
            response = StreamingResponse(answer.aiter_raw(), answer.status_code)
            response.raw_headers = [(n.encode(), v.encode()) for n, v in kept]
            await response(scope, receive, send)
            await answer.aclose()

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + 20
        while not self._server.started:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}{PREFIX}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.force_exit = self._server.should_exit = True
        self._thread.join(10)
