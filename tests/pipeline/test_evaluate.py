"""Figures against values computed by hand, and the files of the stage."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipeline.champion import CHAMPION, write_champion
from pipeline.classifier import Classifier
from pipeline.evaluate import (
    EVALUATION,
    METRICS_FILE,
    NAMES,
    expected_calibration_error,
    interval,
    macro_f1,
    measure,
    write_evaluation,
)
from pipeline.files import read_csv, write_csv
from pipeline.prepare import PREPARED, Example, write_sets
from pipeline.train import CANDIDATE
from tests.pipeline.conftest import TINY_VERSION

LABELS = np.array([0, 0, 1, 1, 2, 2])
PREDICTED = np.array([0, 1, 1, 1, 2, 0])


def test_macro_f1_by_hand() -> None:
    # 부정: precision 1/2, recall 1/2; 중립: 2/3, 1; 긍정: 1, 1/2
    assert macro_f1(LABELS, PREDICTED) == pytest.approx((1 / 2 + 4 / 5 + 2 / 3) / 3)
    assert macro_f1(LABELS, LABELS) == 1
    assert macro_f1(np.array([0, 0, 1]), np.array([0, 0, 1])) == pytest.approx(2 / 3)  # the absent mood counts 0


def test_calibration_error_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1, 0.0], [0.9, 0.1, 0.0], [0.3, 0.61, 0.09], [0.3, 0.3, 0.4]])
    labels = np.array([0, 1, 1, 0])
    # Bin of 0.9: half of the rows, half of them right. Bin of 0.61: right. Bin of 0.4: wrong.
    expected = 0.5 * abs(0.5 - 0.9) + 0.25 * abs(1 - 0.61) + 0.25 * abs(0 - 0.4)
    assert expected_calibration_error(labels, probabilities) == pytest.approx(expected)
    certain = np.eye(3)[LABELS]  # confidence 1.0 has a bin as well
    assert expected_calibration_error(LABELS, certain) == pytest.approx(0)
    assert expected_calibration_error((LABELS + 1) % 3, certain) == pytest.approx(1)


def test_interval_by_hand() -> None:
    labels, predicted = np.array([0, 1]), np.array([0, 0])
    # The four draws of two rows: macro-F1 1/3 once, 2/9 twice, 0 once.
    assert interval(labels, predicted, samples=200, seed=1) == pytest.approx((0, 1 / 3))
    assert interval(np.array([0]), np.array([0]), samples=5, seed=1) == pytest.approx((1 / 3, 1 / 3))
    many = np.tile(LABELS, 50), np.tile(PREDICTED, 50)
    low, high = interval(*many, samples=60, seed=1)
    assert 0.58 < low < macro_f1(*many) < high < 0.72
    assert interval(*many, samples=60, seed=1) == (low, high)


def test_measure_by_hand() -> None:
    figures = measure(LABELS, np.eye(3)[PREDICTED], samples=20, seed=1)
    assert figures["rows"] == 6
    assert figures["accuracy"] == pytest.approx(4 / 6, abs=1e-6)
    assert figures["macro_f1"] == pytest.approx(0.655556)
    assert figures["neutral"] == {"precision": 0.666667, "recall": 1.0, "f1": 0.8, "rows": 2}
    assert figures["positive"] == {"precision": 1.0, "recall": 0.5, "f1": 0.666667, "rows": 2}
    assert figures["ece"] == pytest.approx(2 / 6, abs=1e-6)
    assert figures["macro_f1_low"] <= figures["macro_f1"] <= figures["macro_f1_high"]


@pytest.fixture
def project(
    tmp_path: Path,
    tiny_inputs: Path,
    tiny_model: Path,
    base_examples: list[Example],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A folder with a candidate, no champion, 12 rows of gold and 6 rows of base to test on."""
    monkeypatch.chdir(tmp_path)
    params = yaml.safe_load((tiny_inputs / "params.yaml").read_text(encoding="utf-8"))
    params["evaluate"]["bootstrap"] = 20
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    shutil.copytree(tiny_model, CANDIDATE)
    write_champion("none")
    gold = [{"title": e.text, "body": "=1+1", "label": e.label} for e in base_examples[:12]]
    write_csv(Path("data/gold/a.csv"), gold, ("title", "body", "label"))
    write_sets({"train": [], "validation": [], "test_chunk": [], "test_base": base_examples[12:18]}, PREPARED)
    return tmp_path


def test_the_first_models_evaluation(project: Path, base_examples: list[Example]) -> None:
    write_evaluation()
    text = METRICS_FILE.read_text(encoding="utf-8")
    metrics = json.loads(text)
    assert text.isascii()  # DVC takes short Korean JSON for binary
    assert list(metrics) == ["candidate"]
    assert set(metrics["candidate"]) == {"gold", "test_base"}  # the empty set has no figures
    assert metrics["candidate"]["gold"]["rows"] == 12
    rows = read_csv(EVALUATION / "gold.csv", ["row", "label"])
    assert [row["label"] for row in rows] == ["0", "1", "2"] * 4
    expected = Classifier.load(CANDIDATE).probabilities([f"{e.text}\n=1+1" for e in base_examples[:12]])
    found = [[float(row[f"candidate_{name}"]) for name in NAMES] for row in rows]
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert {row["champion_neutral"] for row in rows} == {""}
    predicted = [max(range(3), key=lambda k: float(row[f"candidate_{NAMES[k]}"])) for row in rows]
    accuracy = sum(p == int(row["label"]) for p, row in zip(predicted, rows, strict=True)) / 12
    assert metrics["candidate"]["gold"]["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    confusion = read_csv(EVALUATION / "confusion.csv", ["actual", "predicted"])
    assert confusion == [
        {"actual": NAMES[i % 3], "predicted": NAMES[k]} for i, k in zip(range(12), predicted, strict=True)
    ]
    assert read_csv(EVALUATION / "test_chunk.csv", ["row"]) == []
    assert (EVALUATION / "confusion.png").read_bytes().startswith(b"\x89PNG")
    before = {path.name: path.read_bytes() for path in EVALUATION.iterdir()}
    write_evaluation()
    assert {path.name: path.read_bytes() for path in EVALUATION.iterdir()} == before
    assert METRICS_FILE.read_text(encoding="utf-8") == text


def test_candidate_and_champion_judge_the_same_rows(project: Path, model_copy: Callable[[Path, str], Path]) -> None:
    shutil.rmtree(CHAMPION)
    model_copy(CHAMPION, TINY_VERSION)
    write_evaluation()
    metrics = json.loads(METRICS_FILE.read_text(encoding="utf-8"))
    assert metrics["champion"] == metrics["candidate"]  # it is the same model
    for row in read_csv(EVALUATION / "gold.csv", ["row"]):
        assert [row[f"champion_{name}"] for name in NAMES] == [row[f"candidate_{name}"] for name in NAMES]
