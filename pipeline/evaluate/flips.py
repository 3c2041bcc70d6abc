"""Which test texts candidate and champion judge differently, and who is right: rows for people to look at."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.files import formula_safe
from pipeline.labels import SENTIMENTS
from pipeline.learn.examples import Example

COLUMNS = (
    "set",
    "row",
    "label",
    "champion",
    "champion_confidence",
    "candidate",
    "candidate_confidence",
    "change",
    "excerpt",
)
CHANGES = ("better", "worse", "other")  # other: both are wrong, in different ways
_EXCERPT = 60  # characters


def excerpt(text: str) -> str:
    """A post's title (the first line), at most 60 characters: enough to find a text again, never the whole post.

    People open these lists in spreadsheets: no title is a formula there.
    """
    first = text.split("\n", 1)[0]
    return str(formula_safe(first if len(first) <= _EXCERPT else first[: _EXCERPT - 1].rstrip() + "…"))


def flip_rows(
    set_name: str, examples: Sequence[Example], champion: np.ndarray, candidate: np.ndarray
) -> list[dict[str, Any]]:
    """A row for each text whose answer changed. Both arrays are probabilities, shape (examples, 3)."""
    before, after = champion.argmax(axis=1), candidate.argmax(axis=1)
    rows = []
    for i in np.flatnonzero(before != after).tolist():
        example = examples[i]
        change = "better" if after[i] == example.label else "worse" if before[i] == example.label else "other"
        rows.append(
            {
                "set": set_name,
                "row": i,
                "label": SENTIMENTS[example.label],
                "champion": SENTIMENTS[before[i]],
                "champion_confidence": round(float(champion[i].max()), 6),
                "candidate": SENTIMENTS[after[i]],
                "candidate_confidence": round(float(candidate[i].max()), 6),
                "change": change,
                "excerpt": excerpt(example.text),
            }
        )
    return rows


def count_flips(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """How many changes were better, worse and other."""
    counts = Counter(row["change"] for row in rows)
    return {change: counts[change] for change in CHANGES}
