"""Training is a pure function: same inputs, same bytes."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.files import DataFileError, read_csv
from pipeline.hashing import content_hash
from pipeline.learn.base import read_base
from pipeline.learn.examples import SETS, Example, read_set, sample_weights
from pipeline.learn.train import check_moods, train, unlabelled
from pipeline.learn.word_vectors import word_vectors
from pipeline.model.confidence import calibrate, fit_temperature
from pipeline.model.folder import METADATA_FILE
from pipeline.model.network import MODEL_FILE
from pipeline.text import tokenizer
from tests.pipeline.conftest import TINY_TRAIN, TINY_VERSION
from tests.support import ROOT
from tests.support.params import train_params

EASY = {
    "units": [8],
    "max_tokens": 4,
    "dropout": 0.0,
    "word_dropout": 0.0,
    "learning_rate": 0.05,
    "batch": 8,
    "epochs": 12,
}


def test_what_a_trained_folder_holds(tiny_model: Path, tiny_inputs: Path) -> None:
    assert {path.name for path in tiny_model.iterdir()} == {
        "README.md",
        "history.csv",
        "learned.npy",
        METADATA_FILE,
        MODEL_FILE,
        "vocabulary.json",
    }
    metadata = json.loads((tiny_model / METADATA_FILE).read_text(encoding="utf-8"))
    assert metadata["version"] == TINY_VERSION
    assert metadata["chunks"] == ["0001"]
    assert metadata["rows"] == {"train": 48, "validation": 12, "test_chunk": 0, "test_base": 0}
    prepared = (tiny_inputs / "data" / "prepared" / "train.csv").read_text(encoding="utf-8")
    assert metadata["hashes"]["train"] == content_hash(prepared)
    assert metadata["params"] == json.loads(json.dumps(asdict(train_params(**TINY_TRAIN))))
    assert set(metadata["packages"]) >= {"tensorflow", "keras", "numpy", "kiwipiepy"}
    assert len(read_csv(tiny_model / "history.csv", ["epoch", "loss", "val_loss"])) == metadata["epochs"] == 2
    card = (tiny_model / "README.md").read_text(encoding="utf-8")
    assert f"# Maple Pulse model {TINY_VERSION}" in card
    assert "| training texts from base | 48 |" in card


@pytest.mark.slow
def test_another_process_makes_the_same_bytes(tiny_model: Path, tiny_inputs: Path, tmp_path: Path) -> None:
    for name in ("params.yaml", "data", "models/champion"):
        source = tiny_inputs / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, tmp_path / name)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "12345"}
    subprocess.run(
        [sys.executable, "-m", "pipeline.learn.train"], cwd=tmp_path, env=environment, check=True, timeout=200
    )
    made = {path.name: path.read_bytes() for path in (tmp_path / "models" / "candidate").iterdir()}
    assert made == {path.name: path.read_bytes() for path in tiny_model.iterdir()}


def test_it_learns_what_can_be_learned() -> None:
    params = train_params(**TINY_TRAIN)
    words = ("노답", "질문", "갓겜")
    easy = [Example(f"{words[label]} {i}", label, 1.0, "base") for i in range(16) for label in range(3)]
    trained = train(easy, [], replace(params, **EASY), tokenizer("kiwi"))
    assert trained.facts["temperature"] == 1.0  # nothing held out to fit it on
    assert trained.facts["vocabulary"] == trained.vocabulary.size
    assert [row["epoch"] for row in trained.curve] == list(range(1, trained.facts["epochs"] + 1))
    assert trained.curve[-1]["loss"] < trained.curve[0]["loss"]
    inputs = trained.vocabulary.inputs(words, [[word] for word in words])
    assert trained.network(inputs, training=False).numpy().argmax(axis=1).tolist() == [0, 1, 2]


def test_words_begin_where_text_without_labels_puts_them(base_examples: list[Example]) -> None:
    params = train_params(**TINY_TRAIN)
    split, more = tokenizer("kiwi"), ["보스 재미 최고"] * 30
    still = replace(params, epochs=1, learning_rate=0.0)  # nothing is learned after that
    trained = train(base_examples, [], still, split, None, lambda: more)
    words = [*split([example.text for example in base_examples]), *split(more)]
    expected = word_vectors(words, trained.vocabulary.tokens, params.embedding)
    table = trained.network.get_layer("embedding").get_weights()[0][2:]
    known = expected.any(axis=1)
    assert known.sum() > 50
    np.testing.assert_allclose(table[known], expected[known], atol=1e-4)
    random = train(base_examples, [], replace(still, pretrain=0), split, None, lambda: pytest.fail("not asked for"))
    assert np.abs(random.network.get_layer("embedding").get_weights()[0]).max() < 0.06  # Keras' own beginning


def test_texts_of_the_sets_are_not_read_as_unlabelled(tiny_inputs: Path) -> None:
    with contextlib.chdir(tiny_inputs):
        sets = {name: read_set(name) for name in SETS}
        used = {example.text for examples in sets.values() for example in examples}
        found = unlabelled(sets)
        assert not used & set(found)
        assert len(found) + len(used) == len({text for text, _ in read_base()})


@pytest.mark.parametrize(("kept", "message"), [({0, 1}, "긍정"), ({1}, "부정, 긍정"), (set(), "부정, 중립, 긍정")])
def test_a_missing_mood_is_named(base_examples: list[Example], kept: set[int], message: str) -> None:
    some = [example for example in base_examples if example.label in kept]
    with pytest.raises(DataFileError, match=rf"train\.csv has no example of {message}: add some to the base file"):
        check_moods(some)


def test_moods_weigh_the_same_and_corrections_more() -> None:
    examples = (
        [Example("글", 0, 1.0, "base")] * 6 + [Example("글", 1, 1.0, "base")] * 2 + [Example("글", 2, 1.0, "base")]
    )
    examples += [Example("글", 0, 3.0, "feedback-0001")]
    weights, labels = sample_weights(examples), np.array([example.label for example in examples])
    totals = [weights[labels == label].sum() for label in range(3)]
    np.testing.assert_allclose(totals, [10 / 3] * 3)
    assert weights.mean() == pytest.approx(1)
    assert weights[9] == pytest.approx(3 * weights[0])  # within its mood, a correction weighs three posts
    assert np.isfinite(sample_weights([Example("글", 2, 1.0, "base")])).all()  # validation may lack a mood


def test_temperature_is_found_again() -> None:
    rng = np.random.default_rng(1)
    honest = rng.dirichlet([1, 1, 1], size=4000)
    labels = np.array([rng.choice(3, p=row) for row in honest])
    overconfident = calibrate(honest, 1 / 2.5)
    assert fit_temperature(honest, labels) == pytest.approx(1.0, abs=0.1)
    assert fit_temperature(overconfident, labels) == pytest.approx(2.5, abs=0.25)
    assert fit_temperature(overconfident[:29], labels[:29]) == 1.0  # too few to tell
