"""Evaluate: candidate and champion on the same frozen test sets. `python -m pipeline.evaluate`.

`models/metrics.json` (in Git: `dvc metrics diff` reads it) has the figures; `models/evaluation/` has each model's
judgement of every test text, slices, flips, suspicious labels, plots, pictures and a card. With `--on FILE.tsv`
the production model is measured on anyone's labelled texts instead, and nothing is written.
"""

from pathlib import Path

from pipeline.evaluate.figures import NAMES, expected_calibration_error, interval, macro_f1, measure

METRICS_FILE = Path("models/metrics.json")
EVALUATION = Path("models/evaluation")
CARD_FILE = "README.md"
SMOKE_FILE = "smoke.json"
SUSPECTS_FILE = EVALUATION / "suspects.csv"
TEST_SETS = ("gold", "test_chunk", "test_base")

__all__ = [
    "CARD_FILE",
    "EVALUATION",
    "METRICS_FILE",
    "NAMES",
    "SMOKE_FILE",
    "SUSPECTS_FILE",
    "TEST_SETS",
    "expected_calibration_error",
    "interval",
    "macro_f1",
    "measure",
]
