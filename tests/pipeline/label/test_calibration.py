"""Dividing a model's lean to a word out of its answers."""

import pytest

from pipeline.label.answer import Answer
from pipeline.label.calibration import calibrated, prior_of


def test_calibration_is_pure_arithmetic() -> None:
    given = [Answer(0, 0.8, (0.8, 0.1, 0.1)), Answer(0, 0.4, (0.4, 0.3, 0.3)), Answer(None, note="x")]
    prior = prior_of(given)
    assert prior == pytest.approx((0.6, 0.2, 0.2))
    weighed = calibrated(given[1], prior)
    assert weighed.label == 1
    assert weighed.confidence == pytest.approx((0.3 / 0.2) / (0.4 / 0.6 + 0.3 / 0.2 + 0.3 / 0.2))
    assert weighed.scores == given[1].scores
    assert calibrated(given[2], prior) == given[2]
    assert prior_of([Answer(1)]) is None
    certain = prior_of([Answer(2, 1.0, (0.0, 0.0, 1.0))])
    assert calibrated(Answer(0, 1.0, (1.0, 0.0, 0.0)), certain).label == 0
