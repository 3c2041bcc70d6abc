"""A site's robots.txt: what it allows us, and keeping it between runs (RFC 9309)."""

from datetime import datetime
from typing import Protocol

from protego import Protego

AGE = 24 * 3600.0  # seconds until robots.txt is read again (RFC 9309, 2.4)
LONGEST_PAUSE = 3600.0  # seconds; a site that wants more between two requests wants no crawler


class Shelf(Protocol):
    """Where a robots.txt outlives the run that read it. `pipeline.live.store.Store` is one."""

    def kept_robots(self, url: str) -> tuple[str, datetime] | None:
        """The text that was last read from this address, and when; None without a usable one."""

    def keep_robots(self, url: str, text: str, fetched_at: datetime) -> None:
        """Keep it, in one step."""


class Rules:
    """What a robots.txt says to one user agent."""

    def __init__(self, text: str, user_agent: str) -> None:
        self._rules = Protego.parse(text)
        self._agent = user_agent
        rate = self._rules.request_rate(user_agent)
        per_request = rate.seconds / rate.requests if rate and rate.requests else 0.0
        # Seconds that it wants between the starts of two requests.
        self.pause = max(float(self._rules.crawl_delay(user_agent) or 0.0), per_request)

    def allow(self, url: str) -> bool:
        """Whether this address may be asked for."""
        return self.pause <= LONGEST_PAUSE and self._rules.can_fetch(url, self._agent)


def read(status: int, content: bytes, problem: str) -> tuple[str, str]:
    """The rules in an answer as text, or "" and why there are none. A site without the file allows everything."""
    if status in {404, 410}:
        return "", ""
    text = content.decode("utf-8", errors="replace").replace("\0", "").lstrip("\ufeff \t\r\n")
    if problem or status != 200:
        return "", problem or f"HTTP {status}"
    if text.startswith("<"):
        return "", "a web page instead of rules"
    return text, ""


def kept(shelf: Shelf | None, url: str, now: datetime) -> tuple[str, float] | None:
    """A kept text that is still good, and its age in seconds. None for one from the future: a clock was wrong."""
    found = shelf.kept_robots(url) if shelf else None
    if found is None:
        return None
    age = (now - found[1]).total_seconds()
    return (found[0], age) if 0 <= age < AGE else None
