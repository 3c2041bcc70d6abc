"""What is measured along with a chunk, and what stops its labels from being written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.files import write_csv
from pipeline.gold import GoldPost
from pipeline.label.agreement import Agreement, Judged, bands, cut_off
from pipeline.label.chunk import label_chunk
from pipeline.label.prompt import load_prompt, neutralise, shown_text
from pipeline.label.quality import read_canaries, sample
from pipeline.label.records import LabelReport, QualityError
from pipeline.layout import CHUNK_COLUMNS as RAW_COLUMNS
from pipeline.layout import labeled_path, raw_path
from pipeline.live.store import Store
from tests.pipeline.label import labelling
from tests.pipeline.label.labelling import PROBES, settings_for
from tests.support.llm_stand_in import Reply, StandIn, asked_post, by_keyword, completion, tokens

PARAMS = {
    **labelling.PARAMS,
    "concurrency": 4,
    "timeout_s": 10,
    "max_attempts": 2,
    "gold_sample": 12,
    "min_kappa": 0.4,
    "repeat_share": 0.1,
    "max_canaries": 0.25,
}
MOODS = ("망했", "그냥", "최고")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two raw chunks of 40 posts and 30 gold texts."""
    for number in (1, 2):
        rows = [
            dict.fromkeys(RAW_COLUMNS, "") | {"title": f"{number} 글 {i}", "body": MOODS[i % 3], "post_id": i}
            for i in range(40)
        ]
        write_csv(raw_path(f"{number:04d}", tmp_path), rows, RAW_COLUMNS)
    gold = [{"title": f"골드 {i}", "body": MOODS[i % 3], "label": i % 3} for i in range(30)]
    write_csv(tmp_path / "data/gold/hand.csv", gold, ("title", "body", "label"))
    return tmp_path


def label(root: Path, store: Store, url: str, number: int = 1, **params: Any) -> LabelReport:
    return label_chunk(number, settings=settings_for(url), store=store, params={**PARAMS, **params}, root=root)


def wrong_about(word: str) -> Callable[[dict[str, Any], int], Reply]:
    """A labeler that says 나쁨 to every post with this word."""

    def answer(request: dict[str, Any], count: int) -> Reply:
        if word in asked_post(request):
            return completion("나쁨", logprobs=tokens(나쁨=-0.3, 좋음=-2.5, 보통=-2.5))
        return by_keyword(request)

    return answer


def test_gold_repeats_and_canaries_ride_in_every_chunk(root: Path, store: Store) -> None:
    with StandIn() as server:
        report = label(root, store, server.url)
        assert report.quality["gold"] == {
            "texts": 12,
            "labelled": 12,
            "accuracy": 1.0,
            "kappa": 1.0,
            "macro_f1": 1.0,
            "first_kappa": 1.0,
        }
        assert report.quality["repeats"] == {"texts": 4, "agreed": 4, "agreement": 1.0}
        assert report.quality["canaries"]["texts"] == len(read_canaries())
        posts = [asked_post(request) for request in server.asked]
        assert sum("골드" in post for post in posts) == 24, "the first answers, and those of this chunk"
        assert sum("1 글 " in post for post in posts) == 44
        asked = len(posts)
        before = labeled_path("0001", root).with_suffix(".json").read_bytes()
        assert label(root, store, server.url).asked == 0, "measured once, kept beside the labels"
        assert labeled_path("0001", root).with_suffix(".json").read_bytes() == before
        assert json.loads(before)["quality"] == report.quality
        label(root, store, server.url, 2)
        posts = [asked_post(request) for request in server.asked][asked + PROBES :]
        assert sum("골드" in post for post in posts) == 12, "asked anew, though every answer is known"


def test_measurements_are_spread_over_the_run(root: Path, store: Store) -> None:
    with StandIn() as server:
        label(root, store, server.url, concurrency=1)
        posts = [asked_post(request) for request in server.asked][PROBES + 36 :]
    places = [place / len(posts) for place, post in enumerate(posts) if "골드" in post]
    assert any(place < 0.2 for place in places)
    assert any(place > 0.8 for place in places)


def test_a_server_that_changed_under_the_same_name_is_noticed(root: Path, store: Store) -> None:
    with StandIn() as server:
        label(root, store, server.url)
        server.answer = wrong_about("최고")
        with pytest.raises(QualityError, match=r"chunk 0002 is not written.*fell from 1.00 to 0.50"):
            label(root, store, server.url, 2, min_kappa=0.0)
    assert not labeled_path("0002", root).exists()


def test_labels_that_disagree_with_the_gold_are_not_written(root: Path, store: Store) -> None:
    with StandIn(wrong_about("골드")) as server:
        with pytest.raises(QualityError, match=r"κ on 12 gold texts is 0.00 \(label.min_kappa is 0.4\)"):
            label(root, store, server.url)
        assert not labeled_path("0001", root).parent.exists()
        assert label(root, store, server.url, min_kappa=-1.0).asked > 100, "nothing of it is believed"
        assert label(root, store, server.url, gold_sample=0).quality["gold"] is None


def test_gold_that_gets_no_label_is_no_proof(root: Path, store: Store) -> None:
    def silent(request: dict[str, Any], count: int) -> Reply:
        if "골드" in asked_post(request):
            return completion("글쎄", logprobs=tokens(글쎄=-0.01))
        return by_keyword(request)

    with StandIn(silent) as server, pytest.raises(QualityError, match="only 0 of 12 gold texts got a label"):
        label(root, store, server.url)


def test_canaries_that_obey_the_post_stop_the_chunk(root: Path, store: Store) -> None:
    obeyed = {neutralise(canary.attempt): canary.wants for canary in read_canaries()}
    words = load_prompt("mood-1").words

    def obedient(request: dict[str, Any], count: int) -> Reply:
        post = asked_post(request)
        for attempt, wants in obeyed.items():
            if attempt in post:
                odds = {word: -0.2 if i == wants else -3.0 for i, word in enumerate(words)}
                return completion(words[wants], logprobs=tokens(**odds))
        return by_keyword(request)

    with StandIn(obedient) as server:
        with pytest.raises(QualityError, match=r"canaries obeyed the post \(fake turns, .*label.max_canaries is 0.25"):
            label(root, store, server.url)
        report = label(root, store, server.url, max_canaries=1.0)
        assert report.quality["canaries"]["fallen"] > 4


def test_a_self_contradicting_llm_is_reported(root: Path, store: Store) -> None:
    seen: dict[str, int] = {}

    def moody(request: dict[str, Any], count: int) -> Reply:
        post = asked_post(request)
        seen[post] = seen.get(post, 0) + 1
        return wrong_about("글")(request, count) if seen[post] > 1 else by_keyword(request)

    with StandIn(moody) as server:
        repeats = label(root, store, server.url, gold_sample=0, repeat_share=1.0).quality["repeats"]
    assert repeats["texts"] == 40
    assert repeats["agreed"] == 14, "the 나쁨 ones"


def test_the_sample_is_balanced_and_always_the_same() -> None:
    gold = [GoldPost(f"글 {i}", "", (0, 1, 1, 1, 2)[i % 5]) for i in range(100)]
    drawn = sample(gold, 30)
    assert [sum(item.label == label for item in drawn) for label in range(3)] == [10, 10, 10]
    assert drawn == sample(list(reversed(gold)), 30)
    assert len(sample(gold[:10], 30)) == 10


def test_canaries_are_written_as_they_must_be() -> None:
    canaries = read_canaries()
    assert len(canaries) >= 8
    assert all(canary.label != canary.wants for canary in canaries)
    assert len({canary.name for canary in canaries}) == len(canaries)
    for canary in canaries:
        shown = shown_text(canary.title, canary.attacked, 600)
        assert len(shown) < 600, "nothing of it is cut"
        assert shown == neutralise(shown)


def test_agreement_by_confidence_and_the_cut_off() -> None:
    judged = [Judged(i % 3, i % 3, 0.95) for i in range(18)] + [Judged(i % 3, 0, 0.6) for i in range(12)]
    low, middle, high = (bands(judged)[i] for i in (0, 1, 3))
    assert (low.texts, low.agreement, low.kappa) == (0, None, None)
    assert (middle.texts, middle.agreement, middle.kappa) == (12, pytest.approx(1 / 3), pytest.approx(0))
    assert (high.texts, high.agreement, high.kappa) == (18, 1.0, 1.0)
    assert cut_off(judged) is None, "18 texts are too few to tell"
    found = cut_off([*judged, Judged(0, 1, 0.9), Judged(0, 0, 0.9)])
    assert found is not None
    assert (found.confidence, found.share, found.precision) == (0.9, 20 / 32, 19 / 20)
    assert Agreement.of([1, 1], [1, 1]).kappa == 1.0
