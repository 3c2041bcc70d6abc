"""LMDeploy: lists its model and adapters; `/v1/encode` counts. Its alternatives lack the sampled token."""

from collections.abc import Sequence

from pipeline.label.servers.base import NO_EFFORT, NO_TEMPLATE_THINKING, NO_THINKING, NOT_ENABLED, Api, Family, count


class LMDeploy(Family):
    """`lmdeploy serve api_server`."""

    name = "LMDeploy"
    start = "Start it (`lmdeploy serve api_server MODEL`), or set LLM_ENDPOINTS in .env to a server that runs"
    key_from = "LMDeploy: what --api-keys says"
    more_context = "LMDeploy: --session-len"
    quiet = "LMDeploy: enable_thinking"
    thinking_off = (NO_TEMPLATE_THINKING, NOT_ENABLED, NO_THINKING, NO_EFFORT)

    @classmethod
    async def found(cls, api: Api) -> bool:
        """Not told apart by an address of its own; by `owned_by` in its list."""
        return False

    async def count_tokens(self, model: str, texts: Sequence[str]) -> list[int] | None:
        """By `/v1/encode`."""
        counts = []
        for text in texts:
            body = await self.api.post("/v1/encode", {"input": text, "do_preprocess": False, "add_bos": False})
            tokens = count(body.get("length"))
            if tokens is None:
                return None
            counts.append(tokens)
        return counts
