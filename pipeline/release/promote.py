"""Promote: the release gate. Champion + candidate + judgements -> `models/production/` and `models/decision.json`.

Pure: it looks at files and params only. The challenger wins when there is no champion to compare with, or when
on gold its macro-F1 is not worse by more than `tolerance` (paired bootstrap), no mood's recall is under its floor
and it passed the smoke test (which `evaluate` makes, as it has the model in memory). Otherwise production stays the
champion. `python -m pipeline.release.promote`.
"""

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import errors
from pipeline.evaluate.figures import NAMES, macro_f1
from pipeline.files import DataFileError, read_csv, write_json
from pipeline.layout import CANDIDATE, CARD_FILE, CHAMPION, DECISION_FILE, EVALUATION, PRODUCTION, SMOKE_FILE
from pipeline.model.folder import METADATA_FILE, has_champion, read_metadata
from pipeline.params import AtLeastOne, NotNegative, Share, read_params


@dataclass(frozen=True, slots=True)
class PromoteParams:
    """Section `promote` of params.yaml. What each value means, and its unit, stands beside it there."""

    seed: int
    bootstrap: AtLeastOne
    tolerance: NotNegative
    max_risk: Share
    recall_floor: Share


PRODUCTION_CARD = "EVALUATION.md"  # the evaluation card, beside the model it is about


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
) -> dict[str, Any]:
    """The verdict and its reasons. Arrays are labels on gold, shape (n,); champion None: there is none."""
    reasons: list[str] = []
    if smoke_error:
        reasons.append(f"smoke test: {smoke_error}")
    recalls = {
        name: round(float((challenger[labels == k] == k).mean()), 6) if (labels == k).any() else None
        for k, name in enumerate(NAMES)
    }
    figures: dict[str, Any] = {"recall": recalls}
    if len(labels):
        figures["challenger_macro_f1"] = round(macro_f1(labels, challenger), 6)
    if champion is None:
        won = not smoke_error
        reasons.append("there is no champion yet")
    else:
        if not len(labels):
            reasons.append("data/gold holds no rows to compare on")
        else:
            share = worse_share(
                labels,
                champion,
                challenger,
                tolerance=params.tolerance,
                samples=params.bootstrap,
                seed=params.seed,
            )
            figures["champion_macro_f1"] = round(macro_f1(labels, champion), 6)
            figures["share_worse"] = round(share, 6)
            if share > params.max_risk:
                reasons.append(
                    f"macro-F1 on gold is worse by more than {params.tolerance} in {share:.0%} of bootstrap samples"
                )
            for name, recall in recalls.items():
                if recall is not None and recall < params.recall_floor:
                    reasons.append(f"recall of {name} is {recall:.3f}, under the floor {params.recall_floor}")
        won = not reasons
        if won:
            reasons.append("no worse than the champion on gold, every recall above its floor, smoke test passed")
    return {"verdict": "promoted" if won else "rejected", "reasons": reasons, **figures}


def smoke_error() -> str:
    """What `evaluate` found when it asked the candidate; empty when it answers sensibly. Raises DataFileError."""
    path = EVALUATION / SMOKE_FILE
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["error"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataFileError(f"{path} can't be read ({error}): `dvc repro evaluate` makes it") from None


def write_production() -> dict[str, Any]:
    """Decide, fill `models/production/` with the winner, write the decision. Returns the decision."""
    rows = read_csv(EVALUATION / "gold.csv", ["label", *(f"candidate_{name}" for name in NAMES)])
    labels = np.array([int(row["label"]) for row in rows], dtype=np.int64)

    def predicted(model: str) -> np.ndarray:
        values = [[float(row[f"{model}_{name}"]) for name in NAMES] for row in rows]
        return np.array(values).reshape(len(rows), 3).argmax(axis=1)

    champion = predicted("champion") if has_champion() else None
    decision = decide(labels, predicted("candidate"), champion, smoke_error(), read_params("promote", PromoteParams))
    decision["challenger"] = read_metadata(CANDIDATE)["version"]
    decision["champion"] = read_metadata(CHAMPION)["version"] if champion is not None else None
    if decision["verdict"] == "rejected" and champion is None:
        raise DataFileError(f"the first model can't be served: {'; '.join(decision['reasons'])}")
    winner = CANDIDATE if decision["verdict"] == "promoted" else CHAMPION
    decision["production"] = read_metadata(winner)["version"]
    # The champion's folder has its own card: it is a copy of what was in production.
    card = {PRODUCTION_CARD: EVALUATION / CARD_FILE} if winner == CANDIDATE else {}
    replace_folder(winner, PRODUCTION, card)
    write_json(DECISION_FILE, decision)
    return decision


def replace_folder(source: Path, target: Path, more: Mapping[str, Path] | None = None) -> None:
    """Make `target` a copy of `source` with `more` files by name.

    metadata.json is written last, so that readers swap to a whole model.
    """
    target.mkdir(parents=True, exist_ok=True)
    wanted = {path.name: path for path in source.iterdir()} | dict(more or {})
    for name in sorted(wanted, key=lambda name: (name == METADATA_FILE, name)):
        temporary = target / f".{name}.tmp"
        shutil.copyfile(wanted[name], temporary)
        temporary.replace(target / name)
    for path in target.iterdir():
        if path.name not in wanted:
            path.unlink()


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -m pipeline.release.promote`."""
    argparse.ArgumentParser(prog="python -m pipeline.release.promote", description=__doc__).parse_args(arguments)
    decision = write_production()
    print(f"{decision['verdict']}: {'; '.join(decision['reasons'])}")


if __name__ == "__main__":
    errors.run(main)
