"""The wide path: a logistic regression on TF-IDF of hashed n-grams, and how it is joined with the Bi-LSTM.

It learns anew from every text of the window at each release; the warm Bi-LSTM sees only a sample of what is old.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, diags
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from pipeline.model.confidence import softmax
from pipeline.model.ngrams import bags
from pipeline.text import for_model

_NEVER = -20.0  # logit of a mood without an example: exp(-20) is 2e-9
# Texts at which naive Bayes is trusted half as much. On gold after 290 texts trusting it by 0.5 costs 4 points of
# macro-F1; of 300, 2,000 and 10,000 movie reviews it makes +0.0, +0.4 and +0.4.
_DOUBT = 1000
_DRAW = 300  # held-out rows that are believed half, in `fit_mix`


def bag_matrix(texts: Sequence[str], tokenised: Sequence[Sequence[str]], buckets: int) -> csr_matrix:
    """1 + log(tf) of every hashed n-gram, float64 of shape (texts, buckets)."""
    return bags([for_model(text) for text in texts], tokenised, buckets).astype(np.float64)


def fit_wide(
    rows: csr_matrix, labels: np.ndarray, weights: np.ndarray, strength: float, trust: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A logistic regression for each mood on TF-IDF of the bags: idf (buckets,), weights (buckets, 3), bias (3,).

    All float32. `rows` holds 1 + log(tf), shape (texts, buckets); `strength` is scikit-learn's C. idf is smoothed as
    there. `trust` (0 to 1) is how much an n-gram's naive Bayes log-ratio scales it (`_leaning`) where there are many
    texts; of few texts such ratios are noise, so it is n / (n + 1000) of that (`_DOUBT`).

    One mood against the rest, by dual coordinate descent: on 11,000 reviews 0.8 s of CPU, where one multinomial
    regression by L-BFGS takes 26 s and is no better (macro-F1 0.581 and 0.577, log-loss 0.799 and 0.806). A mood that
    no text has gets a logit that never wins.
    """
    seen = np.bincount(rows.indices, minlength=rows.shape[1])
    idf = np.log((1 + rows.shape[0]) / (1 + seen)) + 1
    used = np.flatnonzero(seen)  # an n-gram that training never saw says nothing
    features = normalize(rows @ diags(idf))[:, used]
    table, bias = np.zeros((rows.shape[1], 3), dtype=np.float32), np.full(3, _NEVER, dtype=np.float32)
    trust *= rows.shape[0] / (rows.shape[0] + _DOUBT)
    for mood in np.unique(labels):
        scale = (1 - trust) + trust * _leaning(features, labels == mood, weights)
        regression = LogisticRegression(C=strength, solver="liblinear", dual=True, max_iter=1000, random_state=0)
        regression.fit(features @ diags(scale), labels == mood, sample_weight=weights)
        table[used, mood], bias[mood] = scale * regression.coef_[0], regression.intercept_[0]
    return idf.astype(np.float32), table, bias


def _leaning(features: csr_matrix, mood: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """How far each n-gram leans to or away from a mood: |log-ratio| of its share there and elsewhere, (n-grams,).

    What the penalty holds back least is then what tells moods apart (Wang & Manning 2012, "Baselines and Bigrams").
    In units in which a text's features keep their length of 1 in the root mean square.
    """
    present = features.copy()
    present.data = np.ones_like(present.data)
    inside, outside = (np.asarray(present.T @ (weights * part)) + 1 for part in (mood, ~mood))
    ratio = np.abs(np.log((inside / inside.sum()) / (outside / outside.sum())))
    length = np.sqrt((np.asarray(features.power(2).sum(axis=0)).ravel() * ratio**2).sum() / features.shape[0])
    return np.asarray(ratio / length) if length > 0 else np.ones_like(ratio)


def wide_logits(rows: csr_matrix, idf: np.ndarray, table: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The wide path's logits, shape (texts, 3)."""
    return np.asarray(normalize(rows @ diags(idf.astype(np.float64))) @ table + bias)


def fit_mix(wide: np.ndarray, deep: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """How much wide and deep logits count: least log-loss on held-out rows; where these are few, nearer to (1, 0).

    The sequence model has to earn its weight: on a few hundred texts it is the one that overfits, and a few dozen
    held-out texts can't tell. What n rows say counts n / (n + 300): base model of the demo (260 texts, 28 held out),
    three seeds, macro-F1 on gold: wide alone 0.80, Bi-LSTM alone 0.56 to 0.67, as the 28 rows say 0.65 to 0.81, drawn
    so 0.76 to 0.83.
    """
    if not len(labels):
        return 1.0, 0.0

    def loss(mix: np.ndarray) -> float:
        probabilities = softmax(mix[0] * wide + mix[1] * deep)
        surprise = -np.log(np.clip(probabilities[np.arange(len(labels)), labels], 1e-12, 1)).mean()
        return float(surprise + 1e-3 * ((mix - (1.0, 0.0)) ** 2).sum())  # of what makes no difference, the plainest

    found = minimize(loss, x0=np.array([1.0, 0.5]), bounds=[(0.0, 4.0)] * 2, method="L-BFGS-B").x
    drawn = np.array([1.0, 0.0]) + (found - (1.0, 0.0)) * len(labels) / (len(labels) + _DRAW)
    return round(float(drawn[0]), 4), round(float(drawn[1]), 4)
