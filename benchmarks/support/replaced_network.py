"""The replaced system's network, for comparison: Okt stems without stopwords, 60 tokens, Bi-LSTM 128 then 64.

Its hyperparameters are those of `../shared/reference/models.md`. Two things are kinder to it than it was: padding is
masked and texts of like length share a batch (it padded each to 60, which takes several times as long), and a training
stops after two epochs without a better validation loss, not four (the best epoch is kept either way).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.learn.deep import deep_logits, fit_batches
from pipeline.learn.tokenised import Batch
from pipeline.model.features import build_vocabulary
from pipeline.model.network import make_deterministic, quiet_keras
from pipeline.text import Tokenizer

VOCABULARY, TOKENS, BATCH, PATIENCE = 20_000, 60, 128, 2


def build() -> Any:
    """The network, uncompiled: ids (batch, tokens) -> logits (batch, 3)."""
    keras = quiet_keras()
    layers = keras.layers
    ids = keras.Input(shape=(None,), dtype="int32", name="ids")
    x = layers.Embedding(VOCABULARY, 128, mask_zero=True)(ids)
    x = layers.Dropout(0.3)(x)
    x = layers.Bidirectional(layers.LSTM(128, return_sequences=True))(x)
    x = layers.Dropout(0.3)(x)
    x = layers.Bidirectional(layers.LSTM(64))(x)
    x = layers.Dense(64, activation="relu")(x)
    x = layers.Dropout(0.4)(x)
    return keras.Model(ids, layers.Dense(3)(x))


def replaced_network(
    training: tuple[Sequence[str], np.ndarray],
    tested: Sequence[str],
    split: Tokenizer,
    stopwords: Path,
    seed: int,
    epochs: int,
) -> np.ndarray:
    """Train it on texts and labels (a tenth held out) and give its logits of other texts, shape (texts, 3)."""
    keras = quiet_keras()
    make_deterministic(seed)
    ignored = set(stopwords.read_text(encoding="utf-8").split())
    texts, labels = training
    tokens, other = (
        [[token for token in row if token not in ignored][:TOKENS] for row in split(some)] for some in (texts, tested)
    )
    vocabulary = build_vocabulary(
        tokens, tokenizer=split.name, max_tokens=TOKENS, buckets=1, size=VOCABULARY - 2, min_count=1
    )
    ids = vocabulary.encode(tokens)
    out = np.random.default_rng(seed).random(len(ids)) < 0.1
    network = build()
    network.compile(
        "adam", keras.losses.CategoricalCrossentropy(from_logits=True), jit_compile=False, weighted_metrics=[]
    )
    ones = np.ones(len(ids))
    network.fit(
        fit_batches(Batch(ids[~out], labels[~out], ones[~out]), BATCH, seed),
        validation_data=fit_batches(Batch(ids[out], labels[out], ones[out]), BATCH, None),
        epochs=epochs,
        shuffle=False,
        callbacks=[keras.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True)],
        verbose=0,
    )
    return deep_logits(network, vocabulary.encode(other))
