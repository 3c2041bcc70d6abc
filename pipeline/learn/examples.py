"""Examples: labelled texts as files hold them and as arrays."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.files import DataFileError, read_csv, write_csv, write_json
from pipeline.gold import read_gold
from pipeline.labels import SENTIMENTS
from pipeline.layout import PREPARED

SET_COLUMNS = ("text", "label", "weight", "source", "job_group")
SETS = ("train", "validation", "test_chunk", "test_base")


@dataclass(frozen=True, slots=True)
class Example:
    """A text with its label and weight. `source` is chunk-0007, feedback-0003, base or gold."""

    text: str
    label: int
    weight: float
    source: str
    job_group: str = ""


def gold_examples(root: Path = Path()) -> list[Example]:
    """The gold posts as examples. Raises DataFileError."""
    return [Example(post.text, post.label, 1.0, "gold", post.job_group) for post in read_gold(root)]


def write_sets(sets: dict[str, list[Example]], folder: Path, chunks: Sequence[str] = ()) -> None:
    """One CSV for each set, and `summary.json`: the chunks, oldest posts first, and counts by source and sentiment."""
    summary: dict[str, Any] = {"chunks": list(chunks)}
    for name in SETS:
        write_csv(folder / f"{name}.csv", (asdict(example) for example in sets[name]), SET_COLUMNS)
        summary[name] = {
            "rows": len(sets[name]),
            "sources": dict(sorted(Counter(e.source.split("-")[0] for e in sets[name]).items())),
            "labels": {SENTIMENTS[k]: n for k, n in sorted(Counter(e.label for e in sets[name]).items())},
        }
    write_json(folder / "summary.json", summary)


def read_set(name: str, root: Path = Path()) -> list[Example]:
    """A prepared set of `SETS`. Raises DataFileError."""
    rows = read_csv(root / PREPARED / f"{name}.csv", SET_COLUMNS)
    return [
        Example(row["text"], int(row["label"]), float(row["weight"]), row["source"], row["job_group"]) for row in rows
    ]


def read_chunk_order(root: Path = Path()) -> list[str]:
    """The chunks that the sets were made of, oldest posts first. Raises DataFileError."""
    path = root / PREPARED / "summary.json"
    try:
        return [str(number) for number in json.loads(path.read_text(encoding="utf-8"))["chunks"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataFileError(f"{path} can't be read ({error}): `dvc repro prepare` makes it") from None


def sample_weights(examples: Sequence[Example]) -> np.ndarray:
    """Each example's own weight times its class's, so that every mood weighs the same in total. Their mean is 1."""
    own = np.array([example.weight for example in examples])
    labels = label_array(examples)
    totals = np.array([max(own[labels == label].sum(), 1e-9) for label in range(3)])
    weights = own / totals[labels]
    return np.asarray(weights * (len(weights) / max(weights.sum(), 1e-9)))


def label_array(examples: Sequence[Example]) -> np.ndarray:
    """Labels, int64 of shape (examples,)."""
    return np.array([example.label for example in examples], dtype=np.int64)
