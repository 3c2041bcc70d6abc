"""The thing that serves a model: texts in, verdicts out. Thread-safe, no pickle, swaps to a new version by itself."""

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.features import Vocabulary
from pipeline.files import DataFileError, file_hash
from pipeline.model import MODEL_FILE, load_network, quiet_keras
from pipeline.text import for_model, normalise, tokenizer

METADATA_FILE = "metadata.json"
PRODUCTION = Path("models/production")
_BATCH = 256
_EXPLAINED = 80  # words of a text that are weighed; one forward pass holds them


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the model says of one text. Probabilities are in label order: 부정, 중립, 긍정.

    `tokens` are the words that mattered, with the change of the chosen label's probability when the word is
    left out (occlusion: Zeiler & Fergus 2014); empty unless an explanation was asked for.
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
        signature = {
            "ids": tf.TensorSpec((None, None), tf.int32),
            "bag": tf.TensorSpec((None, None), tf.int32),
            "bag_tf": tf.TensorSpec((None, None), tf.float32),
        }
        self._forward = tf.function(lambda inputs: network(inputs, training=False), input_signature=[signature])
        self.predict(["준비"], explain=True)  # trace and load everything now, not when the first user waits

    @classmethod
    def load(cls, folder: Path = PRODUCTION) -> "Classifier":
        """The model of a folder (model.keras, vocabulary.json, metadata.json). Raises DataFileError."""
        metadata = read_metadata(folder)
        path = folder / MODEL_FILE
        if not path.exists() or file_hash(path) != metadata["model_sha256"]:
            # DVC replaces file by file: for a moment new metadata can stand beside old weights.
            raise DataFileError(f"{path} is not model {metadata['version']}: `dvc checkout {folder}` restores it")
        return cls(load_network(folder), Vocabulary.load(folder), metadata)

    def predict(self, texts: Sequence[str], explain: bool = False) -> list[Verdict]:
        """A verdict for each text, in order. With `explain`, the words that mattered (one more pass a text)."""
        verdicts = []
        for text, row in zip(texts, self.probabilities(texts), strict=True):
            label = int(row.argmax())
            verdicts.append(
                Verdict(
                    label=label,
                    probabilities=(float(row[0]), float(row[1]), float(row[2])),
                    confidence=float(row[label]),
                    tokens=self._explain(text, label, float(row[label])) if explain else (),
                )
            )
        return verdicts

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """Calibrated probabilities, float64 of shape (texts, 3)."""
        if not texts:
            return np.zeros((0, 3))
        read = [for_model(text) for text in texts]
        tokenised = self._tokenizer(read)
        # Texts of like length go together, so that short ones are not padded to the longest of all.
        order = sorted(range(len(read)), key=lambda i: len(read[i]))
        result = np.empty((len(read), 3))
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            inputs = self._vocabulary.inputs([read[i] for i in batch], [tokenised[i] for i in batch])
            result[batch] = self._forward(inputs).numpy()
        return calibrate(result, self._temperature)

    def _explain(self, text: str, label: int, confidence: float) -> tuple[tuple[str, float], ...]:
        words = normalise(text).split()[:_EXPLAINED]
        rest = normalise(text).split()[_EXPLAINED:]
        if not rest and len(words) < 2:
            return tuple((word, confidence) for word in words)
        without = [" ".join(words[:i] + words[i + 1 :] + rest) for i in range(len(words))]
        effect = confidence - self.probabilities(without)[:, label]
        return tuple((word, float(change)) for word, change in zip(words, effect, strict=True))


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
    if missing := {"version", "model_sha256", "temperature"} - set(metadata if isinstance(metadata, dict) else ()):
        raise DataFileError(f"{path} lacks {', '.join(sorted(missing))}: `dvc checkout {folder}` restores it")
    return metadata
