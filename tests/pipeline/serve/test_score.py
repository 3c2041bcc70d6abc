"""Scoring: today's posts get keywords and the production model's mood."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pipeline import text
from pipeline.clock import KST
from pipeline.live.records import Post
from pipeline.live.store import Store
from pipeline.serve.classifier import Classifier
from pipeline.serve.score import extract_keywords, score_posts
from pipeline.text import slang
from tests.pipeline.conftest import TINY_VERSION

DAY = datetime(2026, 11, 22, tzinfo=KST)
TITLES = ["갓패치 최고다", "노답", "=1+1", "", "\0", "스타포스 질문"]


@pytest.fixture
def filled(store: Store, make_post: Callable[..., Post]) -> Store:
    store.add_posts([make_post(i, title=title, body="버그 " * i) for i, title in enumerate(TITLES)])
    return store


def test_each_post_gets_its_own_verdict(filled: Store, tiny_model: Path) -> None:
    classifier = Classifier.load(tiny_model)
    assert score_posts(filled, classifier, limit=4) == 4
    assert score_posts(filled, classifier, limit=4) == 2
    assert score_posts(filled, classifier, limit=4) == 0
    rows = {row["post_id"]: row for row in filled.moods(DAY, DAY + timedelta(days=1))}
    assert {row["source"] for row in rows.values()} == {"model"}
    for i, title in enumerate(TITLES):
        assert rows[i]["label"] == classifier.predict([f"{title}\n{'버그 ' * i}"])[0].label
    with filled.reading() as connection:
        found = connection.exec_driver_sql("SELECT post_id, confidence, model_version FROM predictions").all()
    for i, confidence, version in found:
        expected = classifier.predict([f"{TITLES[i]}\n{'버그 ' * i}"])[0].confidence
        assert confidence == pytest.approx(expected, abs=1e-5)
        assert version == TINY_VERSION


def test_a_new_version_scores_anew(
    filled: Store, tiny_model: Path, tmp_path: Path, model_copy: Callable[[Path, str], Path]
) -> None:
    score_posts(filled, Classifier.load(tiny_model), limit=100)
    newer = Classifier.load(model_copy(tmp_path / "newer", "20270101T000000"))
    assert score_posts(filled, newer, limit=100) == len(TITLES)
    with filled.reading() as connection:
        assert connection.exec_driver_sql("SELECT DISTINCT model_version FROM predictions").scalars().all() == [
            "20270101T000000"
        ]


def test_a_changed_dictionary_makes_keywords_and_predictions_again(
    filled: Store, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract_keywords(filled, limit=9)
    score_posts(filled, Classifier.load(tiny_model), limit=9)
    changed = tmp_path / "slang.tsv"
    changed.write_bytes(text.DICTIONARY.read_bytes() + "스타포스 질문\tNNP\t스타포스질문\tmood\n".encode())
    monkeypatch.setattr(text, "DICTIONARY", changed)
    monkeypatch.setattr(text, "slang", lambda: slang(changed))
    text._kiwi.cache_clear()
    try:
        # Bounded in each run, and over when all are done.
        assert [extract_keywords(filled, limit=4) for _ in range(3)] == [4, 2, 0]
        classifier = Classifier.load(tiny_model)
        assert [score_posts(filled, classifier, limit=4) for _ in range(3)] == [4, 2, 0]
    finally:
        text._kiwi.cache_clear()
    found = {row["post_id"]: row["keywords"] for row in filled.moods(DAY, DAY + timedelta(days=1))}
    assert "스타포스질문" in found[5].split()


def test_keywords_of_title_and_body(filled: Store) -> None:
    assert extract_keywords(filled, limit=4) == 4
    assert extract_keywords(filled, limit=4) == 2
    assert extract_keywords(filled, limit=4) == 0  # posts without any are done as well
    found = {row["post_id"]: row["keywords"] for row in filled.moods(DAY, DAY + timedelta(days=1))}
    assert found[0].split()[0] == "갓패치"
    assert set(found[5].split()) >= {"스타포스", "질문", "버그"}
    assert found[5].split().count("버그") == 1
