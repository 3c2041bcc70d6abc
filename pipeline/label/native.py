"""What an LLM server's own API tells and does beyond OpenAI's (LM Studio, llama.cpp): models, tokens, loading anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from pipeline.label.reply import NoLabel

_LOADING_S = 600.0  # a large model from a slow disk
_LOAD_SETTINGS = ("context_length", "eval_batch_size", "flash_attention", "num_experts", "offload_kv_cache_to_gpu")


@dataclass(frozen=True, slots=True)
class Loaded:
    """`model` empty: none is. Slots (questions at once) and context (tokens) where the server tells."""

    model: str
    slots: int | None = None
    context: int | None = None


async def describe(url: str, api_key: str, trust_env: bool) -> Loaded:
    """Which model is loaded, and what the server's own API tells beyond OpenAI's. Raises NoLabel."""
    root = _root(url)
    async with _client(api_key, trust_env) as http:

        async def get(address: str) -> dict[str, Any]:
            try:
                response = await http.get(address)
                body = response.json() if response.status_code == 200 else None
            except httpx.ConnectError as error:
                raise NoLabel(f"no connection ({error})", retry=True, unreachable=True) from None
            except (httpx.HTTPError, ValueError, UnicodeError):
                body = None
            return body if isinstance(body, dict) else {}

        studio = (await get(f"{root}/api/v1/models")).get("models")
        if isinstance(studio, list) and studio:
            instances = [
                instance
                for item in studio
                if isinstance(item, dict) and item.get("type") == "llm"
                for instance in item.get("loaded_instances") or ()
                if isinstance(instance, dict) and isinstance(instance.get("id"), str)
            ]
            if instances:
                config = instances[0].get("config")
                config = config if isinstance(config, dict) else {}
                return Loaded(instances[0]["id"], count(config.get("parallel")), count(config.get("context_length")))
            return Loaded("")  # what /v1/models lists then is on disk: asking would load any one of it
        listed = (await get(f"{url}/models")).get("data")
        ids = [str(item["id"]) for item in listed or () if isinstance(item, dict) and item.get("id")]
        # A server that lists nothing may still answer; one that names only embedding models will not.
        model = next((name for name in ids if "embed" not in name.lower()), "" if ids else "default")
        props = await get(f"{root}/props")
        settings = props.get("default_generation_settings")
        context = settings.get("n_ctx") if isinstance(settings, dict) else None
        return Loaded(model, count(props.get("total_slots")), count(context))


async def count_tokens(url: str, api_key: str, trust_env: bool, texts: Sequence[str]) -> list[int] | None:
    """Tokens of each text as llama.cpp's `/tokenize` counts them; None where there is no such thing."""
    counts = []
    async with _client(api_key, trust_env) as http:
        for text in texts or [""]:
            try:
                reply = await http.post(f"{_root(url)}/tokenize", json={"content": text, "add_special": True})
                tokens = reply.json().get("tokens") if reply.status_code == 200 else None
            except (httpx.HTTPError, ValueError, AttributeError):
                tokens = None
            if not isinstance(tokens, list):
                return None
            counts.append(len(tokens))
    return counts[: len(texts)]


async def load_anew(url: str, api_key: str, trust_env: bool) -> str:
    """Have LM Studio unload its model and load it again, which gives back memory that has leaked. Returns its id.

    As its REST API (0.4.0) documents it: /api/v1/models, models/unload, models/load with the settings that the
    loaded one had. What that API does not take (GPU offload, parallel requests) is what LM Studio has as default.
    Raises NoLabel when this is no LM Studio, when the model goes by an identifier of its own (loaded again it would
    be another labeler), or when it does not load.
    """
    async with _client(api_key, trust_env, timeout_s=_LOADING_S) as http:

        async def call(what: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
            address = f"{_root(url)}/api/v1/models{what}"
            try:
                reply = await (http.get(address) if body is None else http.post(address, json=body))
                answer = reply.json() if reply.status_code == 200 else None
            except (httpx.HTTPError, ValueError) as error:
                raise NoLabel(f"{address} does not answer ({type(error).__name__}: {error})") from None
            if not isinstance(answer, dict) or answer.get("error"):
                raise NoLabel(f"{address} refuses (HTTP {reply.status_code}: {reply.text[:200]})")
            return answer

        models = (await call("")).get("models")
        found = [
            (str(item.get("key")), instance)
            for item in (models if isinstance(models, list) else ())
            if isinstance(item, dict) and item.get("type") == "llm"
            for instance in item.get("loaded_instances") or ()
            if isinstance(instance, dict)
        ]
        if not found:
            raise NoLabel("no model is loaded", fatal=True)
        key, instance = found[0]
        if instance.get("id") != key:
            raise NoLabel(f"its model is loaded as {instance.get('id')!r}, not as {key!r}")
        config = instance.get("config")
        kept = {name: config[name] for name in _LOAD_SETTINGS if name in config} if isinstance(config, dict) else {}
        await call("/unload", {"instance_id": key})
        await call("/load", {"model": key, **kept})
        return key


def _root(url: str) -> str:
    return url.removesuffix("/").removesuffix("/v1")


def _client(api_key: str, trust_env: bool, timeout_s: float = 10.0) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    return httpx.AsyncClient(timeout=timeout_s, trust_env=trust_env, headers=headers)


def count(value: object) -> int | None:
    """A positive whole number, or None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
