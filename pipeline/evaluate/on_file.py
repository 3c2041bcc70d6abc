"""The report on a file: how the production model does on anyone's labelled texts. Reads, prints, never writes.

The file is a table with a header that names the columns `text` (or `content`) and `label`: 0 부정, 1 중립, 2 긍정, or
these words. TSV without quotes, or CSV; gzip of it too (`pipeline.files.read_table`).
"""

from pathlib import Path

import numpy as np

from pipeline.evaluate.card import table
from pipeline.evaluate.figures import ALL, NAMES, confusion, measure
from pipeline.files import DataFileError, read_rows
from pipeline.labels import SENTIMENTS, parse_label
from pipeline.layout import BASE_COLUMNS, TEXT_ALIASES
from pipeline.model import confidence as abstain
from pipeline.serve.classifier import Classifier
from pipeline.text import normalise


def read_labelled(path: Path) -> tuple[list[str], np.ndarray]:
    """Texts and labels (int64, shape (n,)) of a file. Raises DataFileError naming the line that is wrong."""
    texts, labels = [], []
    for line, row in read_rows(path, BASE_COLUMNS, also=TEXT_ALIASES):
        try:
            labels.append(parse_label(row["label"]))
        except ValueError as error:
            raise DataFileError(f"{path}, line {line}: {error}") from None
        if not normalise(row["text"]):
            raise DataFileError(f"{path}, line {line}: the text is empty")
        texts.append(row["text"])
    if not texts:
        raise DataFileError(f"{path} has a header but no texts")
    return texts, np.array(labels, dtype=np.int64)


def report(path: Path, folder: Path, *, samples: int, seed: int) -> str:
    """What the model in `folder` does on a file (`read_labelled`). `samples` and `seed` are the bootstrap's.

    A file without one of the moods, such as a binary one, is judged as a choice between the other two; what
    happens when all three may be answered is said as well. Raises DataFileError.
    """
    texts, labels = read_labelled(path)
    model = Classifier.load(folder)
    free = model.probabilities(texts)
    present = [k for k in ALL if (labels == k).any()]
    chosen, classes = (among(free, present), present) if len(present) == 2 else (free, list(ALL))
    if len(present) == 1:
        classes = present
    figures = measure(labels, chosen, samples=samples, seed=seed, classes=classes)
    counts = ", ".join(f"{SENTIMENTS[k]} {int((labels == k).sum()):,}" for k in present)
    lines = [f"{folder}, model {model.version}, on {path}: {len(texts):,} texts ({counts})"]
    lines += _missing_moods(labels, free, present)
    lines += [
        "",
        f"accuracy  {figures['accuracy']:.4f}",
        f"macro-F1  {figures['macro_f1']:.4f}  (95 % interval {figures['macro_f1_low']:.4f} to "
        f"{figures['macro_f1_high']:.4f}, bootstrap)",
        f"ECE       {figures['ece']:.4f}  (15 bins)",
        "",
    ]
    rows = [
        [f"{k} {SENTIMENTS[k]}", *(figures[NAMES[k]][name] for name in ("precision", "recall", "f1", "rows"))]
        for k in classes
    ]
    lines += table(("label", "precision", "recall", "F1", "texts"), rows)
    threshold = float(model.metadata.get("abstain_below", 0.0))
    if threshold:
        kept = abstain.kept(free, labels, threshold)
        right = f", {kept['kept_accuracy']:.4f} of them right" if "kept_accuracy" in kept else ""
        lines += [
            "",
            f"Not 불확실 (confidence {threshold:.2f} or more): {kept['kept_share']:.1%} of the answers{right}.",
        ]
    return "\n".join(lines)


def among(probabilities: np.ndarray, labels: list[int]) -> np.ndarray:
    """The probabilities when only these labels may be answered, shape (n, 3): the others 0, these scaled to one."""
    allowed = np.zeros_like(probabilities)
    allowed[:, labels] = probabilities[:, labels]
    return np.asarray(allowed / np.maximum(allowed.sum(axis=1, keepdims=True), 1e-12))


def _missing_moods(labels: np.ndarray, free: np.ndarray, present: list[int]) -> list[str]:
    if len(present) == 3:
        return []
    missing = [k for k in ALL if k not in present]
    names = " and ".join(SENTIMENTS[k] for k in missing)
    if len(present) == 1:
        return [f"Every label is {SENTIMENTS[present[0]]}: macro-F1 is that one label's F1."]
    answers = confusion(labels, free.argmax(axis=1))
    lines = [
        f"No text is labelled {names}: the model chooses between {' and '.join(SENTIMENTS[k] for k in present)}, its "
        f"probability of {names} set aside.",
        f"When {names} may be answered too: accuracy {answers.diagonal().sum() / len(labels):.4f}, "
        f"{int(answers[:, missing[0]].sum()):,} texts are called {names}.",
    ]
    if present == [0, 1]:
        lines.append("If 1 means positive in this file, write 2: here 1 is 중립.")
    return lines
