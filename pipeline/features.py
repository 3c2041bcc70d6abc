"""Features: tokens to numbers. The vocabulary is a JSON file beside the model; nothing is pickled."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.files import DataFileError, write_json

PAD, UNKNOWN = 0, 1
VOCABULARY_FILE = "vocabulary.json"


@dataclass(frozen=True)
class Vocabulary:
    """Token -> id. Id 0 pads, 1 stands for every unknown token; ids follow frequency, then the alphabet."""

    tokenizer: str
    max_tokens: int
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

    def save(self, folder: Path) -> None:
        """Write `vocabulary.json`."""
        write_json(
            folder / VOCABULARY_FILE,
            {"tokenizer": self.tokenizer, "max_tokens": self.max_tokens, "tokens": list(self.tokens)},
        )

    @classmethod
    def load(cls, folder: Path) -> "Vocabulary":
        """Read `vocabulary.json`. Raises DataFileError."""
        path = folder / VOCABULARY_FILE
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            return cls(document["tokenizer"], document["max_tokens"], tuple(document["tokens"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataFileError(f"{path} can't be read ({error}): `dvc checkout {folder}` restores it") from None


def clip(tokens: Sequence[str], width: int) -> Sequence[str]:
    """At most `width` tokens: the first two thirds and the last third of a longer text."""
    if len(tokens) <= width:
        return tokens
    head = width * 2 // 3
    return [*tokens[:head], *tokens[len(tokens) - (width - head) :]]


def build_vocabulary(
    tokenised: Sequence[Sequence[str]], *, tokenizer: str, max_tokens: int, size: int, min_count: int
) -> Vocabulary:
    """The `size` most frequent tokens that occur at least `min_count` times."""
    counts = Counter(token for tokens in tokenised for token in tokens)
    kept = sorted((t for t, n in counts.items() if n >= min_count), key=lambda t: (-counts[t], t))
    return Vocabulary(tokenizer, max_tokens, tuple(kept[:size]))
