"""One server's lane: how many questions it is given at once, found by watching it.

A server that tells its slots gets half as many questions more, so that the next is there when a slot falls free.
One that does not tell is given more and more as long as it answers more a second; told "too many" (429), less.
"""

import asyncio
import time

from pipeline.label.server import DEFAULT_SLOTS, Server

CEILING = 64  # questions at once, however fast a server seems
GROWTH = 1.5  # of the limit, while it pays
WORTH = 1.05  # a higher limit stays when it brings this much more answers a second
EXPLORE_AFTER = 400  # answers after which a settled lane looks again


class Lane:
    """`limit` questions at once at most, `active` now. `server` None: out, to be probed back in."""

    def __init__(self, url: str, server: Server | None, fixed: int = 0) -> None:
        self.url = url
        self.server: Server | None = None
        self.active = 0
        self.streak = 0  # failed questions in a row
        self.waiting_since: float | None = None  # the server is loading or has too much to do since then
        self.moved = asyncio.Event()
        self._fixed = fixed
        self.limit = fixed or DEFAULT_SLOTS
        self._settled = bool(fixed)
        self._best = (0.0, self.limit)  # answers a second, and the limit that gave them
        self._answers, self._begin = 0, time.monotonic()
        if server:
            self.open(server)

    def open(self, server: Server) -> None:
        """Work with this server from now on."""
        self.server, self.streak, self.waiting_since = server, 0, None
        slots = server.profile.slots
        if slots and not self._fixed:
            # Some servers have no queue behind a single slot (LM Studio with parallel 1).
            self.limit, self._settled = slots + slots // 2, True
        self._restart()

    def answered(self) -> None:
        """An answer came: learn from the pace."""
        self.streak, self.waiting_since = 0, None
        self._answers += 1
        if self._fixed or (self._settled and self._answers < EXPLORE_AFTER):
            return
        if self._settled:  # the machine may be freer than it was
            self._settled = self.server is None or self.server.profile.slots is not None
            self._best = (0.0, self.limit)
            self._restart()
        elif self._answers >= 2 * self.limit:
            self._climb(self._answers / max(time.monotonic() - self._begin, 1e-9))
            self._restart()

    def _climb(self, pace: float) -> None:
        best, limit = self._best
        if pace >= best * WORTH and self.limit < CEILING:
            self._best = (pace, self.limit)
            self.limit = min(CEILING, max(self.limit + 1, int(self.limit * GROWTH)))
        else:
            self.limit, self._settled = (limit if pace < best * WORTH else self.limit), True

    def too_many(self) -> None:
        """The server says that it has too much to do: give it less, and do not try for more soon."""
        self.limit, self._settled = max(1, self.limit * 3 // 4), True
        self._restart()

    def _restart(self) -> None:
        self._answers, self._begin = 0, time.monotonic()
