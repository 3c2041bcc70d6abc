"""One LLM server that labels: what it is (probed once at the start), and asking it about one post.

What a server really does is found out with a few questions instead of being believed: which model answers, whether
its probabilities agree with its words, whether it thinks aloud. What is particular to its kind: `servers/`.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

import httpx
import openai

from pipeline.label.decoding import decoding
from pipeline.label.no_label import Kind, NoLabel, refusal
from pipeline.label.prompt import Prompt, shown_text
from pipeline.label.records import LabelServerError
from pipeline.label.reply import MODES, Mode, parse_body, read_answer
from pipeline.label.servers import Api, Family, count, ids, named, recognise, same_model
from pipeline.label.transport import client
from pipeline.live.records import Answer

DEFAULT_SLOTS = 4  # LM Studio's own default of concurrent predictions
LOADING_PATIENCE_S = 120.0  # a large model takes a minute to load
PROBE_TRIES = 3  # of a probe's question, where the server breaks down over it or has too much to do
PROBE_PAUSE_S = 1.0
MODEL_CHARS = 200  # no honest id of a model is longer
PROBE = shown_text("오늘 점검 몇 시까지인가요", "공지를 못 찾아서 여쭤봅니다.", max_chars=200)
# The probe of a server that gives probabilities: a question, a boast and a complaint should bring each word once.
PROBES = (
    PROBE,
    shown_text("드디어 해냈다!!", "오늘 뽑기 결과 보고 소리 질렀어요 ㅠㅠ 너무 행복하다", max_chars=200),
    shown_text("진짜 너무하네", "이번 패치는 정말 최악이네요. 화가 나서 접습니다", max_chars=200),
)
TRIAL = shown_text("사냥터 자리 문의드려요", "275 궁수인데 어디가 무난한가요. 하루에 두 시간쯤 돕니다.", max_chars=200)

Messages = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class ServerProfile:
    """What the probe found. `model` is the id that really answered; slots and context where the server tells."""

    url: str
    model: str
    mode: Mode
    thinking_off: Mapping[str, Any] = field(default_factory=dict)  # fields that stop a model that thinks by default
    slots: int | None = None  # questions it answers at the same time
    context: int | None = None  # tokens a question may have
    asked: str = field(default="", compare=False)  # the id that it is asked by
    prompt_tokens: int | None = field(default=None, compare=False)  # of the probe's question
    probe_s: float = field(default=0.0, compare=False)  # seconds that it took, with no prompt in the cache yet


@dataclass(frozen=True, slots=True)
class Usage:
    """What one question cost, as the server counts: tokens of the prompt, and those it still had in its cache."""

    prompt_tokens: int
    cached_tokens: int


@dataclass(frozen=True, slots=True)
class Reply:
    """A completion: its body, the id of the model that gave it, what it cost."""

    body: dict[str, Any]
    model: str
    usage: Usage | None


class Connection:
    """How a server is reached: its kind, its client, how long it may take."""

    def __init__(self, family: Family, sdk: openai.AsyncOpenAI, timeout_s: float) -> None:
        self.family, self.timeout_s = family, timeout_s
        self._sdk = sdk

    async def complete(self, model: str, messages: Messages, request: Mapping[str, Any]) -> Reply:
        """One question. Raises NoLabel when there is no completion."""
        fields: Any = self.family.request(request)
        try:
            # The SDK's timeout is one of silence; a server that drips bytes would hold a slot for ever.
            async with asyncio.timeout(self.timeout_s + 1):
                raw = await self._sdk.chat.completions.with_raw_response.create(
                    model=model, messages=list[Any](messages), **fields
                )
                text = raw.text
        except (TimeoutError, openai.APITimeoutError):
            raise NoLabel(Kind.TIMEOUT, f"no answer within {self.timeout_s:g} s") from None
        except openai.APIStatusError as error:
            body = error.body if error.body is not None else error.response.text
            wait = _seconds(error.response.headers.get("retry-after"))
            raise refusal(error.status_code, body, wait) from None
        except openai.APIConnectionError as error:
            raise NoLabel(Kind.UNREACHABLE, f"no connection ({error.__cause__ or error})") from None
        except (openai.OpenAIError, httpx.HTTPError, ValueError, RecursionError) as error:
            raise NoLabel(Kind.MALFORMED, f"unreadable answer ({type(error).__name__}: {error})") from None
        body = parse_body(text)
        answered = body.get("model")
        if not isinstance(answered, str) or not answered:
            answered = model
        if len(answered) > MODEL_CHARS or not answered.isprintable():
            raise NoLabel(Kind.MALFORMED, "the answer names a model that can't be one")
        return Reply(body, answered, _usage(body.get("usage")))

    async def close(self) -> None:
        """Close the connections."""
        await self._sdk.close()


class Server:
    """One endpoint after a successful probe (`Server.connect`). An async context manager."""

    def __init__(self, connection: Connection, profile: ServerProfile, prompt: Prompt, samples: int = 0) -> None:
        self.profile = profile
        self.usage: Usage | None = None  # of the latest answer; None where the server does not count
        self.least_tokens = 0  # of any whole question; fewer and the server has cut it (`truncation`)
        self.unchecked = ""  # what could not be found out about it
        self._connection = connection
        self._prompt = prompt
        self._decoding = decoding(profile.mode, prompt.words, profile.thinking_off, samples)

    @property
    def family(self) -> Family:
        """Its kind."""
        return self._connection.family

    @classmethod
    async def connect(
        cls,
        url: str,
        prompt: Prompt,
        *,
        model: str = "",
        api_key: str = "not-needed",
        mode: str = "auto",
        timeout_s: float = 120.0,
        patience_s: float = LOADING_PATIENCE_S,
        samples: int = 0,
    ) -> "Server":
        """Find out what answers at `url` (ending in /v1) with a few questions.

        `model` empty takes the one that is loaded. Waits up to `patience_s` seconds while a model loads.
        Raises LabelServerError saying what is wrong there and what to do.
        """
        if mode != "auto" and mode not in MODES:
            raise LabelServerError(f"label.answer_mode {mode!r} is unknown: auto, {', '.join(MODES)}")
        family: Family | None = None
        try:
            http: Any = client(url, api_key, timeout_s)
        except NoLabel as problem:
            raise LabelServerError(explain(url, problem)) from None
        # No retries of the SDK's own: LM Studio finishes what it has begun, so a retry behind a timeout
        # queues the same work twice.
        sdk = openai.AsyncOpenAI(
            base_url=url, api_key=api_key or "not-needed", max_retries=0, timeout=timeout_s, http_client=http
        )
        try:
            family = await recognise(Api(url, http))
            connection = Connection(family, sdk, timeout_s)
            asked = await family.choose(model)
            modes = [one for one in MODES if mode in ("auto", one)]
            start = ServerProfile(url, asked, "text", asked=asked)
            profile = await _Probe(connection, start, prompt, patience_s).run(modes)
            expected = model or (asked if family.tells_loaded else "")
            if expected and not same_model(expected, profile.model):
                why = f"LLM_MODEL={model!r}" if model else f"{asked!r}, the one that is loaded"
                raise NoLabel(Kind.OTHER_MODEL, f"it answers with the model {profile.model!r}, not with {why}")
            limits = await family.limits(asked)
            return cls(connection, replace(profile, slots=limits.slots, context=limits.context), prompt, samples)
        except BaseException as problem:
            await sdk.close()
            if isinstance(problem, NoLabel):
                raise LabelServerError(explain(url, problem, family, model)) from None
            raise

    async def ask(self, shown: str, seed: int = 0) -> Answer:
        """The raw answer about one shown text; `seed` counts when sampling. Raises NoLabel with the reason."""
        request = {"seed": seed, **self._decoding}
        reply = await self._connection.complete(self.profile.asked, self._prompt.messages(shown), request)
        self.usage = reply.usage or self.usage
        if reply.model != self.profile.model:
            raise NoLabel(
                Kind.OTHER_MODEL, f"another model answers now: {reply.model!r} instead of {self.profile.model!r}"
            )
        if reply.usage and reply.usage.prompt_tokens < self.least_tokens:
            raise NoLabel(
                Kind.CUT_QUESTION,
                f"the server has cut the question: it counts {reply.usage.prompt_tokens:,} tokens, "
                f"and the prompt alone has {self.least_tokens:,}",
            )
        return read_answer(reply.body, self.profile.mode, self._prompt.words)

    async def prompt_tokens(self, messages: Messages) -> int | None:
        """Tokens of a prompt as the server counts them when it is asked; None where it does not. Raises NoLabel."""
        request = decoding("text", self._prompt.words, self.profile.thinking_off) | {"max_tokens": 1}
        reply = await self._connection.complete(self.profile.asked, messages, request)
        return reply.usage.prompt_tokens if reply.usage else None

    async def count_tokens(self, texts: Sequence[str]) -> list[int] | None:
        """Tokens of each text in this model's vocabulary; None where the server does not count them."""
        return await self.family.count_tokens(self.profile.asked, texts)

    def advice(self, problem: NoLabel) -> str:
        """What to do about it."""
        return self.family.advice(problem)

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

    async def __aenter__(self) -> "Server":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class _Probe:
    """Finds the way of asking that works: what switches thinking off, and the best mode."""

    def __init__(self, connection: Connection, profile: ServerProfile, prompt: Prompt, patience_s: float) -> None:
        self._connection, self._profile, self._prompt = connection, profile, prompt
        self._deadline = asyncio.get_running_loop().time() + patience_s

    async def run(self, modes: Sequence[Mode]) -> ServerProfile:
        """The profile with the first mode that works. Raises NoLabel when none does."""
        reasons: list[str] = []
        for thinking_off in ({}, *self._connection.family.thinking_off):
            thinks: Kind | None = None
            for mode in modes:
                try:
                    return await self._try(replace(self._profile, mode=mode, thinking_off=thinking_off))
                except NoLabel as problem:
                    if problem.kind.fatal or problem.kind is Kind.UNREACHABLE:
                        raise
                    if problem.kind in (Kind.THINKING, Kind.EMPTY):  # thoughts may use up the answer unseen
                        thinks = Kind.THINKING if problem.kind is Kind.THINKING else thinks or Kind.EMPTY
                    last = problem
                    if problem.reason not in reasons:
                        reasons.append(problem.reason)
            if not thinks:
                break
        raise NoLabel(thinks or last.kind, "; ".join(reasons))

    async def _try(self, profile: ServerProfile) -> ServerProfile:
        """The profile after a short question; with probabilities, after those of the other moods too."""
        reply, answer, seconds = await self._ask(profile, PROBE)
        tokens = reply.usage.prompt_tokens if reply.usage else None
        profile = replace(profile, model=reply.model, prompt_tokens=tokens, probe_s=seconds)
        if profile.mode == "logprobs":
            seen = [score > 0 for score in answer.scores or ()]
            for text in PROBES[1:]:
                _, answer, _ = await self._ask(profile, text)
                seen = [before or score > 0 for before, score in zip(seen, answer.scores or (), strict=True)]
            missing = [word for word, found in zip(self._prompt.words, seen, strict=True) if not found]
            if missing:
                raise NoLabel(Kind.NONSENSE, f"the server gives no probability of {', '.join(missing)}")
        return profile

    async def _ask(self, profile: ServerProfile, shown: str) -> tuple[Reply, Answer, float]:
        """Reply, answer and seconds. Waits while the model loads; tries again where that may help."""
        request = decoding(profile.mode, self._prompt.words, profile.thinking_off)
        tries = 0
        while True:
            begin = time.monotonic()
            try:
                reply = await self._connection.complete(profile.asked, self._prompt.messages(shown), request)
                return reply, read_answer(reply.body, profile.mode, self._prompt.words), time.monotonic() - begin
            except NoLabel as problem:
                tries += 1
                wait = min(problem.wait_s or PROBE_PAUSE_S, 10.0)
                if self._respelled(problem):
                    continue
                again = problem.kind is Kind.LOADING or (
                    problem.kind in (Kind.FAILED, Kind.BUSY) and tries < PROBE_TRIES
                )
                if not again or asyncio.get_running_loop().time() + wait > self._deadline:
                    raise
                await asyncio.sleep(wait)

    def _respelled(self, problem: NoLabel) -> bool:
        """Whether the server asks for a newer name of `max_tokens`, which is used from now on."""
        family = self._connection.family
        if problem.kind is not Kind.REFUSED or "max_completion_tokens" not in problem.reason:
            return False
        changed = family.output_limit != "max_completion_tokens"
        family.output_limit = "max_completion_tokens"
        return changed


async def find_problem(url: str, model: str = "", api_key: str = "not-needed") -> str | None:
    """A sentence when no model could label at this address; asks no question of the LLM."""
    family = None
    try:
        async with client(url, api_key, timeout_s=10.0) as http:
            family = await recognise(Api(url, http))
            await family.choose(model)
    except NoLabel as problem:
        return explain(url, problem, family, model)
    return None


def explain(url: str, problem: NoLabel, family: Family | None = None, model: str = "") -> str:
    """What is wrong with the server at this address, and what to do. `model`: what LLM_MODEL says."""
    there = named(ids(family.listed)) if family else ""
    about = f" (LLM_MODEL={model!r}; there: {there or 'nothing'})" if model and problem.kind is Kind.NO_MODEL else ""
    return f"the LLM server {url} can't label: {problem.reason}{about}. {(family or Family).advice(problem)}"


def _usage(counted: object) -> Usage | None:
    if not isinstance(counted, dict) or (tokens := count(counted.get("prompt_tokens"))) is None:
        return None
    details = counted.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else 0
    return Usage(tokens, count(cached) or 0)


def _seconds(header: str | None) -> float:
    """`Retry-After` in seconds, at most 60; 0 when it says nothing usable."""
    try:
        return max(0.0, min(float(header or 0), 60.0))
    except ValueError:
        return 0.0
