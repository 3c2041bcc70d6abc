"""The warm start: what it takes over from the champion, and what it reads again."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.files import write_json
from pipeline.freeze.catalog import Catalog, write_catalog
from pipeline.layout import CANDIDATE, CHAMPION, PREPARED
from pipeline.learn.deep import deep_logits
from pipeline.learn.examples import SETS, Example, read_set, write_sets
from pipeline.learn.learned import Learned
from pipeline.learn.train import train, write_candidate
from pipeline.learn.warm_start import WarmStart
from pipeline.model.features import FEATURES, VOCABULARY_FILE, Vocabulary
from pipeline.model.network import build_deep, make_deterministic
from pipeline.text import tokenizer
from tests.pipeline.conftest import TINY_TRAIN, TINY_VERSION
from tests.support.params import train_params

SHAPE = {"embedding": 8, "units": (6, 4), "dropout": 0.0, "word_dropout": 0.0}
SEEN = frozenset({"chunk-0001", "feedback-0001"})


def posts(source: str, count: int) -> list[Example]:
    return [Example(f"{source} {i}", i % 3, 1.0, source) for i in range(count)]


def test_a_warm_start_reads_the_new_the_corrections_and_a_sample_of_the_rest() -> None:
    start = WarmStart("v1", SEEN, (), {})
    mix = [*posts("chunk-0001", 50), *posts("chunk-0002", 10), *posts("base", 60), *posts("feedback-0001", 5)]
    mix += posts("feedback-0002", 3)
    read = start.chosen_rows(mix, 2.0, seed=1)
    sources = [mix[i].source for i in read]
    assert sources.count("chunk-0002") == 10
    assert sources.count("feedback-0002") == 3
    assert sources.count("feedback-0001") == 5  # a person's word is never left to chance
    assert sources.count("chunk-0001") + sources.count("base") == 2 * 13
    assert list(read) == sorted(set(read))
    backwards = mix[::-1]
    assert {backwards[i].text for i in start.chosen_rows(backwards, 2.0, seed=1)} == {mix[i].text for i in read}
    assert {mix[i].text for i in start.chosen_rows(mix, 2.0, seed=2)} != {mix[i].text for i in read}


def test_a_start_brings_its_words_along_and_new_words_keep_their_own_vectors() -> None:
    make_deterministic(1)
    old = build_deep(5, **SHAPE)
    start = WarmStart.of(old, Vocabulary("kiwi", 24, 64, ("가", "나", "다")), "v1", SEEN)
    make_deterministic(2)
    new = build_deep(6, **SHAPE)
    assert start.fits(new)
    before = new.get_layer("embedding").get_weights()[0].copy()
    vocabulary = Vocabulary("kiwi", 24, 64, ("다", "새", "가", "말"))
    start.copy_to(new, vocabulary)
    table, known = new.get_layer("embedding").get_weights()[0], old.get_layer("embedding").get_weights()[0]
    np.testing.assert_array_equal(table[[0, 1, 2, 4]], known[[0, 1, 4, 2]])  # padding, unknown, 다, 가
    np.testing.assert_array_equal(table[[3, 5]], before[[3, 5]])
    # The same words have the same logits, whatever their ids are now.
    np.testing.assert_allclose(
        deep_logits(new, vocabulary.encode([["가", "다"]])),
        deep_logits(old, Vocabulary("kiwi", 24, 64, start.tokens).encode([["가", "다"]])),
        atol=1e-6,
    )


@pytest.mark.parametrize("change", [{"units": [6]}, {"units": [6, 5]}, {"embedding": 9}])
def test_another_shape_can_t_be_gone_on_from(change: dict[str, object]) -> None:
    old = build_deep(5, **SHAPE)
    start = WarmStart.of(old, Vocabulary("kiwi", 24, 64, ()), "v1")
    assert not start.fits(build_deep(5, **(SHAPE | change)))


def test_a_warm_training_goes_on_from_the_champion(tiny_model: Path) -> None:
    params = train_params(**TINY_TRAIN)
    start = WarmStart.load(tiny_model)
    assert start.sources == {"chunk-0001"}
    words = ("노답", "질문", "갓겜")
    news = [Example(f"{words[label]} {i}", label, 1.0, "chunk-0002") for i in range(8) for label in range(3)]
    general = [Example(f"{words[label]} 그냥 {i}", label, 1.0, "base") for i in range(30) for label in range(3)]
    split = tokenizer("kiwi")
    warm = train([*news, *general], news[:3], params, split, start, lambda: pytest.fail("the words are known"))
    assert warm.facts["warm_start"] == start.version
    assert warm.facts["texts_deep"] == 24 + 48  # replay: 2 known texts for each new one
    assert warm.facts["epochs"] == params.warm_epochs
    assert set(start.tokens) <= set(warm.vocabulary.tokens)
    without_news = train(general, news[:3], params, split, start)
    assert without_news.facts["warm_start"] is None  # nothing new to learn: the base model is made from nothing
    assert without_news.facts["texts_deep"] == len(general)


def test_an_archive_that_was_joined_is_known_by_its_members() -> None:
    """From the 21st archive on each joining gives old corrections a new source."""
    known = frozenset({"feedback-0001-0030", *(f"feedback-{n:04d}" for n in range(31, 50)), "chunk-0001"})
    start = WarmStart("v1", known, (), {})
    mix = [*posts("feedback-0001-0031", 310), *posts("feedback-0032", 10), *posts("chunk-0001", 50)]
    mix += posts("feedback-0050", 10)
    assert [mix[i].source for i in start.news(mix)] == ["feedback-0050"] * 10
    read = [mix[i].source for i in start.chosen_rows(mix, 2.0, seed=1)]
    assert read.count("chunk-0001") == 20, "twice as many known texts as new ones, not as many as were joined"


def test_of_a_joined_archive_with_a_new_member_only_the_new_corrections_are_news() -> None:
    old, new = posts("feedback-0001-0002", 6)[:4], posts("feedback-0001-0002", 6)[4:]
    start = WarmStart("v1", frozenset({"feedback-0001"}), (), {}, Learned.none().adding(old))
    assert start.news([*old, *new]) == [4, 5]
    corrected = [replace(old[0], label=2)]
    assert start.news(corrected) == [0], "the same text with another label is news"


def test_what_the_champion_learned_is_passed_on_by_a_warm_start_only(
    tiny_model: Path, tiny_inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("params.yaml", "data"):
        source = tiny_inputs / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, tmp_path / name)
    shutil.copytree(tiny_model, tmp_path / CHAMPION)
    monkeypatch.chdir(tmp_path)
    sets = {name: read_set(name) for name in SETS}
    words = ("노답", "질문", "갓겜")
    news = [Example(f"{words[i % 3]} 새 소식 {i * 7919}", i % 3, 1.0, "chunk-0002") for i in range(24)]
    write_sets({**sets, "train": [*news, *sets["train"][:9]]}, PREPARED)
    write_catalog(Catalog("20261123T000000", TINY_VERSION, ("0001", "0002"), ()))
    made = write_candidate()
    assert (made["warm_start"], made["cold_start"]) == (TINY_VERSION, None)
    gone = [example.text for example in sets["train"][9:]]  # out of the window, and learned by the champion
    assert Learned.load(CANDIDATE).resembles(gone).all()

    vocabulary = json.loads((CHAMPION / VOCABULARY_FILE).read_text(encoding="utf-8"))
    write_json(CHAMPION / VOCABULARY_FILE, {**vocabulary, "features": FEATURES - 1})
    made = write_candidate()
    assert made["warm_start"] is None
    assert made["cold_start"].startswith("the champion can't be gone on from: its features are of version")
    assert "from nothing (the champion can't" in (CANDIDATE / "README.md").read_text(encoding="utf-8")
    assert not Learned.load(CANDIDATE).resembles(gone).any()
