"""A labeler: servers that give the same answers, the prompt and the cache.

Answers are cached raw, by (text hash, labeler). What is asked again on purpose (gold, repeats, canaries) is kept
beside the labels under a name of its own, so that a rerun of a chunk measures nothing twice either.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pipeline.label.answer import Answer, LabelServerError, Progress
from pipeline.label.calibration import Prior, calibrated, prior_of
from pipeline.label.estimate import Estimate, Pace
from pipeline.label.lane import Lane
from pipeline.label.options import Options
from pipeline.label.prompt import Prompt, load_prompt, shown_text, text_hash
from pipeline.label.run import OnProgress, Question, Run
from pipeline.label.server import LOADING_PATIENCE_S, WHAT_TO_START, Server, fingerprint

if TYPE_CHECKING:  # the store imports this package
    from pipeline.settings import Settings
    from pipeline.store import Store

log = logging.getLogger(__name__)

SMALL_JOB = 50  # questions that need no estimate
_NOTHING = Answer(label=None, note="nothing to show: title and body are empty")
CALIBRATION_SHARE = 0.75  # of the calibration texts must be answered, or the bias is not known


class Labeler:
    """Made by `open_labeler`. `asked` counts questions to servers in this process, retries too."""

    def __init__(
        self,
        servers: Sequence[Server],
        prompt: Prompt,
        store: "Store",
        options: Options,
        settings: "Settings",
        absent: Sequence[str] = (),
    ) -> None:
        profile = servers[0].profile
        self.lanes = [Lane(server.profile.url, server, options.concurrency) for server in servers]
        self.lanes += [Lane(url, None, options.concurrency) for url in absent]
        self.prompt = prompt
        self.options = options
        self.model, self.mode, self.thinking_off = profile.model, profile.mode, profile.thinking_off
        self.fingerprint = fingerprint(self.model, prompt, self.mode, self.thinking_off)
        # The database keeps 120 characters of it; the fingerprint tells apart what a cut name does not.
        self.name = f"{self.model[:100]}:{self.fingerprint}"
        self.asked = 0
        self._kind = kind(servers[0])
        self._opened = list(servers)
        self._store, self._settings = store, settings
        self._prior: Prior | None = None

    @property
    def servers(self) -> list[Server]:
        """Those that work now."""
        return [lane.server for lane in self.lanes if lane.server]

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
                    f"{self._opened[0].profile.url} ({self.model}) answered only {len(good)} of the "
                    f"{len(texts)} calibration texts of {self.prompt.name}: {why}"
                )
            self._prior = prior_of(good)
        return self._prior

    def shown(self, title: str, body: str) -> str:
        """What the LLM is shown of a post."""
        return shown_text(title, body, self.options.max_chars)

    async def answers(self, texts: Sequence[str], on_progress: OnProgress | None = None) -> dict[str, Answer]:
        """Calibrated answers by shown text; one without a label carries the reason. Raises LabelServerError."""
        return (await self.measured({"": texts}, on_progress))[""]

    async def measured(
        self, wanted: Mapping[str, Sequence[str]], on_progress: OnProgress | None = None
    ) -> dict[str, dict[str, Answer]]:
        """Calibrated answers by purpose and shown text (purpose "": labels). Raises LabelServerError."""
        prior = await self.prior()
        found = await self._raw(wanted, on_progress)
        return {
            purpose: {text: calibrated(found[Question(purpose, text)], prior) for text in texts}
            for purpose, texts in wanted.items()
        }

    async def raw_answers(self, texts: Sequence[str], on_progress: OnProgress | None = None) -> dict[str, Answer]:
        """Raw answers by shown text, from the cache or the servers; saved as they arrive."""
        found = await self._raw({"": texts}, on_progress)
        return {text: found[Question("", text)] for text in texts}

    async def estimate(self, wanted: Mapping[str, Sequence[str]]) -> Estimate:
        """What asking for these will take; times one question on each server unless the job is small.

        Raises LabelServerError when none answers that.
        """
        known, missing = self._look_up(wanted)
        if len(missing) < SMALL_JOB:
            return Estimate(len(known), len(missing), None, None)
        timed = await asyncio.gather(
            *(Pace.measure(server, self.prompt) for server in self.servers), return_exceptions=True
        )
        paces = [pace for pace in timed if isinstance(pace, Pace)]
        for problem in timed:
            if isinstance(problem, BaseException) and not (paces and isinstance(problem, LabelServerError)):
                raise problem
        return Estimate.of(len(known), [question.text for question in missing], paces)

    async def _raw(self, wanted: Mapping[str, Sequence[str]], on_progress: OnProgress | None) -> dict[Question, Answer]:
        known, missing = self._look_up(wanted)
        if not missing:
            if on_progress:
                on_progress(Progress(len(known), len(known), len(known), 0))
            return known
        run = Run(
            missing,
            self.lanes,
            save=self._save,
            connect=self._connect,
            max_attempts=self.options.max_attempts,
            on_progress=on_progress,
            known=len(known),
        )
        try:
            await run.finish()
        finally:
            self.asked += run.asked
        return known | run.results

    def _look_up(self, wanted: Mapping[str, Sequence[str]]) -> tuple[dict[Question, Answer], list[Question]]:
        """What is known already, and the questions that are not, in the order to ask them."""
        known: dict[Question, Answer] = {}
        missing: list[list[Question]] = []
        for purpose, texts in wanted.items():
            hashes = {text: text_hash(text) for text in texts}
            cached = self._store.cached_answers(list(hashes.values()), self._cache_name(purpose))
            unknown = []
            for text, key in hashes.items():
                if key in cached:
                    known[Question(purpose, text)] = cached[key]
                elif not text:
                    known[Question(purpose, text)] = Answer(
                        label=None, note="nothing to show: title and body are empty"
                    )
                else:
                    unknown.append(Question(purpose, text))
            # Texts that begin alike stand together: a server's prefix cache then holds for a little more.
            missing.append(sorted(unknown) if not purpose else unknown)
        return known, _mixed(missing)

    def _cache_name(self, purpose: str) -> str:
        return f"{self.fingerprint}/{purpose}" if purpose else self.name

    def _save(self, answers: Sequence[tuple[Question, Answer]]) -> None:
        for purpose in {question.purpose for question, _ in answers}:
            batch = [(text_hash(q.text), answer) for q, answer in answers if q.purpose == purpose]
            self._store.save_answers(self._cache_name(purpose), batch)

    async def _connect(self, url: str) -> Server | None:
        """Probe an address again; None when nothing useful answers there."""
        try:
            server = await _connect(url, self.prompt, self._settings, self.options, patience_s=0)
        except LabelServerError as problem:
            log.debug("%s is still out: %s", url, problem)
            return None
        self._opened.append(server)  # closed with the labeler in any case
        return server if kind(server) == self._kind else None


def _mixed(groups: Sequence[Sequence[Question]]) -> list[Question]:
    """All questions, each group spread evenly over the whole: what is measured holds for the whole run."""
    placed = [
        ((place + 0.5) / len(group), number, question)
        for number, group in enumerate(groups)
        for place, question in enumerate(group)
    ]
    return [question for _, _, question in sorted(placed, key=lambda item: item[:2])]


def kind(server: Server) -> tuple[str, str, bool]:
    """What servers must have in common to label one chunk together."""
    return server.profile.model, server.profile.mode, server.profile.thinking_off


async def _connect(
    url: str, prompt: Prompt, settings: "Settings", options: Options, patience_s: float = LOADING_PATIENCE_S
) -> Server:
    return await Server.connect(
        url,
        prompt,
        model=settings.llm_model,
        api_key=settings.llm_api_key,
        mode=options.answer_mode,
        timeout_s=options.timeout_s,
        patience_s=patience_s,
    )


async def open_labeler(settings: "Settings", store: "Store", options: Options) -> Labeler:
    """Probe every endpoint and keep those that give the same answers as the first good one.

    A dead endpoint beside a live one is a warning; it is probed again while the others label. Raises
    LabelServerError when none can label.
    """
    prompt = load_prompt(options.prompt)
    urls = settings.llm_endpoints
    outcomes = await asyncio.gather(*(_connect(url, prompt, settings, options) for url in urls), return_exceptions=True)
    servers: list[Server] = []
    problems: list[str] = []
    absent: list[str] = []
    for url, outcome in zip(urls, outcomes, strict=True):
        if isinstance(outcome, LabelServerError):
            problems.append(str(outcome))
            absent.append(url)
        elif isinstance(outcome, BaseException):
            for server in outcomes:
                if isinstance(server, Server):
                    await server.close()
            raise outcome
        else:
            servers.append(outcome)
    same = [server for server in servers if kind(server) == kind(servers[0])]
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
    return Labeler(same, prompt, store, options, settings, absent)
