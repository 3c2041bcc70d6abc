"""Promote: the release gate. Champion + candidate + judgements -> `models/production/` and `models/decision.json`.

Pure: it looks at files and params only. The challenger wins when there is no champion to compare with, or when
on gold its macro-F1 is not worse by more than `tolerance` (paired bootstrap), no mood's recall is under its floor
and it answers a smoke test. Otherwise production stays the champion. `python -m pipeline.promote`.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import settings, stage
from pipeline.champion import CHAMPION, has_champion
from pipeline.classifier import PRODUCTION, Classifier, read_metadata
from pipeline.evaluate import EVALUATION, NAMES, macro_f1
from pipeline.files import DataFileError, read_csv, write_json
from pipeline.train import CANDIDATE

DECISION_FILE = Path("models/decision.json")
_SMOKE = ("이번 패치 진짜 최고다 너무 재밌어", "사냥터 추천 좀 해주세요", "버그투성이에 하향까지 노답이네")


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
    params: dict[str, Any],
) -> dict[str, Any]:
    """The verdict and its reasons. Arrays are labels on gold, shape (n,); champion None: there is none.

    Params (section `promote`): tolerance, max_risk, recall_floor, bootstrap, seed.
    """
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
                tolerance=params["tolerance"],
                samples=params["bootstrap"],
                seed=params["seed"],
            )
            figures["champion_macro_f1"] = round(macro_f1(labels, champion), 6)
            figures["share_worse"] = round(share, 6)
            if share > params["max_risk"]:
                reasons.append(
                    f"macro-F1 on gold is worse by more than {params['tolerance']} in {share:.0%} of bootstrap samples"
                )
            for name, recall in recalls.items():
                if recall is not None and recall < params["recall_floor"]:
                    reasons.append(f"recall of {name} is {recall:.3f}, under the floor {params['recall_floor']}")
        won = not reasons
        if won:
            reasons.append("no worse than the champion on gold, every recall above its floor, smoke test passed")
    return {"verdict": "promoted" if won else "rejected", "reasons": reasons, **figures}


def smoke_test(folder: Path) -> str:
    """Empty when the model loads and answers sensibly; else what went wrong."""
    try:
        probabilities = Classifier.load(folder).probabilities(_SMOKE)
    except (DataFileError, OSError, ValueError) as error:
        return f"it does not load: {error}"
    if not np.isfinite(probabilities).all() or not np.allclose(probabilities.sum(axis=1), 1, atol=1e-6):
        return "its probabilities are not finite or do not sum to one"
    if np.allclose(probabilities, probabilities[0], atol=1e-6):
        return "it answers every text alike"
    return ""


def write_production() -> dict[str, Any]:
    """Decide, fill `models/production/` with the winner, write the decision. Returns the decision."""
    rows = read_csv(EVALUATION / "gold.csv", ["label", *(f"candidate_{name}" for name in NAMES)])
    labels = np.array([int(row["label"]) for row in rows], dtype=np.int64)

    def predicted(model: str) -> np.ndarray:
        values = [[float(row[f"{model}_{name}"]) for name in NAMES] for row in rows]
        return np.array(values).reshape(len(rows), 3).argmax(axis=1)

    champion = predicted("champion") if has_champion() else None
    decision = decide(labels, predicted("candidate"), champion, smoke_test(CANDIDATE), settings.params("promote"))
    decision["challenger"] = read_metadata(CANDIDATE)["version"]
    decision["champion"] = read_metadata(CHAMPION)["version"] if champion is not None else None
    if decision["verdict"] == "rejected" and champion is None:
        raise DataFileError(f"the first model can't be served: {'; '.join(decision['reasons'])}")
    winner = CANDIDATE if decision["verdict"] == "promoted" else CHAMPION
    decision["production"] = read_metadata(winner)["version"]
    replace_folder(winner, PRODUCTION)
    write_json(DECISION_FILE, decision)
    return decision


def replace_folder(source: Path, target: Path) -> None:
    """Make `target` a copy of `source`; its metadata.json is written last, so that readers swap to a whole model."""
    target.mkdir(parents=True, exist_ok=True)
    wanted = sorted((p for p in source.iterdir()), key=lambda p: p.name == "metadata.json")
    for path in wanted:
        temporary = target / f".{path.name}.tmp"
        shutil.copyfile(path, temporary)
        temporary.replace(target / path.name)
    for path in target.iterdir():
        if path.name not in {p.name for p in wanted}:
            path.unlink()


def main() -> None:
    """`python -m pipeline.promote`."""
    decision = write_production()
    print(f"{decision['verdict']}: {'; '.join(decision['reasons'])}")


if __name__ == "__main__":
    stage.run(main)
