"""Where a model is good and where not: its figures by job group and by length of the text, as rows for a CSV."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.evaluate.figures import interval, macro_f1, rounded
from pipeline.evaluate.params import EvaluateParams
from pipeline.learn.examples import Example

COLUMNS = ("set", "by", "slice", "rows", "model", "accuracy", "macro_f1", "macro_f1_low", "macro_f1_high")
NO_GROUP = "none"


def length_name(characters: int, bounds: Sequence[int]) -> str:
    """Short, medium or long: under the first of the two bounds, under the second, and the rest."""
    short, long = bounds
    return "short" if characters < short else "medium" if characters < long else "long"


def slice_rows(
    set_name: str, examples: Sequence[Example], judged: Mapping[str, np.ndarray], params: EvaluateParams
) -> list[dict[str, Any]]:
    """One row for each slice and model. `judged` are the models' probabilities, shape (examples, 3).

    macro-F1 is the mean over the labels that occur in the slice. Where it has fewer rows than `slice_min` only
    their number is given.
    """
    labels = np.array([example.label for example in examples], dtype=np.int64)
    rows = []
    for by, name_of in _kinds(examples, params.length_bounds):
        names = np.array([name_of(example) for example in examples])
        for name in sorted(set(names.tolist())):
            members = names == name
            for model, probabilities in judged.items():
                row = {
                    **dict.fromkeys(COLUMNS),
                    **{"set": set_name, "by": by, "slice": name, "rows": int(members.sum()), "model": model},
                }
                if members.sum() >= params.slice_min:
                    row.update(_figures(labels[members], probabilities[members].argmax(axis=1), params))
                rows.append(row)
    return rows


def _kinds(examples: Sequence[Example], bounds: Sequence[int]) -> list[tuple[str, Callable[[Example], str]]]:
    kinds: list[tuple[str, Callable[[Example], str]]] = []
    if any(example.job_group for example in examples):  # general text has no job
        kinds.append(("job_group", lambda example: example.job_group or NO_GROUP))
    return [*kinds, ("length", lambda example: length_name(len(example.text), bounds))] if examples else []


def _figures(labels: np.ndarray, predicted: np.ndarray, params: EvaluateParams) -> dict[str, float]:
    present = sorted(set(labels.tolist()))
    low, high = interval(labels, predicted, samples=params.bootstrap, seed=params.seed, classes=present)
    figures: dict[str, float] = rounded(
        {
            "accuracy": float((predicted == labels).mean()),
            "macro_f1": macro_f1(labels, predicted, present),
            "macro_f1_low": low,
            "macro_f1_high": high,
        }
    )
    return figures
