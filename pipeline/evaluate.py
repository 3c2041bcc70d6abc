"""Evaluate: candidate and champion on the same frozen test sets. `python -m pipeline.evaluate`.

Writes `models/metrics.json` (in Git: `dvc metrics diff` reads it), each model's judgement of every test text
under `models/evaluation/`, and the confusion matrix of the candidate on gold as CSV and PNG.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from pipeline import settings, stage
from pipeline.champion import CHAMPION, has_champion
from pipeline.classifier import Classifier
from pipeline.files import write_bytes, write_csv, write_text
from pipeline.prepare import Example, read_gold, read_set
from pipeline.train import CANDIDATE

METRICS_FILE = Path("models/metrics.json")
EVALUATION = Path("models/evaluation")
TEST_SETS = ("gold", "test_chunk", "test_base")
NAMES = ("negative", "neutral", "positive")  # ASCII: DVC takes short Korean JSON for binary (measured)
_BINS = 15  # of the calibration error (Guo et al. 2017)


def macro_f1(labels: np.ndarray, predicted: np.ndarray) -> float:
    """The unweighted mean of the three classes' F1; a class with no row and no prediction counts 0."""
    # By hand, not by scikit-learn: the bootstraps ask a thousand times, and its call takes a millisecond.
    table = np.bincount(3 * labels + predicted, minlength=9).reshape(3, 3)
    both = table.sum(axis=0) + table.sum(axis=1)
    return float(np.divide(2 * table.diagonal(), both, out=np.zeros(3), where=both > 0).mean())


def expected_calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """ECE with 15 equal bins of confidence (arXiv 1706.04599)."""
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = [abs(correct[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean() for b in set(bins)]
    return float(sum(gaps))


def interval(labels: np.ndarray, predicted: np.ndarray, *, samples: int, seed: int) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of macro-F1."""
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(labels), size=(samples, len(labels)))
    values = [macro_f1(labels[draw], predicted[draw]) for draw in draws]
    return float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975))


def measure(labels: np.ndarray, probabilities: np.ndarray, *, samples: int, seed: int) -> dict[str, Any]:
    """Every figure of one model on one set. `probabilities` has shape (n, 3), labels (n,)."""
    predicted = probabilities.argmax(axis=1)
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=[0, 1, 2], zero_division=0
    )
    low, high = interval(labels, predicted, samples=samples, seed=seed)
    figures: dict[str, Any] = {
        "rows": len(labels),
        "accuracy": float((predicted == labels).mean()),
        "macro_f1": macro_f1(labels, predicted),
        "macro_f1_low": low,
        "macro_f1_high": high,
        "ece": expected_calibration_error(labels, probabilities),
    }
    for i, name in enumerate(NAMES):
        figures[name] = {
            "precision": float(precision[i]),
            "recall": float(recall[i]),
            "f1": float(f1[i]),
            "rows": int(support[i]),
        }
    return _rounded(figures)


def write_evaluation() -> None:
    """Judge every test set with both models and write figures, judgements and pictures."""
    params = settings.params("evaluate")
    sets = {"gold": read_gold(), "test_chunk": read_set("test_chunk"), "test_base": read_set("test_base")}
    models = {"candidate": Classifier.load(CANDIDATE)}
    if has_champion():
        models["champion"] = Classifier.load(CHAMPION)
    metrics: dict[str, Any] = {}
    EVALUATION.mkdir(parents=True, exist_ok=True)
    for set_name, examples in sets.items():
        labels = np.array([example.label for example in examples], dtype=np.int64)
        judged = {name: model.probabilities([e.text for e in examples]) for name, model in models.items()}
        _write_judgements(EVALUATION / f"{set_name}.csv", examples, judged)
        if not examples:
            continue
        for name, probabilities in judged.items():
            figures = measure(labels, probabilities, samples=params["bootstrap"], seed=params["seed"])
            metrics.setdefault(name, {})[set_name] = figures
        if set_name == "gold":
            _write_confusion(labels, judged["candidate"].argmax(axis=1))
    import json

    write_text(METRICS_FILE, json.dumps(metrics, indent=2, sort_keys=True) + "\n")


def _write_judgements(path: Path, examples: Sequence[Example], judged: dict[str, np.ndarray]) -> None:
    """Label and both models' probabilities for each test text, by position; the texts stay in their own files."""
    columns = ["row", "label"] + [f"{model}_{name}" for model in ("candidate", "champion") for name in NAMES]
    rows = []
    for i, example in enumerate(examples):
        row: dict[str, Any] = dict.fromkeys(columns)
        row.update(row=i, label=example.label)
        for model, probabilities in judged.items():
            row.update({f"{model}_{name}": round(float(probabilities[i, k]), 6) for k, name in enumerate(NAMES)})
        rows.append(row)
    write_csv(path, rows, columns)


def _write_confusion(labels: np.ndarray, predicted: np.ndarray) -> None:
    """The confusion matrix on gold: rows for DVC's plot, and a PNG."""
    rows = [{"actual": NAMES[a], "predicted": NAMES[p]} for a, p in zip(labels, predicted, strict=True)]
    write_csv(EVALUATION / "confusion.csv", rows, ["actual", "predicted"])
    import io

    from matplotlib.figure import Figure

    matrix = confusion_matrix(labels, predicted, labels=[0, 1, 2])
    figure = Figure(figsize=(4.2, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.imshow(matrix, cmap="Blues")
    axes.set(xticks=range(3), yticks=range(3), xticklabels=NAMES, yticklabels=NAMES)
    axes.set(xlabel="predicted", ylabel="gold label", title=f"gold, {len(labels)} posts")
    for (i, j), count in np.ndenumerate(matrix):
        axes.text(j, i, str(count), ha="center", va="center", color="white" if count > matrix.max() / 2 else "black")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    write_bytes(EVALUATION / "confusion.png", buffer.getvalue())


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    return {key: _rounded(item) for key, item in value.items()} if isinstance(value, dict) else value


def main() -> None:
    """`python -m pipeline.evaluate`."""
    write_evaluation()


if __name__ == "__main__":
    stage.run(main)
