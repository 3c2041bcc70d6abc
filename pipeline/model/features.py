"""Features: texts to numbers, twice: the sequence of morphemes for the Bi-LSTM, and a bag of hashed n-grams.

The bag (`ngrams`) is what the wide path beside the Bi-LSTM reads: on a few hundred texts it knows far more
than any sequence model can (benchmarks/README.md). Hashing needs no dictionary; the vocabulary of the sequence is a
JSON file beside the model. Nothing is pickled.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from pipeline.files import DataFileError, write_json
from pipeline.model.ngrams import bags

PAD, UNKNOWN = 0, 1
VOCABULARY_FILE = "vocabulary.json"
FEATURES = 3  # raised whenever the same text gives other numbers: older weights would read nonsense in silence


class OtherFeatures(DataFileError):
    """A model whose features another version of the code makes: its weights would read nonsense here."""

    def __init__(self, path: Path, found: object) -> None:
        self.difference = f"its features are of version {found}, those of this code of version {FEATURES}"
        super().__init__(
            f"{path} is of features version {found}, this code makes version {FEATURES}: the next release makes "
            "a model that it can read (the learn flow begins it; `python -m pipeline.release` does it now)"
        )


@dataclass(frozen=True)
class Vocabulary:
    """Token -> id. Id 0 pads, 1 stands for every unknown token; ids follow frequency, then the alphabet."""

    tokenizer: str
    max_tokens: int
    buckets: int
    tokens: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", {token: i for i, token in enumerate(self.tokens, start=2)})

    @property
    def size(self) -> int:
        """How many ids there are, padding and unknown included."""
        return len(self.tokens) + 2

    def encode(self, tokenised: Sequence[Sequence[str]], length: int | None = None) -> np.ndarray:
        """Ids, int32 of shape (texts, length), padded on the right.

        Longer texts keep their head and tail: mood stands in the title and in the last words. `length` defaults
        to the longest text's, at most `max_tokens`.
        """
        index: dict[str, int] = self._index  # type: ignore[attr-defined]
        longest = max(map(len, tokenised), default=1)
        width = length or max(1, min(self.max_tokens, longest))
        ids = np.zeros((len(tokenised), width), dtype=np.int32)
        clipped = [clip(tokens, width) for tokens in tokenised]
        sizes = np.fromiter(map(len, clipped), dtype=np.int64, count=len(clipped))
        found = (index.get(token, UNKNOWN) for token in chain.from_iterable(clipped))
        ids[np.arange(width) < sizes[:, None]] = np.fromiter(found, dtype=np.int32, count=int(sizes.sum()))
        ids[sizes == 0, 0] = UNKNOWN  # a row of padding alone would have nothing to read
        return ids

    def inputs(
        self, texts: Sequence[str], tokenised: Sequence[Sequence[str]], length: int | None = None
    ) -> dict[str, np.ndarray]:
        """What the network reads: `ids` (texts, tokens) int32, `bag` (texts, n-grams) int32 and `bag_tf` float32.

        `texts` are as the tokenizer read them (`pipeline.text.for_model`). Bag rows are padded with weight 0.
        """
        rows = bags(texts, tokenised, self.buckets)
        sizes = np.diff(rows.indptr)
        width = max(1, int(sizes.max(initial=0)))
        filled = np.arange(width) < sizes[:, None]
        ids = np.zeros(filled.shape, dtype=np.int32)
        weights = np.zeros(filled.shape, dtype=np.float32)
        ids[filled], weights[filled] = rows.indices, rows.data
        return {"ids": self.encode(tokenised, length), "bag": ids, "bag_tf": weights}

    def save(self, folder: Path) -> None:
        """Write `vocabulary.json`."""
        write_json(
            folder / VOCABULARY_FILE,
            {
                "features": FEATURES,
                "tokenizer": self.tokenizer,
                "max_tokens": self.max_tokens,
                "buckets": self.buckets,
                "tokens": list(self.tokens),
            },
        )

    @classmethod
    def load(cls, folder: Path) -> "Vocabulary":
        """Read `vocabulary.json`. Raises DataFileError, OtherFeatures for a model of an older or newer code."""
        path = folder / VOCABULARY_FILE
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            version = document.get("features", 1)
            vocabulary = cls(
                document["tokenizer"], document["max_tokens"], document["buckets"], tuple(document["tokens"])
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataFileError(f"{path} can't be read ({error}): `dvc checkout {folder}` restores it") from None
        if version != FEATURES:
            raise OtherFeatures(path, version)
        return vocabulary


def features_version(folder: Path) -> object:
    """The version of a model's features; None where there is no model, or none that can be read."""
    try:
        return json.loads((folder / VOCABULARY_FILE).read_text(encoding="utf-8")).get("features", 1)
    except (OSError, ValueError, AttributeError):
        return None


def is_outdated(production: Path, candidate: Path) -> bool:
    """Whether this code can't read the model in production, and no candidate that it can read was made yet."""
    return features_version(production) not in (None, FEATURES) and features_version(candidate) != FEATURES


def clip(tokens: Sequence[str], width: int) -> Sequence[str]:
    """At most `width` tokens: the first two thirds and the last third of a longer text."""
    if len(tokens) <= width:
        return tokens
    head = width * 2 // 3
    return [*tokens[:head], *tokens[len(tokens) - (width - head) :]]


def build_vocabulary(
    tokenised: Sequence[Sequence[str]],
    *,
    tokenizer: str,
    max_tokens: int,
    buckets: int,
    size: int,
    min_count: int,
    known: Sequence[str] = (),
) -> Vocabulary:
    """The `size` most frequent tokens that occur at least `min_count` times; then, where there is room, `known` ones.

    `known` are an older model's tokens in its order: what it has learned of words that are rare today is kept.
    """
    counts = Counter(token for tokens in tokenised for token in tokens)
    kept = sorted((t for t, n in counts.items() if n >= min_count), key=lambda t: (-counts[t], t))
    return Vocabulary(tokenizer, max_tokens, buckets, tuple(dict.fromkeys([*kept, *known]))[:size])
