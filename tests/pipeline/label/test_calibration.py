"""Dividing a model's lean to a word, and its too great or too small certainty, out of its answers."""

import math
import random

import pytest

from pipeline.label.calibration import FOLDS, Calibration, Calibrations, fit, fold_of
from pipeline.live.records import Answer


def answer(*odds: float) -> Answer:
    scores = tuple(value / sum(odds) for value in odds)
    return Answer(0, scores[0], scores)  # type: ignore[arg-type]


def leaning(count: int, seed: int = 0) -> list[tuple[Answer, int]]:
    """Answers of a model that knows the label three times in four, but says 0 to all, with a flat probability."""
    rng = random.Random(seed)
    known = []
    for number in range(count):
        seen = number % 3 if rng.random() < 0.75 else rng.randrange(3)
        known.append((answer(*(base * (1.5 if i == seen else 1.0) for i, base in enumerate((6, 1, 1)))), number % 3))
    return known


def test_the_lean_is_divided_out() -> None:
    known = leaning(300)
    assert {one.label for one, _ in known} == {0}
    whole = fit(known)
    assert whole is not None
    right = sum(whole(one).label == label for one, label in known) / len(known)
    assert right > 0.75
    assert whole.scale > 3, "its probabilities differ less than they should"
    sure = sum(whole(one).confidence or 0 for one, _ in known) / len(known)
    assert sure == pytest.approx(right, abs=0.05), "as sure as it is right"


def test_it_is_pure_arithmetic() -> None:
    doubled = Calibration(2.0, (0.0, math.log(4), 0.0))
    weighed = doubled(answer(0.5, 0.3, 0.2))
    assert weighed.label == 1
    assert weighed.confidence == pytest.approx(0.36 / (0.25 + 0.36 + 0.04))
    assert weighed.scores == (0.5, 0.3, 0.2)
    assert doubled(Answer(None, note="x")) == Answer(None, note="x")
    assert doubled(Answer(2)) == Answer(2)
    assert doubled(answer(0.0, 0.0, 1.0)).label == 2
    assert fit([(Answer(1), 1)]) is None
    assert fit(leaning(36)) == fit(leaning(36))


def test_answers_that_are_right_and_sure_stay_so() -> None:
    known = [(answer(*(0.98 if i == label else 0.01 for i in range(3))), label) for label in (0, 1, 2) * 12]
    whole = fit(known)
    assert whole is not None
    assert all(whole(one).label == label and (whole(one).confidence or 0) > 0.97 for one, label in known)


def test_a_gold_text_is_not_calibrated_by_its_own_label() -> None:
    texts = leaning(36)
    gold = {f"골드 {number}": pair for number, pair in enumerate(leaning(30, seed=1))}
    both = Calibrations(texts, gold)
    assert both.whole == fit([*texts, *gold.values()])
    for text, (one, _) in gold.items():
        others = [pair for other, pair in gold.items() if fold_of(other) != fold_of(text)]
        without = fit([*texts, *others])
        assert without is not None
        assert both(text, one) == without(one)
        assert both("another text", one) == both.whole(one)  # type: ignore[misc]
    assert len({fold_of(text) for text in gold}) == FOLDS
    assert Calibrations()("any", texts[0][0]) == texts[0][0]
