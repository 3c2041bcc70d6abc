"""LM Studio: `/api/v1/models` (0.4) or `/api/v0/models` (0.3) tell what is loaded; `/v1/models` lists the disk."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.label.no_label import Kind, NoLabel
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
    same_model,
)

_LOADING_S = 600.0  # a large model from a slow disk
_LOAD_SETTINGS = ("context_length", "eval_batch_size", "flash_attention", "num_experts", "offload_kv_cache_to_gpu")


@dataclass(frozen=True, slots=True)
class Instance:
    """A model on disk, or one of its loaded instances. `key` is what it is loaded by."""

    key: str
    id: str
    chats: bool
    loaded: bool
    config: Mapping[str, Any]


class LMStudio(Family):
    """LM Studio's server and its `lms` daemon."""

    name = "LM Studio"
    start = (
        "Load a model in LM Studio and start its server (Developer tab, or `lms load` and `lms server start`), "
        "or set LLM_ENDPOINTS in .env to another server"
    )
    key_from = "LM Studio: Developer tab, Server Settings, API tokens"
    more_context = "LM Studio: the model's Context Length, or `lms load --context-length`"
    quiet = "LM Studio: the model's settings"
    thinking_off = (NO_EFFORT, NO_TEMPLATE_THINKING, NO_THINKING)
    tells_loaded = True
    loads_on_demand = False  # it would load any of them just in time, with settings of its own

    @classmethod
    async def found(cls, api: Api) -> bool:
        """Whether it is one: it alone lists models so."""
        return bool(await _instances(api))

    async def models(self) -> list[Model]:
        """All on disk, and which of them are loaded. Two instances of one model are one."""
        found = await _instances(self.api)
        first = {item.key: item for item in reversed(found) if item.loaded}
        kept = [item for item in found if not item.loaded or first[item.key] is item]
        return [Model(item.id, item.loaded, item.chats) for item in kept]

    async def limits(self, model: str) -> Limits:
        """Of the loaded instance: `parallel` (0.4) and its context."""
        found = next((item for item in await _instances(self.api) if item.loaded and same_model(model, item.id)), None)
        config = found.config if found else {}
        return Limits(count(config.get("parallel")), count(config.get("context_length")))

    async def load_anew(self, model: str) -> str:
        """As its REST API (0.4.0) documents it: models/unload, models/load with the settings that it was loaded with.

        What that API does not take (GPU offload, parallel requests) is what LM Studio has as default. A model under an
        identifier of its own is left alone: loaded again it would be another labeler.
        """
        models = entries(await self.api.demand("/api/v1/models"), "models")
        loaded = [item for item in _from_v1(models) if item.loaded and item.chats]
        chosen = [item for item in loaded if not model or same_model(model, item.id)]
        if not chosen:
            raise NoLabel(Kind.NO_MODEL, "no model is loaded")
        one = chosen[0]
        if one.id != one.key:
            raise NoLabel(Kind.REFUSED, f"its model is loaded as {one.id!r}, not as {one.key!r}")
        kept = {name: one.config[name] for name in _LOAD_SETTINGS if name in one.config}
        await self.api.demand("/api/v1/models/unload", {"instance_id": one.key}, _LOADING_S)
        await self.api.demand("/api/v1/models/load", {"model": one.key, **kept}, _LOADING_S)
        return one.key


async def _instances(api: Api) -> list[Instance]:
    return _from_v1(entries(await api.get("/api/v1/models"), "models")) or _from_v0(
        entries(await api.get("/api/v0/models"), "data")
    )


def _from_v1(models: list[dict[str, Any]]) -> list[Instance]:
    found = []
    for item in models:
        key, chats = item.get("key"), item.get("type") != "embedding"
        if not isinstance(key, str) or not isinstance(item.get("loaded_instances"), list):
            continue
        loaded = entries(item, "loaded_instances")
        found += [
            Instance(key, name, chats, True, config if isinstance(config := one.get("config"), dict) else {})
            for one in loaded
            if isinstance(name := one.get("id"), str)
        ]
        if not loaded:
            found.append(Instance(key, key, chats, False, {}))
    return found


def _from_v0(models: list[dict[str, Any]]) -> list[Instance]:
    return [
        Instance(
            name,
            name,
            item.get("type") != "embeddings",
            item.get("state") == "loaded",
            {"context_length": item.get("loaded_context_length")},
        )
        for item in models
        if isinstance(name := item.get("id"), str) and isinstance(item.get("state"), str)
    ]
