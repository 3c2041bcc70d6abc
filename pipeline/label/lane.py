"""One server's lane: how many questions it is given at once, found by watching it.

A server that tells its slots gets half as many questions more, so that the next is there when a slot falls free.
One that does not tell is given twice as many, again and again, as long as it answers them side by side; how many
that are follows from Little's law (answers a second times the seconds that one takes alone). Told "too many" (429),
or so slow that a queue would run into the timeout, it is given less.
"""

import asyncio
import math
import statistics
import time

from pipeline.label.server import DEFAULT_SLOTS, Server
from pipeline.label.watch import Watch

CEILING = 64  # questions at once, however fast a server seems
SIDE_BY_SIDE = 0.65  # of the questions given at once must be answered at the same time, or more are no use
QUEUED = 0.5  # of the usual time: if the first half of the first answers come in less, the others had to wait
RESERVE = 1.5  # questions given for each that is answered at the same time
EXPLORE_AFTER = 400  # answers after which a settled lane looks again
TRIAL = 200  # answers for which it then tries RESERVE times as many questions
WORTH = 1.1  # that stays when it brings this much more answers a second
PATIENCE = 0.5  # of the timeout: no question may have to wait longer for the others before it


class Lane:
    """`limit` questions at once at most, `active` now. `server` None: out, to be probed back in."""

    def __init__(self, url: str, server: Server | None, fixed: int = 0, timeout_s: float = math.inf) -> None:
        self.url = url
        self.server: Server | None = None
        self.active = 0
        self.streak = 0  # failed questions in a row
        self.waiting_since: float | None = None  # the server is loading or has too much to do since then
        self.moved = asyncio.Event()
        self.watch = Watch()
        self._fixed = fixed
        self._timeout_s = timeout_s
        self._told = False
        self._ramping = False
        self._alone: float | None = None  # seconds an answer takes when no question waits for another
        self._before: tuple[float, int] | None = None  # the pace and the limit that a trial is compared with
        self.limit = fixed or DEFAULT_SLOTS
        if server:
            self.open(server)
        self.begin()

    def open(self, server: Server) -> None:
        """Work with this server from now on."""
        self.server, self.streak, self.waiting_since = server, 0, None
        slots = server.profile.slots
        self._told, self._ramping = slots is not None, slots is None and not self._fixed
        self._alone = self._before = None
        if slots and not self._fixed:
            # Some servers have no queue behind a single slot (LM Studio with parallel 1).
            self.limit = slots + slots // 2
        elif not self._fixed:
            self.limit = self._bearable(DEFAULT_SLOTS, 1 / max(server.profile.probe_s, 1e-3))
        self.begin()

    def begin(self) -> None:
        """Watch from now on: what was before says nothing about the pace."""
        self._seconds: list[float] = []
        self._since = time.monotonic()
        self.watch.pause()

    def answered(self, seconds: float, full: bool = True) -> None:
        """An answer came after so many seconds: learn from it. `full`: more questions wait for this lane."""
        self.streak, self.waiting_since = 0, None
        if not full:  # towards the end a server has less to do, which is not its fault
            self.begin()
            return
        self.watch.answered()
        if self._fixed or self._told:
            return
        if time.monotonic() - seconds < self._since - 1e-6:
            return  # asked under another limit
        self._seconds.append(seconds)
        count = len(self._seconds)
        if self._ramping and count >= (self.limit if self._alone is None else 2 * self.limit):
            self._ramp()
        elif self._before and count >= TRIAL:
            before, limit = self._before
            self._before = None
            self._set(self.limit if self._pace() >= before * WORTH else limit)
        elif not self._ramping and not self._before and count >= EXPLORE_AFTER:  # it may be freer than it was
            self._before = self._pace(), self.limit
            self._set(self._bearable(math.ceil(self.limit * RESERVE), self._pace()))

    def too_many(self) -> None:
        """The server says that it has too much to do: give it less, and do not try for more soon."""
        self._ramping, self._before = False, None
        self._set(max(1, self.limit * 3 // 4))

    def _ramp(self) -> None:
        """Twice as many questions, or as many as the server has shown to answer side by side and a few more."""
        if self._alone is None:
            # A server with one slot answers the first questions one after the other, and the last waits longest.
            self._alone, few = statistics.mean(self._seconds), sorted(self._seconds)[: max(1, len(self._seconds) // 2)]
            goes_on = statistics.mean(few) >= QUEUED * self._alone
        else:
            goes_on = self._pace() * self._alone >= SIDE_BY_SIDE * self.limit
        more = self._bearable(2 * self.limit, self._pace())
        if goes_on and more > self.limit:
            self._set(more)
        else:
            self._ramping = False
            self._set(self._bearable(max(2, math.ceil(self._pace() * self._alone * RESERVE)), self._pace()))

    def _pace(self) -> float:
        """Answers a second by Little's law: as many as are given at once in the time that one of them takes."""
        return self.limit / max(statistics.mean(self._seconds), 1e-6)

    def _bearable(self, limit: int, pace: float) -> int:
        """At most `limit`, and so few that the last would not wait too long if the pace stays what it is."""
        patience = PATIENCE * self._timeout_s * pace
        return min(limit, CEILING) if patience >= CEILING else max(1, min(limit, int(patience)))

    def _set(self, limit: int) -> None:
        self.limit = limit
        self.begin()
