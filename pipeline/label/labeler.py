"""A labeler: servers that give the same answers, the prompt, the cache and the calibration of what is in it."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pipeline.gold import GoldPost
from pipeline.label.budget import require_room
from pipeline.label.cache import Cache
from pipeline.label.calibration import Calibrations
from pipeline.label.decoding import fingerprint, samples_of
from pipeline.label.dispatch import OnProgress, Question, Run
from pipeline.label.estimate import Estimate, Pace
from pipeline.label.lane import Lane
from pipeline.label.no_label import NoLabel
from pipeline.label.options import Options
from pipeline.label.prompt import Prompt, load_prompt, shown_text
from pipeline.label.records import LabelServerError, Progress
from pipeline.label.server import LOADING_PATIENCE_S, Server
from pipeline.label.servers import Api, Family, recognise
from pipeline.label.transport import client
from pipeline.live.records import Answer
from pipeline.live.store import Store
from pipeline.settings import Settings

log = logging.getLogger(__name__)

SMALL_JOB = 50  # questions that need no estimate
CALIBRATION_SHARE = 0.75  # of the calibration texts must be answered, or the bias is not known


class Labeler:
    """Made by `open_labeler`. `asked` counts questions to servers in this process, retries too."""

    def __init__(
        self,
        servers: Sequence[Server],
        prompt: Prompt,
        store: Store,
        options: Options,
        settings: Settings,
        absent: Sequence[str] = (),
        gold: Sequence[GoldPost] = (),
    ) -> None:
        profile = servers[0].profile
        lane = partial(Lane, fixed=options.concurrency, timeout_s=options.timeout_s)
        self.lanes = [lane(server.profile.url, server) for server in servers] + [lane(url, None) for url in absent]
        self.prompt = prompt
        self.options = options
        self.model, self.mode, self.thinking_off = profile.model, profile.mode, profile.thinking_off
        self.samples = samples_of(self.mode, options.samples)
        self.fingerprint = fingerprint(self.model, prompt, self.mode, self.thinking_off, self.samples)
        # The database keeps 120 characters of it; the fingerprint tells apart what a cut name does not.
        self.name = f"{self.model[:100]}:{self.fingerprint}"
        self.asked = 0
        self._kind = kind(servers[0])
        self._opened = list(servers)
        self._cache = Cache(store, self.name, self.fingerprint, self.samples)
        self._settings = settings
        self._gold = gold
        self._least_context = 0  # tokens that are known to be enough; 0: not known
        self._calibrations: Calibrations | None = None

    @property
    def servers(self) -> list[Server]:
        """Those that work now."""
        return [lane.server for lane in self.lanes if lane.server]

    async def close(self) -> None:
        """Close every server's connections, those given up too."""
        for server in self._opened:
            await server.close()

    @property
    def warnings(self) -> list[str]:
        """What was seen of the servers that somebody should look at."""
        slow = [f"{lane.url} {lane.watch}" for lane in self.lanes if str(lane.watch)]
        return slow + [f"{server.profile.url} {server.unchecked}" for server in self._opened if server.unchecked]

    async def calibrations(self) -> Calibrations:
        """How the answers are weighed: fitted once, on cached answers to the prompt's own texts and the gold sample.

        Raises LabelServerError when too few of the prompt's texts get an answer.
        """
        if self._calibrations is None:
            self._calibrations = await self._calibrate() if self.mode == "logprobs" else Calibrations()
        return self._calibrations

    async def _calibrate(self) -> Calibrations:
        own, gold = (
            {self.shown(item.title, item.body): item.label for item in items}
            for items in (self.prompt.calibration, self._gold)
        )
        answers = await self.raw_answers([*own, *gold])
        known = [(answers[text], label) for text, label in own.items() if answers[text].scores]
        if len(known) < CALIBRATION_SHARE * len(own):
            why = next((answers[text].note for text in own if answers[text].note), "no probabilities")
            raise LabelServerError(
                f"{self._opened[0].profile.url} ({self.model}) answered only {len(known)} of the {len(own)} "
                f"calibration texts of {self.prompt.name}: {why}"
            )
        rated = {text: (answers[text], label) for text, label in gold.items() if answers[text].scores}
        return Calibrations(known, {text: pair for text, pair in rated.items() if text not in own})

    async def require_room(self, texts: Sequence[str]) -> None:
        """Leave out servers whose context is too small for these texts (`budget.require_room`).

        Raises LabelServerError when it is too small everywhere.
        """
        if not self._cache.look_up({"": texts})[1]:
            return
        spare, problems = 1 - self.options.min_coverage, []
        for lane in [lane for lane in self.lanes if lane.server]:
            assert lane.server is not None  # noqa: S101 (chosen so)
            try:
                await require_room(lane.server, self.prompt, texts, self.options.max_chars, spare)
            except LabelServerError as problem:
                problems.append(str(problem))
                self.lanes.remove(lane)
        if not self.servers:
            raise LabelServerError("\n".join(problems))
        for said in problems:
            log.warning("%s; the others label without it", said)
        self._least_context = min((server.profile.context or 0 for server in self.servers), default=0)

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
        calibrations = await self.calibrations()
        found = await self._raw(wanted, on_progress)
        return {
            purpose: {text: calibrations(text, self._cache.one(found, purpose, text)) for text in texts}
            for purpose, texts in wanted.items()
        }

    async def raw_answers(self, texts: Sequence[str], on_progress: OnProgress | None = None) -> dict[str, Answer]:
        """Raw answers by shown text, from the cache or the servers; saved as they arrive."""
        found = await self._raw({"": texts}, on_progress)
        return {text: self._cache.one(found, "", text) for text in texts}

    async def estimate(self, wanted: Mapping[str, Sequence[str]]) -> Estimate:
        """What asking for these will take; times one question on each server unless the job is small.

        Raises LabelServerError when none answers that.
        """
        known, missing = self._cache.look_up(wanted)
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
        known, missing = self._cache.look_up(wanted)
        if not missing:
            if on_progress:
                on_progress(Progress(len(known), len(known), len(known), 0))
            return known
        run = Run(
            missing,
            self.lanes,
            save=self._cache.save,
            connect=self._connect,
            max_attempts=self.options.max_attempts,
            on_progress=on_progress,
            known=len(known),
        )
        try:
            await run.finish()
        finally:
            self.asked += run.asked
        # One that has brought no label in several runs is not worth another: the cache knows.
        without = [question for question, answer in run.results.items() if answer.label is None]
        return known | run.results | (self._cache.again(without) if without else {})

    def accept(self, wanted: Mapping[str, Sequence[str]]) -> None:
        """A chunk was written from these answers (by purpose, shown texts) and what they were calibrated on."""
        self._cache.accept(self._with_calibration(wanted))

    def set_aside(self, wanted: Mapping[str, Sequence[str]], reason: str) -> int:
        """These answers are not to be trusted: keep them where nobody uses them. Returns how many.

        What a written chunk was made of stays.
        """
        return self._cache.set_aside(self._with_calibration(wanted), reason)

    def forget_refusals(self, texts: Sequence[str]) -> int:
        """Have the texts without a label asked again, on somebody's request. Returns how many."""
        return self._cache.set_aside({"": texts}, "asked again on request", unlabelled=True)

    def _with_calibration(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
        known = [self.shown(item.title, item.body) for item in self.prompt.calibration]
        known += [self.shown(item.title, item.body) for item in self._gold]
        return {**wanted, "": [*wanted.get("", ()), *known]}

    async def _connect(self, url: str) -> Server | None:
        """Probe an address again; None when nothing useful answers there."""
        try:
            server = await _connect(url, self.prompt, self._settings, self.options, patience_s=0)
        except LabelServerError as problem:
            log.debug("%s is still out: %s", url, problem)
            return None
        self._opened.append(server)  # closed with the labeler in any case
        roomy = (server.profile.context or self._least_context) >= self._least_context
        return server if roomy and kind(server) == self._kind else None


def kind(server: Server) -> tuple[str, str, Mapping[str, Any]]:
    """What servers must have in common to label one chunk together."""
    return server.profile.model, server.profile.mode, server.profile.thinking_off


async def _connect(
    url: str, prompt: Prompt, settings: Settings, options: Options, patience_s: float = LOADING_PATIENCE_S
) -> Server:
    return await Server.connect(
        url,
        prompt,
        model=settings.llm_model,
        api_key=settings.llm_api_key,
        mode=options.answer_mode,
        timeout_s=options.timeout_s,
        patience_s=patience_s,
        samples=options.samples,
    )


async def _reload(url: str, settings: Settings) -> None:
    """Load the model anew where the server can. What goes wrong is a warning: the probe tells whether it matters."""
    try:
        async with client(url, settings.llm_api_key, timeout_s=10.0) as http:
            model = await (await recognise(Api(url, http))).load_anew(settings.llm_model)
    except NoLabel as problem:
        log.warning("%s did not load its model anew (label.reload): %s", url, problem.reason)
    else:
        log.info("%s has loaded %s anew", url, model)


async def open_labeler(settings: Settings, store: Store, options: Options, gold: Sequence[GoldPost] = ()) -> Labeler:
    """Probe every endpoint and keep those that give the same answers as the first good one.

    `gold` is the sample of texts with known labels that answers are calibrated on, beside the prompt's own. A dead
    endpoint beside a live one is a warning; it is probed again while the others label. Raises LabelServerError
    when none can label.
    """
    prompt = load_prompt(options.prompt)
    urls = settings.llm_endpoints
    if options.reload:
        await asyncio.gather(*(_reload(url, settings) for url in urls))
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
        raise LabelServerError("\n".join(problems) or f"LLM_ENDPOINTS names no server. {Family.start}")
    for problem in problems:
        log.warning("%s", problem)
    return Labeler(same, prompt, store, options, settings, absent, gold)
