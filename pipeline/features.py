"""Features: texts to numbers, twice: the sequence of morphemes for the Bi-LSTM, and a bag of hashed n-grams.

The bag (characters 1 to 4 within a word, morphemes 1 to 2) is what the wide path beside the Bi-LSTM reads: on a few
hundred texts it knows far more than any sequence model can (benchmarks/README.md). Hashing needs no dictionary;
the vocabulary of the sequence is a JSON file beside the model. Nothing is pickled.
"""

import json
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from pipeline.files import DataFileError, write_json

PAD, UNKNOWN = 0, 1
VOCABULARY_FILE = "vocabulary.json"
_LONGEST_GRAM = 4
_BAG_MAX = 2000  # n-grams of a text that count: the most frequent; 600 characters have about 1,500 different ones


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
        longest = max((len(tokens) for tokens in tokenised), default=1)
        width = length or max(1, min(self.max_tokens, longest))
        ids = np.zeros((len(tokenised), width), dtype=np.int32)
        for row, tokens in enumerate(tokenised):
            for column, token in enumerate(clip(tokens, width)):
                ids[row, column] = index.get(token, UNKNOWN)
            if not tokens:
                ids[row, 0] = UNKNOWN  # a row of padding alone would have nothing to read
        return ids

    def inputs(
        self, texts: Sequence[str], tokenised: Sequence[Sequence[str]], length: int | None = None
    ) -> dict[str, np.ndarray]:
        """What the network reads: `ids` (texts, tokens) int32, `bag` (texts, n-grams) int32 and `bag_tf` float32.

        `texts` are as the tokenizer read them (`pipeline.text.for_model`). Bag rows are padded with weight 0.
        """
        bags = [bag(text, tokens, self.buckets) for text, tokens in zip(texts, tokenised, strict=True)]
        width = max(1, max((len(ids) for ids, _ in bags), default=1))
        ids = np.zeros((len(bags), width), dtype=np.int32)
        weights = np.zeros((len(bags), width), dtype=np.float32)
        for row, (buckets, frequencies) in enumerate(bags):
            ids[row, : len(buckets)], weights[row, : len(buckets)] = buckets, frequencies
        return {"ids": self.encode(tokenised, length), "bag": ids, "bag_tf": weights}

    def save(self, folder: Path) -> None:
        """Write `vocabulary.json`."""
        write_json(
            folder / VOCABULARY_FILE,
            {
                "tokenizer": self.tokenizer,
                "max_tokens": self.max_tokens,
                "buckets": self.buckets,
                "tokens": list(self.tokens),
            },
        )

    @classmethod
    def load(cls, folder: Path) -> "Vocabulary":
        """Read `vocabulary.json`. Raises DataFileError."""
        path = folder / VOCABULARY_FILE
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            return cls(document["tokenizer"], document["max_tokens"], document["buckets"], tuple(document["tokens"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataFileError(f"{path} can't be read ({error}): `dvc checkout {folder}` restores it") from None


def clip(tokens: Sequence[str], width: int) -> Sequence[str]:
    """At most `width` tokens: the first two thirds and the last third of a longer text."""
    if len(tokens) <= width:
        return tokens
    head = width * 2 // 3
    return [*tokens[:head], *tokens[len(tokens) - (width - head) :]]


def bag(text: str, tokens: Sequence[str], buckets: int) -> tuple[np.ndarray, np.ndarray]:
    """Buckets (int32) of a text's n-grams, each once, and 1 + log(how often) (float32), both of shape (n,).

    Characters: all runs of 1 to 4 within a word and its edges (scikit-learn's char_wb). Morphemes: single and pairs.
    """
    grams: list[str] = []
    for word in text.split():
        padded = f" {word} "
        for n in range(1, _LONGEST_GRAM + 1):
            grams.extend("c" + padded[i : i + n] for i in range(len(padded) - n + 1))
    grams.extend("m" + token for token in tokens)
    grams.extend(f"b{first} {second}" for first, second in pairwise(tokens))
    counts = Counter(zlib.crc32(gram.encode("utf-8", "replace")) % buckets for gram in grams)
    kept = counts.most_common(_BAG_MAX)
    return (
        np.array([bucket for bucket, _ in kept], dtype=np.int32),
        (1.0 + np.log(np.array([count for _, count in kept] or [1], dtype=np.float32)))[: len(kept)],
    )


def build_vocabulary(
    tokenised: Sequence[Sequence[str]], *, tokenizer: str, max_tokens: int, buckets: int, size: int, min_count: int
) -> Vocabulary:
    """The `size` most frequent tokens that occur at least `min_count` times."""
    counts = Counter(token for tokens in tokenised for token in tokens)
    kept = sorted((t for t, n in counts.items() if n >= min_count), key=lambda t: (-counts[t], t))
    return Vocabulary(tokenizer, max_tokens, buckets, tuple(kept[:size]))
