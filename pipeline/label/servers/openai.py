"""OpenAI itself: lists every model of the account, so LLM_MODEL must say which; limits answers by another name."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.label.servers.base import NO_EFFORT, Api, Family

HOST = "api.openai.com"


class OpenAI(Family):
    """The paid API."""

    name = "OpenAI"
    start = "Set LLM_MODEL and LLM_API_KEY in .env, or LLM_ENDPOINTS to another server"
    key_from = "OpenAI: platform.openai.com, API keys"
    more_context = "choose another LLM_MODEL"
    quiet = "choose an LLM_MODEL that takes the reasoning effort `none`"
    thinking_off = (NO_EFFORT, {"reasoning_effort": "minimal"})
    refuses_overflow = True

    def __init__(self, api: Api, listed: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(api, listed)
        self.output_limit = "max_completion_tokens"

    @classmethod
    async def found(cls, api: Api) -> bool:
        """By its host name."""
        return api.url.split("/")[2:3] == [HOST]
