"""What a gold set can tell of two models: how likely one is worse, which loss would have been seen, and a verdict.

Pure functions of counts. Both models have answered the same texts, so that only those count on which they differ
(paired). The difference in macro-F1 has a posterior by the Bayesian bootstrap (Rubin 1981, doi 10.1214/aos/1176345338),
with a trace of doubt in every cell, so that twenty texts without a difference prove nothing.

The two errors are bounded each by itself. A challenger that is worse by `margin` (non-inferiority, as drug trials have
it: Wellek 2010) is let through in `false_release` of cases, an equal one is sent away in `false_reject` of cases, with
gold of any size. What the size decides is how often neither can be said: that is a draw, the champion stays, and a
person is shown the posts on which both differ. Their judgements (`reviewed`) settle it with far fewer texts than more
gold would take (`benchmarks/operating_curve.py`). A draw leans to the side with the smaller expected loss, which may
decide where nobody is there to ask.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from pipeline.evaluate.figures import f1_of

POWER = 0.8  # of seeing the loss that `detectable_loss` names
_DOUBT = 0.05  # of a text in each of the 27 cells: less than one text on which both differ


def counts(labels: np.ndarray, champion: np.ndarray, challenger: np.ndarray) -> np.ndarray:
    """How many texts of each label (first) got each pair of answers, shape (3, 3, 3), from arrays of shape (n,)."""
    return np.bincount(9 * labels + 3 * champion + challenger, minlength=27).reshape(3, 3, 3)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A challenger beside a champion on one set of texts that people judged. Differences are of macro-F1, 0 to 1."""

    texts: int
    differing: int  # of them, both models' answers differ
    reviewed: int  # judged since, among other posts on which both differ
    difference: float  # challenger minus champion
    standard_error: float
    worse: float  # probability that it is worse at all
    much_worse: float  # probability that it is worse by more than the margin
    gain: float  # expected: of the difference where it is above 0 …
    loss: float  # … and where it is below
    detectable_loss: float  # true loss that is taken for one in 80 of 100 cases

    def texts_needed(self, loss: float) -> int:
        """How many such texts would show that loss in 80 of 100 cases, those there are included."""
        return math.ceil(self.texts * (self.detectable_loss / loss) ** 2)

    def reviews_needed(self, loss: float) -> int:
        """How many more posts on which both differ would do that instead."""
        known = self.differing + self.reviewed
        return max(0, math.ceil(known * ((self.detectable_loss / loss) ** 2 - 1)))


@dataclass(frozen=True, slots=True)
class Verdict:
    """`verdict`: promoted, rejected or draw (the champion stays until a person says otherwise); `reasons` say why.

    `leaning`: promoted or rejected, of a draw too.
    """

    verdict: str
    leaning: str
    reasons: tuple[str, ...]


def compare(table: np.ndarray, params: Mapping[str, Any], *, reviewed: np.ndarray | None = None) -> Comparison:
    """Compare by `counts` of a random sample of texts, at least one.

    `reviewed`: counts of other posts on which both differ, drawn at random among all such posts and judged by people.
    They say how the differing posts of the sample fall, not how many differ. Params (section `promote`): margin,
    false_reject, bootstrap (draws), seed.
    """
    more = np.zeros((3, 3, 3)) if reviewed is None else np.asarray(reviewed, dtype=np.float64)
    if np.einsum("yaa->", more):
        raise ValueError("among the reviewed posts are some on which both models agree")
    rng = np.random.default_rng(params["seed"])
    drawn = rng.standard_gamma(table + _DOUBT, size=(params["bootstrap"], 3, 3, 3))
    agree = np.eye(3, dtype=bool)
    if more.any():
        # Of all that differ, in the sample and reviewed since: which way. How many differ is known from the sample.
        ways = rng.standard_gamma(table + more + _DOUBT, size=drawn.shape)[..., ~agree]
        share = drawn[..., ~agree].sum(axis=(1, 2), keepdims=True) / ways.sum(axis=(1, 2), keepdims=True)
        drawn[..., ~agree] = ways * share
    differences = _difference(drawn)
    together = table.astype(np.float64)
    if more.any():
        known = table + more
        together[:, ~agree] = known[:, ~agree] * table[:, ~agree].sum() / known[:, ~agree].sum()
    spread = float(differences.std())
    return Comparison(
        texts=int(table.sum()),
        differing=int(table[:, ~agree].sum()),
        reviewed=int(more.sum()),
        difference=float(_difference(together)),
        standard_error=spread,
        worse=float((differences < 0).mean()),
        much_worse=float((differences < -params["margin"]).mean()),
        gain=float(np.maximum(differences, 0).mean()),
        loss=float(np.maximum(-differences, 0).mean()),
        detectable_loss=float(norm.ppf(1 - params["false_reject"]) + norm.ppf(POWER)) * spread,
    )


def decide(gold: Comparison, others: Mapping[str, Comparison], params: Mapping[str, Any]) -> Verdict:
    """The verdict on a challenger by gold, with the `others` (by name) as witnesses against it.

    Rejected: worse on gold with a probability of 1 - false_reject. Promoted: worse by `margin` with a probability of at
    most false_release, and on none of the others worse with a probability of 1 - false_reject. Everything else is a
    draw; it leans to promoted where the expected gain is at least `loss_weight` times the expected loss. Params as for
    `compare`, and false_release, loss_weight.
    """
    sure = 1 - params["false_reject"]
    seen = f"a loss of {gold.detectable_loss:.3f} would have been seen in {POWER:.0%} of cases"
    if gold.worse >= sure:
        return Verdict("rejected", "rejected", (f"worse on gold with a probability of {gold.worse:.0%}", seen))
    against = [
        f"worse on {name} with a probability of {one.worse:.0%}" for name, one in others.items() if one.worse >= sure
    ]
    leaning = "promoted" if not against and gold.gain >= params["loss_weight"] * gold.loss else "rejected"
    if gold.much_worse > params["false_release"]:
        more = f"{gold.reviews_needed(params['margin'])} judged posts on which both differ would settle it"
        doubt = f"worse on gold by more than {params['margin']} with a probability of {gold.much_worse:.0%}"
        return Verdict("draw", leaning, (doubt, *against, seen, more))
    if against:
        return Verdict("draw", leaning, (*against, "not worse on gold", seen))
    return Verdict("promoted", "promoted", (f"not worse on gold by more than {params['margin']}", seen))


def _difference(tables: np.ndarray) -> np.ndarray:
    """Macro-F1 of the challenger minus the champion's, from tables of shape (..., 3, 3, 3)."""
    return np.asarray(f1_of(tables.sum(axis=-2)).mean(axis=-1) - f1_of(tables.sum(axis=-1)).mean(axis=-1))
