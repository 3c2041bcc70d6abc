"""Pictures: whole PNGs, the same bytes each time, and empty ones where there is nothing to show."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.evaluate.pictures import confusion_png, learning_curves_png, reliability_png

BINS = [
    {"low": 0.4, "high": 0.466667, "rows": 10, "confidence": 0.43, "accuracy": 0.5},
    {"low": 0.933333, "high": 1.0, "rows": 30, "confidence": 0.97, "accuracy": 0.9},
]
HISTORY = [{"epoch": "1", "loss": "1.1", "val_loss": "1.2"}, {"epoch": "2", "loss": "0.9", "val_loss": "1.0"}]


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=np.int64)


@pytest.mark.parametrize(
    ("draw", "one", "other"),
    [
        (confusion_png, np.array([[9, 1, 0], [2, 7, 1], [0, 0, 5]]), np.zeros((3, 3), dtype=int)),
        (reliability_png, BINS, []),
        (learning_curves_png, HISTORY, HISTORY[:1]),
    ],
)
def test_the_same_figures_are_the_same_bytes(draw: Any, one: Any, other: Any) -> None:
    assert draw(one) == draw(one)
    assert pixels(draw(one)).min() < 100  # something is drawn
    assert draw(one) != draw(other)


def test_curves_show_what_the_history_has() -> None:
    with_accuracy = [{**row, "accuracy": row["loss"], "val_accuracy": ""} for row in HISTORY]
    assert learning_curves_png(with_accuracy) != learning_curves_png(HISTORY)
