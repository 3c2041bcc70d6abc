"""Promote: the release gate. Champion + candidate + judgements -> `models/production/` and `models/decision.json`.

Pure: it looks at files and params only. The challenger wins when there is no champion to compare with, or when

- on gold its macro-F1 is no worse than the champion's (paired bootstrap: `tolerance`, `max_risk`),
- nor clearly worse than that of the best model that was ever served (`max_risk_best`): many small losses would add up,
- no label's recall on gold is under its floor,
- no job's name changes answers that other jobs' names leave as they were (`max_job_flips`),
- and it passed the smoke test (which `evaluate` makes, as it has the model in memory).

Otherwise production stays the champion. A champion that this code can't load can't be served: it is compared by its
stored answers, which are told, and gives way. `python -m pipeline.release.promote`.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import errors
from pipeline.evaluate.figures import NAMES, macro_f1
from pipeline.evaluate.stored import (
    ANSWERS_FILE,
    STANDING_FILE,
    UNKNOWN,
    Standing,
    gold_digest,
    read_stored,
    write_stored,
)
from pipeline.files import DataFileError, read_csv, write_json
from pipeline.layout import (
    CANDIDATE,
    CARD_FILE,
    CHAMPION,
    DECISION_FILE,
    EVALUATION,
    JOB_FLIPS_FILE,
    PRODUCTION,
    SMOKE_FILE,
)
from pipeline.model.folder import METADATA_FILE, has_champion, read_metadata
from pipeline.params import read_params
from pipeline.release.gate import PromoteParams, decide

PRODUCTION_CARD = "EVALUATION.md"  # the evaluation card, beside the model it is about


@dataclass(frozen=True)
class Judgements:
    """What `evaluate` found, as `decide` takes it, and the rows of its gold.csv."""

    rows: list[dict[str, str]]
    labels: np.ndarray
    challenger: np.ndarray
    champion: np.ndarray | None
    best: np.ndarray
    smoke_error: str
    unreadable: str
    job_flips: list[dict[str, str]]

    @property
    def left_out(self) -> int:
        """How many gold texts do not count."""
        return len(self.rows) - len(self.labels)


def _read_smoke() -> dict[str, str]:
    """What `evaluate` found when it asked the candidate and loaded the champion. Raises DataFileError."""
    path = EVALUATION / SMOKE_FILE
    try:
        tests: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        tests["error"]
        return tests
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataFileError(f"{path} can't be read ({error}): `dvc repro evaluate` makes it") from None


def read_judgements() -> Judgements:
    """Read what `evaluate` wrote. Raises DataFileError."""
    columns = ["label", "left_out", "text_sha256", "best", *(f"candidate_{name}" for name in NAMES)]
    rows = read_csv(EVALUATION / "gold.csv", columns)
    counted = [row for row in rows if row["left_out"] == "0"]
    tests = _read_smoke()
    return Judgements(
        rows=rows,
        labels=np.array([int(row["label"]) for row in counted], dtype=np.int64),
        challenger=_answers(counted, "candidate"),
        champion=_answers(counted, "champion") if has_champion() else None,
        best=_best(counted),
        smoke_error=str(tests["error"]),
        unreadable=str(tests.get("champion_unreadable", "")),
        job_flips=read_csv(EVALUATION / JOB_FLIPS_FILE, ["job", "name", "texts", *(f"to_{name}" for name in NAMES)]),
    )


def _best(rows: Sequence[Mapping[str, str]]) -> np.ndarray:
    """The labels by the best model ever served, int64 (rows,); -1 where it was not asked."""
    return np.array([int(row["best"] or UNKNOWN) for row in rows], dtype=np.int64)


def _probabilities(rows: Sequence[Mapping[str, str]], role: str) -> np.ndarray:
    """A model's probabilities, float64 (rows, 3); NaN where it was not asked."""
    values = [[float(row[f"{role}_{name}"] or "nan") for name in NAMES] for row in rows]
    return np.array(values, dtype=np.float64).reshape(len(rows), 3)


def _answers(rows: Sequence[Mapping[str, str]], role: str) -> np.ndarray:
    """A model's labels, int64 (rows,); -1 where it was not asked."""
    said = _probabilities(rows, role)
    return np.where(np.isnan(said).any(axis=1), UNKNOWN, np.nan_to_num(said).argmax(axis=1))


def write_production() -> dict[str, Any]:
    """Decide, fill `models/production/` with the winner, write the decision. Returns the decision."""
    found = read_judgements()
    decision = decide(
        found.labels,
        found.challenger,
        found.champion,
        found.smoke_error,
        read_params("promote", PromoteParams),
        best=found.best,
        unreadable=found.unreadable,
        left_out=found.left_out,
        job_flips=found.job_flips,
    )
    decision["challenger"] = read_metadata(CANDIDATE)["version"]
    decision["champion"] = read_metadata(CHAMPION)["version"] if found.champion is not None else None
    if decision["verdict"] == "rejected" and found.champion is None:
        raise DataFileError(f"the first model can't be served: {'; '.join(decision['reasons'])}")
    won = decision["verdict"] == "promoted"
    winner = CANDIDATE if won else CHAMPION
    decision["production"] = read_metadata(winner)["version"]

    best, standing = stand(found, won, str(decision["production"]), read_stored(CHAMPION).standing)
    decision |= {"best": standing.best, "judged_on_this_gold": standing.judged}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        said = _probabilities(found.rows, "candidate" if won else "champion")
        write_stored(folder, [row["text_sha256"] for row in found.rows], said, best, standing)
        more = {file: folder / file for file in (ANSWERS_FILE, STANDING_FILE)}
        if won:  # the champion's folder has its own card: it is a copy of what was in production
            more[PRODUCTION_CARD] = EVALUATION / CARD_FILE
        replace_folder(winner, PRODUCTION, more)
    write_json(DECISION_FILE, decision)
    return decision


def stand(found: Judgements, won: bool, version: str, before: Standing | None) -> tuple[np.ndarray, Standing]:
    """The best model ever served, after this decision: its labels, int64 (gold rows,), and what is noted of it.

    `version` is in production now. It is the best when it beats the best so far on the texts that both were asked, or
    when there are no such texts.
    """
    digest = gold_digest([row["text_sha256"] for row in found.rows], [row["label"] for row in found.rows])
    judged = before.judged + 1 if before and before.gold_sha256 == digest else 1
    served = found.challenger if won or found.champion is None else found.champion
    both = (found.best != UNKNOWN) & (served != UNKNOWN)
    if before and both.any():
        so_far = macro_f1(found.labels[both], found.best[both])
        if macro_f1(found.labels[both], served[both]) <= so_far:
            return _best(found.rows), Standing(before.best, round(so_far, 6), digest, judged)
    asked = served != UNKNOWN
    reached = macro_f1(found.labels[asked], served[asked]) if asked.any() else 0.0
    answers = _answers(found.rows, "candidate" if won else "champion")
    return answers, Standing(version, round(reached, 6), digest, judged)


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
