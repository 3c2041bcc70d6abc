"""What every kind of LLM server has in common, and how any OpenAI-compatible server is asked.

A server's kind decides which of its own addresses tell the loaded model, its context and its tokens, how thinking is
switched off there, and what to advise. Each kind is a class in a file of its own; this one is for those unknown.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import httpx

from pipeline.label.no_label import Kind, NoLabel, printable, refusal

Fields = Mapping[str, Any]  # of a request

GET_TIMEOUT_S = 10.0
_SHOWN_MODELS = 8  # in a message

# Ways of switching thinking off, as fields of a request.
NO_TEMPLATE_THINKING: Fields = {"chat_template_kwargs": {"enable_thinking": False}}  # Qwen, Gemma, GLM
NO_THINKING: Fields = {"chat_template_kwargs": {"thinking": False}}  # DeepSeek, Granite, Kimi
NO_EFFORT: Fields = {"reasoning_effort": "none"}
NOT_ENABLED: Fields = {"enable_thinking": False}

_NO_CHAT = ("embedding", "embeddings", "rerank", "reranker", "image", "audio", "moderation")
_EMBEDDING = re.compile(
    r"embed|(?:^|[/_.:-])(?:bge|e5|gte|all-minilm|rerank(?:er)?|colbert)(?:[/_.:-]|$)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Model:
    """A model that a server lists. `loaded` None: the server does not tell. `chats` False: it makes embeddings."""

    id: str
    loaded: bool | None = None
    chats: bool = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Questions that a server answers at the same time, tokens that one may have; None where it does not tell."""

    slots: int | None = None
    context: int | None = None


class Api:
    """A server's addresses beside chat. What is not there, or is no JSON object, reads as empty."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self.url, self._http = url, http
        self.root = url.removesuffix("/").removesuffix("/v1")

    async def listing(self) -> list[dict[str, Any]]:
        """The entries of `/v1/models`. Raises NoLabel when nothing listens there, or the API key is refused."""
        return entries(await self._call("GET", f"{self.url}/models", strict=True), "data")

    async def get(self, path: str) -> dict[str, Any]:
        """A GET below the server's root, for example `/props`. Raises NoLabel as `listing` does."""
        return await self._call("GET", self.root + path)

    async def post(self, path: str, body: Fields, timeout_s: float = GET_TIMEOUT_S) -> dict[str, Any]:
        """A POST below the server's root."""
        return await self._call("POST", self.root + path, body, timeout_s)

    async def demand(self, path: str, body: Fields | None = None, timeout_s: float = GET_TIMEOUT_S) -> dict[str, Any]:
        """The same (a GET without `body`), but a refusal raises NoLabel."""
        address, method = self.root + path, "GET" if body is None else "POST"
        try:
            reply = await self._http.request(method, address, json=body, timeout=timeout_s)
            answer = reply.json() if reply.status_code == 200 else None
        except (httpx.HTTPError, ValueError, RecursionError) as error:
            raise NoLabel(Kind.FAILED, f"{address} does not answer ({type(error).__name__}: {error})") from None
        if not isinstance(answer, dict) or answer.get("error"):
            said = printable(reply.text)
            raise NoLabel(Kind.REFUSED, f"{address} refuses (HTTP {reply.status_code}: {said})")
        return answer

    async def _call(
        self,
        method: str,
        address: str,
        body: Fields | None = None,
        timeout_s: float = GET_TIMEOUT_S,
        strict: bool = False,
    ) -> dict[str, Any]:
        try:
            reply = await self._http.request(method, address, json=body, timeout=timeout_s)
            answer = reply.json() if strict or reply.status_code == 200 else None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise NoLabel(Kind.UNREACHABLE, f"no connection ({error})") from None
        except (httpx.HTTPError, NoLabel, ValueError, RecursionError):
            return {}
        if strict and reply.status_code in (401, 403):
            raise refusal(reply.status_code, answer)
        return answer if isinstance(answer, dict) and reply.status_code == 200 else {}


class Family:
    """Any OpenAI-compatible server: it lists models at `/v1/models`, and that is all that is known of it."""

    name: ClassVar[str] = "OpenAI-compatible server"
    start: ClassVar[str] = (
        "Start it: in LM Studio load a model and start the server (Developer tab, or `lms load` and "
        "`lms server start`), or set LLM_ENDPOINTS in .env to a server that runs"
    )
    key_from: ClassVar[str] = "LM Studio: Developer tab, Server Settings; llama.cpp, vLLM: what --api-key says"
    more_context: ClassVar[str] = "see its documentation"
    quiet: ClassVar[str] = "see its documentation"  # how thinking is switched off by hand
    # In the order to try; the first that works is part of every question.
    thinking_off: ClassVar[tuple[Fields, ...]] = (
        NO_TEMPLATE_THINKING,
        NO_THINKING,
        NO_EFFORT,
        NOT_ENABLED,
    )
    refuses_overflow: ClassVar[bool] = False  # documented to answer 400 to a prompt longer than its context
    tells_loaded: ClassVar[bool] = False  # for certain, so that another model's answer is a fault
    loads_on_demand: ClassVar[bool] = True  # a question about a model that is not loaded loads it

    def __init__(self, api: Api, listed: Sequence[Mapping[str, Any]]) -> None:
        """`listed`: the entries of `/v1/models`."""
        self.api, self.listed = api, listed
        self.output_limit = "max_tokens"  # the field's name

    async def models(self) -> list[Model]:
        """The models that are there."""
        return [
            Model(name, chats=item.get("type") not in _NO_CHAT and not makes_embeddings(name))
            for item in self.listed
            for name in ids([item])
        ]

    async def limits(self, model: str) -> Limits:
        """What it tells of its slots and of this model's context."""
        entry = next((item for item in self.listed if item.get("id") == model), {})
        return Limits(context=count(entry.get("max_model_len")) or count(entry.get("context_length")))

    async def count_tokens(self, model: str, texts: Sequence[str]) -> list[int] | None:
        """Tokens of each text in this model's vocabulary; None where nobody counts them."""
        return None

    async def load_anew(self, model: str) -> str:
        """Unload the model and load it again, which gives back memory that has leaked. Returns its id.

        Raises NoLabel where that can't be done.
        """
        raise NoLabel(Kind.REFUSED, f"{self.api.url} is no LM Studio: label.reload works there only")

    def request(self, fields: Fields) -> dict[str, Any]:
        """The fields of a question in this server's spelling."""
        return {self.output_limit if name == "max_tokens" else name: value for name, value in fields.items()}

    async def choose(self, wanted: str = "") -> str:
        """The model to ask: `wanted` (LLM_MODEL), else the one that is loaded. Never one that makes embeddings.

        Raises NoLabel when none is loaded, or when it can't be told which one is meant.
        """
        models = await self.models()
        if wanted:
            if any(model.id == wanted and not model.chats for model in models):
                raise NoLabel(Kind.UNCLEAR_MODEL, f"LLM_MODEL={wanted!r} makes embeddings, it does not answer")
            return wanted
        if not models:
            if self.listed:
                raise NoLabel(Kind.NO_MODEL, "no model is loaded")
            return "default"  # a server that lists nothing may still answer
        chat = [model for model in models if model.chats]
        loaded = [model.id for model in chat if model.loaded]
        found = loaded or [model.id for model in chat if self.loads_on_demand or model.loaded is None]
        if not found:
            raise NoLabel(Kind.NO_MODEL, "no model is loaded")
        if len(found) > 1:
            what = "are loaded" if loaded else "are there, and none is known to be loaded"
            raise NoLabel(Kind.UNCLEAR_MODEL, f"{len(found)} models {what} ({named(found)})")
        return found[0]

    @classmethod
    def advice(cls, problem: NoLabel) -> str:
        """What to do about it, in a sentence or two."""
        match problem.kind:
            case Kind.UNAUTHORISED:
                return f"Set LLM_API_KEY in .env to a token that this server accepts ({cls.key_from})"
            case Kind.UNCLEAR_MODEL:
                return "Set LLM_MODEL in .env to the one that is to label"
            case Kind.THINKING | Kind.EMPTY:
                return (
                    f"The model seems to spend its answer on reasoning. Switch thinking off for it ({cls.quiet}) or "
                    "load one that does not think"
                )
            case Kind.OVERFLOW | Kind.CUT_QUESTION:
                return f"Give it more context ({cls.more_context})"
            case Kind.WRONG_ADDRESS:
                return "Set LLM_ENDPOINTS in .env to the server's address, for example http://127.0.0.1:1234/v1"
            case Kind.NO_CREDIT:
                return "Pay for more, or set LLM_ENDPOINTS in .env to another server"
            case Kind.OTHER_MODEL:
                return "Load the one that is to label, or change LLM_MODEL in .env (empty: whatever is loaded)"
            case _:
                return cls.start


def entries(body: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects in a body's list."""
    found = body.get(name)
    return [item for item in (found if isinstance(found, list) else ()) if isinstance(item, dict)]


def ids(listed: Sequence[Mapping[str, Any]], name: str = "id") -> list[str]:
    """The models' names among these entries."""
    return [value for item in listed if isinstance(value := item.get(name), str) and value]


def named(names: Sequence[str]) -> str:
    """Names for a message, the first few of many."""
    rest = len(names) - _SHOWN_MODELS
    return ", ".join(names[:_SHOWN_MODELS]) + (f" and {rest} more" if rest > 0 else "")


def makes_embeddings(name: str) -> bool:
    """Whether a model's name says that it makes embeddings (or ranks texts)."""
    return bool(_EMBEDDING.search(name))


def count(value: object, most: int = 10**8) -> int | None:
    """A positive whole number of at most `most`, or None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= most else None


def same_model(wanted: str, answered: str) -> bool:
    """Whether the configured id is the one that answered; `@q4_k_m`, `:2` and a date name variants of it."""
    short = [re.sub(r"(@[\w.]+|:\d+|:latest|-20\d\d-\d\d-\d\d)+$", "", name.lower()) for name in (wanted, answered)]
    return short[0] == short[1] or short[0].rsplit("/")[-1] == short[1].rsplit("/")[-1]
