"""llama.cpp's server, alone or as a router: `/props` tells slots and context, `/tokenize` counts tokens."""

from collections.abc import Sequence
from urllib.parse import quote

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
)

_IN_MEMORY = ("loaded", "loading", "sleeping")


class LlamaCpp(Family):
    """One model, or (started without one) a router over presets of which `status.value` tells who is loaded."""

    name = "llama.cpp"
    start = "Start it with a model (`llama-server -m FILE`), or set LLM_ENDPOINTS in .env to a server that runs"
    key_from = "llama.cpp: what --api-key says"
    more_context = "llama.cpp: --ctx-size, which --parallel divides"
    quiet = "llama.cpp: --reasoning-budget 0"
    thinking_off = (NO_TEMPLATE_THINKING, NO_THINKING, NO_EFFORT)
    refuses_overflow = True

    @classmethod
    async def found(cls, api: Api) -> bool:
        """Whether it is one: it alone has slots in `/props`, or calls itself a router there."""
        props = await api.get("/props")
        return "total_slots" in props or "default_generation_settings" in props or props.get("role") == "router"

    async def models(self) -> list[Model]:
        """All presets of a router with their state; else the one that it has."""
        listed = self.listed
        if not any("status" in item for item in listed):
            listed = entries(await self.api.get("/models"), "data") or listed
        found = []
        for item in listed:
            status = item.get("status")
            state = status.get("value") if isinstance(status, dict) else None
            options = status.get("args") if isinstance(status, dict) else None
            words = options if isinstance(options, list) else []
            embeds = any(word in ("--embedding", "--embeddings", "--reranking", "--rerank") for word in words)
            found += [
                Model(name, None if state is None else state in _IN_MEMORY, not (embeds or makes_embeddings(name)))
                for name in ids([item])
            ]
        return found

    async def limits(self, model: str) -> Limits:
        """Of the model's own process behind a router, too; never loads one."""
        props = await self.api.get("/props")
        if props.get("role") == "router" or any("status" in item for item in self.listed):
            props = await self.api.get(f"/props?model={quote(model, safe='')}&autoload=false")
        settings = props.get("default_generation_settings")
        context = settings.get("n_ctx") if isinstance(settings, dict) else None
        return Limits(count(props.get("total_slots")), count(context))

    async def count_tokens(self, model: str, texts: Sequence[str]) -> list[int] | None:
        """By `/tokenize`."""
        counts = []
        for text in texts:
            body = await self.api.post("/tokenize", {"content": text, "add_special": True, "model": model})
            tokens = body.get("tokens")
            if not isinstance(tokens, list):
                return None
            counts.append(len(tokens))
        return counts
