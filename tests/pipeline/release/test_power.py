"""What gold can tell of two models: both errors bounded, more texts see more, a draw is settled by what differs."""

from typing import Any

import numpy as np
import pytest

from pipeline.evaluate.figures import macro_f1
from pipeline.release.power import Comparison, Verdict, compare, counts, decide

PARAMS = {
    "margin": 0.02,
    "false_release": 0.1,
    "false_reject": 0.05,
    "loss_weight": 1.0,
    "bootstrap": 1000,
    "seed": 20261122,
}
LABELS = np.repeat([0, 1, 2], [30, 150, 20])


def answers(wrong: dict[int, int], seed: int = 0) -> np.ndarray:
    """The labels, but so many of each mood answered with the next mood."""
    said = LABELS.copy()
    for mood, count in wrong.items():
        places = np.random.default_rng(seed).permutation(np.flatnonzero(mood == LABELS))[:count]
        said[places] = (mood + 1) % 3
    return said


def params(**change: Any) -> dict[str, Any]:
    return {**PARAMS, **change}


def judged(champion: np.ndarray, challenger: np.ndarray) -> Comparison:
    return compare(counts(LABELS, champion, challenger), PARAMS)


def test_the_difference_is_that_of_macro_f1() -> None:
    champion, challenger = answers({0: 8, 1: 30, 2: 6}), answers({0: 10, 1: 25, 2: 9}, seed=1)
    found = judged(champion, challenger)
    assert found.difference == pytest.approx(macro_f1(LABELS, challenger) - macro_f1(LABELS, champion))
    assert (found.texts, found.differing) == (200, int((champion != challenger).sum()))
    assert found.gain - found.loss == pytest.approx(found.difference, abs=0.01)


def test_it_does_not_depend_on_the_order_of_the_texts_and_is_the_same_each_time() -> None:
    champion, challenger = answers({0: 8, 1: 30}), answers({1: 25, 2: 9}, seed=1)
    order = np.random.default_rng(5).permutation(len(LABELS))
    again = compare(counts(LABELS[order], champion[order], challenger[order]), PARAMS)
    assert again == judged(champion, challenger)


def test_the_same_answers_on_much_gold_are_promoted_and_on_twenty_texts_a_draw() -> None:
    many = compare(counts(np.tile(LABELS, 5), *(np.tile(answers({0: 5, 1: 20}), 5),) * 2), PARAMS)
    assert decide(many, {}, PARAMS).verdict == "promoted"
    labels = np.array([0] * 3 + [1] * 15 + [2] * 2)
    few = compare(counts(labels, labels, labels), PARAMS)
    assert few.difference == 0
    assert few.standard_error > 0
    assert decide(few, {}, PARAMS).verdict == "draw"


def test_a_much_worse_challenger_is_rejected_and_a_better_one_promoted() -> None:
    bad, good = answers({0: 20, 1: 40, 2: 12}), answers({0: 5, 1: 20, 2: 3}, seed=1)
    rejected, promoted = decide(judged(good, bad), {}, PARAMS), decide(judged(bad, good), {}, PARAMS)
    assert (rejected.verdict, rejected.leaning) == ("rejected", "rejected")
    assert (promoted.verdict, promoted.leaning) == ("promoted", "promoted")
    assert "worse on gold with a probability of 100%" in rejected.reasons[0]
    assert any("would have been seen in 80% of cases" in reason for reason in promoted.reasons)


def test_what_is_better_on_gold_and_worse_elsewhere_is_shown_to_a_person() -> None:
    bad, good = answers({0: 20, 1: 40, 2: 12}), answers({0: 5, 1: 20, 2: 3}, seed=1)
    verdict = decide(judged(bad, good), {"corrections": judged(good, bad)}, PARAMS)
    assert verdict.verdict == "draw"
    assert verdict.leaning == "rejected"
    assert verdict.reasons[0] == "worse on corrections with a probability of 100%"
    assert decide(judged(bad, good), {"corrections": judged(bad, good)}, PARAMS).verdict == "promoted"


def test_a_draw_says_how_many_judgements_would_settle_it() -> None:
    found = judged(answers({0: 8, 1: 12, 2: 5}), answers({0: 8, 1: 12, 2: 5}, seed=1))
    verdict = decide(found, {}, PARAMS)
    assert verdict.verdict == "draw"
    needed = found.reviews_needed(PARAMS["margin"])
    assert needed > 0
    assert f"{needed} judged posts on which both differ would settle it" in verdict.reasons[-1]
    assert found.texts_needed(PARAMS["margin"]) > found.texts
    assert found.texts_needed(found.detectable_loss) == found.texts


def test_a_draw_leans_to_the_smaller_expected_loss() -> None:
    a, b = answers({0: 8, 1: 12, 2: 5}), answers({0: 7, 1: 12, 2: 5}, seed=1)
    better = decide(judged(a, b), {}, PARAMS)
    assert better == Verdict("draw", "promoted", better.reasons)
    assert decide(judged(a, b), {}, params(loss_weight=20.0)).leaning == "rejected"
    assert decide(judged(b, a), {}, PARAMS).leaning == "rejected"


def test_more_gold_sees_smaller_losses() -> None:
    table = counts(LABELS, answers({0: 8, 1: 12, 2: 5}), answers({0: 7, 1: 12, 2: 5}, seed=1))
    seen = [compare(table * times, PARAMS).detectable_loss for times in (1, 3, 9)]
    assert seen == sorted(seen, reverse=True)
    assert seen[0] / seen[2] == pytest.approx(3, rel=0.15)


def test_judgements_on_posts_on_which_both_differ_sharpen_the_answer_without_moving_it() -> None:
    gold = counts(LABELS, answers({0: 8, 1: 10, 2: 4}), answers({0: 9, 1: 14, 2: 5}, seed=1))
    reviewed = gold * 4
    reviewed[:, np.eye(3, dtype=bool)] = 0
    alone, helped = compare(gold, PARAMS), compare(gold, PARAMS, reviewed=reviewed)
    assert helped.standard_error < 0.75 * alone.standard_error
    assert helped.difference == pytest.approx(alone.difference)
    assert helped.reviewed == int(reviewed.sum())
    with pytest.raises(ValueError, match="some on which both models agree"):
        compare(gold, PARAMS, reviewed=gold)
