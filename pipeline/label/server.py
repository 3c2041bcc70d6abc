"""One OpenAI-compatible LLM server: what it is (probed once at the start), and asking it about one post.

Written against LM Studio and llama.cpp's server. What a server really does is found out with one question
instead of being believed: which model answers, whether it gives probabilities, whether it thinks aloud.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx
import openai

from pipeline.label.decoding import decoding
from pipeline.label.native import count, count_tokens, describe
from pipeline.label.prompt import Prompt, shown_text
from pipeline.label.records import LabelServerError
from pipeline.label.reply import MODES, Mode, NoLabel, error_text, parse_body, read_answer, refusal
from pipeline.live.records import Answer

DEFAULT_SLOTS = 4  # LM Studio's own default of concurrent predictions
LOADING_PATIENCE_S = 120.0  # a large model takes a minute to load
WHAT_TO_START = (
    "Start it: in LM Studio load a model and start the server (Developer tab, or `lms load` and "
    "`lms server start`), or set LLM_ENDPOINTS in .env to a server that runs"
)
PROBE = shown_text("오늘 점검 몇 시까지인가요", "공지를 못 찾아서 여쭤봅니다.", max_chars=200)
TRIAL = shown_text("사냥터 자리 문의드려요", "275 궁수인데 어디가 무난한가요. 하루에 두 시간쯤 돕니다.", max_chars=200)


@dataclass(frozen=True, slots=True)
class ServerProfile:
    """What the probe found. `model` is the id that really answered; slots and context where the server tells."""

    url: str
    model: str
    mode: Mode
    thinking_off: bool = False  # it thinks by default and was told not to
    slots: int | None = None  # questions it answers at the same time
    context: int | None = None  # tokens a question may have
    prompt_tokens: int | None = field(default=None, compare=False)  # of the probe's question
    probe_s: float = field(default=0.0, compare=False)  # seconds that it took, with no prompt in the cache yet


@dataclass(frozen=True, slots=True)
class Usage:
    """What one question cost, as the server counts: tokens of the prompt, and those it still had in its cache."""

    prompt_tokens: int
    cached_tokens: int


class Server:
    """One endpoint after a successful probe (`Server.connect`). An async context manager."""

    def __init__(
        self,
        client: openai.AsyncOpenAI,
        profile: ServerProfile,
        prompt: Prompt,
        timeout_s: float,
        samples: int = 0,
    ) -> None:
        self.profile = profile
        self.usage: Usage | None = None  # of the latest answer; None where the server does not count
        self._client = client
        self._prompt = prompt
        self._timeout_s = timeout_s
        self._decoding = decoding(profile.mode, prompt.words, profile.thinking_off, samples)

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
        """Find out what answers at `url` (ending in /v1) with one question or a few.

        `model` empty takes the one that is loaded. Waits up to `patience_s` seconds while a model loads.
        Raises LabelServerError saying what is wrong there and what to do.
        """
        if mode != "auto" and mode not in MODES:
            raise LabelServerError(f"label.answer_mode {mode!r} is unknown: auto, {', '.join(MODES)}")
        local = is_local(url)
        # No retries of the SDK's own: LM Studio finishes what it has begun, so a retry behind a timeout
        # queues the same work twice. A proxy set for the web is no way to this machine.
        client = openai.AsyncOpenAI(
            base_url=url,
            api_key=api_key or "not-needed",
            max_retries=0,
            timeout=timeout_s,
            http_client=openai.DefaultAsyncHttpxClient(trust_env=not local),
        )
        try:
            loaded = await describe(url, api_key, trust_env=not local)
            asked = model or loaded.model
            if not asked:
                raise NoLabel("no model is loaded", fatal=True)
            profile = ServerProfile(url, asked, "text", slots=loaded.slots, context=loaded.context)
            probed = await _probe(client, profile, prompt, mode, timeout_s, patience_s)
        except NoLabel as problem:
            await client.close()
            raise LabelServerError(_explain(url, problem)) from None
        except BaseException:
            await client.close()
            raise
        if model and not _same_model(model, probed.model):
            await client.close()
            raise LabelServerError(
                f"{url} answers with the model {probed.model!r}, not with LLM_MODEL={model!r}: load that one, "
                "or change LLM_MODEL in .env (empty: whatever is loaded)"
            )
        return cls(client, probed, prompt, timeout_s, samples)

    async def ask(self, shown: str, seed: int = 0) -> Answer:
        """The raw answer about one shown text; `seed` counts when sampling. Raises NoLabel with the reason."""
        asked = self.profile.model
        request = {"seed": seed, **self._decoding}
        answer, answered, usage = await _ask(
            self._client, asked, self._prompt, shown, self.profile.mode, request, self._timeout_s
        )
        self.usage = usage or self.usage
        if answered != asked:
            raise NoLabel(f"another model answers now: {answered!r} instead of {asked!r}", fatal=True)
        return answer

    async def count_tokens(self, texts: Sequence[str]) -> list[int] | None:
        """Tokens of each text in this model's vocabulary; None where the server does not count them."""
        url = self.profile.url
        return await count_tokens(url, self._client.api_key, not is_local(url), texts)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def __aenter__(self) -> "Server":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def _ask(
    client: openai.AsyncOpenAI,
    model: str,
    prompt: Prompt,
    shown: str,
    mode: Mode,
    request: dict[str, Any],
    timeout_s: float,
) -> tuple[Answer, str, Usage | None]:
    """One question: the answer, the model id that gave it, and what it cost."""
    messages: Any = prompt.messages(shown)
    try:
        # The SDK's timeout is one of silence; a server that drips bytes would hold a slot for ever.
        async with asyncio.timeout(timeout_s + 1):
            raw = await client.chat.completions.with_raw_response.create(model=model, messages=messages, **request)
            text = raw.text
    except (TimeoutError, openai.APITimeoutError):
        raise NoLabel(f"no answer within {timeout_s:g} s", retry=True) from None
    except openai.APIStatusError as error:
        body = error.body if error.body is not None else error.response.text
        wait = _seconds(error.response.headers.get("retry-after"))
        raise refusal(error.status_code, error_text(body), wait) from None
    except openai.APIConnectionError as error:
        raise NoLabel(f"no connection ({error.__cause__ or error})", retry=True, unreachable=True) from None
    except (openai.OpenAIError, httpx.HTTPError, UnicodeError, ValueError) as error:
        raise NoLabel(f"unreadable answer ({type(error).__name__}: {error})", retry=True) from None
    body = parse_body(text)
    answered = body.get("model")
    answer = read_answer(body, mode, prompt.words)
    return answer, answered if isinstance(answered, str) and answered else model, _usage(body.get("usage"))


async def _probe(
    client: openai.AsyncOpenAI,
    profile: ServerProfile,
    prompt: Prompt,
    mode: str,
    timeout_s: float,
    patience_s: float,
) -> ServerProfile:
    """The profile with the best mode that works. Raises NoLabel when none does."""
    deadline = asyncio.get_running_loop().time() + patience_s

    async def answering(one: Mode, off: bool) -> ServerProfile:
        while True:
            request, begin = decoding(one, prompt.words, off), time.monotonic()
            try:
                _, model, usage = await _ask(client, profile.model, prompt, PROBE, one, request, timeout_s)
                tokens, seconds = usage.prompt_tokens if usage else None, time.monotonic() - begin
                return replace(profile, model=model, mode=one, thinking_off=off, prompt_tokens=tokens, probe_s=seconds)
            except NoLabel as problem:
                wait = min(problem.wait_s or 1.0, 10.0)
                if not problem.loading or asyncio.get_running_loop().time() + wait > deadline:
                    raise
                await asyncio.sleep(wait)

    reasons: list[str] = []
    for off in (False, True):
        thinks = False
        for one in (one for one in MODES if mode in ("auto", one)):
            try:
                return await answering(one, off)
            except NoLabel as problem:
                if problem.fatal or problem.unreachable:
                    raise
                thinks |= problem.thinking
                if problem.reason not in reasons:
                    reasons.append(problem.reason)
        if not thinks:
            raise NoLabel("; ".join(reasons))
    raise NoLabel("; ".join(reasons), thinking=True)


def _explain(url: str, problem: NoLabel) -> str:
    if problem.thinking:
        return (
            f"{url} has a thinking model: it spends its answer on reasoning. Switch thinking off for it "
            "(LM Studio: the model's settings) or load one that does not think"
        )
    return f"the LLM server {url} can't label: {problem.reason}. {WHAT_TO_START}"


def is_local(url: str) -> bool:
    """Whether the address is this machine."""
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")


def _same_model(wanted: str, answered: str) -> bool:
    """Whether the configured id is the one that answered; `@q4_k_m` and `:2` name variants of it."""
    short = [name.lower().split("@")[0].split(":")[0] for name in (wanted, answered)]
    return short[0] == short[1] or short[0].rsplit("/")[-1] == short[1].rsplit("/")[-1]


def _usage(counted: object) -> Usage | None:
    if not isinstance(counted, dict) or count(counted.get("prompt_tokens")) is None:
        return None
    details = counted.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else 0
    return Usage(counted["prompt_tokens"], count(cached) or 0)


def _seconds(header: str | None) -> float:
    """`Retry-After` in seconds, at most 60; 0 when it says nothing usable."""
    try:
        return max(0.0, min(float(header or 0), 60.0))
    except ValueError:
        return 0.0
