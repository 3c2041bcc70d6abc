"""Kinds of LLM servers on stand-ins: which model is asked, how thinking is switched off, what a failure advises."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.label.no_label import Kind, NoLabel
from pipeline.label.prompt import load_prompt
from pipeline.label.records import LabelServerError
from pipeline.label.server import Server, ServerProfile, find_problem
from pipeline.label.servers import Family, recognise
from pipeline.label.servers.base import Api, makes_embeddings, same_model
from pipeline.label.transport import client
from tests.support.llm_stand_in import Reply, StandIn, asked_post, by_keyword, completion, error

PROMPT = load_prompt("mood-1")


def answers_as(name: str) -> Callable[[dict[str, Any], int], Reply]:
    """A labeler that says that it is the model `name`."""
    return lambda request, count: by_keyword(request, model=name)


def as_asked(request: dict[str, Any], count: int) -> Reply:
    """A labeler that repeats the name that it was asked by."""
    return by_keyword(request, model=request["model"])


def listed(*names: str, **more: Any) -> Reply:
    return Reply(body={"object": "list", "data": [{"id": name, "object": "model", **more} for name in names]})


def profile(server: StandIn, **options: Any) -> ServerProfile:
    async def go() -> ServerProfile:
        async with await Server.connect(server.url, PROMPT, timeout_s=20, patience_s=1, **options) as opened:
            return opened.profile

    return asyncio.run(go())


def family(server: StandIn) -> tuple[type[Family], list[int] | None]:
    """The kind, and how it counts the tokens of two texts."""

    async def go() -> tuple[type[Family], list[int] | None]:
        async with client(server.url, "", 5.0) as http:
            found = await recognise(Api(server.url, http))
            return type(found), await found.count_tokens("m", ["가", "가 나"])

    return asyncio.run(go())


def problem(server: StandIn, **options: Any) -> str:
    with pytest.raises(LabelServerError) as caught:
        profile(server, **options)
    return str(caught.value)


# --- LM Studio ----------------------------------------------------------------------------------------


def lm_studio_03(*models: tuple[str, str, str], answer: Any = as_asked) -> StandIn:
    """0.3 with just-in-time loading: `/v1/models` lists the disk, `/api/v0/models` tells states; the rest is 200."""
    server = StandIn(answer)
    server.pages["/v1/models"] = listed(*(name for name, _, _ in models), owned_by="organization_owner")
    data = [
        {"id": name, "type": type_, "state": state, "max_context_length": 32768}
        | ({"loaded_context_length": 4096} if state == "loaded" else {})
        for name, type_, state in models
    ]
    server.pages["/api/v0/models"] = Reply(body={"data": data, "object": "list"})
    for path in ("/api/v1/models", "/props", "/api/ps"):
        server.pages[path] = Reply(body={"error": f"Unexpected endpoint or method. (GET {path})"})
    return server


def test_lm_studio_03_is_asked_for_the_model_that_is_loaded_not_the_first() -> None:
    disk = ("a-first-one", "llm", "not-loaded"), ("google/gemma-3-12b", "vlm", "loaded"), ("z", "llm", "not-loaded")
    with lm_studio_03(*disk) as server:
        found = profile(server)
        assert (found.asked, found.context) == ("google/gemma-3-12b", 4096)
        assert {request["model"] for request in server.asked} == {"google/gemma-3-12b"}


def test_lm_studio_03_never_asks_an_embedding_model_that_is_loaded() -> None:
    names = ("nomic", "embeddings", "loaded"), ("gemma", "llm", "loaded")
    with lm_studio_03(*names) as server:
        assert profile(server).asked == "gemma"
    with lm_studio_03(names[0], ("gemma", "llm", "not-loaded")) as server:
        assert "no model is loaded. Load a model in LM Studio" in problem(server)
        assert server.asked == []
    with lm_studio_03(*names) as server:
        assert "LLM_MODEL='nomic' makes embeddings" in problem(server, model="nomic")


def test_two_loaded_models_are_a_question_for_a_person() -> None:
    with lm_studio_03(("a", "llm", "loaded"), ("b", "llm", "loaded")) as server:
        assert "2 models are loaded (a, b). Set LLM_MODEL in .env" in problem(server)
        assert profile(server, model="b").asked == "b"


def test_another_model_that_answers_in_its_place_is_noticed() -> None:
    """LM Studio serves a wrong name silently by another model (bug-tracker #619)."""
    with lm_studio_03(("a", "llm", "not-loaded"), ("b", "llm", "loaded"), answer=answers_as("a")) as server:
        assert "answers with the model 'a', not with 'b', the one that is loaded" in problem(server)


def test_lm_studio_04_two_instances_of_a_model_are_one_and_two_models_are_two() -> None:
    def instance(name: str, context: int) -> dict[str, Any]:
        return {"id": name, "config": {"context_length": context, "parallel": 2}}

    one = {"type": "llm", "key": "gemma", "loaded_instances": [instance("gemma", 4096), instance("gemma:2", 2048)]}
    other = {"type": "llm", "key": "qwen", "loaded_instances": []}
    with StandIn(as_asked) as server:
        server.pages["/api/v1/models"] = Reply(body={"models": [other, one]})
        found = profile(server)
        assert (found.asked, found.slots, found.context) == ("gemma", 2, 4096)
        other["loaded_instances"] = [instance("qwen", 8192)]
        assert "2 models are loaded (qwen, gemma)" in problem(server)


# --- llama.cpp ----------------------------------------------------------------------------------------


def router(*models: tuple[str, str], args: tuple[str, ...] = ()) -> StandIn:
    """llama.cpp's server started without a model: presets with their state, props for each by its name."""
    server = StandIn(as_asked)
    data = [
        {"id": name, "owned_by": "llamacpp", "status": {"value": state, "args": ["llama-server", *args]}}
        for name, state in models
    ]
    server.pages["/v1/models"] = Reply(body={"data": data})
    server.pages["/props"] = Reply(body={"role": "router", "max_instances": 4})
    for name, _ in models:
        settings = {"total_slots": 2, "default_generation_settings": {"n_ctx": 4096}}
        server.pages[f"/props?model={name}&autoload=false"] = Reply(body=settings)
    return server


def test_a_router_is_asked_for_the_preset_that_is_loaded() -> None:
    with router(("a", "unloaded"), ("b", "loaded"), ("c", "unloaded")) as server:
        found = profile(server)
        assert (found.asked, found.slots, found.context) == ("b", 2, 4096)
    with router(("a", "unloaded"), ("b", "sleeping")) as server:
        assert profile(server).asked == "b"
    with router(("a", "unloaded")) as server:
        assert profile(server).asked == "a", "the only one it could mean: it loads by itself"
    with router(("a", "unloaded"), ("b", "unloaded")) as server:
        assert "2 models are there, and none is known to be loaded (a, b). Set LLM_MODEL" in problem(server)
        assert server.asked == []


def test_a_routers_presets_for_embeddings_are_none() -> None:
    with router(("a", "loaded"), args=("--embeddings",)) as server:
        assert "no model is loaded. Start it with a model (`llama-server" in problem(server)
    with router(("bge-m3", "loaded"), ("b", "unloaded")) as server:
        assert profile(server).asked == "b"


def test_llama_cpp_counts_tokens() -> None:
    with StandIn() as server:
        server.pages["/v1/models"] = listed("m", owned_by="llamacpp")
        server.posts["/tokenize"] = lambda request: Reply(body={"tokens": list(range(len(request["content"])))})
        kind, counts = family(server)
        assert (kind.name, counts) == ("llama.cpp", [1, 3])


# --- Ollama -------------------------------------------------------------------------------------------


def ollama(*names: str, running: tuple[str, ...] = (), native: bool = True, **more: Any) -> StandIn:
    """Ollama with these models pulled; `more` are fields of the running ones."""
    server = StandIn(as_asked)
    server.pages["/v1/models"] = listed(*names, owned_by="library")
    if native:
        server.pages["/api/version"] = Reply(body={"version": "0.12.0"})
        server.pages["/api/ps"] = Reply(body={"models": [{"name": name, **more} for name in running]})
        tags = [{"name": name, "details": {"family": "bert" if name == "odd" else "gemma3"}} for name in names]
        server.pages["/api/tags"] = Reply(body={"models": tags})
    return server


def test_ollama_is_asked_for_the_model_that_runs() -> None:
    with ollama("qwen3:8b", "gemma3:12b", running=("gemma3:12b",), context_length=4096) as server:
        found = profile(server)
        assert (found.asked, found.context) == ("gemma3:12b", 4096)
    with ollama("qwen3:8b", "gemma3:12b") as server:
        assert "2 models are there, and none is known to be loaded" in problem(server)
        assert profile(server, model="qwen3:8b").asked == "qwen3:8b"
    with ollama("gemma3:12b", native=False) as server:
        assert profile(server).asked == "gemma3:12b"


def test_ollamas_embedding_models_are_none() -> None:
    with ollama("nomic-embed-text:latest", "gemma3:12b", running=("nomic-embed-text:latest",)) as server:
        assert profile(server).asked == "gemma3:12b", "pulled, and loaded by being asked"
    with ollama("odd", "gemma3:12b", running=("odd",)) as server:
        assert profile(server).asked == "gemma3:12b", "its family says so"


# --- vLLM, LMDeploy, OpenAI, others -------------------------------------------------------------------


def test_vllm_under_two_names_is_one_model_and_an_adapter_is_another() -> None:
    base = {"root": "google/gemma-3-12b-it", "owned_by": "vllm", "parent": None, "max_model_len": 8192}
    with StandIn(as_asked) as server:
        data = [{"id": "gemma", **base}, {"id": "gpt-4o", **base}]
        server.pages["/v1/models"] = Reply(body={"data": data})
        server.posts["/tokenize"] = lambda request: Reply(body={"count": len(request["prompt"]), "max_model_len": 8192})
        found = profile(server)
        assert (found.asked, found.context) == ("gemma", 8192)
        kind, counts = family(server)
        assert (kind.name, counts) == ("vLLM", [1, 3])
        data.append({"id": "maple-lora", "root": "/adapters/maple", "owned_by": "vllm", "parent": "gemma"})
        assert "2 models are loaded (gemma, maple-lora). Set LLM_MODEL" in problem(server)


def test_lmdeploy_counts_tokens() -> None:
    with StandIn() as server:
        server.pages["/v1/models"] = listed("m", owned_by="lmdeploy")
        server.posts["/v1/encode"] = lambda request: Reply(body={"input_ids": [1], "length": len(request["input"])})
        kind, counts = family(server)
        assert (kind.name, counts) == ("LMDeploy", [1, 3])


def test_openai_itself_must_be_told_the_model_and_takes_another_name_for_a_limit() -> None:
    def answer(request: dict[str, Any], count: int) -> Reply:
        if "max_tokens" in request:
            return error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        return by_keyword(request, model=f"{request['model']}-2026-04-14")

    names = [f"gpt-{number}" for number in range(20)]
    for owner in ("openai", "somebody"):  # a stand-in's list says whose it is; a proxy's may not
        with StandIn(answer) as server:
            server.pages["/v1/models"] = listed(*names, owned_by=owner)
            said = problem(server)
            assert "20 models are there" in said
            assert "gpt-7 and 12 more). Set LLM_MODEL in .env" in said
            found = profile(server, model="gpt-4")
            assert (found.model, found.asked, found.mode) == ("gpt-4-2026-04-14", "gpt-4", "logprobs")
            assert server.asked[-1]["max_completion_tokens"] == 1


def test_a_reasoning_model_without_probabilities_is_asked_by_schema() -> None:
    """OpenAI says 403 to `logprobs` there, which is not about the key."""

    def answer(request: dict[str, Any], count: int) -> Reply:
        if request.get("logprobs"):
            return error(403, "You are not allowed to request logprobs from this model")
        return by_keyword(request)

    with StandIn(answer) as server:
        assert profile(server).mode == "schema"


def test_a_server_of_no_known_kind_with_several_models_is_a_question_for_a_person() -> None:
    with StandIn(as_asked) as server:
        server.pages["/v1/models"] = listed("text-embedding-3", "b", "c")
        assert "2 models are there" in problem(server)
        server.pages["/v1/models"] = listed("text-embedding-3", "b")
        assert profile(server).asked == "b"
        server.pages["/v1/models"] = listed("text-embedding-3", "jina-reranker-v2", "bge-m3")
        assert "no model is loaded" in problem(server)


def test_a_model_that_is_not_there_is_named_beside_those_that_are() -> None:
    with StandIn(lambda request, count: error(404, "The model `x` does not exist.")) as server:
        server.pages["/v1/models"] = listed("a", "b", owned_by="vllm")
        assert "(LLM_MODEL='x'; there: a, b)" in problem(server, model="x")


@pytest.mark.parametrize(
    ("name", "embeds"),
    [
        ("text-embedding-nomic-embed-text-v1.5", True),
        ("BAAI/bge-m3", True),
        ("intfloat/multilingual-e5-large", True),
        ("jina-reranker-v2", True),
        ("google/gemma-3-12b", False),
        ("qwen3:8b", False),
        ("solar-10.7b", False),
    ],
)
def test_embedding_models_are_known_by_their_names(name: str, embeds: bool) -> None:
    assert makes_embeddings(name) is embeds


@pytest.mark.parametrize(
    ("wanted", "answered", "same"),
    [
        ("gemma-3-12b", "google/gemma-3-12b@q4_k_m", True),
        ("gemma", "gemma:2", True),
        ("gemma3", "gemma3:latest", True),
        ("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", True),
        ("gemma3:12b", "gemma3:4b", False),  # a size is no variant
        ("gemma-3-12b", "gemma-3-4b", False),
    ],
)
def test_a_variant_is_the_same_model_and_a_size_is_not(wanted: str, answered: str, same: bool) -> None:
    assert same_model(wanted, answered) is same


# --- thinking -----------------------------------------------------------------------------------------

SWITCHES: dict[str, Callable[[dict[str, Any]], bool]] = {
    "reasoning_effort": lambda request: request.get("reasoning_effort") == "none",
    "enable_thinking in the template": lambda request: (
        (request.get("chat_template_kwargs") or {}).get("enable_thinking") is False
    ),
    "thinking in the template": lambda request: (request.get("chat_template_kwargs") or {}).get("thinking") is False,
    "enable_thinking": lambda request: request.get("enable_thinking") is False,
}


@pytest.mark.parametrize(
    ("owner", "switch"),
    [
        ("library", "reasoning_effort"),
        ("vllm", "enable_thinking in the template"),
        ("vllm", "thinking in the template"),
        ("vllm", "reasoning_effort"),
        ("llamacpp", "thinking in the template"),
        ("lmdeploy", "enable_thinking"),
        ("openai", "reasoning_effort"),
        ("nobody", "reasoning_effort"),
        ("nobody", "enable_thinking"),
    ],
)
@pytest.mark.parametrize("field", ["reasoning", "reasoning_content", ""])
def test_thinking_is_switched_off_in_each_servers_own_way(owner: str, switch: str, field: str) -> None:
    def thinker(request: dict[str, Any], count: int) -> Reply:
        if SWITCHES[switch](request):
            return by_keyword(request)
        thoughts = completion("", **({field: "글을 보면"} if field else {}))
        thoughts.body["choices"][0]["finish_reason"] = "length"  # thoughts that nobody sees use up the answer
        return thoughts

    with StandIn(thinker) as server:
        server.pages["/v1/models"] = listed("m", owned_by=owner)
        found = profile(server)
        assert found.mode == "logprobs"
        assert SWITCHES[switch](dict(found.thinking_off))


def test_a_model_that_thinks_whatever_it_is_told_is_named_with_its_servers_switch() -> None:
    with StandIn(lambda request, count: completion("", reasoning="음")) as server:
        server.pages["/v1/models"] = listed("m", owned_by="library")
        assert "Switch thinking off for it (Ollama: choose a model without" in problem(server)


# --- keys and advice ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_answered_with_the_settings_name(status: int) -> None:
    refused = error(status, "An API token is required to make requests to this server")
    with StandIn(lambda request, count: refused) as server:
        for path in ("/v1/models", "/api/v1/models", "/api/v0/models", "/props"):
            server.pages[path] = refused
        said = problem(server)
        assert "Set LLM_API_KEY in .env" in said
        assert "load" not in said.split("Set LLM_API_KEY")[1].lower()
        assert "Set LLM_API_KEY in .env" in str(asyncio.run(find_problem(server.url)))
        server.pages["/v1/models"] = listed("m")  # some servers guard the questions alone
        assert "Set LLM_API_KEY in .env" in problem(server)


def test_a_key_that_no_header_can_carry_is_named() -> None:
    with StandIn() as server:
        assert "LLM_API_KEY has characters" in problem(server, api_key="열쇠")


def test_what_is_looked_at_before_a_start_asks_no_question() -> None:
    with lm_studio_03(("a", "llm", "not-loaded")) as server:
        assert "no model is loaded" in str(asyncio.run(find_problem(server.url)))
    with StandIn() as server:
        assert asyncio.run(find_problem(server.url)) is None
        assert server.asked == []
    assert "no connection" in str(asyncio.run(find_problem(server.url)))


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_failure_has_advice(kind: Kind) -> None:
    assert len(Family.advice(NoLabel(kind, "x"))) > 20


def test_the_key_is_sent_to_every_address() -> None:
    with StandIn(as_asked) as server:
        profile(server, api_key="sesame")
        assert all("최고" not in asked_post(request) for request in server.asked)
        assert {headers.get("authorization") for headers in server.headers} == {"Bearer sesame"}
