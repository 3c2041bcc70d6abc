"""The warm start: what it takes over from the champion, and what it reads again."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.learn.deep import deep_logits
from pipeline.learn.examples import Example
from pipeline.learn.train import train
from pipeline.learn.warm_start import WarmStart
from pipeline.model.features import Vocabulary
from pipeline.model.network import build_deep, make_deterministic
from pipeline.text import tokenizer
from tests.pipeline.conftest import TINY_TRAIN
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
