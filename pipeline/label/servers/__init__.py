"""The kinds of LLM servers, one file a kind: how each tells its loaded model, context and tokens; what to advise.

`recognise` finds out which kind answers. A new kind is a file with a class, and a line in `OWNERS` or `KINDS` here.
"""

from pipeline.label.servers.base import Api, Family, Limits, Model, count, ids, named, same_model
from pipeline.label.servers.llama_cpp import LlamaCpp
from pipeline.label.servers.lm_studio import LMStudio
from pipeline.label.servers.lmdeploy import LMDeploy
from pipeline.label.servers.ollama import Ollama
from pipeline.label.servers.openai import OpenAI
from pipeline.label.servers.vllm import VLLM

__all__ = ["Api", "Family", "Limits", "Model", "count", "ids", "named", "recognise", "same_model"]

# What `owned_by` says in a kind's list of models.
OWNERS: dict[str, type[Family]] = {
    "llamacpp": LlamaCpp,
    "library": Ollama,
    "vllm": VLLM,
    "lmdeploy": LMDeploy,
    "openai": OpenAI,
    "openai-internal": OpenAI,
}
# The others are known by addresses that only they have.
KINDS = (LMStudio, LlamaCpp, Ollama)


async def recognise(api: Api) -> Family:
    """The server at this address as one of the kinds. Raises NoLabel when nothing listens, or the key is refused."""
    if await OpenAI.found(api):
        return OpenAI(api, await api.listing())
    listed = await api.listing()
    for owner in dict.fromkeys(str(item.get("owned_by")) for item in listed):
        if owner in OWNERS:
            return OWNERS[owner](api, listed)
    if any(isinstance(item.get("status"), dict) and "value" in item["status"] for item in listed):
        return LlamaCpp(api, listed)  # a router, whoever it says owns its models
    for kind in KINDS:
        if await kind.found(api):
            return kind(api, listed)
    return Family(api, listed)
