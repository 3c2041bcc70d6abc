"""From which confidence on an answer counts, by hand."""

import numpy as np
import pytest

from pipeline.model.confidence import abstain_below, curve, kept


def answers(confidence: list[float], right: list[bool]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities whose best is 중립 with that confidence, and labels that make it right or wrong."""
    sure = np.array(confidence)
    return np.stack([(1 - sure) * 0.6, sure, (1 - sure) * 0.4], axis=1), np.where(right, 1, 0)


# 40 answers: 20 sure ones of which 18 are right, 20 unsure ones of which 10 are.
SURE = answers([0.91] * 20 + [0.52] * 20, [True] * 18 + [False] * 2 + [True, False] * 10)


def test_the_curve_by_hand() -> None:
    rows = {row["threshold"]: row for row in curve(*SURE)}
    assert rows[0.33] == {"threshold": 0.33, "kept": 40, "coverage": 1.0, "precision": 0.7}
    assert rows[0.52]["kept"] == 40  # the edge is kept
    assert rows[0.53] == {"threshold": 0.53, "kept": 20, "coverage": 0.5, "precision": 0.9}
    assert max(rows) == 0.91
    assert curve(np.zeros((0, 3)), np.zeros(0, dtype=int)) == []
    certain = curve(np.eye(3), np.arange(3))
    assert certain[-1] == {"threshold": 1.0, "kept": 3, "coverage": 1.0, "precision": 1.0}


@pytest.mark.parametrize(("precision", "threshold"), [(0.5, 0.33), (0.7, 0.33), (0.71, 0.53), (0.9, 0.53), (0.91, 1.0)])
def test_the_lowest_threshold_that_is_right_often_enough(precision: float, threshold: float) -> None:
    assert abstain_below(*SURE, precision) == threshold


def test_too_few_to_tell() -> None:
    probabilities, labels = SURE
    assert abstain_below(probabilities[:29], labels[:29], 0.99) == 0.0
    assert abstain_below(probabilities[:30], labels[:30], 0.99) == 1.0
    # 19 answers that are all right prove as little as three heads of three coins.
    lucky = answers([0.9] * 19 + [0.5] * 21, [True] * 19 + [False] * 21)
    assert abstain_below(*lucky, 0.8) == 1.0
    assert abstain_below(*answers([0.9] * 20 + [0.5] * 20, [True] * 20 + [False] * 20), 0.8) == 0.51


def test_what_is_kept() -> None:
    assert kept(*SURE, 0.53) == {"kept_share": 0.5, "kept_accuracy": 0.9}
    assert kept(*SURE, 0.0) == {"kept_share": 1.0, "kept_accuracy": 0.7}
    assert kept(*SURE, 1.0) == {"kept_share": 0.0}
