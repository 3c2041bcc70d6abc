"""The network: a stacked Bi-LSTM with dropout and a wide path beside it; the same weights make the same file.

The wide path is a logistic regression on TF-IDF of hashed n-grams, written as layers (Cheng et al. 2016, "Wide &
Deep Learning"). Only standard layers are used: the file loads in safe mode, without code of ours.
"""

import io
import json
import os
import sys
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.files import write_bytes

MODEL_FILE = "model.keras"
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest a ZIP entry can carry


def quiet_keras() -> Any:
    """Keras on TensorFlow, imported without TensorFlow's start-up lines.

    They are written to the process's stderr by C++ before any log level is read (TF 2.21), so that file
    descriptor looks away for the length of the import.
    """
    if "tensorflow" not in sys.modules:
        sys.stderr.flush()
        kept = os.dup(2)
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        finally:
            os.dup2(kept, 2)
            os.close(kept)
    import keras

    # Of `build_deep`: the mask ends at that layer, and padding is zero there.
    warnings.filterwarnings("ignore", message="Layer 'maximum'.* was passed an input with a mask")
    return keras


def make_deterministic(seed: int) -> None:
    """Seed Python, NumPy and Keras, and let TensorFlow use deterministic kernels only.

    Keras' name counters start anew: a network built after another in one process is the same file too.
    """
    keras = quiet_keras()
    import tensorflow as tf

    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def build_deep(
    vocabulary_size: int, *, embedding: int, units: Sequence[int], dropout: float, word_dropout: float
) -> Any:
    """The stacked Bi-LSTM, uncompiled: ids (batch, tokens) int32 -> logits (batch, 3) float32.

    `embedding` is its width, `units` those of each Bi-LSTM layer in one direction, `word_dropout` the share of the
    words that one step of training does not see. What the last layer says of each token
    is pooled by its maximum and its mean: a verdict may stand anywhere in a post.
    """
    keras = quiet_keras()
    layers = keras.layers
    ids = keras.Input(shape=(None,), dtype="int32", name="ids")
    x = layers.Embedding(vocabulary_size, embedding, mask_zero=True, name="embedding")(ids)
    x = layers.Dropout(word_dropout, noise_shape=(None, None, 1), name="word_dropout")(x)
    x = layers.SpatialDropout1D(dropout, name="embedding_dropout")(x)
    for depth, width in enumerate(units, start=1):
        x = layers.Bidirectional(layers.LSTM(width, return_sequences=True), name=f"bilstm_{depth}")(x)
        if depth < len(units):
            x = layers.Dropout(dropout, name=f"dropout_{depth}")(x)
    # Padding is zero here: after the ReLU it is never the maximum of anything but zeros, so it changes nothing.
    highest = layers.GlobalMaxPooling1D(name="maximum")(layers.ReLU(name="positive")(x))
    x = layers.Concatenate(name="pooled")([highest, layers.GlobalAveragePooling1D(name="mean")(x)])
    x = layers.Dropout(dropout, name=f"dropout_{len(units)}")(x)
    return keras.Model(ids, layers.Dense(3, name="deep_logits")(x), name="stacked_bilstm")


def join_wide(deep: Any, idf: np.ndarray, weights: np.ndarray, bias: np.ndarray, mix: tuple[float, float]) -> Any:
    """The whole model, uncompiled: `Vocabulary.inputs` -> probabilities (batch, 3).

    `idf` (buckets,), `weights` (buckets, 3) and `bias` (3,) are the logistic regression's; `mix` says how much the
    wide and the deep logits count.
    """
    keras = quiet_keras()
    layers = keras.layers
    buckets = len(idf)
    bag = keras.Input(shape=(None,), dtype="int32", name="bag")
    frequency = keras.Input(shape=(None,), dtype="float32", name="bag_tf")
    rarity = layers.Embedding(buckets, 1, trainable=False, name="idf")
    table = layers.Embedding(buckets, 3, name="wide_weights")
    value = layers.Multiply(name="tf_idf")([layers.Reshape((-1, 1), name="bag_tf_column")(frequency), rarity(bag)])
    value = layers.UnitNormalization(axis=1, name="unit_length")(value)
    wide = layers.Reshape((3,), name="wide_logits")(layers.Dot(axes=1, name="wide_sum")([table(bag), value]))
    both = layers.Concatenate(name="wide_and_deep")([wide, deep.output])
    join = layers.Dense(3, activation="softmax", name="mood")
    inputs = {"ids": deep.input, "bag": bag, "bag_tf": frequency}
    model = keras.Model(inputs, join(both), name="wide_and_stacked_bilstm")
    rarity.set_weights([idf[:, None]])
    table.set_weights([weights])
    kernel = np.concatenate([mix[0] * np.eye(3), mix[1] * np.eye(3)])
    join.set_weights([kernel, mix[0] * bias])
    return model


def save_network(network: Any, folder: Path, stamp: str) -> None:
    """Write `model.keras` so that the same weights give the same bytes.

    Keras puts the wall clock and memory addresses into the file (measured with Keras 3.15): the time becomes the
    model's version `stamp`, the addresses are numbered in order. The optimizer's state is left out.
    """
    bare = quiet_keras().Model.from_config(network.get_config())
    bare.set_weights(network.get_weights())
    raw = folder / f".raw-{MODEL_FILE}"
    bare.save(raw)
    buffer = io.BytesIO()
    with zipfile.ZipFile(raw) as source, zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as target:
        for name in sorted(source.namelist()):
            data = source.read(name)
            if name == "metadata.json":
                data = json.dumps({**json.loads(data), "date_saved": stamp}, sort_keys=True).encode()
            elif name == "config.json":
                data = json.dumps(_renumber(json.loads(data), {}), sort_keys=True).encode()
            target.writestr(zipfile.ZipInfo(name, _FIXED_TIME), data)
    raw.unlink()
    write_bytes(folder / MODEL_FILE, buffer.getvalue())


def _renumber(value: Any, numbers: dict[int, int]) -> Any:
    """The configuration with its shared object ids replaced by 1, 2, 3 … in order of appearance."""
    if isinstance(value, list):
        return [_renumber(item, numbers) for item in value]
    if isinstance(value, dict):
        return {
            key: numbers.setdefault(item, len(numbers) + 1) if key == "shared_object_id" else _renumber(item, numbers)
            for key, item in value.items()
        }
    return value


def load_network(folder: Path) -> Any:
    """The Keras model of a folder, uncompiled. Safe mode: no code is ever read from the file."""
    return quiet_keras().saving.load_model(folder / MODEL_FILE, compile=False, safe_mode=True)
