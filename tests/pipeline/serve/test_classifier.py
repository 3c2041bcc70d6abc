"""A loaded model."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipeline.files import DataFileError, write_json
from pipeline.learn.examples import Example
from pipeline.model.confidence import calibrate
from pipeline.model.features import VOCABULARY_FILE, Vocabulary
from pipeline.model.folder import METADATA_FILE, read_metadata
from pipeline.model.network import MODEL_FILE, load_network
from pipeline.model.token_cache import CACHE
from pipeline.serve import classifier as module
from pipeline.serve.classifier import Classifier
from pipeline.text import for_model, tokenizer
from tests.pipeline.conftest import TINY_VERSION

ModelCopy = Callable[[Path, str], Path]
OLD, NEW = "20261122T000000", "20261123T000000"


@pytest.fixture(scope="module")
def classifier(tiny_model: Path) -> Classifier:
    return Classifier.load(tiny_model)


@pytest.fixture(scope="module")
def texts(base_examples: list[Example]) -> list[str]:
    """Texts of very different lengths, so that their order by length is not the order given."""
    some = [example.text for example in base_examples[:20]]
    return [*some, "", some[0][:5], " ".join(some), "ㅋㅋㅋㅋ", "😀\0", *(text[:9] for text in some)]


def test_a_batch_is_the_texts_one_by_one_in_order(classifier: Classifier, texts: list[str]) -> None:
    batch = classifier.predict(texts)
    alone = [classifier.predict([text])[0] for text in texts]
    found = np.array([verdict.probabilities for verdict in batch])
    np.testing.assert_allclose(found, [verdict.probabilities for verdict in alone], atol=1e-6)
    np.testing.assert_allclose(found, classifier.probabilities(texts), atol=1e-6)
    np.testing.assert_allclose(found[::-1], classifier.probabilities(texts[::-1]), atol=1e-6)
    assert len({tuple(row.round(5)) for row in found}) > 20  # or the order could not be seen


def test_it_says_what_the_network_says(classifier: Classifier, tiny_model: Path, texts: list[str]) -> None:
    network, vocabulary = load_network(tiny_model), Vocabulary.load(tiny_model)
    read = [for_model(text) for text in texts]
    inputs = vocabulary.inputs(read, tokenizer(vocabulary.tokenizer)(texts))
    expected = calibrate(network(inputs, training=False).numpy().astype(float), classifier.metadata["temperature"])
    np.testing.assert_allclose(classifier.probabilities(texts), expected, atol=1e-5)


@pytest.mark.parametrize(("at_once", "in_a_pass", "cells"), [(7, 3, 1 << 19), (1, 1, 1), (300, 300, 2000)])
def test_slices_and_passes_change_nothing(
    classifier: Classifier,
    texts: list[str],
    monkeypatch: pytest.MonkeyPatch,
    at_once: int,
    in_a_pass: int,
    cells: int,
) -> None:
    expected = classifier.probabilities(texts)
    monkeypatch.setattr(module, "_SLICE", at_once)
    monkeypatch.setattr(module, "_BATCH", in_a_pass)
    monkeypatch.setattr(module, "_CELLS", cells)
    np.testing.assert_allclose(classifier.probabilities(texts), expected, atol=1e-6)


def test_a_pass_holds_so_many_texts_and_ngrams(monkeypatch: pytest.MonkeyPatch) -> None:
    read = ["가" * 10, "가" * 4000, "가", "", "가" * 3000, "가" * 20, "가" * 5]
    tokens = [list(text) for text in read]
    assert list(module._batches(read, tokens)) == [[3, 2, 6, 0, 5, 4, 1]]  # the fewest tokens first
    monkeypatch.setattr(module, "_BATCH", 3)
    assert list(module._batches(read, tokens)) == [[3, 2, 6], [0, 5, 4], [1]]
    monkeypatch.setattr(module, "_CELLS", 6 * 3000)
    assert list(module._batches(read, tokens)) == [[3, 2, 6], [0, 5], [4], [1]]  # too long a text stands alone
    assert list(module._batches([], [])) == []


def test_what_fails_beside_fails_here(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> np.ndarray:
        raise RuntimeError("no memory")

    monkeypatch.setattr(module, "_SLICE", 2)
    monkeypatch.setattr(classifier, "_judge", broken)
    with pytest.raises(RuntimeError, match="no memory"):
        classifier.probabilities(["노답"] * 9)


def test_tokens_are_remembered_where_it_is_asked_for(
    tmp_path: Path, tiny_model: Path, classifier: Classifier, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Classifier.load(tiny_model).predict(texts) == classifier.predict(texts)
    assert not CACHE.exists()
    expected = classifier.probabilities(texts)
    np.testing.assert_array_equal(Classifier.load(tiny_model, remember=True).probabilities(texts), expected)
    assert CACHE.exists()
    monkeypatch.setattr("pipeline.model.token_cache.tokenizer", None)  # not to be asked again
    np.testing.assert_array_equal(Classifier.load(tiny_model, remember=True).probabilities(texts), expected)


def test_more_texts_than_a_pass_takes(classifier: Classifier, texts: list[str]) -> None:
    many = (texts * 8)[:300]
    expected = classifier.probabilities(texts)
    np.testing.assert_allclose(
        classifier.probabilities(many), [expected[i % len(texts)] for i in range(300)], atol=1e-6
    )


def test_a_verdict_is_a_distribution_and_its_best(classifier: Classifier, texts: list[str]) -> None:
    for verdict in classifier.predict(texts):
        assert sum(verdict.probabilities) == pytest.approx(1)
        assert verdict.confidence == max(verdict.probabilities) == verdict.probabilities[verdict.label]
        assert verdict.tokens == ()
    assert classifier.predict([]) == []
    assert classifier.probabilities([]).shape == (0, 3)
    assert classifier.version == TINY_VERSION


def test_hostile_text_gets_a_verdict(classifier: Classifier) -> None:
    hostile = ["", "\0" * 100, "\ud800", "=1+1", "ㅋ" * 1_000_000, "\u202e\u200b", "<script>", "가나" * 2000]
    found = classifier.probabilities(hostile)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_explanation_is_the_change_when_a_word_is_left_out(classifier: Classifier, texts: list[str]) -> None:
    verdict = classifier.predict(texts[:1], explain=True)[0]
    words = texts[0].split()
    assert [word for word, _ in verdict.tokens] == words
    for place in (0, len(words) - 1):
        without = classifier.probabilities([" ".join(words[:place] + words[place + 1 :])])[0, verdict.label]
        assert verdict.tokens[place][1] == pytest.approx(verdict.confidence - without, abs=1e-6)
    assert any(abs(effect) > 1e-5 for _, effect in verdict.tokens)
    assert classifier.predict([""], explain=True)[0].tokens == ()
    assert [word for word, _ in classifier.predict(["노답"], explain=True)[0].tokens] == ["노답"]
    assert len(classifier.predict(["노답 " * 500], explain=True)[0].tokens) == 80


def test_many_threads_get_the_answers_of_one(classifier: Classifier, texts: list[str]) -> None:
    expected = classifier.probabilities(texts)

    def one(i: int) -> np.ndarray:
        return classifier.probabilities([texts[i % len(texts)]])[0]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(one, range(120)))
    np.testing.assert_allclose(found, [expected[i % len(texts)] for i in range(120)], atol=1e-6)


def test_calibration() -> None:
    rows = np.array([[0.7, 0.2, 0.1], [1.0, 0.0, 0.0]])
    np.testing.assert_allclose(calibrate(rows, 1.0), rows, atol=1e-6)
    # By hand: temperature 2 is the square root, scaled to one.
    np.testing.assert_allclose(calibrate(rows, 2.0)[0], np.sqrt(rows[0]) / np.sqrt(rows[0]).sum())
    assert np.isfinite(calibrate(rows, 0.3)).all()


def test_the_temperature_of_the_metadata_is_used(tmp_path: Path, model_copy: ModelCopy, classifier: Classifier) -> None:
    folder = model_copy(tmp_path / "warm", OLD)
    write_json(folder / METADATA_FILE, {**read_metadata(folder), "temperature": 3.0})
    expected = calibrate(classifier.probabilities(["노답"]), 3.0)  # the tiny model's own is 1
    assert classifier.metadata["temperature"] == 1.0
    np.testing.assert_allclose(Classifier.load(folder).probabilities(["노답"]), expected, atol=1e-6)


def test_an_answer_under_the_models_threshold_is_not_certain(tmp_path: Path, model_copy: ModelCopy) -> None:
    folder = model_copy(tmp_path / "model", OLD)
    metadata = {name: value for name, value in read_metadata(folder).items() if name != "abstain_below"}
    write_json(folder / METADATA_FILE, metadata)
    verdict = Classifier.load(folder).predict(["노답"])[0]
    assert verdict.certain  # a model without a threshold is never unsure
    for threshold, certain in ((verdict.confidence, True), (verdict.confidence + 1e-6, False)):
        write_json(folder / METADATA_FILE, {**metadata, "abstain_below": threshold})
        assert Classifier.load(folder).predict(["노답"])[0].certain is certain


@pytest.mark.parametrize("name", [MODEL_FILE, VOCABULARY_FILE, METADATA_FILE])
def test_a_missing_file_is_named(tmp_path: Path, model_copy: ModelCopy, name: str) -> None:
    folder = model_copy(tmp_path / "model", OLD)
    (folder / name).unlink()
    with pytest.raises(DataFileError, match=rf"{name}.*`dvc checkout .*model` restores it"):
        Classifier.load(folder)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b"\xff"])
def test_broken_metadata_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / METADATA_FILE).write_bytes(data)
    with pytest.raises(DataFileError, match=r"metadata\.json .*restores it"):
        read_metadata(tmp_path)


def test_new_metadata_beside_old_weights_is_not_loaded(tmp_path: Path, model_copy: ModelCopy) -> None:
    folder = model_copy(tmp_path / "model", NEW)
    write_json(folder / METADATA_FILE, {**read_metadata(folder), "model_sha256": "0" * 64})
    with pytest.raises(DataFileError, match=rf"{MODEL_FILE} is not model {NEW}"):
        Classifier.load(folder)
