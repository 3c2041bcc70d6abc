"""Stored answers: what a released model said of each gold text, and what the best model ever served said.

They stand beside the model in `models/production/`. So a champion that this code can't load is compared all the same,
and a challenger is compared with the best that was ever served, not with yesterday's champion alone.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.evaluate.figures import NAMES
from pipeline.files import DataFileError, read_csv, write_csv, write_json
from pipeline.hashing import content_hash

ANSWERS_FILE = "gold_answers.csv"
STANDING_FILE = "standing.json"
COLUMNS = ("text_sha256", *NAMES, "best")
UNKNOWN = -1  # in place of a label


@dataclass(frozen=True)
class Standing:
    """Which model did best on gold of all that were served, and how many candidates were judged on this gold."""

    best: str  # its version
    best_macro_f1: float
    gold_sha256: str
    judged: int


@dataclass(frozen=True)
class Stored:
    """By a gold text's SHA-256: the model's probabilities, and the label that the best model gave."""

    probabilities: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    best: Mapping[str, int] = field(default_factory=dict)
    standing: Standing | None = None

    def probabilities_of(self, texts: Sequence[str]) -> np.ndarray:
        """The model's probabilities, float64 (texts, 3); NaN where it was not asked."""
        nothing = (float("nan"),) * 3
        rows = [self.probabilities.get(content_hash(text), nothing) for text in texts]
        return np.array(rows, dtype=np.float64).reshape(len(texts), 3)

    def best_of(self, texts: Sequence[str]) -> np.ndarray:
        """The best model's labels, int64 (texts,); -1 where it was not asked."""
        return np.array([self.best.get(content_hash(text), UNKNOWN) for text in texts], dtype=np.int64)


def read_stored(folder: Path) -> Stored:
    """From a model's folder; empty where the model was released before answers were kept. Raises DataFileError."""
    answers, standing = folder / ANSWERS_FILE, folder / STANDING_FILE
    if not answers.exists() or not standing.exists():
        return Stored()
    try:
        rows = read_csv(answers, COLUMNS)
        return Stored(
            {row["text_sha256"]: tuple(float(row[name]) for name in NAMES) for row in rows if row[NAMES[0]]},
            {row["text_sha256"]: int(row["best"]) for row in rows if row["best"]},
            Standing(**json.loads(standing.read_text(encoding="utf-8"))),
        )
    except (OSError, ValueError, TypeError) as error:
        raise DataFileError(f"{answers} or {standing} can't be read ({error}): `dvc checkout {folder}`") from None


def write_stored(
    folder: Path, hashes: Sequence[str], probabilities: np.ndarray, best: np.ndarray, standing: Standing
) -> None:
    """Write both files. `hashes` are the gold texts'; `probabilities` (texts, 3) may be NaN, `best` (texts,) -1."""
    rows: list[dict[str, Any]] = []
    for text_sha256, said, label in zip(hashes, probabilities, best.tolist(), strict=True):
        row: dict[str, Any] = {"text_sha256": text_sha256, **dict.fromkeys(NAMES), "best": None}
        if not np.isnan(said).any():
            row |= {name: round(float(value), 6) for name, value in zip(NAMES, said, strict=True)}
        if label != UNKNOWN:
            row["best"] = label
        rows.append(row)
    write_csv(folder / ANSWERS_FILE, rows, COLUMNS)
    write_json(
        folder / STANDING_FILE,
        {
            "best": standing.best,
            "best_macro_f1": standing.best_macro_f1,
            "gold_sha256": standing.gold_sha256,
            "judged": standing.judged,
        },
    )


def gold_digest(hashes: Sequence[str], labels: Sequence[str]) -> str:
    """Names a state of the gold: the texts and their labels, in whatever order."""
    return content_hash("\n".join(sorted(f"{text} {label}" for text, label in zip(hashes, labels, strict=True))))
