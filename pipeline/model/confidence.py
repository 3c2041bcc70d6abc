"""Confidence: from logits to calibrated probabilities, and from which one on an answer counts (below it: 불확실).

The threshold is found on held-out texts, like the temperature, and released with the model (`abstain_below` in its
metadata.json). It is the lowest hundredth at which the answers that are kept are right as often as was asked for
(selective classification: El-Yaniv & Wiener 2010; Geifman & El-Yaniv 2017, arXiv 1705.08500).
"""

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

UNCERTAIN = "불확실"
MIN_ROWS = 30  # held-out texts under which nothing can be said (as for the temperature)
MIN_KEPT = 20  # answers under which their precision is chance
_STEPS = np.arange(33, 101)  # hundredths: the best of three moods has a third at least


def curve(probabilities: np.ndarray, labels: np.ndarray) -> list[dict[str, Any]]:
    """For each threshold from 0.33 on: answers kept, their share of all (coverage), the share of them that is right.

    `probabilities` are calibrated, shape (n, 3), labels (n,). It ends where no answer is kept, at 1 at the latest.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    rows: list[dict[str, Any]] = []
    for threshold in _STEPS / 100:
        kept = confidence >= threshold
        if kept.any():
            rows.append(
                {
                    "threshold": float(threshold),
                    "kept": int(kept.sum()),
                    "coverage": round(float(kept.mean()), 6),
                    "precision": round(float(right[kept].mean()), 6),
                }
            )
    return rows


def abstain_below(probabilities: np.ndarray, labels: np.ndarray, precision: float) -> float:
    """The lowest threshold at which the share of right answers among those kept reaches `precision` (0 to 1).

    0 (every answer counts) when fewer than 30 texts are held out: too few to tell. 1 (none counts) when no
    threshold that keeps 20 answers reaches it: the model is never that sure with reason.
    """
    if len(labels) < MIN_ROWS:
        return 0.0
    for row in curve(probabilities, labels):
        if row["kept"] >= MIN_KEPT and row["precision"] >= precision:
            return float(row["threshold"])
    return 1.0


def kept(probabilities: np.ndarray, labels: np.ndarray, threshold: float) -> dict[str, float]:
    """`kept_share` of the answers with at least that confidence, and `kept_accuracy` where there are any."""
    counts = probabilities.max(axis=1) >= threshold
    figures = {"kept_share": float(counts.mean()) if len(labels) else 0.0}
    if counts.any():
        figures["kept_accuracy"] = float((probabilities.argmax(axis=1) == labels)[counts].mean())
    return figures


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits, both of shape (texts, 3)."""
    scaled = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True))


def calibrate(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Temperature scaling (Guo et al. 2017, arXiv 1706.04599) of probabilities, shape (n, 3)."""
    return softmax(np.log(np.clip(probabilities, 1e-7, 1.0)) / temperature)


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with the least log-loss on held-out rows; 1.0 when there are too few to tell (< 30)."""
    if len(labels) < 30:
        return 1.0

    def loss(temperature: float) -> float:
        scaled = calibrate(probabilities, temperature)
        return float(-np.log(np.clip(scaled[np.arange(len(labels)), labels], 1e-12, 1)).mean())

    return float(round(minimize_scalar(loss, bounds=(0.3, 5.0), method="bounded").x, 4))
