"""The figures of one model on one set of labelled texts. Pure functions of arrays.

Everything comes from the table of labels and answers, so a bootstrap costs the same on 100 texts and on 100,000.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

NAMES = ("negative", "neutral", "positive")  # ASCII: DVC takes short Korean JSON for binary (measured)
ALL = (0, 1, 2)
_BINS = 15  # of the calibration error (Guo et al. 2017)


def confusion(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """How many texts of each label (row) got each answer (column), int64 of shape (3, 3)."""
    return np.bincount(3 * labels + predicted, minlength=9).reshape(3, 3)


def f1_of(tables: np.ndarray) -> np.ndarray:
    """F1 of each label, shape (..., 3), from tables of shape (..., 3, 3). 0 where there is neither label nor answer."""
    right = np.diagonal(tables, axis1=-2, axis2=-1)
    both = tables.sum(axis=-2) + tables.sum(axis=-1)
    return np.asarray(np.divide(2 * right, both, out=np.zeros(right.shape), where=both > 0))


def macro_f1(labels: np.ndarray, predicted: np.ndarray, classes: Sequence[int] = ALL) -> float:
    """The unweighted mean of the classes' F1; a class with no row and no prediction counts 0."""
    return float(f1_of(confusion(labels, predicted))[list(classes)].mean())


def interval(
    labels: np.ndarray, predicted: np.ndarray, *, samples: int, seed: int, classes: Sequence[int] = ALL
) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of macro-F1.

    Drawing n texts with replacement is drawing the nine cells of the table from a multinomial distribution.
    """
    cells = confusion(labels, predicted).ravel()
    drawn = np.random.default_rng(seed).multinomial(len(labels), cells / cells.sum(), size=samples)
    values = f1_of(drawn.reshape(samples, 3, 3))[:, list(classes)].mean(axis=1)
    return float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975))


def reliability(labels: np.ndarray, probabilities: np.ndarray) -> list[dict[str, Any]]:
    """The bins of confidence that hold a text: edges, number of texts, their mean confidence, share of right ones."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    return [
        {
            "low": round(b / _BINS, 6),
            "high": round((b + 1) / _BINS, 6),
            "rows": int((bins == b).sum()),
            "confidence": float(confidence[bins == b].mean()),
            "accuracy": float(right[bins == b].mean()),
        }
        for b in sorted({int(b) for b in bins})
    ]


def expected_calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """ECE with 15 equal bins of confidence (arXiv 1706.04599)."""
    rows = reliability(labels, probabilities)
    return float(sum(abs(row["accuracy"] - row["confidence"]) * row["rows"] for row in rows) / len(labels))


def measure(
    labels: np.ndarray, probabilities: np.ndarray, *, samples: int, seed: int, classes: Sequence[int] = ALL
) -> dict[str, Any]:
    """Every figure of one model on one set. `probabilities` has shape (n, 3), labels (n,); n is at least 1.

    `classes` are the labels that macro-F1 is the mean of.
    """
    predicted = probabilities.argmax(axis=1)
    table = confusion(labels, predicted)
    f1, answers, rows = f1_of(table), table.sum(axis=0), table.sum(axis=1)
    low, high = interval(labels, predicted, samples=samples, seed=seed, classes=classes)
    figures: dict[str, Any] = {
        "rows": len(labels),
        "accuracy": float((predicted == labels).mean()),
        "macro_f1": float(f1[list(classes)].mean()),
        "macro_f1_low": low,
        "macro_f1_high": high,
        "ece": expected_calibration_error(labels, probabilities),
    }
    for k in classes:
        figures[NAMES[k]] = {
            "precision": float(table[k, k] / max(answers[k], 1)),
            "recall": float(table[k, k] / max(rows[k], 1)),
            "f1": float(f1[k]),
            "rows": int(rows[k]),
        }
    return rounded(figures)


def rounded(value: Any) -> Any:
    """The same value with every float, at any depth, rounded to six places: what files hold."""
    if isinstance(value, float):
        return round(value, 6)
    return {key: rounded(item) for key, item in value.items()} if isinstance(value, dict) else value
