"""Figures against values computed by hand."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_fscore_support

from pipeline.evaluate.figures import expected_calibration_error, interval, macro_f1, measure, reliability

LABELS = np.array([0, 0, 1, 1, 2, 2])
PREDICTED = np.array([0, 1, 1, 1, 2, 0])


def test_macro_f1_by_hand() -> None:
    # 부정: precision 1/2, recall 1/2; 중립: 2/3, 1; 긍정: 1, 1/2
    assert macro_f1(LABELS, PREDICTED) == pytest.approx((1 / 2 + 4 / 5 + 2 / 3) / 3)
    assert macro_f1(LABELS, LABELS) == 1
    assert macro_f1(np.array([0, 0, 1]), np.array([0, 0, 1])) == pytest.approx(2 / 3)  # the absent mood counts 0
    assert macro_f1(np.array([0, 0, 1]), np.array([0, 0, 1]), classes=(0, 1)) == 1  # unless it is not asked for


def test_calibration_error_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1, 0.0], [0.9, 0.1, 0.0], [0.3, 0.61, 0.09], [0.3, 0.3, 0.4]])
    labels = np.array([0, 1, 1, 0])
    # Bin of 0.9: half of the rows, half of them right. Bin of 0.61: right. Bin of 0.4: wrong.
    expected = 0.5 * abs(0.5 - 0.9) + 0.25 * abs(1 - 0.61) + 0.25 * abs(0 - 0.4)
    assert expected_calibration_error(labels, probabilities) == pytest.approx(expected)
    certain = np.eye(3)[LABELS]  # confidence 1.0 has a bin as well
    assert expected_calibration_error(LABELS, certain) == pytest.approx(0)
    assert expected_calibration_error((LABELS + 1) % 3, certain) == pytest.approx(1)
    assert [(row["low"], row["rows"], row["accuracy"]) for row in reliability(labels, probabilities)] == [
        (0.4, 1, 0.0),
        (0.6, 1, 1.0),
        (0.866667, 2, 0.5),
    ]
    assert reliability(labels[:0], probabilities[:0]) == []


def test_interval_by_hand() -> None:
    labels, predicted = np.array([0, 1]), np.array([0, 0])
    # The four draws of two rows: macro-F1 1/3 once, 2/9 twice, 0 once.
    assert interval(labels, predicted, samples=200, seed=1) == pytest.approx((0, 1 / 3))
    assert interval(np.array([0]), np.array([0]), samples=5, seed=1) == pytest.approx((1 / 3, 1 / 3))
    many = np.tile(LABELS, 50), np.tile(PREDICTED, 50)
    low, high = interval(*many, samples=60, seed=1)
    assert 0.58 < low < macro_f1(*many) < high < 0.72
    assert interval(*many, samples=60, seed=1) == (low, high)


def test_the_interval_is_that_of_drawing_rows() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 300)
    predicted = np.where(rng.random(300) < 0.6, labels, rng.integers(0, 3, 300))
    draws = rng.integers(0, 300, size=(1000, 300))
    values = [f1_score(labels[draw], predicted[draw], average="macro") for draw in draws]
    expected = np.quantile(values, [0.025, 0.975])
    np.testing.assert_allclose(interval(labels, predicted, samples=2000, seed=1), expected, atol=0.012)


def test_measure_by_hand() -> None:
    figures = measure(LABELS, np.eye(3)[PREDICTED], samples=20, seed=1)
    assert figures["rows"] == 6
    assert figures["accuracy"] == pytest.approx(4 / 6, abs=1e-6)
    assert figures["macro_f1"] == pytest.approx(0.655556)
    assert figures["neutral"] == {"precision": 0.666667, "recall": 1.0, "f1": 0.8, "rows": 2}
    assert figures["positive"] == {"precision": 1.0, "recall": 0.5, "f1": 0.666667, "rows": 2}
    assert figures["ece"] == pytest.approx(2 / 6, abs=1e-6)
    assert figures["macro_f1_low"] <= figures["macro_f1"] <= figures["macro_f1_high"]


@pytest.mark.parametrize("moods", [(0, 1, 2), (0, 2), (1,)])
def test_figures_are_scikit_learns(moods: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    labels = rng.choice(moods, 200)
    probabilities = rng.dirichlet([1, 1, 1], 200)
    figures = measure(labels, probabilities, samples=5, seed=1, classes=moods)
    expected = precision_recall_fscore_support(labels, probabilities.argmax(axis=1), labels=moods, zero_division=0)
    names = [("negative", "neutral", "positive")[k] for k in moods]
    found = [[figures[name][figure] for name in names] for figure in ("precision", "recall", "f1", "rows")]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert figures["macro_f1"] == pytest.approx(np.mean(expected[2]), abs=1e-6)
