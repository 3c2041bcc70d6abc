"""The stage `evaluate`: judge every test set with both models and write what was found."""

import codecs
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.evaluate import flips, pictures, slices, suspects
from pipeline.evaluate.card import card
from pipeline.evaluate.figures import NAMES, confusion, measure, reliability, rounded
from pipeline.evaluate.params import EvaluateParams
from pipeline.files import csv_bytes, read_csv, write_bytes, write_csv, write_json, write_text
from pipeline.layout import CANDIDATE, CARD_FILE, CHAMPION, EVALUATION, METRICS_FILE, SMOKE_FILE, SUSPECTS_FILE
from pipeline.learn.examples import Example, gold_examples, read_set
from pipeline.model import confidence as abstain
from pipeline.model.folder import has_champion
from pipeline.model.token_cache import CachedTokenizer
from pipeline.params import read_params
from pipeline.serve.classifier import Classifier
from pipeline.serve.production import smoke_error

_RELIABILITY = ("low", "high", "rows", "confidence", "accuracy")
_ABSTAIN = ("threshold", "kept", "coverage", "precision")


def write_evaluation() -> None:
    """Judge every test set with both models; write `models/metrics.json` and `models/evaluation/`."""
    params = read_params("evaluate", EvaluateParams)
    sets = {"gold": gold_examples(), "test_chunk": read_set("test_chunk"), "test_base": read_set("test_base")}
    models = {"candidate": Classifier.load(CANDIDATE, remember=True)}
    if has_champion():
        models["champion"] = Classifier.load(CHAMPION, remember=True)
    thresholds = {name: float(model.metadata.get("abstain_below", 0.0)) for name, model in models.items()}
    metrics: dict[str, Any] = {}
    sliced: list[dict[str, Any]] = []
    flipped: list[dict[str, Any]] = []
    EVALUATION.mkdir(parents=True, exist_ok=True)
    for set_name, examples in sets.items():
        labels = np.array([example.label for example in examples], dtype=np.int64)
        # What is no number counts for nothing: a broken model gets figures too, and the smoke test says why.
        judged = {
            name: np.nan_to_num(model.probabilities([e.text for e in examples])) for name, model in models.items()
        }
        _write_judgements(EVALUATION / f"{set_name}.csv", examples, judged)
        if set_name == "gold":
            _write_plots(labels, judged["candidate"])
        if not examples:
            continue
        for name, probabilities in judged.items():
            figures = measure(labels, probabilities, samples=params.bootstrap, seed=params.seed)
            figures |= rounded(abstain.kept(probabilities, labels, thresholds[name]))
            metrics.setdefault(name, {})[set_name] = figures
        sliced += slices.slice_rows(set_name, examples, judged, params)
        if "champion" in judged:
            changed = flips.flip_rows(set_name, examples, judged["champion"], judged["candidate"])
            metrics.setdefault("flips", {})[set_name] = flips.count_flips(changed)
            flipped += changed
    write_csv(EVALUATION / "slices.csv", sliced, slices.COLUMNS)
    write_csv(EVALUATION / "flips.csv", flipped, flips.COLUMNS)
    metrics["suspects"] = _write_suspects(models["candidate"].metadata, params)
    history = read_csv(CANDIDATE / "history.csv", ["epoch"])
    _write_plot(EVALUATION / "learning_curves.csv", history, list(history[0]))
    write_bytes(EVALUATION / "learning_curves.png", pictures.learning_curves_png(history))
    smoke = smoke_error(models["candidate"])
    write_json(EVALUATION / SMOKE_FILE, {"error": smoke})
    text = card(
        {name: model.version for name, model in models.items()},
        metrics,
        sliced,
        smoke_error=smoke,
        abstain_below=thresholds["candidate"],
        slice_min=params.slice_min,
        bounds=params.length_bounds,
    )
    write_text(EVALUATION / CARD_FILE, text)
    write_text(METRICS_FILE, json.dumps(metrics, indent=2, sort_keys=True) + "\n")


def _write_judgements(path: Path, examples: list[Example], judged: dict[str, np.ndarray]) -> None:
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


def _write_plot(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """A CSV without byte order mark: DVC's plots take the mark for part of the first column's name (measured)."""
    write_bytes(path, csv_bytes(rows, columns).removeprefix(codecs.BOM_UTF8))


def _write_plots(labels: np.ndarray, probabilities: np.ndarray) -> None:
    """Of the candidate on gold: confusion matrix, reliability, and what abstaining costs, as rows and pictures."""
    predicted = probabilities.argmax(axis=1)
    pairs = [{"actual": NAMES[a], "predicted": NAMES[p]} for a, p in zip(labels, predicted, strict=True)]
    _write_plot(EVALUATION / "confusion.csv", pairs, ["actual", "predicted"])
    write_bytes(EVALUATION / "confusion.png", pictures.confusion_png(confusion(labels, predicted)))
    bins = [rounded(row) for row in reliability(labels, probabilities)]
    _write_plot(EVALUATION / "reliability.csv", bins, _RELIABILITY)
    write_bytes(EVALUATION / "reliability.png", pictures.reliability_png(bins))
    _write_plot(EVALUATION / "abstain.csv", abstain.curve(probabilities, labels), _ABSTAIN)


def _write_suspects(metadata: dict[str, Any], params: EvaluateParams) -> dict[str, int]:
    """Write suspects.csv. Returns how many labels were checked and how many look wrong."""
    examples = read_set("train")
    rows = suspects.chosen(examples, params.suspects_of)
    some = [examples[i] for i in rows]
    probabilities = suspects.out_of_sample(
        some,
        CachedTokenizer(metadata["tokenizer"])([example.text for example in some]),
        buckets=metadata["params"]["wide_buckets"],
        c=metadata["params"]["wide_c"],
        trust=metadata["params"]["wide_trust"],
        folds=params.folds,
    )
    listed = suspects.suspect_rows(examples, rows, probabilities) if probabilities is not None else []
    write_csv(SUSPECTS_FILE, listed, suspects.COLUMNS)
    return {"checked": len(rows) if probabilities is not None else 0, "flagged": len(listed)}
