"""What a labelling job will take: before it begins from one timed question, while it runs from its own pace."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.label.no_label import NoLabel
from pipeline.label.prompt import Prompt
from pipeline.label.records import LabelServerError, Progress
from pipeline.label.server import DEFAULT_SLOTS, PROBE, TRIAL, Server

_RECENT_S = 30.0  # the pace is that of the last half minute


@dataclass(frozen=True, slots=True)
class Pace:
    """How one server answers: seconds a question with the prompt in its cache, slots, tokens of that question."""

    seconds: float
    slots: int
    prompt_tokens: int | None
    prompt_chars: int
    text_chars: int  # of the post in it

    @classmethod
    async def measure(cls, server: Server, prompt: Prompt) -> "Pace":
        """Ask two questions and time the second. Raises LabelServerError when one gets no answer."""
        try:
            await server.ask(PROBE)  # brings the prompt into the server's cache
            begin = time.monotonic()
            await server.ask(TRIAL)
        except NoLabel as problem:
            raise LabelServerError(
                f"{server.profile.url} did not answer a trial question: {problem.reason}. {server.advice(problem)}"
            ) from None
        seconds = time.monotonic() - begin
        chars = sum(len(turn["content"]) for turn in prompt.messages(TRIAL))
        tokens = server.usage.prompt_tokens if server.usage else None
        return cls(seconds, server.profile.slots or DEFAULT_SLOTS, tokens, chars, len(TRIAL))


@dataclass(frozen=True, slots=True)
class Estimate:
    """Questions in the cache and to ask; prompt tokens (None: the server does not count); seconds from…to.

    `seconds[0]` is if every slot answers as fast as one alone, `seconds[1]` if slots only share one speed (a CPU).
    """

    known: int
    to_ask: int
    tokens: int | None
    seconds: tuple[float, float] | None  # None: not worth measuring

    @classmethod
    def of(cls, known: int, texts: Sequence[str], paces: Sequence[Pace]) -> "Estimate":
        """For asking about these shown texts with servers of these paces (at least one)."""
        tokens = None
        if paces[0].prompt_tokens is not None:
            a_char = paces[0].prompt_tokens / paces[0].prompt_chars
            extra = sum(len(text) - paces[0].text_chars for text in texts)
            tokens = round(len(texts) * paces[0].prompt_tokens + extra * a_char)
        alone = sum(1 / max(pace.seconds, 1e-4) for pace in paces)
        together = sum(pace.slots / max(pace.seconds, 1e-4) for pace in paces)
        return cls(known, len(texts), tokens, (len(texts) / together, len(texts) / alone))

    def __str__(self) -> str:
        if not self.to_ask:
            return f"{self.known:,} texts, all in the cache: nothing to ask"
        tokens = "" if self.tokens is None else f", about {self.tokens:,} prompt tokens (mostly the repeated prompt)"
        if self.seconds is None:
            return f"{self.to_ask:,} texts to ask, {self.known:,} in the cache"
        low, high = (duration(seconds) for seconds in self.seconds)
        span = low if low == high else f"{low} to {high}"
        return f"{self.to_ask:,} texts to ask, {self.known:,} in the cache{tokens}, {span}"


class Eta:
    """Turns progress into a pace (texts a second, of the last half minute) and what is left."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])

    def line(self, progress: Progress) -> str:
        """One line: how many, how fast, how long still."""
        now, fresh = time.monotonic(), progress.done - progress.cached
        self._seen.append((now, fresh))
        while len(self._seen) > 2 and now - self._seen[0][0] > _RECENT_S:
            self._seen.popleft()
        began, before = self._seen[0]
        pace = (fresh - before) / max(now - began, 1e-9)
        left = f", {duration((progress.total - progress.done) / pace)} left" if pace > 0 else ""
        return (
            f"{progress.done:,}/{progress.total:,} ({progress.cached:,} known, {progress.failed:,} without a label, "
            f"{pace:.1f} a second{left})"
        )


def duration(seconds: float) -> str:
    """For people: `45 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
