"""The release gate's rule: is the challenger good enough to be served? Pure functions of labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.evaluate.figures import NAMES, macro_f1
from pipeline.evaluate.stored import UNKNOWN
from pipeline.params import AtLeastOne, NotNegative, Share


@dataclass(frozen=True, slots=True)
class PromoteParams:
    """Section `promote` of params.yaml. What each value means, and its unit, stands beside it there."""

    seed: int
    bootstrap: AtLeastOne
    tolerance: NotNegative
    max_risk: Share
    max_risk_best: Share
    recall_floor: Share
    max_job_flips: Share


def worse_share(
    labels: np.ndarray,
    champion: np.ndarray,
    challenger: np.ndarray,
    *,
    tolerance: float,
    samples: int,
    seed: int,
) -> float:
    """In which share of paired bootstrap samples the challenger's macro-F1 is worse by more than `tolerance`.

    Arrays are predicted and true labels, shape (n,) (paired bootstrap: Berg-Kirkpatrick et al. 2012).
    """
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(labels), size=(samples, len(labels)))
    worse = [macro_f1(labels[d], challenger[d]) - macro_f1(labels[d], champion[d]) < -tolerance for d in draws]
    return float(np.mean(worse))


def decide(
    labels: np.ndarray,
    challenger: np.ndarray,
    champion: np.ndarray | None,
    smoke_error: str,
    params: PromoteParams,
    *,
    best: np.ndarray | None = None,
    unreadable: str = "",
    left_out: int = 0,
    job_flips: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The verdict, its reasons and the figures that it rests on.

    Arrays are labels on the gold texts that count, int64 (n,); -1 where a model was not asked. `champion` is None when
    there is none, `best` the best model that was ever served. `unreadable` says why this code can't load the champion.
    `left_out` gold texts do not count, as one of the models has learned them. `job_flips` are rows of job_flips.csv.
    """
    recalls = {
        name: round(float((challenger[labels == k] == k).mean()), 6) if (labels == k).any() else None
        for k, name in enumerate(NAMES)
    }
    figures: dict[str, Any] = {"recall": recalls, "gold_texts": len(labels), "gold_left_out": left_out}
    if len(labels):
        figures["challenger_macro_f1"] = round(macro_f1(labels, challenger), 6)
    broken = [f"smoke test: {smoke_error}"] if smoke_error else []
    if champion is None:
        reasons, won = [*broken, "there is no champion yet"], not broken
        return {"verdict": "promoted" if won else "rejected", "reasons": reasons, **figures}

    worse: list[str] = []
    if not len(labels):
        worse.append(
            f"data/gold holds no rows to compare on: all {left_out} were learned before"
            if left_out
            else "data/gold holds no rows to compare on"
        )
    for name, answers, risk, than in (
        ("champion", champion, params.max_risk, ""),
        ("best", best, params.max_risk_best, " than that of the best model ever served"),
    ):
        share = _compare(labels, challenger, answers, name, params, figures)
        if share > risk:
            worse.append(
                f"macro-F1 on gold is worse{than} by more than {params.tolerance} in {share:.0%} of bootstrap samples"
            )
    worse += _under_the_floor(recalls, params)
    worse += _about_one_job(job_flips, params)
    won = not broken and (bool(unreadable) or not worse)
    reasons = [*broken, *worse] or [
        "no worse than the champion on gold, every recall above its floor, smoke test passed"
    ]
    if unreadable:  # it can't be served, so it gives way: what the comparison says is told all the same
        reasons.insert(0, f"the champion gives way, as this code can't serve it: {unreadable}")
    return {"verdict": "promoted" if won else "rejected", "reasons": reasons, **figures}


def _compare(
    labels: np.ndarray,
    challenger: np.ndarray,
    other: np.ndarray | None,
    name: str,
    params: PromoteParams,
    figures: dict[str, Any],
) -> float:
    """In which share of samples the challenger is worse than another model; 0 where that was asked nothing.

    Notes both in `figures`.
    """
    asked = other != UNKNOWN if other is not None else np.zeros(0, dtype=bool)
    if other is None or not asked.any():
        return 0.0
    share = worse_share(
        labels[asked],
        other[asked],
        challenger[asked],
        tolerance=params.tolerance,
        samples=params.bootstrap,
        seed=params.seed,
    )
    figures[f"{name}_macro_f1"] = round(macro_f1(labels[asked], other[asked]), 6)
    figures["share_worse" if name == "champion" else "share_worse_than_best"] = round(share, 6)
    return share


def _under_the_floor(recalls: Mapping[str, float | None], params: PromoteParams) -> list[str]:
    return [
        f"recall of {name} is {recall:.3f}, under the floor {params.recall_floor}"
        for name, recall in recalls.items()
        if recall is not None and recall < params.recall_floor
    ]


def _about_one_job(rows: Sequence[Mapping[str, Any]], params: PromoteParams) -> list[str]:
    """Jobs whose name turns more answers to one label than the median job's, by over `max_job_flips`."""
    found = []
    for name in NAMES:
        shares = [int(row[f"to_{name}"]) / int(row["texts"]) for row in rows]
        median = float(np.median(shares)) if rows else 0.0
        found += [
            f"with the name {row['name']} in them {share:.0%} of {row['texts']} texts turn {name}, with the median "
            f"job's {median:.0%}: look at the corrections about {row['job']}; if they are right, raise "
            "promote.max_job_flips in params.yaml"
            for row, share in zip(rows, shares, strict=True)
            if share - median > params.max_job_flips
        ]
    return found
