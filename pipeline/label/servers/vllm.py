"""vLLM: lists what it serves with `max_model_len`, adapters with their `parent`; `/tokenize` counts."""

from collections.abc import Sequence

from pipeline.label.servers.base import (
    NO_EFFORT,
    NO_TEMPLATE_THINKING,
    NO_THINKING,
    Api,
    Family,
    Model,
    count,
    ids,
    makes_embeddings,
)


class VLLM(Family):
    """`vllm serve`: one model, under one name or several, with adapters or without."""

    name = "vLLM"
    start = "Start it (`vllm serve MODEL`), or set LLM_ENDPOINTS in .env to a server that runs"
    key_from = "vLLM: what --api-key or VLLM_API_KEY says"
    more_context = "vLLM: --max-model-len"
    quiet = "vLLM: --default-chat-template-kwargs"
    thinking_off = (NO_TEMPLATE_THINKING, NO_THINKING, NO_EFFORT)
    refuses_overflow = True

    @classmethod
    async def found(cls, api: Api) -> bool:
        """Not told apart by an address of its own; by `owned_by` in its list."""
        return False

    async def models(self) -> list[Model]:
        """Names of one and the same model are one; each adapter is another."""
        found, seen = [], set()
        for item in self.listed:
            root = item.get("root")
            same = f"{root}" if isinstance(root, str) and not item.get("parent") else ""
            if same and same in seen:
                continue
            seen.add(same)
            found += [Model(name, True, not makes_embeddings(name)) for name in ids([item])]
        return found

    async def count_tokens(self, model: str, texts: Sequence[str]) -> list[int] | None:
        """By `/tokenize`."""
        counts = []
        for text in texts:
            body = await self.api.post("/tokenize", {"model": model, "prompt": text, "add_special_tokens": False})
            tokens = count(body.get("count"))
            if tokens is None:
                return None
            counts.append(tokens)
        return counts
