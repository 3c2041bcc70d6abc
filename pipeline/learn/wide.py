"""The wide path: a logistic regression on TF-IDF of hashed n-grams, and how it is mixed with the Bi-LSTM.

It learns anew from every text of the window at each release; the warm Bi-LSTM reads only a sample of what is old.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, diags
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from pipeline.model.confidence import softmax

_NEVER = -20.0  # logit of a mood without an example: exp(-20) is 2e-9
# Texts at which naive Bayes is trusted half as much. On gold after 290 texts trusting it by 0.5 costs 4 points of
# macro-F1; of 300, 2,000 and 10,000 movie reviews it makes +0.0, +0.4 and +0.4.
_TRUST_HALVED = 1000
_PRIOR_ROWS = 300  # pseudo-count: with 300 held-out rows, fit and prior weigh the same


@dataclass(frozen=True)
class Wide:
    """A logistic regression for each mood: idf (buckets,), weights (buckets, 3) and bias (3,), all float32."""

    idf: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    @classmethod
    def fit(cls, bags: csr_matrix, labels: np.ndarray, weights: np.ndarray, *, c: float, trust: float) -> "Wide":
        """Learn from `bags` of 1 + log(tf), shape (texts, buckets). A mood without an example gets a logit of -20.

        `c` is scikit-learn's C; idf is smoothed as there. `trust` (0 to 1) is how much an n-gram's naive Bayes
        log-ratio scales it. On few texts such ratios are noise, so n texts count n / (n + 1000) of it.

        One mood against the rest, by dual coordinate descent: on 11,000 reviews 0.8 s of CPU, where one multinomial
        regression by L-BFGS takes 26 s and is no better (macro-F1 0.581 and 0.577, log-loss 0.799 and 0.806).
        """
        texts, buckets = bags.shape
        seen = np.bincount(bags.indices, minlength=buckets)
        idf = np.log((1 + texts) / (1 + seen)) + 1
        used = np.flatnonzero(seen)  # an n-gram that training never saw says nothing
        features = normalize(bags @ diags(idf))[:, used]
        table, bias = np.zeros((buckets, 3), dtype=np.float32), np.full(3, _NEVER, dtype=np.float32)
        trust *= texts / (texts + _TRUST_HALVED)
        for label in np.unique(labels):
            scale = (1 - trust) + trust * _log_ratios(features, labels == label, weights)
            regression = LogisticRegression(C=c, solver="liblinear", dual=True, max_iter=1000, random_state=0)
            regression.fit(features @ diags(scale), labels == label, sample_weight=weights)
            table[used, label], bias[label] = scale * regression.coef_[0], regression.intercept_[0]
        return cls(idf.astype(np.float32), table, bias)

    def logits(self, bags: csr_matrix) -> np.ndarray:
        """Logits, float64 of shape (texts, 3)."""
        if not bags.shape[0]:  # scikit-learn does not normalise nothing
            return np.zeros((0, 3))
        return np.asarray(normalize(bags @ diags(self.idf.astype(np.float64))) @ self.weights + self.bias)


def _log_ratios(features: csr_matrix, inside: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """|log-ratio| of each n-gram's share inside a mood and outside it, shape (n-grams,).

    The penalty then holds back least what tells moods apart (Wang & Manning 2012, "Baselines and Bigrams"). Scaled so
    that the root mean square of a text's length stays 1.
    """
    present = features.copy()
    present.data = np.ones_like(present.data)
    here, there = (np.asarray(present.T @ (weights * part)) + 1 for part in (inside, ~inside))
    ratio = np.abs(np.log((here / here.sum()) / (there / there.sum())))
    length = np.sqrt((np.asarray(features.power(2).sum(axis=0)).ravel() * ratio**2).sum() / features.shape[0])
    return np.asarray(ratio / length) if length > 0 else np.ones_like(ratio)


def fit_mix(wide_logits: np.ndarray, deep_logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Weights of the wide and the deep logits: least log-loss on held-out rows, shrunk to (1, 0) where these are few.

    n rows count n / (n + 300). A few dozen can't tell whether the Bi-LSTM overfits. On the demo's base model (260
    texts, 28 held out; three seeds) macro-F1 on gold is 0.80 for wide alone, 0.56 to 0.67 for the Bi-LSTM alone,
    0.65 to 0.81 for the fit and 0.76 to 0.83 for the shrunken fit.
    """
    if not len(labels):
        return 1.0, 0.0
    prior = np.array([1.0, 0.0])

    def loss(mix: np.ndarray) -> float:
        probabilities = softmax(mix[0] * wide_logits + mix[1] * deep_logits)
        log_loss = -np.log(np.clip(probabilities[np.arange(len(labels)), labels], 1e-12, 1)).mean()
        return float(log_loss + 1e-3 * ((mix - prior) ** 2).sum())  # a ridge: where mixes are equal, the prior

    found = minimize(loss, x0=np.array([1.0, 0.5]), bounds=[(0.0, 4.0)] * 2, method="L-BFGS-B").x
    shrunk = prior + (found - prior) * len(labels) / (len(labels) + _PRIOR_ROWS)
    return round(float(shrunk[0]), 4), round(float(shrunk[1]), 4)
