"""Labelling many texts: cache, retries, several servers, the circuit breaker, calibration."""

import logging
import math
import threading
from typing import Any

import pytest

from pipeline.label.dispatch import BREAKER
from pipeline.label.options import Options
from pipeline.label.prompt import load_prompt, shown_text
from pipeline.label.records import LabelError, LabelServerError, Progress
from pipeline.live.store import Store
from tests.pipeline.label.labelling import PARAMS, PROBES, RIGHT, TEXTS, label, labels, posts_asked
from tests.support.llm_stand_in import MODEL, Reply, StandIn, asked_post, by_keyword, completion, error, tokens


def test_every_text_gets_its_label_and_no_text_is_asked_twice(store: Store) -> None:
    seen: list[Progress] = []
    with StandIn() as server:
        answers, labeler = label(store, server.url, texts=[*TEXTS, TEXTS[0]], on_progress=seen.append)
        assert labels(answers) == RIGHT
        assert sorted(posts_asked(server)) == sorted(TEXTS)
        assert labeler.name == f"{MODEL}:{labeler.fingerprint}"
        again, labeler = label(store, server.url)
        assert again == answers
        assert (len(posts_asked(server)), labeler.asked) == (30, 0)
    assert seen[-1] == Progress(total=30, done=30, cached=0, failed=0)
    assert [progress.done for progress in seen] == list(range(1, 31))


def test_a_server_that_dies_half_way_loses_nothing(store: Store) -> None:
    def dying(request: dict[str, Any], count: int) -> Reply:
        return Reply(body=by_keyword(request).body, cut=10) if count > 13 else by_keyword(request)

    with StandIn(dying) as server:
        with pytest.raises(LabelServerError, match=rf"{BREAKER} failures in a row.*texts are left") as caught:
            label(store, server.url, max_attempts=100)
        assert server.url in str(caught.value)
        server.answer = lambda request, count: by_keyword(request)
        before = len(server.asked)
        answers, labeler = label(store, server.url)
        assert labels(answers) == RIGHT
        answered = 13 - PROBES
        assert labeler.asked == 30 - answered
        assert len(server.asked) == before + PROBES + 30 - answered


def test_passing_trouble_is_retried(store: Store) -> None:
    troubles = [error(429, "slow"), error(500, "boom"), error(503, "Loading model"), completion(""), Reply(body=b"<")]

    def moody(request: dict[str, Any], count: int) -> Reply:
        return troubles[count // 4 % 5] if count % 4 == 0 else by_keyword(request)

    with StandIn(moody) as server:
        answers, _ = label(store, server.url, max_attempts=10)
    assert labels(answers) == RIGHT


def test_a_poisoned_post_has_no_label_and_the_others_have(store: Store) -> None:
    bad, long = TEXTS[4], TEXTS[7]

    def poisoned(request: dict[str, Any], count: int) -> Reply:
        if bad in asked_post(request):
            return completion("글쎄", logprobs=tokens(글쎄=-0.01))
        if long in asked_post(request):
            return error(400, "request (9000 tokens) exceeds the available context size (4096 tokens)")
        return by_keyword(request)

    with StandIn(poisoned) as server:
        answers, _ = label(store, server.url)
        assert labels(answers) == {**RIGHT, bad: None, long: None}
        assert "no probabilities of the words" in answers[bad].note
        assert "context overflow" in answers[long].note
        again, labeler = label(store, server.url)
        assert labels(again) == labels(answers)
        assert labeler.asked == 1, "an overflow stays; nonsense may pass"


def test_a_post_that_fails_every_time_is_given_up(store: Store) -> None:
    def crashing(request: dict[str, Any], count: int) -> Reply:
        return error(500, "boom") if TEXTS[4] in asked_post(request) else by_keyword(request)

    with StandIn(crashing) as server:
        answers, _ = label(store, server.url, concurrency=1)
        assert labels(answers) == {**RIGHT, TEXTS[4]: None}
        assert posts_asked(server).count(TEXTS[4]) == PARAMS["max_attempts"]


def test_nonsense_twenty_times_in_a_row_stops_the_run(store: Store) -> None:
    def nonsense(request: dict[str, Any], count: int) -> Reply:
        return by_keyword(request) if count <= PROBES else completion("글쎄", logprobs=tokens(글쎄=-0.01))

    with StandIn(nonsense) as server:
        with pytest.raises(LabelServerError, match="20 failures in a row"):
            label(store, server.url, concurrency=1)
        assert len(server.asked) == PROBES + BREAKER + 1, "a harmless question at last"


def test_a_model_unloaded_while_labelling_stops_the_run_at_once(store: Store) -> None:
    def unloaded(request: dict[str, Any], count: int) -> Reply:
        return by_keyword(request) if count < 6 else error(404, "No models loaded")

    with StandIn(unloaded) as server:
        with pytest.raises(LabelServerError, match=r"no model is loaded.*LM Studio"):
            label(store, server.url, concurrency=1)
        assert len(server.asked) == 6


def test_a_model_exchanged_while_labelling_gives_no_label(store: Store) -> None:
    def exchanged(request: dict[str, Any], count: int) -> Reply:
        return by_keyword(request, model=MODEL if count < 6 else "another")

    with StandIn(exchanged) as server, pytest.raises(LabelServerError, match="another model answers now: 'another'"):
        label(store, server.url, concurrency=1)


def test_a_reloading_server_does_not_cost_posts_their_attempts(store: Store) -> None:
    def reloading(request: dict[str, Any], count: int) -> Reply:
        return error(503, "Loading model") if 5 < count < 60 else by_keyword(request)

    with StandIn(reloading) as server:
        answers, _ = label(store, server.url)
    assert labels(answers) == RIGHT


def test_two_servers_share_the_work_and_one_may_die(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    def slow(request: dict[str, Any], count: int) -> Reply:
        reply = by_keyword(request)
        reply.delay_s = 0.02
        return reply

    def dying(request: dict[str, Any], count: int) -> Reply:
        return slow(request, count) if count < 5 else error(404, "No models loaded")

    with StandIn(slow) as first, StandIn(dying) as second, caplog.at_level(logging.WARNING):
        answers, labeler = label(store, first.url, second.url)
        assert labels(answers) == RIGHT
        assert posts_asked(second)
        assert 30 < len(posts_asked(first)) + len(posts_asked(second)) <= 32, "only what failed is asked again"
        assert [server.profile.url for server in labeler.servers] == [first.url]
    assert caplog.text.count(f"{second.url} stopped labelling") == 1


def test_a_dead_endpoint_beside_a_live_one_is_a_warning(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    with StandIn() as gone:
        dead = gone.url
    with StandIn() as server, caplog.at_level(logging.WARNING):
        answers, _ = label(store, dead, server.url)
        assert labels(answers) == RIGHT
    assert dead in caplog.text
    with pytest.raises(LabelServerError, match="no connection"):
        label(store, dead)


def test_one_chunk_has_one_labeler(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    with (
        StandIn() as server,
        StandIn(lambda request, count: by_keyword(request, model="other")) as other,
        caplog.at_level(logging.WARNING),
    ):
        answers, labeler = label(store, server.url, other.url)
        assert labels(answers) == RIGHT
        assert posts_asked(other) == []
        assert labeler.model == MODEL
    assert "runs 'other'" in caplog.text


def test_an_empty_post_is_not_asked(store: Store) -> None:
    with StandIn() as server:
        answers, labeler = label(store, server.url, texts=["", TEXTS[0]])
        assert (answers[""].label, labeler.asked) == (None, 1)
        assert "empty" in answers[""].note


def test_concurrency_is_bounded(store: Store) -> None:
    lock = threading.Lock()
    now, most = 0, 0

    def counting(request: dict[str, Any], count: int) -> Reply:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        threading.Event().wait(0.01)
        with lock:
            now -= 1
        return by_keyword(request)

    with StandIn(counting) as server:
        label(store, server.url, concurrency=3)
    assert 2 <= most <= 3


# --- calibration -------------------------------------------------------------------------------------


def leaning(request: dict[str, Any], count: int) -> Reply:
    """Ranks posts well but leans to 나쁨 so much that it always says it."""
    post = asked_post(request)
    truth = {shown_text(item.title, item.body, 600): item.label for item in load_prompt("mood-1").calibration} | RIGHT
    right = next((value for text, value in truth.items() if text in post), 1)
    odds = [0.90, 0.06, 0.04]
    odds[right] *= 4
    words = ("나쁨", "보통", "좋음")
    return completion("나쁨", logprobs=tokens(**{w: math.log(p / sum(odds)) for w, p in zip(words, odds, strict=True)}))


def test_a_lean_is_divided_out_and_the_cache_keeps_raw_answers(store: Store) -> None:
    with StandIn(leaning) as server:
        raw, _ = label(store, server.url)
        assert set(labels(raw).values()) == {0}
        weighed, labeler = label(store, server.url, raw=False)
        assert labels(weighed) == RIGHT
        assert labeler.asked == 36, "the calibration texts alone"
        assert all(answer.confidence > 0.5 for answer in weighed.values() if answer.confidence)
        again, labeler = label(store, server.url, raw=False)
        assert (again, labeler.asked) == (weighed, 0)
        assert label(store, server.url)[0] == raw


def test_without_probabilities_nothing_is_weighed_and_confidence_is_unknown(store: Store) -> None:
    with StandIn(lambda request, count: by_keyword({**request, "logprobs": None})) as server:
        answers, labeler = label(store, server.url, raw=False)
    assert labels(answers) == RIGHT
    assert (labeler.mode, labeler.asked) == ("schema", 30)
    assert {answer.confidence for answer in answers.values()} == {None}


def test_too_few_calibration_answers_stop_the_run(store: Store) -> None:
    def hardly(request: dict[str, Any], count: int) -> Reply:
        return by_keyword(request) if count % 2 or count <= PROBES else completion("글쎄", logprobs=tokens(글쎄=-0.01))

    with StandIn(hardly) as server, pytest.raises(LabelServerError, match="of the 36 calibration texts of mood-1"):
        label(store, server.url, raw=False)


@pytest.mark.parametrize(("name", "value"), [("max_chars", None), ("max_chars", "many"), ("timeout_s", [])])
def test_an_odd_parameter_is_named(name: str, value: Any) -> None:
    broken = {key: item for key, item in PARAMS.items() if key != name} | ({name: value} if value is not None else {})
    with pytest.raises(LabelError, match=r"params.yaml, section label"):
        Options.of(broken)
