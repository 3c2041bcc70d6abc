"""One pass over questions that the cache could not answer: lanes, retries where they can help, a circuit breaker.

All servers draw from one queue, so a fast one takes more, and what a failing one gives back is taken by the others.
An answer is in the database before its place is given to the next question: a killed run has to ask again only
what was in flight.
"""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from pipeline.label.lane import Lane
from pipeline.label.no_label import Kind, NoLabel
from pipeline.label.records import LabelServerError, Progress
from pipeline.label.samples import seed_of
from pipeline.label.server import LOADING_PATIENCE_S, PROBE, Server
from pipeline.live.records import Answer

log = logging.getLogger(__name__)

BREAKER = 20  # failed questions in a row after which a server is given up, if it can't answer a harmless one either
BACKOFF_S = (1.0, 8.0)  # first and longest wait after a failure; a dead server is given up in 20 to 150 s
REVIVE_S = (5.0, 60.0)  # first and longest wait before a server that is out is probed again

OnProgress = Callable[[Progress], None]


class Question(NamedTuple):
    """A shown text. `purpose` is empty for a label, else the measurement that it is asked for.

    `sample` counts where the same is asked several times on purpose (`label.samples`).
    """

    purpose: str
    text: str
    sample: int = 0


class Run:
    """Asks `questions` in their order; the answers are in `results`.

    `save` keeps (question, answer) pairs; it is called in another thread. `connect` probes an address again
    and gives its server, or None when that one may not take part.
    """

    def __init__(
        self,
        questions: Sequence[Question],
        lanes: Sequence[Lane],
        *,
        save: Callable[[Sequence[tuple[Question, Answer]]], None],
        connect: Callable[[str], Awaitable[Server | None]],
        max_attempts: int,
        on_progress: OnProgress | None = None,
        known: int = 0,
    ) -> None:
        self.results: dict[Question, Answer] = {}
        self.asked = 0
        self._queue = deque((question, 0) for question in questions)
        self._waiting = len(questions)  # questions without an outcome yet
        self._total = len(questions) + known
        self._known = known
        self._failures = 0
        self._lanes = list(lanes)
        self._save_all, self._connect, self._max_attempts = save, connect, max_attempts
        self._on_progress = on_progress
        self._unsaved: list[tuple[Question, Answer]] = []
        self._doubtful: dict[str, list[tuple[Question, Answer]]] = {}  # by address: failures since its last answer
        self._saving = asyncio.Lock()
        self._finished = asyncio.Event()

    async def finish(self) -> None:
        """Work until every question has an outcome. Raises LabelServerError when no server is left."""
        try:
            async with asyncio.TaskGroup() as group:
                for lane in self._lanes:
                    group.create_task(self._drive(lane, group))
            for lane in self._lanes:
                last = self._doubtful.get(lane.url, [])
                if not any(Kind(answer.kind).retried for _, answer in last):  # it spoke, and that is what it said
                    self._believe(lane)
                elif lane.server:
                    await self._well(lane, lane.server)
        except BaseExceptionGroup as problems:  # the first one stopped the others
            raise problems.exceptions[0] from None
        finally:
            if self._unsaved:
                self._save_all(self._unsaved)

    async def _drive(self, lane: Lane, group: asyncio.TaskGroup) -> None:
        lane.active, lane.moved = 0, asyncio.Event()
        lane.begin()
        while self._waiting:
            if lane.server is None:
                await self._revive(lane)
                continue
            while self._queue and lane.active < lane.limit:
                lane.active += 1
                question, attempts = self._queue.popleft()
                group.create_task(self._ask(lane, lane.server, question, attempts))
            await lane.moved.wait()
            lane.moved.clear()

    async def _revive(self, lane: Lane) -> None:
        """Probe a server that is out, again and again, until it is back or there is nothing left to ask."""
        wait, longest = REVIVE_S
        while lane.server is None and not await self._finished_within(wait):
            wait = min(2 * wait, longest)
            probe, finished = (
                asyncio.ensure_future(self._connect(lane.url)),
                asyncio.ensure_future(self._finished.wait()),
            )
            try:  # the others may finish while it is silent
                await asyncio.wait({probe, finished}, return_when=asyncio.FIRST_COMPLETED)
                if probe.done() and (server := probe.result()):
                    lane.open(server)
                    log.warning("the LLM server %s labels again", lane.url)
            finally:
                probe.cancel()
                finished.cancel()

    async def _finished_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._finished.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def _ask(self, lane: Lane, server: Server, question: Question, attempts: int) -> None:
        self.asked += 1
        begin = time.monotonic()
        try:
            answer = await server.ask(question.text, seed_of(question.purpose, question.sample))
        except NoLabel as problem:
            await self._failed(lane, server, question, attempts, problem)
            if problem.kind.retried:  # its place stays taken meanwhile
                await self._finished_within(_pause(lane.streak // max(1, lane.limit), problem.wait_s))
        else:
            lane.answered(time.monotonic() - begin, full=bool(self._queue))
            self._believe(lane)
            await self._keep(question, answer)
            self._done(question, answer)
        finally:
            lane.active -= 1
            lane.moved.set()

    async def _failed(self, lane: Lane, server: Server, question: Question, attempts: int, problem: NoLabel) -> None:
        if problem.kind in (Kind.LOADING, Kind.BUSY):  # neither the text's fault nor, for a while, the server's
            now = time.monotonic()
            if problem.kind is Kind.BUSY:
                lane.too_many()
            lane.waiting_since = lane.waiting_since or now
            if now - lane.waiting_since < LOADING_PATIENCE_S:
                self._give_back(question, attempts)
                return
        lane.streak += 1
        if problem.kind.fatal or (lane.streak >= BREAKER and not await self._well(lane, server)):
            self._give_back(question, attempts)
            self._give_up(lane, problem)
        elif problem.kind.retried and attempts + 1 < self._max_attempts:
            self._give_back(question, attempts + 1)
        else:
            answer = Answer(None, note=problem.reason, kind=problem.kind, lasting=problem.kind.lasting)
            if problem.kind.of_the_text:
                self._doubtful.setdefault(lane.url, []).append((question, answer))
            self._done(question, answer)

    async def _well(self, lane: Lane, server: Server) -> bool:
        """Whether a server answers a harmless question: then its failures are the texts' fault, not its own."""
        lane.streak = 0
        try:
            await server.ask(PROBE)
        except NoLabel:
            lane.streak = BREAKER
            return False
        self._believe(lane)
        return True

    def _believe(self, lane: Lane) -> None:
        """The server works, so what it failed at before is kept as the texts' own."""
        self._unsaved += self._doubtful.pop(lane.url, [])

    def _give_back(self, question: Question, attempts: int) -> None:
        self._queue.append((question, attempts))
        self._wake()

    def _give_up(self, lane: Lane, problem: NoLabel) -> None:
        if lane.server is None:  # another question to it has said so
            return
        advice, lane.server = lane.server.advice(problem), None
        self._doubtful.pop(lane.url, None)
        count = "" if problem.kind.fatal else f" ({lane.streak} failures in a row)"
        message = f"the LLM server {lane.url} stopped labelling{count}: {problem.reason}"
        if not any(other.server for other in self._lanes):
            raise LabelServerError(f"{message}. {self._waiting} texts are left. {advice}")
        log.warning("%s; the others go on", message)

    async def _keep(self, question: Question, answer: Answer) -> None:
        """Come back when the answer is in the database. Whoever is first saves what the others have as well."""
        entry = (question, answer)
        self._unsaved.append(entry)
        async with self._saving:
            if any(other is entry for other in self._unsaved):
                batch = list(self._unsaved)
                await asyncio.to_thread(self._save_all, batch)
                del self._unsaved[: len(batch)]

    def _done(self, question: Question, answer: Answer) -> None:
        self.results[question] = answer
        self._waiting -= 1
        self._failures += answer.label is None
        if self._on_progress:
            self._on_progress(Progress(self._total, self._known + len(self.results), self._known, self._failures))
        if not self._waiting:
            self._finished.set()
            self._wake()

    def _wake(self) -> None:
        for lane in self._lanes:
            lane.moved.set()


def _pause(failures: int, asked_s: float) -> float:
    """Seconds to wait after a failure: doubling, with jitter, never less than the server asked for."""
    first, longest = BACKOFF_S
    doubled = min(first * 2 ** min(failures, 10), longest)
    return max(asked_s, doubled * random.uniform(0.75, 1.25))  # noqa: S311 (no secret in a pause)
