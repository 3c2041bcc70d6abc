"""Dividing out how far a model leans to each answer word, and how much too sure or too unsure it is.

A model may say "나쁨" to almost everything and still rank posts well (measured: 36 % right raw, 77 % after this). Three
numbers are fitted on texts whose label is known: the prompt's own, and the gold sample that is asked anyway. What is
cached is the raw answer; this is a pure function applied to it afterwards.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from pipeline.hashing import content_hash
from pipeline.live.records import Answer

FOLDS = 5  # a gold text is calibrated without itself and a fifth of the others: the κ on gold stays out of sample
_FLOOR = 1e-6  # a word that a model never says must not divide by zero
_SCALE = (0.1, 10.0)  # whatever a few texts suggest
_RIDGE = 0.01  # holds the three numbers back where a few texts all agree

Known = tuple[Answer, int]  # a raw answer, and the label that was right


@dataclass(frozen=True, slots=True)
class Calibration:
    """Vector scaling: p(label) ∝ score ^ scale · e ^ bias[label]. `bias[2]` is 0: only differences matter."""

    scale: float
    bias: tuple[float, float, float]

    def __call__(self, answer: Answer) -> Answer:
        """The answer with label and confidence anew from its scores; unchanged when it has none."""
        if answer.scores is None:
            return answer
        # Here, not above: a chunk whose answers have no probabilities needs none of it.
        import numpy as np

        from pipeline.model.confidence import softmax

        logits = self.scale * np.log(np.maximum([answer.scores], _FLOOR)) + self.bias
        probabilities = softmax(logits)[0]
        label = int(probabilities.argmax())
        return replace(answer, label=label, confidence=float(probabilities[label]))


def fit(known: Sequence[Known]) -> Calibration | None:
    """The calibration under which the right labels are most likely; None without any scores.

    Rounded, so that an optimiser's last digits never decide about a label.
    """
    scored = [(answer.scores, label) for answer, label in known if answer.scores is not None]
    if not scored:
        return None
    import numpy as np
    from scipy.optimize import minimize

    from pipeline.model.confidence import softmax

    logs = np.log(np.maximum([scores for scores, _ in scored], _FLOOR))
    usual = logs.mean(axis=0)  # what the model says to anything: the bias is looked for around it
    logs -= usual
    labels = np.array([label for _, label in scored])
    rows = np.arange(len(labels))

    def loss(numbers: "np.ndarray") -> tuple[float, "np.ndarray"]:
        """Mean negative log-likelihood and its gradient."""
        power = math.exp(numbers[0])
        odds = softmax(power * logs + np.append(numbers[1:], 0.0))
        value = float(-np.log(np.maximum(odds[rows, labels], 1e-300)).mean() + _RIDGE * (numbers**2).sum())
        odds[rows, labels] -= 1
        slope = np.append((odds * logs).sum() * power, odds.sum(axis=0)[:2]) / len(labels)
        return value, slope + 2 * _RIDGE * numbers

    low, high = (math.log(bound) for bound in _SCALE)
    bounds = [(low, high), (None, None), (None, None)]
    found = minimize(loss, np.zeros(3), jac=True, method="L-BFGS-B", bounds=bounds).x
    scale = math.exp(found[0])
    bias = np.append(found[1:], 0.0) - scale * usual
    bias -= bias[2]
    return Calibration(round(scale, 4), (round(float(bias[0]), 4), round(float(bias[1]), 4), 0.0))


class Calibrations:
    """One for all texts (`whole`), and for a gold text one that was fitted without its fold."""

    def __init__(self, texts: Sequence[Known] = (), gold: Mapping[str, Known] | None = None) -> None:
        """`texts`: the prompt's own; `gold` by shown text."""
        gold = gold or {}
        self.whole = fit([*texts, *gold.values()])
        self.texts, self.gold = len(texts), len(gold)
        self._right = sorted((text, label) for text, (_, label) in gold.items())
        self._fold = {text: fold_of(text) for text in gold}
        self._without = {
            fold: fit([*texts, *(known for text, known in gold.items() if self._fold[text] != fold)])
            for fold in set(self._fold.values())
        }

    @property
    def provenance(self) -> dict[str, Any] | None:
        """What was fitted, and on what; None when nothing was."""
        if self.whole is None:
            return None
        digest = content_hash(json.dumps(self._right, ensure_ascii=False))
        return {**asdict(self.whole), "texts": self.texts, "gold": self.gold, "gold_sha256": digest}

    def __call__(self, text: str, answer: Answer) -> Answer:
        """The raw answer to this shown text, calibrated."""
        fold = self._fold.get(text)
        calibration = self.whole if fold is None else self._without[fold]
        return calibration(answer) if calibration else answer


def fold_of(text: str) -> int:
    """Which fold a gold text is in: by hash, so that it stays there when others are added."""
    return hashlib.sha256(text.encode()).digest()[0] % FOLDS
