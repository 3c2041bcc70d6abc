"""Which model an LLM server has loaded, and what its own API tells beyond OpenAI's (LM Studio, llama.cpp)."""

from dataclasses import dataclass
from typing import Any

import httpx

from pipeline.label.reply import NoLabel


@dataclass(frozen=True, slots=True)
class Loaded:
    """`model` empty: none is. Slots (questions at once) and context (tokens) where the server tells."""

    model: str
    slots: int | None = None
    context: int | None = None


async def describe(url: str, api_key: str, trust_env: bool) -> Loaded:
    """Which model is loaded, and what the server's own API tells beyond OpenAI's. Raises NoLabel."""
    root = url.removesuffix("/").removesuffix("/v1")
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    async with httpx.AsyncClient(timeout=10.0, trust_env=trust_env, headers=headers) as http:

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


def count(value: object) -> int | None:
    """A positive whole number, or None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
