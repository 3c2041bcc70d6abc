"""The pictures of an evaluation as PNG bytes; the same figures give the same bytes."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.evaluate.figures import NAMES


def confusion_png(table: np.ndarray) -> bytes:
    """The confusion matrix on gold, shape (3, 3): labels down, answers across."""
    figure, axes = _figure(4.2, 3.8)
    axes.imshow(table, cmap="Blues")
    axes.set(xticks=range(3), yticks=range(3), xticklabels=NAMES, yticklabels=NAMES)
    axes.set(xlabel="predicted", ylabel="gold label", title=f"gold, {int(table.sum())} posts")
    for (i, j), count in np.ndenumerate(table):
        axes.text(j, i, str(count), ha="center", va="center", color="white" if count > table.max() / 2 else "black")
    return _png(figure)


def reliability_png(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """How often answers of a confidence are right (`figures.reliability`); a dot's area is its number of texts."""
    figure, axes = _figure(4.4, 4.2)
    axes.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1, label="perfectly calibrated")
    confidence, accuracy = [row["confidence"] for row in rows], [row["accuracy"] for row in rows]
    total = max(1, sum(row["rows"] for row in rows))
    error = sum(abs(row["accuracy"] - row["confidence"]) * row["rows"] for row in rows) / total
    axes.plot(confidence, accuracy, color="#0067a8", linewidth=1)
    axes.scatter(confidence, accuracy, s=[10 + 400 * row["rows"] / total for row in rows], color="#0067a8", alpha=0.7)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence", ylabel="share of right answers")
    axes.set_title(f"gold, {sum(row['rows'] for row in rows)} posts, ECE {error:.3f}")
    axes.legend(loc="upper left", frameon=False)
    return _png(figure)


def learning_curves_png(history: Sequence[Mapping[str, str]]) -> bytes:
    """Loss and accuracy by epoch, on training and validation texts, from the rows of `history.csv`."""
    figure, axes = _figure(7.2, 3.4, columns=2)
    for place, name in zip(axes, ("loss", "accuracy"), strict=True):
        for column, label, colour in ((name, "training", "#0067a8"), (f"val_{name}", "validation", "#b84a00")):
            points = [(int(row["epoch"]), float(row[column])) for row in history if row.get(column)]
            if points:
                place.plot(*zip(*points, strict=True), ".-", color=colour, label=label)
        place.set(xlabel="epoch", title=name)
        place.xaxis.get_major_locator().set_params(integer=True)
        if place.lines:
            place.legend(frameon=False)
    return _png(figure)


def _figure(width: float, height: float, columns: int = 1) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # not pyplot: no window system, no state that figures share

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, columns)


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()
