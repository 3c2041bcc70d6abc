"""The wide path, and how much of it and of the Bi-LSTM counts."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from pipeline.learn.wide import Wide, fit_mix
from pipeline.model.confidence import softmax


def test_the_wide_path_is_the_regression_and_unseen_grams_say_nothing() -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(60) % 3
    dense = (rng.random((60, 20)) < 0.2) * 1.0
    dense[np.arange(60), labels] = 1.0  # the first three buckets give the label away
    bags = csr_matrix(np.pad(dense, ((0, 0), (0, 4))))
    wide = Wide.fit(bags, labels, np.ones(60), c=4.0, trust=0.5)
    assert (wide.weights[20:] == 0).all()
    assert wide.idf[3:20].min() > wide.idf[:3].min()  # what is rare weighs more
    assert (wide.logits(bags).argmax(axis=1) == labels).mean() > 0.95


def test_what_tells_moods_apart_is_held_back_least() -> None:
    """A rare sure n-gram beside frequent vague ones: naive Bayes trusts it sooner than the penalty alone does."""

    def lean(texts: int, trust: float) -> float:
        rng, labels = np.random.default_rng(1), np.arange(texts) % 3
        dense = (rng.random((texts, 30)) < 0.3) * 1.0
        dense[:, 0] = 0.0
        dense[np.flatnonzero(labels == 2)[: texts // 60], 0] = 1.0  # always 긍정
        table = Wide.fit(csr_matrix(dense), labels, np.ones(texts), c=1.0, trust=trust).weights
        return float(table[0, 2] / np.abs(table[1:, 2]).mean())

    assert lean(3000, 1.0) > lean(3000, 0.5) > 1.2 * lean(3000, 0.0)
    assert lean(120, 0.5) / lean(120, 0.0) < lean(3000, 0.5) / lean(3000, 0.0)  # of few texts it is hardly believed


def test_the_sequence_model_earns_its_weight_on_held_out_texts() -> None:
    labels = np.arange(3000) % 3
    right, noise = 4.0 * np.eye(3)[labels], np.random.default_rng(1).normal(size=(3000, 3))
    wide, deep = sure = fit_mix(noise, right, labels)
    assert deep > wide
    wide, deep = fit_mix(right, noise, labels)
    assert wide > 0.5
    assert deep < 0.2
    few = fit_mix(noise[:30], right[:30], labels[:30])
    assert few[1] < 0.15 * sure[1]  # thirty texts do not prove much
    assert few[0] > 0.8
    assert fit_mix(noise[:0], right[:0], labels[:0]) == (1.0, 0.0)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_mood_without_an_example_never_wins(missing: int) -> None:
    moods = [mood for mood in range(3) if mood != missing]
    labels = np.array(moods * 20)
    rows = csr_matrix(np.eye(3)[labels])
    logits = Wide.fit(rows, labels, np.ones(40), c=4.0, trust=0.5).logits(rows)
    assert (logits.argmax(axis=1) == labels).all()
    assert softmax(logits)[:, missing].max() < 1e-6
