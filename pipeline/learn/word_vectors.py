"""Word vectors from text without labels: where the Bi-LSTM's embedding begins when it learns from nothing.

Positive pointwise mutual information of words that stand near each other, factored by a singular value
decomposition (Levy & Goldberg 2014; context smoothing and weighting of Levy, Goldberg & Dagan 2015, "Improving
Distributional Similarity with Lessons Learned from Word Embeddings"). It counts and multiplies: 190,000 reviews take
six seconds of one core once they are tokenised, and the same texts give the same vectors.
"""

from collections.abc import Sequence
from itertools import chain

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from sklearn.utils.extmath import randomized_svd
from threadpoolctl import threadpool_limits

WINDOW = 5  # words to each side; one at distance d counts 1/d
SMOOTHING = 0.75  # exponent of the contexts' frequencies
SPREAD = 0.1  # standard deviation of a vector's numbers (Keras' random ones: 0.03)


def word_vectors(tokenised: Sequence[Sequence[str]], words: Sequence[str], width: int) -> np.ndarray:
    """A vector for each of `words`, float32 of shape (words, width); zero for one that is never near another.

    `tokenised` are the texts that the words are counted in.
    """
    counts = _near(tokenised, words)
    found = np.zeros((len(words), width), dtype=np.float32)
    size = min(width, len(words) - 1)
    if not counts.nnz or size < 1:
        return found
    with threadpool_limits(1):  # the same sums in the same order, however many cores there are
        left, values, _ = randomized_svd(_information(counts), size, n_iter=3, random_state=0)
    vectors = left * np.sqrt(values)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 1e-9)
    found[:, :size] = unit * np.sqrt(size) * SPREAD
    return found


def _near(tokenised: Sequence[Sequence[str]], words: Sequence[str]) -> csr_matrix:
    """How often two words stand near each other, shape (words, words), symmetric."""
    places = {word: i for i, word in enumerate(words)}
    # Between two texts as many gaps as a window is wide, so that none reaches over.
    gaps = ("",) * WINDOW
    flat = np.fromiter(
        (places.get(token, -1) for token in chain.from_iterable((*tokens, *gaps) for tokens in tokenised)),
        dtype=np.int64,
    )
    near = csr_matrix((len(words), len(words)))
    for distance in range(1, WINDOW + 1):
        one, other = flat[:-distance], flat[distance:]
        both = (one >= 0) & (other >= 0)
        weights = np.full(int(both.sum()), 1.0 / distance)
        near += coo_matrix((weights, (one[both], other[both])), shape=near.shape).tocsr()
    return (near + near.T).tocsr()


def _information(near: csr_matrix) -> csr_matrix:
    """Positive pointwise mutual information of a matrix of counts."""
    pairs = near.tocoo()
    often = np.asarray(near.sum(axis=1)).ravel()
    context = often**SMOOTHING / (often**SMOOTHING).sum()
    information = np.log(pairs.data / (often[pairs.row] * context[pairs.col]))
    kept = information > 0
    return csr_matrix((information[kept], (pairs.row[kept], pairs.col[kept])), shape=near.shape)
