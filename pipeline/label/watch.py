"""Does a server get slower while it works? Servers' memory grows over weeks (LM Studio: #549, #1967, #2105), and
before one dies of it, it swaps: the pace of its answers falls. That can be seen with any server, its memory cannot.
"""

import time
from collections import deque

WINDOW = 100  # answers that a pace is taken over
SLOWED = 2.0  # times slower than at the start: worth a warning


class Watch:
    """The time between answers now, beside that of the first `WINDOW` answers after the first few."""

    def __init__(self) -> None:
        self.slowdown: float | None = None  # times slower, of the latest `WINDOW` answers; None: too few to tell
        self._skip = WINDOW // 4  # the prompt comes into the cache, the number of questions at once settles
        self._first: float | None = None  # seconds an answer, at the start
        self._times: deque[float] = deque(maxlen=WINDOW + 1)

    def pause(self) -> None:
        """Nothing is asked for a while, or less: the time till the next answer is not the server's."""
        self._times.clear()

    def answered(self) -> None:
        """An answer came now."""
        if self._skip:
            self._skip -= 1
            return
        self._times.append(time.monotonic())
        if len(self._times) <= WINDOW:
            return
        seconds = (self._times[-1] - self._times[0]) / WINDOW
        if self._first is None:
            self._first = seconds
            self._times.clear()
        else:
            self.slowdown = seconds / max(self._first, 1e-9)

    def __str__(self) -> str:
        if self.slowdown is None or self.slowdown < SLOWED:
            return ""
        return (
            f"answers {self.slowdown:.1f} times slower than when this run began: busy with other work, or short of "
            "memory; look, and restart it between chunks if its memory has grown (label.reload for LM Studio)"
        )
