"""The deep path: how the stacked Bi-LSTM learns, from nothing or from the model in production (warm start).

A warm Bi-LSTM reads what the champion has not seen, and twice as much again drawn from what it has (replay): a
release costs about the same in the hundredth month as in the first. Over forty chunks it was as good as learning all
anew each time (benchmarks/README.md, incremental).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.hashing import content_hash
from pipeline.learn.examples import Example
from pipeline.learn.params import TrainParams
from pipeline.model.features import PAD, Vocabulary
from pipeline.model.folder import read_metadata
from pipeline.model.network import load_network, quiet_keras

# Texts of like length share a batch: of the arithmetic of padding all to the longest, half is left on the demo's posts,
# a third on Steam reviews (measured).
_WIDTHS = (8, 16, 24, 32, 48, 64, 96, 128)


@dataclass(frozen=True)
class Start:
    """A trained model to go on from: its version, what it has learned from, and its Bi-LSTM's weights by layer."""

    version: str
    sources: frozenset[str]  # chunk-0007, feedback-0003
    tokens: tuple[str, ...]
    weights: dict[str, list[np.ndarray]]

    @classmethod
    def load(cls, folder: Path) -> "Start":
        """From a model's folder. Raises DataFileError."""
        metadata = read_metadata(folder)
        sources = [f"chunk-{number}" for number in metadata.get("chunks", ())]
        sources += [f"feedback-{number}" for number in metadata.get("archives", ())]
        return cls.of(load_network(folder), Vocabulary.load(folder), metadata["version"], frozenset(sources))

    @classmethod
    def of(cls, network: Any, vocabulary: Vocabulary, version: str, sources: frozenset[str] = frozenset()) -> "Start":
        """From a network and its vocabulary."""
        weights = {layer.name: layer.get_weights() for layer in network.layers if layer.get_weights()}
        return cls(version, sources, vocabulary.tokens, weights)

    def news(self, training: Sequence[Example]) -> list[int]:
        """Positions of the posts and corrections that this model has not learned from."""
        return [i for i, e in enumerate(training) if e.source != "base" and e.source not in self.sources]

    def fits(self, network: Any) -> bool:
        """Whether the network is of this model's shape, but for the size of its vocabulary."""
        return all(
            [weight.shape[-1:] if layer.name == "embedding" else weight.shape for weight in layer.get_weights()]
            == [w.shape[-1:] if layer.name == "embedding" else w.shape for w in self.weights.get(layer.name, ())]
            for layer in network.layers
            if layer.get_weights()
        )

    def copy_to(self, network: Any, vocabulary: Vocabulary) -> None:
        """Set the network's weights to this model's; tokens it did not know keep their random vectors."""
        for layer in network.layers:
            if layer.name == "embedding":
                (known,), (table,) = self.weights["embedding"], layer.get_weights()
                places = {token: row for row, token in enumerate(self.tokens, start=2)}
                table[:2] = known[:2]
                for row, token in enumerate(vocabulary.tokens, start=2):
                    if token in places:
                        table[row] = known[places[token]]
                layer.set_weights([table])
            elif layer.get_weights():
                layer.set_weights(self.weights[layer.name])


def chosen_rows(training: Sequence[Example], start: Start, replay: float, seed: int) -> np.ndarray:
    """Which examples a warm start reads: all that the champion has not seen, and `replay` times as many that it has.

    Corrections are always read. Which of the others is decided by the hash of a text and the seed: the same
    whatever the order of the rows.
    """
    new = start.news(training)
    corrected = [i for i, e in enumerate(training) if e.source.startswith("feedback-") and e.source in start.sources]
    taken = {*new, *corrected}
    rest = [i for i in range(len(training)) if i not in taken]
    rest.sort(key=lambda i: content_hash(f"{seed}\n{start.version}\n{training[i].text}"))
    return np.array(sorted([*taken, *rest[: round(replay * len(new))]]), dtype=np.int64)


def fit_deep(
    ids: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    held_out: tuple[np.ndarray, np.ndarray, np.ndarray] | None,
    deep: Any,
    params: TrainParams,
    *,
    warm: bool,
) -> list[dict[str, float]]:
    """Fit the network `deep` in place; the epoch with the least validation loss is kept. Returns the learning curve.

    `ids` (texts, tokens) as of `Vocabulary.encode`, `labels` (texts,), `weights` (texts,); `held_out` is the same of
    the validation texts. AdamW with a warm-up and a cosine to nothing (arXiv 1608.03983).
    """
    keras = quiet_keras()
    batches = fit_batches(ids, labels, weights, params.batch, params.seed)
    steps = int(batches.cardinality())
    epochs = params.warm_epochs if warm else max(params.epochs, -(-params.min_steps // steps))
    rate = params.warm_learning_rate if warm else params.learning_rate
    ramp = max(1, epochs * steps // 10)
    schedule = keras.optimizers.schedules.CosineDecay(
        rate * 0.05, max(1, epochs * steps - ramp), alpha=0.02, warmup_target=rate, warmup_steps=ramp
    )
    deep.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=params.weight_decay, global_clipnorm=1.0),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=params.label_smoothing),
        weighted_metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        jit_compile=False,
    )
    # Variables that are made within the first step have TensorFlow trace it twice, which takes 1.7 s: of the optimizer
    # here, of the metric above by its class instead of its name.
    deep.optimizer.build(deep.trainable_variables)
    history = deep.fit(
        batches,
        shuffle=False,  # the batches do it themselves
        validation_data=fit_batches(*held_out, params.batch, None) if held_out else None,
        epochs=epochs,
        callbacks=[
            keras.callbacks.EarlyStopping(
                monitor="val_loss" if held_out else "loss", patience=params.patience, restore_best_weights=True
            )
        ],
        verbose=0,
    ).history
    return [
        {"epoch": i + 1, **{name: round(float(values[i]), 6) for name, values in sorted(history.items())}}
        for i in range(len(history["loss"]))
    ]


def deep_logits(deep: Any, ids: np.ndarray, batch: int = 256) -> np.ndarray:
    """The network's logits, float32 of shape (texts, 3)."""
    import tensorflow as tf

    # Traced once for batches of every shape; Keras' own predict is traced anew for many of them.
    forward = tf.function(
        lambda rows: deep(rows, training=False), input_signature=[tf.TensorSpec((None, None), tf.int32)]
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


def fit_batches(ids: np.ndarray, labels: np.ndarray, weights: np.ndarray, batch: int, seed: int | None) -> Any:
    """Batches of ids, one-hot labels and weights, of texts of like length; in a new order each epoch with a seed."""
    import tensorflow as tf

    targets = np.eye(3, dtype=np.float32)[labels]
    rows = tf.data.Dataset.from_tensor_slices((ids, _lengths(ids), targets, weights.astype(np.float32)))
    if seed is not None:
        rows = rows.shuffle(len(ids), seed=seed, reshuffle_each_iteration=True)
    batches = rows.map(lambda row, length, *rest: (row[:length], *rest)).bucket_by_sequence_length(
        lambda row, *_: tf.shape(row)[0],
        bucket_boundaries=[width + 1 for width in _WIDTHS],
        bucket_batch_sizes=[batch] * (len(_WIDTHS) + 1),
    )
    sizes = np.bincount(np.searchsorted(_WIDTHS, _lengths(ids)))
    return batches.apply(tf.data.experimental.assert_cardinality(int((-(-sizes // batch)).sum())))
