"""Training is a pure function: same inputs, same bytes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.sparse import csr_matrix

from pipeline.classifier import METADATA_FILE, calibrate
from pipeline.files import DataFileError, content_hash, read_csv
from pipeline.model import MODEL_FILE
from pipeline.prepare import Example
from pipeline.train import fit_mix, fit_temperature, fit_wide, sample_weights, train, wide_logits
from tests.pipeline.conftest import TINY_TRAIN, TINY_VERSION

ROOT = Path(__file__).resolve().parents[2]
EASY = {"units": [8], "max_tokens": 4, "dropout": 0.0, "learning_rate": 0.05, "batch": 8, "epochs": 12}


def test_what_a_trained_folder_holds(tiny_model: Path, tiny_inputs: Path) -> None:
    assert {path.name for path in tiny_model.iterdir()} == {
        "README.md",
        "history.csv",
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
    assert metadata["params"] == {**metadata["params"], **TINY_TRAIN}
    assert set(metadata["packages"]) >= {"tensorflow", "keras", "numpy", "kiwipiepy"}
    assert len(read_csv(tiny_model / "history.csv", ["epoch", "loss", "val_loss"])) == metadata["epochs"] == 2
    card = (tiny_model / "README.md").read_text(encoding="utf-8")
    assert f"# Maple Pulse model {TINY_VERSION}" in card
    assert "| training texts from base | 48 |" in card


@pytest.mark.slow
def test_another_process_makes_the_same_bytes(tiny_model: Path, tiny_inputs: Path, tmp_path: Path) -> None:
    for name in ("params.yaml", "data"):
        source = tiny_inputs / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, tmp_path / name)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "12345"}
    subprocess.run([sys.executable, "-m", "pipeline.train"], cwd=tmp_path, env=environment, check=True, timeout=200)
    made = {path.name: path.read_bytes() for path in (tmp_path / "models" / "candidate").iterdir()}
    assert made == {path.name: path.read_bytes() for path in tiny_model.iterdir()}


def test_it_learns_what_can_be_learned(base_examples: list[Example], tiny_inputs: Path) -> None:
    params = yaml.safe_load((tiny_inputs / "params.yaml").read_text(encoding="utf-8"))["train"]
    words = ("노답", "질문", "갓겜")
    easy = [Example(f"{words[label]} {i}", label, 1.0, "base") for i in range(16) for label in range(3)]
    network, vocabulary, facts, curve = train(easy, [], {**params, **EASY}, "kiwi")
    assert facts["temperature"] == 1.0  # nothing held out to fit it on
    assert facts["vocabulary"] == vocabulary.size
    assert [row["epoch"] for row in curve] == list(range(1, facts["epochs"] + 1))
    assert curve[-1]["loss"] < curve[0]["loss"]
    inputs = vocabulary.inputs(words, [[word] for word in words])
    assert network(inputs, training=False).numpy().argmax(axis=1).tolist() == [0, 1, 2]


@pytest.mark.parametrize(("kept", "message"), [({0, 1}, "긍정"), ({1}, "부정, 긍정"), (set(), "부정, 중립, 긍정")])
def test_a_missing_mood_is_named(base_examples: list[Example], kept: set[int], message: str) -> None:
    some = [example for example in base_examples if example.label in kept]
    with pytest.raises(DataFileError, match=rf"train\.csv has no example of {message}: add some to the base file"):
        train(some, [], {}, "kiwi")


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


def test_the_wide_path_is_the_regression_and_unseen_grams_say_nothing() -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(60) % 3
    dense = (rng.random((60, 20)) < 0.2) * 1.0
    dense[np.arange(60), labels] = 1.0  # the first three buckets give the label away
    idf, table, bias = fit_wide(csr_matrix(np.pad(dense, ((0, 0), (0, 4)))), labels, np.ones(60), 4.0)
    assert (table[20:] == 0).all()
    assert idf[3:20].min() > idf[:3].min()  # what is rare weighs more
    logits = wide_logits(csr_matrix(np.pad(dense, ((0, 0), (0, 4)))), idf, table, bias)
    assert (logits.argmax(axis=1) == labels).mean() > 0.95


def test_the_sequence_model_earns_its_weight_on_held_out_texts() -> None:
    labels = np.arange(300) % 3
    right, noise = 4.0 * np.eye(3)[labels], np.random.default_rng(1).normal(size=(300, 3))
    wide, deep = fit_mix(noise, right, labels)
    assert deep > wide
    wide, deep = fit_mix(right, noise, labels)
    assert wide > 0.5
    assert deep < 0.2
    few = fit_mix(noise[:3], right[:3], labels[:3])
    assert few[1] < deep + 0.5  # three texts do not prove much
    assert fit_mix(noise[:0], right[:0], labels[:0]) == (1.0, 0.0)
