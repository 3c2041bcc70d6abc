"""A loaded model: texts in, verdicts out. Thread-safe, no pickle. `pipeline.serve.production` swaps them."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.files import DataFileError
from pipeline.hashing import file_hash
from pipeline.layout import PRODUCTION
from pipeline.model.confidence import calibrate
from pipeline.model.features import Vocabulary
from pipeline.model.folder import read_metadata
from pipeline.model.network import MODEL_FILE, load_network
from pipeline.model.token_cache import CachedTokenizer
from pipeline.text import Tokenizer, for_model, normalise, tokenizer

_SLICE = 1024  # texts tokenised at once, while the network reads the slice before
_BATCH = 128  # texts of like length in one pass: more save nothing and are padded more (measured)
_CELLS = 1 << 19  # n-grams in one pass, padding included: hostile texts cost no more memory than usual ones
_EXPLAINED = 80  # words of a text that are weighed; one forward pass holds them


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the model says of one text. Probabilities are in label order: 부정, 중립, 긍정.

    `tokens` are the words that mattered, with the change of the chosen label's probability when the word is
    left out (occlusion: Zeiler & Fergus 2014); empty unless an explanation was asked for. Not `certain`: the
    confidence is under the model's threshold (`pipeline.model.confidence`), and the page says 불확실.
    """

    label: int
    probabilities: tuple[float, float, float]
    confidence: float
    tokens: tuple[tuple[str, float], ...] = ()
    certain: bool = True


class Classifier:
    """A trained model with its vocabulary and tokenizer. Make one with `Classifier.load`."""

    def __init__(
        self, network: Any, vocabulary: Vocabulary, metadata: dict[str, Any], split: Tokenizer | None = None
    ) -> None:
        from pipeline.serve.fused import compiled  # imports TensorFlow

        self.metadata = metadata
        self.version: str = metadata["version"]
        self._vocabulary = vocabulary
        self._tokenizer = split or tokenizer(vocabulary.tokenizer)
        self._temperature = float(metadata["temperature"])
        self._abstain_below = float(metadata.get("abstain_below", 0.0))
        self._forward = compiled(network)
        self.predict(["준비"], explain=True)  # trace and load everything now, not when the first user waits

    @classmethod
    def load(cls, folder: Path = PRODUCTION, *, remember: bool = False) -> "Classifier":
        """The model of a folder (model.keras, vocabulary.json, metadata.json). Raises DataFileError.

        With `remember`, tokens are kept on disk and known texts are not tokenised again (`pipeline.model.token_cache`):
        for texts that other runs read too, not for what a user types.
        """
        import pipeline.serve.fused  # noqa: F401  (before the network is made: TensorFlow's threads are set there)

        metadata = read_metadata(folder)
        path = folder / MODEL_FILE
        if not path.exists() or file_hash(path) != metadata["model_sha256"]:
            # DVC replaces file by file: for a moment new metadata can stand beside old weights.
            raise DataFileError(f"{path} is not model {metadata['version']}: `dvc checkout {folder}` restores it")
        vocabulary = Vocabulary.load(folder)
        split = CachedTokenizer(vocabulary.tokenizer) if remember else None
        return cls(load_network(folder), vocabulary, metadata, split)

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
                    certain=float(row[label]) >= self._abstain_below,
                )
            )
        return verdicts

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """Calibrated probabilities, float64 of shape (texts, 3)."""
        read = [for_model(text) for text in texts]
        if len(read) <= _SLICE:
            return calibrate(self._judge(read, self._tokenizer.split(read)), self._temperature)
        # Texts of like length go together, so that short ones are not padded to the longest of all.
        order = sorted(range(len(read)), key=lambda i: len(read[i]))
        judged: list[Future[np.ndarray]] = []
        with ThreadPoolExecutor(1) as beside:  # the network and the tokenizer both work without Python's lock
            for start in range(0, len(order), _SLICE):
                part = [read[i] for i in order[start : start + _SLICE]]
                tokens = self._tokenizer.split(part)
                if len(judged) > 1:
                    judged[-2].result()  # no more than two slices wait, however many texts there are
                judged.append(beside.submit(self._judge, part, tokens))
        result = np.empty((len(read), 3))
        result[order] = np.concatenate([future.result() for future in judged])
        return calibrate(result, self._temperature)

    def _judge(self, read: Sequence[str], tokens: Sequence[Sequence[str]]) -> np.ndarray:
        """The network's own probabilities, float64 of shape (texts, 3)."""
        result = np.empty((len(read), 3))
        for batch in _batches(read, tokens):
            inputs = self._vocabulary.inputs([read[i] for i in batch], [tokens[i] for i in batch])
            result[batch] = self._forward(inputs)
        return result

    def _explain(self, text: str, label: int, confidence: float) -> tuple[tuple[str, float], ...]:
        words = normalise(text).split()[:_EXPLAINED]
        rest = normalise(text).split()[_EXPLAINED:]
        if not rest and len(words) < 2:
            return tuple((word, confidence) for word in words)
        without = [" ".join(words[:i] + words[i + 1 :] + rest) for i in range(len(words))]
        effect = confidence - self.probabilities(without)[:, label]
        return tuple((word, float(change)) for word, change in zip(words, effect, strict=True))


def _batches(read: Sequence[str], tokens: Sequence[Sequence[str]]) -> Iterator[list[int]]:
    """Positions of texts that are read in one pass: the fewest tokens first, within _BATCH texts and _CELLS n-grams."""
    batch: list[int] = []
    widest = 0
    for i in sorted(range(len(read)), key=lambda i: len(tokens[i])):
        grams = 4 * len(read[i]) + 2 * len(tokens[i])  # at most
        if batch and (len(batch) == _BATCH or (len(batch) + 1) * max(widest, grams) > _CELLS):
            yield batch
            batch, widest = [], 0
        batch.append(i)
        widest = max(widest, grams)
    if batch:
        yield batch
