"""A bad hour heals, a refusal that lasts is an answer, and what failed is tried again later, not for ever."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from pipeline import clock
from pipeline.files import read_csv, write_csv
from pipeline.label.attempts import LONGEST_WAIT, next_attempt, setup_of, waiting
from pipeline.label.chunk import COLUMNS, label_chunk
from pipeline.label.dispatch import BREAKER
from pipeline.label.records import CoverageError, LabelReport, LabelServerError, QualityError
from pipeline.layout import CHUNK_COLUMNS, labeled_path, raw_path
from pipeline.live.labelling import ASKED_IN_VAIN
from pipeline.live.records import LabelFailure
from pipeline.live.store import Store
from pipeline.live.tables import labels, labels_set_aside
from tests.pipeline.label import labelling
from tests.pipeline.label.labelling import PROBES, settings_for
from tests.support.llm_stand_in import Reply, StandIn, asked_post, by_keyword, completion, error, tokens

PARAMS = {**labelling.PARAMS, "concurrency": 4, "gold_sample": 12, "min_kappa": 0.4, "max_attempts": 2}
MOODS = ("망했", "그냥", "최고")
POSTS = 30


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two raw chunks of 30 posts, and 30 gold texts."""
    for number in (1, 2):
        rows = [
            dict.fromkeys(CHUNK_COLUMNS, "") | {"title": f"{number} 글 {i}", "body": MOODS[i % 3], "post_id": i}
            for i in range(POSTS)
        ]
        write_csv(raw_path(f"{number:04d}", tmp_path), rows, CHUNK_COLUMNS)
    gold = [{"title": f"골드 {i}", "body": MOODS[i % 3], "label": i % 3} for i in range(30)]
    write_csv(tmp_path / "data/gold/hand.csv", gold, ("title", "body", "label"))
    return tmp_path


def label(root: Path, store: Store, server: StandIn, number: int = 1, **more: Any) -> LabelReport:
    params = {**PARAMS, **{name: value for name, value in more.items() if name in PARAMS}}
    again = {name: value for name, value in more.items() if name not in PARAMS}
    return label_chunk(number, settings=settings_for(server.url), store=store, params=params, root=root, **again)


def right(root: Path, number: int = 1) -> float:
    rows = read_csv(labeled_path(f"{number:04d}", root), COLUMNS)
    return sum(row["label"] == str(i % 3) for i, row in enumerate(rows)) / len(rows)


def liar(request: dict[str, Any], count: int) -> Reply:
    """A bad hour: always the next mood, and quite sure."""
    post = asked_post(request)
    said = {"최고": "나쁨", "망했": "보통"}.get(next((word for word in ("최고", "망했") if word in post), ""), "좋음")
    odds = {word: -0.3 if word == said else -2.5 for word in ("나쁨", "보통", "좋음")}
    return completion(said, logprobs=tokens(**odds) if request.get("logprobs") else None)


def refusing(reply: Callable[[], Reply], *posts: int) -> Callable[[dict[str, Any], int], Reply]:
    """Refuses these posts of either chunk."""

    def answer(request: dict[str, Any], count: int) -> Reply:
        post = asked_post(request)
        return reply() if any(f" 글 {number}\n" in post for number in posts) else by_keyword(request)

    return answer


def filtered() -> Reply:
    return Reply(400, {"error": {"message": "The response was filtered", "code": "content_filter"}})


def nonsense() -> Reply:
    return completion("글쎄", logprobs=tokens(글쎄=-0.01))


# --- a bad hour ---------------------------------------------------------------------------------------


def test_a_bad_hour_heals_by_itself(root: Path, store: Store) -> None:
    with StandIn(liar) as server:
        with pytest.raises(QualityError, match=r"κ on 12 gold texts.* set aside, the next run asks anew") as caught:
            label(root, store, server)
        assert "python -m pipeline.label 0001" in str(caught.value)
        assert not labeled_path("0001", root).exists()
        server.answer = lambda request, count: by_keyword(request)
        assert label(root, store, server).quality["gold"]["kappa"] == 1
        assert right(root) == 1
        asked = len(server.asked)
        assert label(root, store, server).asked == 0
        assert len(server.asked) == asked + PROBES


def test_what_the_bad_hour_said_is_kept_and_marked(root: Path, store: Store) -> None:
    with StandIn(liar) as server, pytest.raises(QualityError):
        label(root, store, server)
    with store.reading() as connection:
        aside = connection.execute(select(labels_set_aside)).mappings().all()
        assert connection.execute(select(labels)).all() == []
    assert len({row["text_hash"] for row in aside}) >= POSTS
    assert all(row["reason"].startswith("chunk 0001: κ on 12 gold texts") and row["set_aside_at"] for row in aside)


def test_a_server_that_is_not_mended_fails_again_and_is_asked_little(root: Path, store: Store) -> None:
    with StandIn(liar) as server:
        with pytest.raises(QualityError):
            label(root, store, server)
        first = len(server.asked)
        with pytest.raises(QualityError, match="κ on 12 gold texts"):
            label(root, store, server)
        again = [asked_post(request) for request in server.asked[first:]]
        assert not any("1 글 " in post for post in again), "the gold and the canaries say enough"


def test_limits_lowered_after_a_repair_write_what_the_repaired_server_says(root: Path, store: Store) -> None:
    with StandIn(liar) as server:
        with pytest.raises(QualityError):
            label(root, store, server)
        server.answer = lambda request, count: by_keyword(request)
        label(root, store, server, min_kappa=-1.0, max_kappa_drop=2.0, max_canaries=1.0)
        assert right(root) == 1


def test_the_first_answers_of_a_chunk_that_was_written_are_not_set_aside(root: Path, store: Store) -> None:
    """They are what shows that the server has changed: without them it would be believed the second time."""
    with StandIn() as server:
        label(root, store, server)
        server.answer = liar
        for _ in range(3):
            with pytest.raises(QualityError, match=r"fell from 1\.00 to"):
                label(root, store, server, 2, min_kappa=-1.0)
        server.answer = lambda request, count: by_keyword(request)
        label(root, store, server, 2)
        assert (right(root), right(root, 2)) == (1, 1)


def test_a_bad_hour_in_which_the_run_was_cut_off_heals_too(root: Path, store: Store) -> None:
    def dying(request: dict[str, Any], count: int) -> Reply:
        return liar(request, count) if count < 90 else error(404, "No models loaded")

    with StandIn(dying) as server:
        with pytest.raises(LabelServerError):
            label(root, store, server)
        server.answer = lambda request, count: by_keyword(request)
        runs = 0
        while not labeled_path("0001", root).exists():
            runs += 1
            try:
                label(root, store, server, max_kappa_drop=0.05)
            except QualityError:
                assert runs == 1
        assert right(root) == 1


# --- refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        filtered,
        lambda: error(400, "Your request was flagged by our safety system"),
        lambda: error(451, "unavailable"),
        lambda: completion("", refusal="I can't help with that"),
        lambda: Reply(
            body={"model": "stand-in-model", "choices": [{"finish_reason": "content_filter", "message": {}}]}
        ),
    ],
)
def test_a_refusal_that_lasts_is_an_answer(root: Path, store: Store, reply: Callable[[], Reply]) -> None:
    refused = range(0, POSTS, 10)
    with StandIn(refusing(reply, *refused)) as server:
        report = label(root, store, server)
        assert (report.labelled, report.refused, report.coverage) == (27, 3, 1.0)
        rows = read_csv(labeled_path("0001", root), COLUMNS)
        assert [i for i, row in enumerate(rows) if not row["label"]] == list(refused)
        assert all(row["note"] and not row["sentiment"] for row in rows if not row["label"])
        assert any("3 of 30 posts have no label for good: 3 ×" in warning for warning in report.warnings)
        assert any("--ask-again" in warning for warning in report.warnings)
        assert label(root, store, server).asked == 0, "not every five minutes"


def test_what_was_refused_is_asked_again_on_request(root: Path, store: Store) -> None:
    with StandIn(refusing(filtered, 0, 10)) as server:
        label(root, store, server)
        server.answer = lambda request, count: by_keyword(request)
        assert label(root, store, server).refused == 2
        report = label(root, store, server, ask_again=True)
        assert (report.asked, report.labelled, report.refused) == (2, POSTS, 0)
        assert right(root) == 1


@pytest.mark.parametrize("reply", [nonsense, lambda: error(400, "unsupported text"), lambda: error(500, "boom")])
def test_a_text_that_fails_in_run_after_run_is_not_asked_for_ever(
    root: Path, store: Store, reply: Callable[[], Reply]
) -> None:
    """A few posts that the server chokes on: the chunk waits for them some runs long, then goes without."""
    with StandIn(refusing(reply, 0, 10, 20)) as server:
        for _ in range(ASKED_IN_VAIN - 1):
            with pytest.raises(CoverageError, match="3 of 30 posts got no label"):
                label(root, store, server)
        asked = len(server.asked)
        report = label(root, store, server)
        assert (report.labelled, report.refused) == (27, 3)
        assert len(server.asked) - asked <= PROBES + 3 * PARAMS["max_attempts"] + 1
        asked = len(server.asked)
        assert label(root, store, server).labelled == 27
        assert len(server.asked) == asked + PROBES


def test_more_refusals_than_the_breaker_bears_do_not_stop_a_server_that_works(root: Path, store: Store) -> None:
    """The second run has only refused texts to ask, one after the other."""
    many = range(BREAKER + 5)
    with StandIn(refusing(nonsense, *many)) as server:
        with pytest.raises(CoverageError, match="25 of 30 posts got no label"):
            label(root, store, server)
        with pytest.raises(CoverageError, match="25 of 30 posts got no label"):
            label(root, store, server)


def test_a_chunk_that_is_refused_by_a_third_is_not_written(root: Path, store: Store) -> None:
    with StandIn(refusing(filtered, *range(25))) as server:
        with pytest.raises(CoverageError, match=r"refuses 25 of 30 posts for good.*--ask-again"):
            label(root, store, server)
        assert not labeled_path("0001", root).exists()


def test_a_server_that_is_down_makes_no_text_refused(root: Path, store: Store) -> None:
    def flaky(request: dict[str, Any], count: int) -> Reply:
        return by_keyword(request) if count <= alive else Reply(body=b"{}", cut=1)

    with StandIn(flaky) as server:
        for alive in [40, *([PROBES] * ASKED_IN_VAIN)]:  # noqa: B007 (flaky reads it)
            server.asked.clear()
            with pytest.raises(LabelServerError):
                label(root, store, server)
        server.answer = lambda request, count: by_keyword(request)
        assert label(root, store, server).labelled == POSTS


# --- waiting ------------------------------------------------------------------------------------------


def failure(**more: Any) -> LabelFailure:
    return LabelFailure(
        **{"chunk": 1, "setup": "x", "failures": 1, "kind": "coverage", "reason": "", "failed_at": clock.now(), **more}
    )


def test_waiting_doubles_and_ends() -> None:
    waits = [next_attempt(one) - one.failed_at for one in (failure(failures=n) for n in (1, 2, 3, 4, 9, 5000))]
    assert [wait.total_seconds() / 60 for wait in waits] == [10, 20, 40, 80, 720, 720]
    day, moment, runs = timedelta(days=1), timedelta(), 0
    while moment < day:
        runs += 1
        moment += next_attempt(failure(failures=runs)) - failure().failed_at
    assert runs < 10, "not 288"


def test_a_chunk_waits_after_a_failure_unless_the_settings_changed(root: Path, store: Store) -> None:
    with StandIn(refusing(nonsense, *range(3))) as server:
        here = settings_for(server.url)
        setup = setup_of(here, PARAMS)
        assert waiting(store, 1, setup) is None
        for count in (1, 2):
            with pytest.raises(CoverageError):
                label(root, store, server)
            found = waiting(store, 1, setup)
            assert found is not None
            assert (found.failures, found.kind) == (count, "coverage")
            assert "3 of 30 posts got no label" in found.reason
        assert waiting(store, 1, setup, clock.now() + LONGEST_WAIT) is None
        assert waiting(store, 1, setup, clock.now() - timedelta(days=9)) is None, (
            "a clock that ran ahead is not believed"
        )
        for other in (
            setup_of(replace(here, llm_model="other"), PARAMS),
            setup_of(replace(here, llm_endpoints=("http://x/v1",)), PARAMS),
            setup_of(here, {**PARAMS, "prompt": "mood-2"}),
        ):
            assert waiting(store, 1, other) is None
        assert waiting(store, 2, setup) is None
        label(root, store, server)
        assert store.label_failure(1) is None, "it is labelled"
