"""The worlds of the gate's operating curve are what they say, and both rules do in them what they promise."""

import numpy as np
import pytest

from benchmarks.operating_curve import MIXES, PARAMS, TOLERANCE, before, ours, population, true_difference
from pipeline.evaluate.figures import macro_f1


def worse_share(labels: np.ndarray, champion: np.ndarray, challenger: np.ndarray, seed: int) -> float:
    """As the gate had it: in which share of samples of texts the challenger is worse by more than the tolerance."""
    draws = np.random.default_rng(seed).integers(0, len(labels), size=(400, len(labels)))
    return float(
        np.mean([macro_f1(labels[d], challenger[d]) - macro_f1(labels[d], champion[d]) < -TOLERANCE for d in draws])
    )


def test_the_benchmarks_worlds_are_what_they_say() -> None:
    for mix in MIXES.values():
        for difference in (-0.05, -0.03, 0.0, 0.05):
            shares = population(mix, difference)
            assert shares.min() >= 0
            assert shares.sum() == pytest.approx(1)
            assert shares.sum(axis=(1, 2)) == pytest.approx(mix)
            assert true_difference(shares) == pytest.approx(difference, abs=1e-4)
            assert 1 - np.einsum("yaa->", shares) == pytest.approx(0.12, abs=1e-3)


def test_the_rule_before_is_the_one_that_the_gate_had() -> None:
    """By cells instead of texts: the same answer wherever it isn't a matter of the draw."""
    for seed in range(12):
        gold = np.random.default_rng(seed).multinomial(300, population(MIXES["balanced"], -0.02).ravel())
        labels, first, second = (np.repeat(numbers, gold) for numbers in np.indices((3, 3, 3)).reshape(3, -1))
        share = worse_share(labels, first, second, seed)
        if abs(share - 0.5) > 0.1:
            said = before(gold.reshape(3, 3, 3), gold, np.random.default_rng(seed))
            assert said == ("promoted" if share <= 0.5 else "rejected")


@pytest.mark.parametrize("texts", [160, 500])
def test_both_errors_are_bounded(texts: int) -> None:
    """Of 200 worlds: one worse by the margin is let through in 10 % of cases, an equal one rejected in 5 %."""
    rule = ours({**PARAMS, "bootstrap": 400})
    shares = {}
    for difference in (-PARAMS["margin"], 0.0):
        truth = population(MIXES["neutral"], difference)
        said = [
            rule(
                np.random.default_rng(seed).multinomial(texts, truth.ravel()).reshape(3, 3, 3),
                truth,
                np.random.default_rng(seed),
            )
            for seed in range(200)
        ]
        shares[difference] = {verdict: said.count(verdict) / len(said) for verdict in ("promoted", "rejected")}
    assert shares[-PARAMS["margin"]]["promoted"] <= 0.15
    assert shares[0.0]["rejected"] <= 0.1
