"""The thing that serves a model: texts in, verdicts out. Thread-safe, no pickle, swaps to a new version by itself."""

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.features import Vocabulary, clip
from pipeline.files import DataFileError
from pipeline.model import MODEL_FILE, load_network, quiet_keras
from pipeline.text import tokenizer

METADATA_FILE = "metadata.json"
PRODUCTION = Path("models/production")
_BATCH = 256


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the model says of one text. Probabilities are in label order: 부정, 중립, 긍정.

    `tokens` are the words that mattered, with the change of the chosen label's probability when the word is
    hidden (occlusion: Zeiler & Fergus 2014); empty unless an explanation was asked for.
    """

    label: int
    probabilities: tuple[float, float, float]
    confidence: float
    tokens: tuple[tuple[str, float], ...] = ()


class Classifier:
    """A trained model with its vocabulary and tokenizer. Make one with `Classifier.load`."""

    def __init__(self, network: Any, vocabulary: Vocabulary, metadata: dict[str, Any]) -> None:
        quiet_keras()
        import tensorflow as tf

        self.metadata = metadata
        self.version: str = metadata["version"]
        self._vocabulary = vocabulary
        self._tokenizer = tokenizer(vocabulary.tokenizer)
        self._temperature = float(metadata["temperature"])
        # One trace for every shape: `model.predict` costs tens of milliseconds a call, this only the arithmetic.
        signature = [tf.TensorSpec((None, None), tf.int32)]
        self._forward = tf.function(lambda ids: network(ids, training=False), input_signature=signature)
        self.predict(["준비"], explain=True)  # trace and load everything now, not when the first user waits

    @classmethod
    def load(cls, folder: Path = PRODUCTION) -> "Classifier":
        """The model of a folder (model.keras, vocabulary.json, metadata.json). Raises DataFileError."""
        metadata = read_metadata(folder)
        if not (folder / MODEL_FILE).exists():
            raise DataFileError(f"{folder / MODEL_FILE} is missing: `dvc checkout {folder}` restores it")
        return cls(load_network(folder), Vocabulary.load(folder), metadata)

    def predict(self, texts: Sequence[str], explain: bool = False) -> list[Verdict]:
        """A verdict for each text, in order. With `explain`, the words that mattered (one more pass a text)."""
        if not texts:
            return []
        tokenised = self._tokenizer(list(texts))
        probabilities = self._probabilities(tokenised)
        verdicts = []
        for tokens, row in zip(tokenised, probabilities, strict=True):
            label = int(row.argmax())
            verdicts.append(
                Verdict(
                    label=label,
                    probabilities=(float(row[0]), float(row[1]), float(row[2])),
                    confidence=float(row[label]),
                    tokens=self._explain(tokens, label, float(row[label])) if explain else (),
                )
            )
        return verdicts

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """Calibrated probabilities, float64 of shape (texts, 3)."""
        return self._probabilities(self._tokenizer(list(texts))) if texts else np.zeros((0, 3))

    def _probabilities(self, tokenised: Sequence[Sequence[str]]) -> np.ndarray:
        # Texts of like length go together, so that short ones are not padded to the longest of all.
        order = sorted(range(len(tokenised)), key=lambda i: len(tokenised[i]))
        result = np.empty((len(tokenised), 3))
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            result[batch] = self._forward(self._vocabulary.encode([tokenised[i] for i in batch])).numpy()
        return calibrate(result, self._temperature)

    def _explain(self, tokens: Sequence[str], label: int, confidence: float) -> tuple[tuple[str, float], ...]:
        kept = clip(tokens, self._vocabulary.max_tokens)
        if len(kept) < 2:
            return tuple((token, confidence) for token in kept)
        hidden = [[token if i != j else "\x00" for i, token in enumerate(kept)] for j in range(len(kept))]
        effect = confidence - self._probabilities(hidden)[:, label]
        return tuple((token, float(change)) for token, change in zip(kept, effect, strict=True))


class ProductionModel:
    """The model in production, re-read when its metadata changes (promotion, checkout, restore)."""

    def __init__(self, folder: Path = PRODUCTION) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._classifier: Classifier | None = None

    def current(self) -> Classifier | None:
        """The classifier in production, None before the first model. Keeps the old one while files change."""
        path = self._folder / METADATA_FILE
        try:
            stat = path.stat()
        except OSError:
            return self._classifier  # nothing yet, or DVC is just replacing the folder
        seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if seen != self._seen:
            with self._lock:
                if seen != self._seen:
                    try:
                        # DVC links files: an unchanged version keeps the model that is loaded.
                        if not self._classifier or read_metadata(self._folder)["version"] != self._classifier.version:
                            self._classifier = Classifier.load(self._folder)
                        self._seen = seen
                    except (DataFileError, OSError, ValueError):
                        if self._classifier is None:
                            return None  # half of the folder is there: the next call tries again
        return self._classifier


def calibrate(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Temperature scaling (Guo et al. 2017, arXiv 1706.04599) of probabilities, shape (n, 3)."""
    logits = np.log(np.clip(probabilities, 1e-7, 1.0)) / temperature
    scaled = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True))


def read_metadata(folder: Path) -> dict[str, Any]:
    """`metadata.json` of a model folder. Raises DataFileError."""
    path = folder / METADATA_FILE
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataFileError(f"{path} can't be read ({error}): `dvc checkout {folder}` restores it") from None
    if not isinstance(metadata, dict) or "version" not in metadata:
        raise DataFileError(f"{path} names no version: `dvc checkout {folder}` restores it")
    return metadata
