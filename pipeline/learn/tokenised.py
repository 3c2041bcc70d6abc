"""Tokenised: examples with their tokens, as the two paths of the model read them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from pipeline.learn.examples import Example, label_array, sample_weights
from pipeline.model.features import Vocabulary
from pipeline.model.ngrams import bags
from pipeline.text import Tokenizer, for_model


@dataclass(frozen=True)
class Batch:
    """What the Bi-LSTM reads: ids, int32 (texts, tokens); labels, int64 (texts,); weights, float64 (texts,)."""

    ids: np.ndarray
    labels: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Tokenised:
    """Examples and the tokens of each."""

    examples: Sequence[Example]
    tokens: Sequence[Sequence[str]]

    @classmethod
    def of(cls, examples: Sequence[Example], split: Tokenizer) -> "Tokenised":
        """Split every example's text."""
        return cls(examples, split([example.text for example in examples]))

    def take(self, rows: np.ndarray) -> "Tokenised":
        """The examples in these rows."""
        return Tokenised([self.examples[i] for i in rows], [self.tokens[i] for i in rows])

    @property
    def labels(self) -> np.ndarray:
        """Labels, int64 of shape (texts,)."""
        return label_array(self.examples)

    @property
    def weights(self) -> np.ndarray:
        """Weights, float64 of shape (texts,): each mood weighs the same in total (`sample_weights`)."""
        return sample_weights(self.examples)

    def bags(self, buckets: int) -> csr_matrix:
        """1 + log(tf) of every hashed n-gram, float64 of shape (texts, buckets)."""
        return bag_matrix([example.text for example in self.examples], self.tokens, buckets)

    def batch(self, vocabulary: Vocabulary) -> Batch:
        """The texts as ids, padded to the longest of them."""
        return Batch(vocabulary.encode(self.tokens), self.labels, self.weights)


def bag_matrix(texts: Sequence[str], tokenised: Sequence[Sequence[str]], buckets: int) -> csr_matrix:
    """1 + log(tf) of every hashed n-gram, float64 of shape (texts, buckets)."""
    return bags([for_model(text) for text in texts], tokenised, buckets).astype(np.float64)
