"""Ollama: `/api/ps` tells what runs, `/api/tags` what is on disk. It cuts a prompt that is too long without a word."""

from typing import Any

from pipeline.label.servers.base import (
    NO_EFFORT,
    NO_TEMPLATE_THINKING,
    NO_THINKING,
    Api,
    Family,
    Limits,
    Model,
    count,
    entries,
    ids,
    makes_embeddings,
    same_model,
)

_EMBEDDING_FAMILIES = ("bert", "nomic-bert", "nomic-bert-moe", "xlm-roberta", "mpnet")


class Ollama(Family):
    """Ollama, by its `/v1` address."""

    name = "Ollama"
    start = "Start it with a model (`ollama run NAME`), or set LLM_ENDPOINTS in .env to a server that runs"
    key_from = "Ollama asks for one only behind a proxy"
    more_context = "Ollama: OLLAMA_CONTEXT_LENGTH, or `PARAMETER num_ctx` in a Modelfile"
    quiet = "Ollama: choose a model without the capability `thinking`"
    thinking_off = (NO_EFFORT, NO_TEMPLATE_THINKING, NO_THINKING)

    @classmethod
    async def found(cls, api: Api) -> bool:
        """Whether it is one: it alone has `/api/ps` and a version. Others imitate `/api/tags`."""
        return "models" in await api.get("/api/ps") and "version" in await api.get("/api/version")

    async def models(self) -> list[Model]:
        """All on disk, and which of them run. What `/api/tags` does not tell is taken from `/v1/models`."""
        running = ids(entries(await self.api.get("/api/ps"), "models"), "name")
        details = {
            name: item for item in entries(await self.api.get("/api/tags"), "models") for name in ids([item], "name")
        }
        names = list(dict.fromkeys([*running, *details, *ids(self.listed)]))
        return [Model(name, name in running, _chats(name, details.get(name, {}))) for name in names]

    async def limits(self, model: str) -> Limits:
        """The context that the running model was given. Its slots are not told."""
        running = entries(await self.api.get("/api/ps"), "models")
        mine = next((item for item in running if same_model(model, str(item.get("name")))), {})
        return Limits(context=count(mine.get("context_length")))


def _chats(name: str, entry: dict[str, Any]) -> bool:
    details, capabilities = entry.get("details"), entry.get("capabilities")
    family = details.get("family") if isinstance(details, dict) else None
    if isinstance(capabilities, list) and capabilities:
        return "completion" in capabilities
    return family not in _EMBEDDING_FAMILIES and not makes_embeddings(name)
