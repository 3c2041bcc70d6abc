"""HTTP with manners: robots.txt obeyed, one connection, spaced requests, bounded retries.

It knows nothing of Inven's pages. Fail closed: when the site's rules can't be known, nothing is requested.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Self
from urllib.parse import urljoin, urlsplit

import httpx

from pipeline import clock
from pipeline.environment import is_this_machine
from pipeline.errors import UserError
from pipeline.inven import robots
from pipeline.inven.robots import Rules, Shelf

log = logging.getLogger(__name__)

PRODUCT = "maple-pulse"
VERSION = "0.1"
LARGEST_RESPONSE = 8 * 1024 * 1024  # bytes, decoded; Inven's real list pages stay under 512 KB
LONGEST_WAIT = 300.0  # seconds; a longer Retry-After ends the attempts instead of being cut short
_REDIRECTS = 5
_DEADLINE = 4  # times `timeout`: for one whole response, however steadily it drips


class InvenError(UserError):
    """Crawling can't go on. The message says why, and what to do."""


class RobotsDisallowed(InvenError):
    """robots.txt forbids this address to us."""


class SiteUnavailable(InvenError):
    """The site, or its robots.txt, gave no proper answer to any of several attempts."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One response. `status` 0: none came. `problem` says what is wrong with it, "" when nothing is.

    `again`: another attempt may help, after `retry_after` seconds if the site named a time.
    """

    status: int
    url: str
    content: bytes = b""
    problem: str = ""
    again: bool = False
    retry_after: float = 0.0


@dataclass(frozen=True, slots=True)
class _Ask:
    """What to ask for. An answer without `ends` was cut off; robots.txt itself has no such end."""

    url: str
    form: Mapping[str, str] | None = None
    referer: str = ""
    ends: bytes = b"</html"


class PoliteClient:
    """An async context manager over one connection to one site; entering it reads robots.txt.

    `base_url` is where the site's paths begin (robots.txt too). `min_interval` and `jitter` are seconds between the
    starts of two requests (jitter: at most this much more, at random); a longer Crawl-delay of robots.txt counts.
    `timeout` is seconds for connecting and for each read. `max_attempts` bounds the tries for one page; between
    them it waits `backoff` seconds, doubled each time. `contact` (ASCII) tells the site whom to write to. On `shelf`
    robots.txt is kept from run to run, for a day. `sleep`, `monotonic` and `wall` are clocks for tests. Raises
    ValueError for arguments that can't be sent.
    """

    def __init__(
        self,
        base_url: str,
        *,
        contact: str,
        min_interval: float = 1.5,
        jitter: float = 1.0,
        timeout: float = 20.0,
        max_attempts: int = 4,
        backoff: float = 2.0,
        shelf: Shelf | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = clock.now,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{base_url!r} is not a site's address, such as https://www.inven.co.kr")
        if not contact.isascii() or not contact.isprintable():
            raise ValueError(f"the contact {contact!r} must be plain ASCII, such as an e-mail address")
        self.base_url = base_url.rstrip("/")
        self.user_agent = f"{PRODUCT}/{VERSION}" + (f" (+{contact})" if contact else "")
        self._own = is_this_machine(base_url)
        self._interval = min_interval
        self._jitter = jitter
        self._timeout = timeout
        self._attempts = max(1, max_attempts)
        self._backoff = backoff
        self._sleep = sleep
        self.monotonic = monotonic
        self.wall = wall
        self._lock = asyncio.Lock()
        self._last_start = float("-inf")
        self._shelf = shelf
        self._rules = Rules("", self.user_agent)
        self._rules_read = float("-inf")
        self._http: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        self._http = httpx.AsyncClient(
            headers={
                "User-Agent": self.user_agent,
                "Accept": "text/html, text/plain;q=0.9",
                "Accept-Encoding": "gzip, deflate",
                "Accept-Language": "ko",
            },
            timeout=self._timeout,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
            follow_redirects=False,  # followed here: to the same host only, and at the same pace
            trust_env=not self._own,  # a proxy can't reach our own machine
        )
        try:
            await self._read_robots()
        except BaseException:
            await self._http.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http is not None:
            await self._http.aclose()

    async def fetch_page(self, url: str) -> Answer:
        """The HTML page at `url`, or the site's last word about it: any status but 0 and 5xx.

        Raises RobotsDisallowed, and SiteUnavailable when no attempt got an answer.
        """
        return await self._answer(_Ask(url))

    async def post_form(self, url: str, form: Mapping[str, str], referer: str) -> Answer:
        """The JSON that a form gets from `url`, sent as the page at `referer` does it. Otherwise as fetch_page."""
        return await self._answer(_Ask(url, form, referer, ends=b"}"))

    async def _answer(self, ask: _Ask) -> Answer:
        await self._read_robots()
        answer = await self._fetch(ask)
        if answer.status == 0 or answer.status >= 500:
            later = f" It asks to wait {answer.retry_after:.0f} s." if answer.retry_after else ""
            raise SiteUnavailable(
                f"{ask.url} did not answer: {answer.problem}.{later} Nothing is lost: the next run goes on from here."
            )
        return answer

    # --- robots.txt -------------------------------------------------------------------------------

    async def _read_robots(self) -> None:
        """Read robots.txt if that is due. Raises SiteUnavailable when its rules can't be known."""
        if self.monotonic() - self._rules_read < robots.AGE:
            return
        url = f"{self.base_url}/robots.txt"
        if (found := robots.kept(self._shelf, url, self.wall())) is not None:
            text, age = found
        else:
            answer = await self._fetch(_Ask(url, ends=b""))
            text, problem = robots.read(answer.status, answer.content, answer.problem)
            if problem:
                raise SiteUnavailable(
                    f"{url} gave no rules ({problem}), so what it allows is unknown and nothing is requested."
                    " Check the address (INVEN_URL) and the network, and try again later."
                )
            age = 0.0
            if self._shelf and answer.status == 200:  # that there is none is asked anew by each run
                self._shelf.keep_robots(url, text, self.wall())
        self._rules = Rules(text, self.user_agent)
        self._rules_read = self.monotonic() - age

    def _check_robots(self, url: str) -> None:
        if not self._rules.allow(url):
            raise RobotsDisallowed(
                f"robots.txt of {self.base_url} disallows {urlsplit(url).path} for {PRODUCT}."
                " Take this board out of crawl.boards in params.yaml, or ask the site."
            )

    # --- requests ---------------------------------------------------------------------------------

    async def _fetch(self, ask: _Ask) -> Answer:
        """The answer of the last attempt that was needed."""
        async with self._lock:  # one request at a time, whoever asks
            for attempt in range(1, self._attempts + 1):
                answer = await self._attempt(ask)
                if not answer.again or attempt == self._attempts or answer.retry_after > LONGEST_WAIT:
                    break
                log.info("%s: %s, attempt %s of %s", ask.url, answer.problem, attempt, self._attempts)
                wait = self._backoff * 2 ** (attempt - 1) + random.uniform(0, self._backoff)  # noqa: S311
                await self._sleep(max(wait, answer.retry_after))
        return answer

    async def _attempt(self, ask: _Ask) -> Answer:
        """One attempt, with its redirects."""
        url = ask.url
        if ask.ends:
            self._check_robots(url)
        for _ in range(_REDIRECTS + 1):
            await self._pace()
            try:
                async with asyncio.timeout(self._timeout * _DEADLINE):
                    answer, location = await self._request(url, ask)
            except (httpx.TransportError, TimeoutError) as error:
                return Answer(0, url, problem=f"{type(error).__name__} {error}".strip(), again=True)
            if not location:
                return answer
            target = _redirect(url, location)
            if target is None or (ask.ends and not self._rules.allow(target)):
                return Answer(answer.status, url, problem=f"redirected away, to {location[:200]}")
            url = target
        return Answer(310, url, problem="too many redirects")

    async def _request(self, url: str, ask: _Ask) -> tuple[Answer, str]:
        """One request: the answer, and where it redirects to ("" if it does not)."""
        assert self._http is not None, "use `async with`"  # noqa: S101
        headers = {"Referer": ask.referer, "X-Requested-With": "XMLHttpRequest"} if ask.referer else None
        method = "GET" if ask.form is None else "POST"
        async with self._http.stream(method, url, data=ask.form, headers=headers) as response:
            status = response.status_code
            if response.is_redirect and response.headers.get("location"):
                return Answer(status, url), response.headers["location"]
            content = bytearray()
            try:
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > LARGEST_RESPONSE:
                        problem = f"the answer is larger than {LARGEST_RESPONSE} bytes"
                        return Answer(413, url, bytes(content[:LARGEST_RESPONSE]), problem), ""
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.DecodingError) as error:
                problem = f"the answer was cut off: {error}"
                return Answer(status, url, bytes(content), problem, again=True), ""
        body = bytes(content)
        if status == 429 or status >= 500:
            wait = self._retry_after(response.headers.get("retry-after", ""))
            return Answer(status, url, body, f"HTTP {status}", again=True, retry_after=wait), ""
        if status == 200 and ask.ends not in body.lower():
            return Answer(status, url, body, f"the answer ends before {ask.ends.decode()}", again=True), ""
        return Answer(status, url, body), ""

    def _retry_after(self, value: str) -> float:
        """Seconds to wait by a Retry-After header, as seconds or as an HTTP date; 0 without a valid one."""
        value = value.strip()
        if value.isascii() and value.isdigit():
            return float(value[:9])
        try:
            return max(0.0, (parsedate_to_datetime(value) - self.wall()).total_seconds())
        except (ValueError, TypeError):  # not a date; a date without a time zone
            return 0.0

    async def _pace(self) -> None:
        """Wait until the next request may start."""
        jitter = random.uniform(0, self._jitter)  # noqa: S311
        wait = self._last_start + max(self._interval, self._rules.pause) + jitter - self.monotonic()
        if wait > 0:
            await self._sleep(wait)
        self._last_start = self.monotonic()


def _redirect(url: str, location: str) -> str | None:
    """Where a redirect leads if that is the same host and port, or the same host's https. None elsewhere."""
    try:
        target = urljoin(url, location)
        here, there = urlsplit(url), urlsplit(target)
        upgrade = (here.scheme, here.port, there.scheme, there.port) == ("http", None, "https", None)
        same = here.hostname == there.hostname and (upgrade or (here.scheme, here.port) == (there.scheme, there.port))
    except ValueError:  # not an address
        return None
    return target if same else None
