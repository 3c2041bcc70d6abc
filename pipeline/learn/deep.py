"""The deep path: a stacked Bi-LSTM over the sequence of morphemes, and how it learns."""

from typing import Any

import numpy as np

from pipeline.learn.params import TrainParams
from pipeline.learn.tokenised import Batch
from pipeline.model.features import PAD
from pipeline.model.network import build_deep, quiet_keras

# Texts of like length share a batch: of the arithmetic of padding all to the longest, half is left on the demo's posts,
# a third on Steam reviews (measured).
_WIDTHS = (8, 16, 24, 32, 48, 64, 96, 128)


class Deep:
    """The network, which learns in place; `network` maps ids (texts, tokens) to logits (texts, 3)."""

    def __init__(self, vocabulary_size: int, params: TrainParams) -> None:
        self.params = params
        self.network = build_deep(
            vocabulary_size,
            embedding=params.embedding,
            units=params.units,
            dropout=params.dropout,
            word_dropout=params.word_dropout,
        )

    def set_word_vectors(self, vectors: np.ndarray) -> None:
        """Begin the embedding with `vectors` (words, width); a word whose vector is zero keeps its random one."""
        layer = self.network.get_layer("embedding")
        (table,) = layer.get_weights()
        known = vectors.any(axis=1)
        table[2:][known] = vectors[known]
        layer.set_weights([table])

    def fit(self, batch: Batch, held_out: Batch, *, warm: bool) -> list[dict[str, float]]:
        """Learn; the epoch with the least loss on `held_out` is kept (on `batch` where nothing is held out).

        AdamW with a warm-up and a cosine to nothing (arXiv 1608.03983). Returns the learning curve.
        """
        keras, params = quiet_keras(), self.params
        batches = fit_batches(batch, params.batch, params.seed)
        steps = int(batches.cardinality())
        epochs = params.warm_epochs if warm else max(params.epochs, -(-params.min_steps // steps))
        rate = params.warm_learning_rate if warm else params.learning_rate
        ramp = max(1, epochs * steps // 10)
        schedule = keras.optimizers.schedules.CosineDecay(
            rate * 0.05, max(1, epochs * steps - ramp), alpha=0.02, warmup_target=rate, warmup_steps=ramp
        )
        self.network.compile(
            optimizer=keras.optimizers.AdamW(schedule, weight_decay=params.weight_decay, global_clipnorm=1.0),
            loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=params.label_smoothing),
            weighted_metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
            jit_compile=False,
        )
        # Variables that are made within the first step have TensorFlow trace it twice, which takes 1.7 s: of the
        # optimizer here, of the metric above by its class instead of its name.
        self.network.optimizer.build(self.network.trainable_variables)
        history = self.network.fit(
            batches,
            shuffle=False,  # the batches do it themselves
            validation_data=fit_batches(held_out, params.batch, None) if len(held_out) else None,
            epochs=epochs,
            callbacks=[
                keras.callbacks.EarlyStopping(
                    monitor="val_loss" if len(held_out) else "loss",
                    patience=params.patience,
                    restore_best_weights=True,
                )
            ],
            verbose=0,
        ).history
        return [
            {"epoch": i + 1, **{name: round(float(values[i]), 6) for name, values in sorted(history.items())}}
            for i in range(len(history["loss"]))
        ]

    def logits(self, ids: np.ndarray) -> np.ndarray:
        """The network's logits, float32 of shape (texts, 3)."""
        return deep_logits(self.network, ids)


def deep_logits(network: Any, ids: np.ndarray, batch: int = 256) -> np.ndarray:
    """A deep network's logits, float32 of shape (texts, 3)."""
    import tensorflow as tf

    # Traced once for batches of every shape; Keras' own predict is traced anew for many of them.
    forward = tf.function(
        lambda rows: network(rows, training=False), input_signature=[tf.TensorSpec((None, None), tf.int32)]
    )
    lengths = _lengths(ids)
    order = np.argsort(lengths, kind="stable")
    logits = np.zeros((len(ids), 3), dtype=np.float32)
    for first in range(0, len(order), batch):
        rows = order[first : first + batch]
        logits[rows] = forward(tf.constant(ids[rows, : lengths[rows].max()], dtype=tf.int32)).numpy()
    return logits


def _lengths(ids: np.ndarray) -> np.ndarray:
    return np.asarray((ids != PAD).sum(axis=1))


def fit_batches(batch: Batch, size: int, seed: int | None) -> Any:
    """Batches of ids, one-hot labels and weights, of texts of like length; in a new order each epoch with a seed."""
    import tensorflow as tf

    targets = np.eye(3, dtype=np.float32)[batch.labels]
    rows = tf.data.Dataset.from_tensor_slices(
        (batch.ids, _lengths(batch.ids), targets, batch.weights.astype(np.float32))
    )
    if seed is not None:
        rows = rows.shuffle(len(batch), seed=seed, reshuffle_each_iteration=True)
    batches = rows.map(lambda row, length, *rest: (row[:length], *rest)).bucket_by_sequence_length(
        lambda row, *_: tf.shape(row)[0],
        bucket_boundaries=[width + 1 for width in _WIDTHS],
        bucket_batch_sizes=[size] * (len(_WIDTHS) + 1),
    )
    sizes = np.bincount(np.searchsorted(_WIDTHS, _lengths(batch.ids)))
    return batches.apply(tf.data.experimental.assert_cardinality(int((-(-sizes // size)).sum())))
