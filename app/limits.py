"""What keeps one visitor from slowing the page for the others: a sliding-window limit and a short cache."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from ipaddress import IPv6Address, ip_address
from typing import Any

Clock = Callable[[], float]
_EVERYBODY = "everybody"  # no address


def visitor(address: str) -> str:
    """What counts as one visitor: an IPv4 address, or the /64 of an IPv6 one, which is what a household gets."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped:
            return str(found.ipv4_mapped)
        return f"{IPv6Address(int(found) >> 64 << 64)}/64"
    return str(found)


class RateLimiter:
    """At most `limit` calls per `seconds` and visitor, counted in a sliding window, and `over_all` of all. Thread-safe.

    Remembers the `clients` most recent visitors, so that its memory is bounded whoever knocks.
    """

    def __init__(
        self,
        limit: int,
        seconds: float,
        *,
        over_all: int | None = None,
        clients: int = 10_000,
        clock: Clock = time.monotonic,
    ) -> None:
        self.limit, self.seconds, self._clients, self._clock = limit, seconds, clients, clock
        self._over_all = RateLimiter(over_all, seconds, clock=clock) if over_all else None
        self._calls: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, client: str) -> float:
        """Count a call. 0 when it may go ahead, else the seconds until the next one may (and it isn't counted)."""
        now, key = self._clock(), visitor(client)
        with self._lock:
            calls = self._calls.setdefault(key, deque())
            self._calls.move_to_end(key)
            while calls and calls[0] <= now - self.seconds:
                calls.popleft()
            if len(calls) >= self.limit:
                return calls[0] + self.seconds - now
            if self._over_all and (wait := self._over_all.wait(_EVERYBODY)):
                return wait
            calls.append(now)
            while len(self._calls) > self._clients:
                self._calls.popitem(last=False)
            return 0.0


class TimedCache:
    """Values kept for `seconds`, or ten times as long as they took to make if that is longer. Thread-safe.

    A value that is being made is waited for, not made twice. At most `size` values.
    """

    def __init__(self, seconds: float, *, size: int, clock: Clock = time.monotonic) -> None:
        self._seconds, self._size, self._clock = seconds, size, clock
        self._values: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value of `key`, made by `make` when there is none or it is too old. What `make` raises, it raises."""
        with self._lock:
            found, value = self._fresh(key)
            if found:
                return value
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                found, value = self._fresh(key)
            if found:
                return value
            started = self._clock()
            try:
                value = make()
            finally:
                with self._lock:
                    self._making.pop(key, None)
            ended = self._clock()
            with self._lock:
                self._values[key] = (ended + max(self._seconds, 10 * (ended - started)), value)
                self._values.move_to_end(key)
                while len(self._values) > self._size:
                    self._values.popitem(last=False)
            return value

    def _fresh(self, key: Hashable) -> tuple[bool, Any]:
        until, value = self._values.get(key, (float("-inf"), None))
        return self._clock() < until, value
