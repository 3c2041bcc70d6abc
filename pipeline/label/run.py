"""Labelling many texts: cache first, several servers, retries where they can help, and a circuit breaker.

Each server has as many workers as it answers at once; all draw from one queue, so a fast server takes more and
what a failing one gives back is taken by the others.
"""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.label.answer import Answer, LabelError, LabelServerError, Progress
from pipeline.label.calibration import Prior, calibrated, prior_of
from pipeline.label.prompt import Prompt, load_prompt, shown_text, text_hash
from pipeline.label.reply import NoLabel
from pipeline.label.server import DEFAULT_SLOTS, LOADING_PATIENCE_S, WHAT_TO_START, Server, fingerprint

if TYPE_CHECKING:  # the store imports this package
    from pipeline.settings import Settings
    from pipeline.store import Store

log = logging.getLogger(__name__)

BREAKER = 20  # failed questions in a row after which a server is given up
SAVE_EVERY = 8  # answers a transaction: what a killed run has to ask again
BACKOFF_S = (1.0, 8.0)  # first and longest wait after a failure; a dead server is given up in 20 to 150 s
CALIBRATION_SHARE = 0.75  # of the calibration texts must be answered, or the bias is not known

OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Options:
    """Section `label` of params.yaml. `concurrency` 0: what each server tells, else 4."""

    prompt: str
    max_chars: int
    min_coverage: float
    concurrency: int
    timeout_s: float
    max_attempts: int
    answer_mode: str

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "Options":
        """From the section's values. Raises LabelError naming what is missing or odd."""
        try:
            return cls._of(params)
        except KeyError as error:
            raise LabelError(f"params.yaml, section label: {error.args[0]} is missing") from None
        except (TypeError, ValueError) as error:
            raise LabelError(f"params.yaml, section label: {error}") from None

    @classmethod
    def _of(cls, params: Mapping[str, Any]) -> "Options":
        return cls(
            prompt=str(params["prompt"]),
            max_chars=int(params["max_chars"]),
            min_coverage=float(params["min_coverage"]),
            concurrency=int(params["concurrency"]),
            timeout_s=float(params["timeout_s"]),
            max_attempts=max(1, int(params["max_attempts"])),
            answer_mode=str(params["answer_mode"]),
        )


class Labeler:
    """Servers that give the same answers, the prompt and the cache. Made by `open_labeler`."""

    def __init__(self, servers: Sequence[Server], prompt: Prompt, store: "Store", options: Options) -> None:
        profile = servers[0].profile
        self.servers = list(servers)  # those that still work
        self._opened = list(servers)
        self.prompt = prompt
        self.options = options
        self.model, self.mode, self.thinking_off = profile.model, profile.mode, profile.thinking_off
        self.fingerprint = fingerprint(self.model, prompt, self.mode, self.thinking_off)
        # The database keeps 120 characters of it; the fingerprint tells apart what a cut name does not.
        self.name = f"{self.model[:100]}:{self.fingerprint}"
        self.asked = 0
        self._store = store
        self._prior: Prior | None = None

    async def close(self) -> None:
        """Close every server's connections, those given up too."""
        for server in self._opened:
            await server.close()

    async def prior(self) -> Prior | None:
        """How far the model leans to each word (`prior_of`), asked once and cached; None without scores.

        Raises LabelServerError when too few of the prompt's calibration texts get an answer.
        """
        if self.mode == "logprobs" and self._prior is None:
            texts = [self.shown(item.title, item.body) for item in self.prompt.calibration]
            answers = await self.raw_answers(texts)
            good = [answers[text] for text in texts if answers[text].scores is not None]
            if len(good) < CALIBRATION_SHARE * len(texts):
                why = next((answers[text].note for text in texts if answers[text].note), "no probabilities")
                raise LabelServerError(
                    f"{self.servers[0].profile.url} ({self.model}) answered only {len(good)} of the "
                    f"{len(texts)} calibration texts of {self.prompt.name}: {why}"
                )
            self._prior = prior_of(good)
        return self._prior

    def shown(self, title: str, body: str) -> str:
        """What the LLM is shown of a post."""
        return shown_text(title, body, self.options.max_chars)

    async def answers(self, texts: Sequence[str], on_progress: OnProgress | None = None) -> dict[str, Answer]:
        """Calibrated answers by shown text; one without a label carries the reason. Raises LabelServerError."""
        prior = await self.prior()
        raw = await self.raw_answers(texts, on_progress)
        return {text: calibrated(answer, prior) for text, answer in raw.items()}

    async def raw_answers(self, texts: Sequence[str], on_progress: OnProgress | None = None) -> dict[str, Answer]:
        """Raw answers by shown text, from the cache or the servers; saved as they arrive."""
        unique = list(dict.fromkeys(texts))
        hashes = {text: text_hash(text) for text in unique}
        cached = self._store.cached_answers(list(hashes.values()), self.name)
        results = {text: cached[hashes[text]] for text in unique if hashes[text] in cached}
        for text in unique:
            if text not in results and not text:
                results[text] = Answer(label=None, note="nothing to show: title and body are empty")
        missing = [text for text in unique if text not in results]
        if missing:
            await _Run(self, self._store, hashes, results, missing, on_progress).finish()
        elif on_progress:
            on_progress(Progress(len(unique), len(unique), len(cached), 0))
        return results


class _Run:
    """One pass over the texts that the cache did not have."""

    def __init__(
        self,
        labeler: Labeler,
        store: "Store",
        hashes: Mapping[str, str],
        results: dict[str, Answer],
        missing: Sequence[str],
        on_progress: OnProgress | None,
    ) -> None:
        self.labeler, self.store, self.hashes, self.results = labeler, store, hashes, results
        self.cached = len(results)
        self.queue = deque((text, 0) for text in missing)
        self.waiting = len(missing)  # texts without an outcome yet
        self.unsaved: list[tuple[str, Answer]] = []
        self.failed = 0
        self.streak = dict.fromkeys(labeler.servers, 0)  # failed questions in a row
        self.loading_since: dict[Server, float] = {}
        self.alive = list(labeler.servers)
        self.on_progress = on_progress

    async def finish(self) -> None:
        """Work until every text has an outcome. Raises LabelServerError when no server is left."""
        try:
            async with asyncio.TaskGroup() as group:
                for server in self.labeler.servers:
                    for _ in range(self._slots(server)):
                        group.create_task(self._work(server))
        except BaseExceptionGroup as problems:  # the first one stopped the others
            raise problems.exceptions[0] from None
        finally:
            self._save()
            self.labeler.servers = self.alive or self.labeler.servers

    def _slots(self, server: Server) -> int:
        return self.labeler.options.concurrency or server.profile.slots or DEFAULT_SLOTS

    async def _work(self, server: Server) -> None:
        while self.waiting and server in self.alive:
            if not self.queue:  # another worker may still give its text back
                await asyncio.sleep(0.05)
                continue
            text, attempts = self.queue.popleft()
            self.labeler.asked += 1
            try:
                answer = await server.ask(text)
            except NoLabel as problem:
                self._failed(server, text, attempts, problem)
                if problem.retry:
                    await asyncio.sleep(_pause(self.streak[server] // self._slots(server), problem.wait_s))
            else:
                self.streak[server] = 0
                self.loading_since.pop(server, None)
                self._done(text, answer, keep=True)

    def _failed(self, server: Server, text: str, attempts: int, problem: NoLabel) -> None:
        if problem.loading:  # neither the text's fault nor, for a while, the server's
            now = time.monotonic()
            if now - self.loading_since.setdefault(server, now) < LOADING_PATIENCE_S:
                self.queue.append((text, attempts))
                return
        self.streak[server] += 1
        if problem.fatal or self.streak[server] >= BREAKER:
            self.queue.append((text, attempts))
            self._give_up(server, problem)
        elif problem.retry and attempts + 1 < self.labeler.options.max_attempts:
            self.queue.append((text, attempts + 1))
        else:
            self._done(text, Answer(label=None, note=problem.reason), keep=problem.lasting)

    def _give_up(self, server: Server, problem: NoLabel) -> None:
        if server not in self.alive:  # another worker of it has said so
            return
        self.alive.remove(server)
        count = "" if problem.fatal else f" ({self.streak[server]} failures in a row)"
        message = f"the LLM server {server.profile.url} stopped labelling{count}: {problem.reason}"
        if not self.alive:
            raise LabelServerError(f"{message}. {self.waiting} texts are left. {WHAT_TO_START}")
        log.warning("%s; the others go on", message)

    def _done(self, text: str, answer: Answer, *, keep: bool) -> None:
        self.results[text] = answer
        self.waiting -= 1
        self.failed += answer.label is None
        if keep:
            self.unsaved.append((self.hashes[text], answer))
        if len(self.unsaved) >= SAVE_EVERY:
            self._save()
        if self.on_progress:
            self.on_progress(Progress(len(self.hashes), len(self.results), self.cached, self.failed))

    def _save(self) -> None:
        if self.unsaved:
            batch, self.unsaved = self.unsaved, []
            self.store.save_answers(self.labeler.name, batch)


def _pause(failures: int, asked_s: float) -> float:
    """Seconds to wait after a failure: doubling, with jitter, never less than the server asked for."""
    first, longest = BACKOFF_S
    doubled = min(first * 2 ** min(failures, 10), longest)
    return max(asked_s, doubled * random.uniform(0.75, 1.25))  # noqa: S311 (no secret in a pause)


async def open_labeler(settings: "Settings", store: "Store", options: Options) -> Labeler:
    """Probe every endpoint and keep those that give the same answers as the first good one.

    A dead endpoint beside a live one is a warning. Raises LabelServerError when none can label.
    """
    prompt = load_prompt(options.prompt)
    outcomes = await asyncio.gather(
        *(
            Server.connect(
                url,
                prompt,
                model=settings.llm_model,
                api_key=settings.llm_api_key,
                mode=options.answer_mode,
                timeout_s=options.timeout_s,
            )
            for url in settings.llm_endpoints
        ),
        return_exceptions=True,
    )
    servers: list[Server] = []
    problems: list[str] = []
    for outcome in outcomes:
        if isinstance(outcome, LabelServerError):
            problems.append(str(outcome))
        elif isinstance(outcome, BaseException):
            for server in outcomes:
                if isinstance(server, Server):
                    await server.close()
            raise outcome
        else:
            servers.append(outcome)
    same = [server for server in servers if _kind(server) == _kind(servers[0])]
    for server in servers:
        if server not in same:
            problems.append(
                f"{server.profile.url} runs {server.profile.model!r} ({server.profile.mode}), unlike "
                f"{servers[0].profile.url}: one chunk has one labeler, so it is left out"
            )
            await server.close()
    if not same:
        raise LabelServerError("\n".join(problems) or "LLM_ENDPOINTS names no server. " + WHAT_TO_START)
    for problem in problems:
        log.warning("%s", problem)
    return Labeler(same, prompt, store, options)


def _kind(server: Server) -> tuple[str, str, bool]:
    return server.profile.model, server.profile.mode, server.profile.thinking_off
