"""The stage `evaluate`: judge every test set with both models and write what was found."""

import codecs
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.evaluate import flips, job_flips, pictures, slices, suspects
from pipeline.evaluate.card import card
from pipeline.evaluate.figures import NAMES, confusion, measure, reliability, rounded
from pipeline.evaluate.params import EvaluateParams
from pipeline.evaluate.stored import UNKNOWN, Stored, read_stored
from pipeline.files import csv_bytes, read_csv, write_bytes, write_csv, write_json, write_text
from pipeline.hashing import content_hash
from pipeline.layout import (
    CANDIDATE,
    CARD_FILE,
    CHAMPION,
    EVALUATION,
    JOB_FLIPS_FILE,
    METRICS_FILE,
    SMOKE_FILE,
    SUSPECTS_FILE,
)
from pipeline.learn.examples import Example, gold_examples, label_array, read_chunk_order, read_set
from pipeline.learn.learned import Learned
from pipeline.model import confidence as abstain
from pipeline.model.features import OtherFeatures
from pipeline.model.folder import has_champion, read_metadata
from pipeline.model.token_cache import CachedTokenizer
from pipeline.params import read_params
from pipeline.serve.classifier import Classifier
from pipeline.serve.production import smoke_error

_RELIABILITY = ("low", "high", "rows", "confidence", "accuracy")
_ABSTAIN = ("threshold", "kept", "coverage", "precision")


@dataclass(frozen=True)
class Judged:
    """A test set and what each model said of it: probabilities by role, float64 (texts, 3), NaN where not asked.

    `left_out`, bool (texts,): candidate or champion has learned something like this text.
    """

    examples: list[Example]
    said: dict[str, np.ndarray]
    left_out: np.ndarray

    def of(self, *roles: str) -> tuple[list[Example], dict[str, np.ndarray]]:
        """What counts for these models: the texts that none has learned and all were asked."""
        asked = [~np.isnan(self.said[role]).any(axis=1) for role in roles]
        rows = np.flatnonzero(np.logical_and.reduce([~self.left_out, *asked]))
        return [self.examples[i] for i in rows], {role: self.said[role][rows] for role in roles}


def write_evaluation() -> None:
    """Judge every test set with both models; write `models/metrics.json` and `models/evaluation/`."""
    params = read_params("evaluate", EvaluateParams)
    sets = {"gold": gold_examples(), "test_chunk": read_set("test_chunk"), "test_base": read_set("test_base")}
    candidate = Classifier.load(CANDIDATE, remember=True)
    champion, unreadable = _load_champion()
    stored = read_stored(CHAMPION)
    models = {"candidate": candidate} | ({"champion": champion} if champion else {})
    thresholds = {name: float(model.metadata.get("abstain_below", 0.0)) for name, model in models.items()}
    EVALUATION.mkdir(parents=True, exist_ok=True)
    judged = {name: _judge(examples, models) for name, examples in sets.items()}
    if unreadable and stored.probabilities:
        judged["gold"].said["champion"] = stored.probabilities_of([e.text for e in sets["gold"]])
    _write_judgements(judged, stored)

    metrics: dict[str, Any] = {"left_out": {name: int(found.left_out.sum()) for name, found in judged.items()}}
    sliced: list[dict[str, Any]] = []
    flipped: list[dict[str, Any]] = []
    for set_name, found in judged.items():
        for role in found.said:
            some, said = found.of(role)
            if not some:
                continue
            labels = label_array(some)
            figures = measure(labels, said[role], samples=params.bootstrap, seed=params.seed)
            figures |= rounded(abstain.kept(said[role], labels, thresholds.get(role, 0.0)))
            metrics.setdefault(role, {})[set_name] = figures
            sliced += slices.slice_rows(set_name, some, said, params)
        if "champion" in found.said:
            some, said = found.of("champion", "candidate")
            changed = flips.flip_rows(set_name, some, said["champion"], said["candidate"])
            metrics.setdefault("flips", {})[set_name] = flips.count_flips(changed)
            flipped += changed
    some, said = judged["gold"].of("candidate")
    _write_plots(label_array(some), said["candidate"])
    write_csv(EVALUATION / "slices.csv", sliced, slices.COLUMNS)
    write_csv(EVALUATION / "flips.csv", flipped, flips.COLUMNS)
    metrics["job_flips"] = _write_job_flips(judged, models)
    metrics["suspects"] = _write_suspects(candidate.metadata, params)
    history = read_csv(CANDIDATE / "history.csv", ["epoch"])
    _write_plot(EVALUATION / "learning_curves.csv", history, list(history[0]))
    write_bytes(EVALUATION / "learning_curves.png", pictures.learning_curves_png(history))
    smoke = smoke_error(candidate)
    write_json(EVALUATION / SMOKE_FILE, {"error": smoke, "champion_unreadable": unreadable})
    versions = {"candidate": candidate.version}
    if has_champion():
        versions["champion"] = read_metadata(CHAMPION)["version"]
    text = card(
        versions,
        metrics,
        sliced,
        smoke_error=smoke,
        unreadable=unreadable,
        abstain_below=thresholds["candidate"],
        slice_min=params.slice_min,
        bounds=params.length_bounds,
    )
    write_text(EVALUATION / CARD_FILE, text)
    write_text(METRICS_FILE, json.dumps(metrics, indent=2, sort_keys=True) + "\n")


def _load_champion() -> tuple[Classifier | None, str]:
    """The champion; None before the first model, and the reason when this code can't read it."""
    if not has_champion():
        return None, ""
    try:
        return Classifier.load(CHAMPION, remember=True), ""
    except OtherFeatures as error:
        return None, error.difference


def _judge(examples: list[Example], models: Mapping[str, Classifier]) -> Judged:
    texts = [example.text for example in examples]
    # What is no number counts for nothing: a broken model gets figures too, and the smoke test says why.
    said = {role: np.nan_to_num(model.probabilities(texts)) for role, model in models.items()}
    known = [Learned.load(folder).resembles(texts) for folder in (CANDIDATE, CHAMPION)]
    return Judged(examples, said, np.logical_or(*known))


def _write_judgements(judged: Mapping[str, Judged], stored: Stored) -> None:
    """Label and both models' probabilities for each test text, by position; the texts stay in their own files.

    Of gold texts also their SHA-256, and the label by the best model that was ever served.
    """
    columns = ["row", "label", "left_out"]
    columns += [f"{role}_{name}" for role in ("candidate", "champion") for name in NAMES]
    for set_name, found in judged.items():
        rows = []
        best = stored.best_of([example.text for example in found.examples])
        for i, example in enumerate(found.examples):
            row: dict[str, Any] = dict.fromkeys(columns)
            row.update(row=i, label=example.label, left_out=int(found.left_out[i]))
            for role, said in found.said.items():
                if not np.isnan(said[i]).any():
                    row.update({f"{role}_{name}": round(float(said[i, k]), 6) for k, name in enumerate(NAMES)})
            if set_name == "gold":
                row.update(text_sha256=content_hash(example.text), best=best[i] if best[i] != UNKNOWN else None)
            rows.append(row)
        more = ["text_sha256", "best"] if set_name == "gold" else []
        write_csv(EVALUATION / f"{set_name}.csv", rows, [*columns, *more])


def _write_job_flips(judged: Mapping[str, Judged], models: Mapping[str, Classifier]) -> dict[str, Any]:
    """Write job_flips.csv. Returns the number of texts, the median job's share of flips, and the job with most."""
    rows: list[dict[str, Any]] = []
    if "champion" in models:
        texts = [e.text for name in ("gold", "test_chunk") for e in judged[name].of("candidate")[0]]
        rows = job_flips.job_flips(
            job_flips.probes(texts),
            lambda some: np.nan_to_num(models["champion"].probabilities(some)).argmax(axis=1),
            lambda some: np.nan_to_num(models["candidate"].probabilities(some)).argmax(axis=1),
        )
    write_csv(EVALUATION / JOB_FLIPS_FILE, rows, job_flips.COLUMNS)
    if not rows:
        return {"texts": 0}
    median = float(np.median([row["share"] for row in rows]))
    return {"texts": rows[0]["texts"], "median": round(median, 6), "most": rows[0]["job"], "share": rows[0]["share"]}


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
    rows = suspects.chosen(examples, params.suspects_of, read_chunk_order())
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
