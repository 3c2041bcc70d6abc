"""One LLM server: the real one is probed and asked; a hostile one never brings out a label that nobody gave."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from demo.llm import CONTEXT_PER_SLOT, MODEL_ALIAS, SLOTS
from pipeline.label.decoding import fingerprint
from pipeline.label.no_label import Kind, NoLabel
from pipeline.label.prompt import load_prompt, neutralise, shown_text
from pipeline.label.records import LabelServerError
from pipeline.label.server import Server, ServerProfile
from pipeline.label.servers import Api, recognise
from pipeline.label.servers.base import NO_TEMPLATE_THINKING
from pipeline.label.transport import client
from pipeline.live.records import Answer
from pipeline.live.store import Store
from tests.pipeline.label.labelling import PROBES, label
from tests.support.llm_server import llm_url  # noqa: F401
from tests.support.llm_stand_in import MODEL, Reply, StandIn, asked_post, by_keyword, completion, error, tokens

PROMPT = load_prompt("mood-1")


def probe(url: str, **options: Any) -> ServerProfile:
    async def go() -> ServerProfile:
        async with await Server.connect(url, PROMPT, **{"timeout_s": 20.0, "patience_s": 5.0, **options}) as server:
            return server.profile

    return asyncio.run(go())


def ask(url: str, shown: str, **options: Any) -> Answer:
    async def go() -> Answer:
        async with await Server.connect(url, PROMPT, **{"timeout_s": 20.0, "patience_s": 5.0, **options}) as server:
            return await server.ask(shown)

    return asyncio.run(go())


# --- the real server ---------------------------------------------------------------------------------


def test_the_real_server_is_probed(llm_url: str) -> None:  # noqa: F811
    profile = probe(llm_url)
    assert profile == ServerProfile(llm_url, MODEL_ALIAS, "logprobs", {}, SLOTS, CONTEXT_PER_SLOT)


def test_the_real_server_gives_probabilities_and_keeps_the_prefix(llm_url: str) -> None:  # noqa: F811
    answer = ask(llm_url, shown_text("드디어 22성", "한 번에 붙었어요 ㅋㅋ 너무 행복하다", 600))
    assert answer.label in (0, 1, 2)
    assert answer.scores is not None
    assert sum(answer.scores) == pytest.approx(1)
    messages = PROMPT.messages("짧은 글")
    reply = httpx.post(f"{llm_url}/chat/completions", json={"messages": messages, "max_tokens": 1}, timeout=60)
    usage = reply.json()["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] > 0.8 * usage["prompt_tokens"]


@pytest.mark.parametrize("control", ["<end_of_turn>", "<start_of_turn>", "<bos>", "<eos>", "<unused12>"])
def test_the_real_tokenizer_sees_no_control_token(llm_url: str, control: str) -> None:  # noqa: F811
    def count(text: str) -> int:
        root = llm_url.removesuffix("/v1")
        reply = httpx.post(f"{root}/tokenize", json={"content": text, "parse_special": True})
        return len(reply.json()["tokens"])

    assert count(control) == 1, "no control token of this model: choose another for the test"
    assert count(neutralise(control)) > 1


def test_a_post_beyond_the_context_says_so(llm_url: str) -> None:  # noqa: F811
    with pytest.raises(NoLabel, match="context overflow") as caught:
        ask(llm_url, "뷁" * 6000)
    assert caught.value.kind is Kind.OVERFLOW


# --- the start-up probe against servers that are not what they should be ------------------------------


def test_nothing_listens() -> None:
    with socket.socket() as taken:  # bound, not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with pytest.raises(LabelServerError, match="no connection") as caught:
            probe(url)
    assert url in str(caught.value)
    assert "LM Studio" in str(caught.value)
    assert "LLM_ENDPOINTS" in str(caught.value)


@pytest.mark.parametrize("status", [400, 404])
def test_no_model_is_loaded(status: int) -> None:
    said = "No models loaded. Please load a model in the developer page or use the 'lms load' command."
    with StandIn(lambda request, count: error(status, said)) as server:
        with pytest.raises(LabelServerError, match="no model is loaded"):
            probe(server.url)
        assert len(server.asked) == 1


def test_lm_studio_with_models_on_disk_but_none_loaded_is_not_asked() -> None:
    with StandIn() as server:
        models = [{"type": "llm", "key": "google/gemma-3-4b", "loaded_instances": []}]
        server.pages["/api/v1/models"] = Reply(body={"models": models})
        with pytest.raises(LabelServerError, match="no model is loaded"):
            probe(server.url)
        assert server.asked == []


def test_lm_studio_tells_its_loaded_model_and_limits() -> None:
    with StandIn(lambda request, count: by_keyword(request, model=request["model"])) as server:
        loaded = {"id": "google/gemma-3-4b", "config": {"context_length": 8192, "parallel": 6}}
        models = [
            {"type": "embedding", "key": "e", "loaded_instances": [{"id": "e", "config": {}}]},
            {"type": "llm", "key": "google/gemma-3-4b", "loaded_instances": [loaded]},
        ]
        server.pages["/api/v1/models"] = Reply(body={"models": models})
        assert probe(server.url) == ServerProfile(server.url, "google/gemma-3-4b", "logprobs", {}, 6, 8192)


def lm_studio(identifier: str = "google/gemma-3-4b", load_status: int = 200) -> StandIn:
    """LM Studio's REST API as documented for 0.4: one loaded model; unloading and loading are noted in `calls`."""
    server = StandIn(lambda request, count: by_keyword(request, model=request["model"]))
    config = {"context_length": 8192, "flash_attention": True, "parallel": 6}

    def models(instances: list[dict[str, Any]]) -> Reply:
        return Reply(body={"models": [{"type": "llm", "key": "google/gemma-3-4b", "loaded_instances": instances}]})

    def unload(request: dict[str, Any]) -> Reply:
        server.pages["/api/v1/models"] = models([])
        return Reply(body={"instance_id": request["instance_id"]})

    def load(request: dict[str, Any]) -> Reply:
        if load_status == 200:
            server.pages["/api/v1/models"] = models([{"id": request["model"], "config": config}])
        return Reply(load_status, {"type": "llm", "instance_id": request["model"], "status": "loaded"})

    server.pages["/api/v1/models"] = models([{"id": identifier, "config": config}])
    server.posts = {"/api/v1/models/unload": unload, "/api/v1/models/load": load}
    return server


def loaded_anew(server: StandIn) -> str:
    async def go() -> str:
        async with client(server.url, "", 5.0) as http:
            return await (await recognise(Api(server.url, http))).load_anew("")

    return asyncio.run(go())


def test_lm_studio_unloads_and_loads_its_model() -> None:
    with lm_studio() as server:
        assert loaded_anew(server) == "google/gemma-3-4b"
        assert server.posted == [
            ("/api/v1/models/unload", {"instance_id": "google/gemma-3-4b"}),
            (
                "/api/v1/models/load",
                {"model": "google/gemma-3-4b", "context_length": 8192, "flash_attention": True},
            ),
        ]
        assert probe(server.url).model == "google/gemma-3-4b"


def test_a_model_under_a_name_of_its_own_is_not_loaded_anew() -> None:
    with lm_studio("mine") as server:
        with pytest.raises(NoLabel, match="loaded as 'mine', not as 'google/gemma-3-4b'"):
            loaded_anew(server)
        assert server.posted == []
    with StandIn() as other, pytest.raises(NoLabel, match="is no LM Studio"):
        loaded_anew(other)


def test_a_model_that_does_not_load_again_stops_the_chunk(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    with lm_studio(load_status=500) as server:
        with pytest.raises(LabelServerError, match="no model is loaded"):
            label(store, server.url, reload=True)
        assert "did not load its model anew" in caplog.text
    with lm_studio() as server:
        label(store, server.url, reload=True)
        assert len(server.posted) == 2


def test_an_embedding_model_is_not_chosen() -> None:
    with StandIn(lambda request, count: by_keyword(request, model=request["model"])) as server:
        server.pages["/v1/models"] = Reply(body={"data": [{"id": "text-embedding-x"}, {"id": "gemma"}]})
        assert probe(server.url).model == "gemma"


def test_a_web_page_is_no_llm_server() -> None:
    page = Reply(body=b"<html><body>hello</body></html>", content_type="text/html")
    with (
        StandIn(lambda request, count: page) as server,
        pytest.raises(LabelServerError, match="a web page instead of JSON"),
    ):
        probe(server.url)


def test_another_model_than_the_one_asked_for() -> None:
    with StandIn() as server:
        with pytest.raises(LabelServerError, match=f"answers with the model '{MODEL}', not with LLM_MODEL='gemma'"):
            probe(server.url, model="gemma")
        assert probe(server.url, model=MODEL).model == MODEL
        assert probe(server.url, model=f"somebody/{MODEL}@q4_k_m").model == MODEL


def test_without_probabilities_a_schema_is_used() -> None:
    def no_logprobs(request: dict[str, Any], count: int) -> Reply:
        return by_keyword({**request, "logprobs": None})

    with StandIn(no_logprobs) as server:
        assert probe(server.url).mode == "schema"
        assert ask(server.url, "오늘 최고") == Answer(label=2)
        assert server.asked[-1]["response_format"]["json_schema"]["strict"] is True


def test_without_schema_support_plain_text_is_used() -> None:
    def plain(request: dict[str, Any], count: int) -> Reply:
        if "response_format" in request:
            return error(400, "'response_format.type' must be 'text'")
        return by_keyword({**request, "logprobs": None})

    with StandIn(plain) as server:
        assert probe(server.url).mode == "text"
        assert ask(server.url, "망했네") == Answer(label=0)


def test_a_model_that_answers_nonsense_in_every_mode() -> None:
    with StandIn(lambda request, count: completion("글쎄요")) as server:
        with pytest.raises(LabelServerError, match="글쎄요") as caught:
            probe(server.url)
        assert len(server.asked) == 3
        assert server.url in str(caught.value)


def test_a_thinking_model_is_told_to_stop() -> None:
    def stoppable(request: dict[str, Any], count: int) -> Reply:
        if request.get("chat_template_kwargs") == {"enable_thinking": False}:
            return by_keyword(request)
        return completion("", reasoning_content="음, 이 글은")

    with StandIn(stoppable) as server:
        profile = probe(server.url)
        assert (profile.mode, profile.thinking_off) == ("logprobs", NO_TEMPLATE_THINKING)
    assert fingerprint(MODEL, PROMPT, "logprobs", NO_TEMPLATE_THINKING) != fingerprint(MODEL, PROMPT, "logprobs")


def test_a_thinking_model_that_does_not_stop() -> None:
    with (
        StandIn(lambda request, count: completion("", reasoning_content="음")) as server,
        pytest.raises(LabelServerError, match="Switch thinking off"),
    ):
        probe(server.url)


def test_a_loading_model_is_waited_for() -> None:
    def loading(request: dict[str, Any], count: int) -> Reply:
        return error(503, "Loading model") if count < 3 else by_keyword(request)

    with StandIn(loading) as server:
        assert probe(server.url).mode == "logprobs"
        assert len(server.asked) == 2 + PROBES


def test_a_model_that_loads_for_ever_is_not() -> None:
    with (
        StandIn(lambda request, count: error(503, "Loading model")) as server,
        pytest.raises(LabelServerError, match="Loading model"),
    ):
        probe(server.url, patience_s=0.5)


def test_the_mode_can_be_fixed() -> None:
    with StandIn() as server:
        assert probe(server.url, mode="schema").mode == "schema"
        with pytest.raises(LabelServerError, match="answer_mode 'guess' is unknown"):
            probe(server.url, mode="guess")


def test_the_api_key_and_one_attempt_only() -> None:
    with StandIn(lambda request, count: error(401, "Invalid API key")) as server:
        with pytest.raises(LabelServerError, match="refuses the API key"):
            probe(server.url)
        assert len(server.asked) == 1


# --- faults after the probe: never an invented label ---------------------------------------------------

FAULTS: dict[str, tuple[Callable[[], Reply], Kind]] = {
    "fourth label": (lambda: completion("최고", logprobs=tokens(최고=-0.1, 대박=-3.0)), Kind.NONSENSE),
    "probabilities gone": (lambda: completion("좋음"), Kind.NONSENSE),
    "probabilities are not numbers": (lambda: completion("좋음", logprobs=tokens(좋음=float("nan"))), Kind.MALFORMED),
    "impossible probabilities": (lambda: completion("좋음", logprobs=tokens(좋음=50.0)), Kind.MALFORMED),
    "half JSON": (lambda: Reply(body=completion("좋음", logprobs=tokens(좋음=-0.1)).data()[:-30]), Kind.MALFORMED),
    "empty content": (lambda: completion(""), Kind.EMPTY),
    "null content": (lambda: completion(None), Kind.EMPTY),
    "null choices": (lambda: Reply(body={"model": MODEL, "choices": None}), Kind.MALFORMED),
    "no choices": (lambda: Reply(body={"model": MODEL, "choices": []}), Kind.MALFORMED),
    "a list": (lambda: Reply(body=[1, 2]), Kind.MALFORMED),
    "nothing": (lambda: Reply(body=b""), Kind.MALFORMED),
    "not UTF-8": (lambda: Reply(body=b'{"choices": "\xff\xfe'), Kind.MALFORMED),
    "HTML": (lambda: Reply(body=b"<html></html>", content_type="text/html"), Kind.MALFORMED),
    "error in a 200": (lambda: Reply(body={"error": "context length exceeded"}), Kind.OVERFLOW),
    "overflow": (lambda: error(400, "exceeds the available context size"), Kind.OVERFLOW),
    "too many": (lambda: error(429, "slow down", Retry_After="7"), Kind.BUSY),
    "server error": (lambda: error(500, "boom"), Kind.FAILED),
    "HTML error": (lambda: Reply(502, b"<html>bad gateway</html>", "text/html"), Kind.FAILED),
    "loading": (lambda: error(503, "Loading model"), Kind.LOADING),
    "no model any more": (lambda: error(404, "No models loaded"), Kind.NO_MODEL),
    "another model": (lambda: by_keyword({"messages": [{"content": "최고"}]}, model="other"), Kind.OTHER_MODEL),
    "reset mid-answer": (lambda: Reply(body=completion("좋음").body, cut=40), Kind.UNREACHABLE),
    "stall": (lambda: Reply(body=completion("좋음").body, delay_s=3), Kind.TIMEOUT),
    "drip": (lambda: Reply(body=completion("좋음").body, drip_s=0.2), Kind.TIMEOUT),
    "redirect": (lambda: Reply(302, b"", headers={"Location": "/v1/chat/completions"}), Kind.WRONG_ADDRESS),
    "thinking": (lambda: completion("", reasoning_content="음"), Kind.THINKING),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_never_a_label(fault: str) -> None:
    reply, kind = FAULTS[fault]

    def faulty(request: dict[str, Any], count: int) -> Reply:
        return reply() if "최고" in asked_post(request) else by_keyword(request)

    with StandIn(faulty) as server, pytest.raises(NoLabel) as caught:
        ask(server.url, "오늘 최고", timeout_s=0.5)
    assert caught.value.reason
    assert caught.value.kind is kind, caught.value.reason
    if fault == "too many":
        assert caught.value.wait_s == 7
    if fault in ("stall", "drip"):
        assert "no answer within 0.5 s" in caught.value.reason


def test_what_is_sent() -> None:
    with StandIn() as server:
        ask(server.url, "오늘 최고")
        sent = server.asked[-1]
    assert sent["model"] == MODEL
    assert (sent["max_tokens"], sent["temperature"], sent["logprobs"], sent["top_logprobs"]) == (1, 0.0, True, 20)
    assert sent["messages"] == PROMPT.messages("오늘 최고")
