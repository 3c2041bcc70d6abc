"""Confidence from agreement, where a server gives no probabilities."""

from collections import Counter
from typing import Any

import pytest

from pipeline.label.records import LabelServerError
from pipeline.label.samples import TEMPERATURE, majority, seed_of
from pipeline.live.records import Answer
from pipeline.live.store import Store
from tests.pipeline.label.labelling import RIGHT, TEXTS, label, labels, posts_asked
from tests.support.llm_server import llm_url  # noqa: F401
from tests.support.llm_stand_in import Reply, StandIn, asked_post, by_keyword, completion, error

GOOD, BAD = Answer(2), Answer(0)


@pytest.mark.parametrize(
    ("samples", "found"),
    [
        ([GOOD] * 5, Answer(2, 1.0)),
        ([GOOD, BAD, GOOD, GOOD, Answer(1)], Answer(2, 0.6)),
        ([GOOD, GOOD, Answer(None, note="x")], Answer(2, 2 / 3)),
        ([GOOD, BAD, GOOD, BAD, Answer(1)], Answer(None, note="the samples disagree (2 × 부정, 1 × 중립, 2 × 긍정)")),
        ([GOOD, Answer(None, note="x"), Answer(None, note="y")], Answer(None, note="2 of 3 samples: x")),
    ],
)
def test_the_majority_is_the_label_and_its_share_the_confidence(samples: list[Answer], found: Answer) -> None:
    assert majority(samples) == found


def by_seed(request: dict[str, Any], count: int) -> Reply:
    """A server without probabilities; to texts with 최고 it says 나쁨 for one seed in five."""
    if "response_format" in request and "최고" in asked_post(request) and request.get("seed", 0) % 5 == 3:
        return completion('{"mood": "나쁨"}')
    return by_keyword({**request, "logprobs": None})


def test_each_text_is_asked_with_several_seeds(store: Store) -> None:
    with StandIn(by_seed) as server:
        answers, labeler = label(store, server.url, samples=5, raw=False)
        assert labels(answers) == RIGHT
        sure = {text: answer.confidence for text, answer in answers.items()}
        assert sure == {text: 0.8 if mood == 2 else 1.0 for text, mood in RIGHT.items()}
        assert labeler.asked == 5 * len(TEXTS)
        assert set(Counter(posts_asked(server)).values()) == {5}
        sampled = [request for request in server.asked if request["temperature"]]
        assert {request["temperature"] for request in sampled} == {TEMPERATURE}
        assert Counter(request["seed"] for request in sampled) == dict.fromkeys(range(5), len(TEXTS))
        again, labeler = label(store, server.url, samples=5, raw=False)
        assert (again, labeler.asked) == (answers, 0)
        once, _ = label(store, server.url, raw=False)
        assert {answer.confidence for answer in once.values()} == {None}


def test_what_was_sampled_before_a_stop_is_not_asked_again(store: Store) -> None:
    def dying(request: dict[str, Any], count: int) -> Reply:
        return error(404, "No models loaded") if count > 61 else by_seed(request, count)

    with StandIn(dying) as server:
        with pytest.raises(LabelServerError):
            label(store, server.url, samples=5, concurrency=1)
        asked = len(posts_asked(server)) - 1  # the last one was refused
        server.answer = by_seed
        answers, labeler = label(store, server.url, samples=5)
    assert labels(answers) == RIGHT
    assert labeler.asked == 5 * len(TEXTS) - asked


def test_probabilities_make_samples_needless(store: Store) -> None:
    with StandIn() as server:
        _, labeler = label(store, server.url, samples=5)
    assert (labeler.mode, labeler.samples, labeler.asked) == ("logprobs", 0, len(TEXTS))


def test_a_measurement_draws_other_samples() -> None:
    assert [seed_of("", sample) for sample in range(3)] == [0, 1, 2]
    assert not {seed_of("again-0007", sample) for sample in range(9)} & set(range(9))
    assert 0 <= seed_of("again-0007", 3) < 2**31


def test_the_real_server_draws_by_seed(llm_url: str, store: Store) -> None:  # noqa: F811
    texts = ["오늘 접습니다\n운영이 최악이라 더는 못 하겠네요", "파티원 구합니다\n목요일 저녁 9시"]
    answers, labeler = label(
        store, llm_url, texts=texts, raw=False, samples=4, answer_mode="schema", timeout_s=60, concurrency=0
    )
    assert (labeler.mode, labeler.samples) == ("schema", 4)
    for answer in answers.values():
        votes = None if answer.confidence is None else answer.confidence * 4
        assert (answer.label is None and answer.note) or votes in (1, 2, 3, 4)
