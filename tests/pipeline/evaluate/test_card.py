"""The card says what the metrics say."""

from typing import Any

from pipeline.evaluate.card import card, table

MOOD = {"precision": 0.5, "recall": 0.25, "f1": 0.3333, "rows": 9}
GOLD: dict[str, Any] = {
    "rows": 1200,
    "accuracy": 0.71,
    "macro_f1": 0.68,
    "macro_f1_low": 0.61,
    "macro_f1_high": 0.74,
    "ece": 0.05,
    "kept_share": 0.6,
    "kept_accuracy": 0.8,
    "negative": MOOD,
    "neutral": MOOD,
    "positive": MOOD,
}
SLICES = [
    {
        **{"set": "gold", "by": "length", "slice": name, "rows": rows, "model": "candidate", "accuracy": figure},
        **{"macro_f1": figure, "macro_f1_low": figure, "macro_f1_high": figure},
    }
    for name, rows, figure in (("short", 30, 0.6), ("long", 4, None))
]
REST: dict[str, Any] = {"smoke_error": "", "slice_min": 20, "bounds": [50, 100]}


def test_the_first_model() -> None:
    metrics = {"candidate": {"gold": GOLD}, "suspects": {"checked": 0, "flagged": 0}}
    text = card({"candidate": "20261122T154500"}, metrics, SLICES, abstain_below=0.57, **REST)
    assert "# Evaluation of model 20261122T154500" in text
    assert "no champion" in text
    assert "| candidate | 1,200 | 0.710 | 0.680 | 0.610 to 0.740 | 0.050 |" in text
    assert "| gold, neutral | 9 | 0.500 | 0.250 | 0.333 |" in text
    assert "under 0.57 is shown as 불확실" in text
    assert "| gold | 0.600 | 0.800 | 0.710 |" in text
    assert "| gold, length, short | 30 | 0.600 | 0.600 | 0.600 to 0.600 |" in text
    assert "| gold, length, long | 4 | – | – | – |" in text
    assert "too few texts of each mood" in text
    assert "changed against" not in text


def test_beside_a_champion() -> None:
    metrics = {
        "candidate": {"gold": {**GOLD, "macro_f1": 0.69}},
        "champion": {"gold": GOLD},
        "flips": {"gold": {"better": 7, "worse": 3, "other": 1}},
        "suspects": {"checked": 2000, "flagged": 90},
    }
    versions = {"candidate": "b", "champion": "a"}
    text = card(versions, metrics, [], abstain_below=0.0, **{**REST, "smoke_error": "it answers every text alike"})
    assert "Compared with: champion a." in text
    assert "| champion | 1,200 | 0.710 | 0.680 |" in text
    assert "| gold | 7 | 3 | 1 |" in text
    assert "90 of 2,000 training labels (4.5%)" in text
    assert "Smoke test: it answers every text alike." in text
    assert "Every answer counts" in text


def test_without_any_test_set() -> None:
    text = card({"candidate": "x"}, {"suspects": {"checked": 0, "flagged": 0}}, [], abstain_below=0.5, **REST)
    assert text.startswith("# Evaluation of model x\n\n")


def test_tables_are_markdown() -> None:
    assert table(("a", "b"), [("x", 1), ("y", None)]) == ["| a | b |", "|---|---:|", "| x | 1 |", "| y | – |"]
