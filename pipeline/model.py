"""The network: a stacked Bi-LSTM with dropout, and how it becomes the same file from the same weights."""

import io
import json
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

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


def build_network(vocabulary_size: int, params: dict[str, Any]) -> Any:
    """The uncompiled Keras model: ids (batch, tokens) int32 -> probabilities (batch, 3) float32.

    Params (section `train`): embedding (width), units (of each Bi-LSTM layer, in one direction), dropout, dense.
    """
    keras = quiet_keras()
    layers = keras.layers
    ids = keras.Input(shape=(None,), dtype="int32", name="ids")
    x = layers.Embedding(vocabulary_size, params["embedding"], mask_zero=True, name="embedding")(ids)
    x = layers.SpatialDropout1D(params["dropout"], name="embedding_dropout")(x)
    *lower, top = params["units"]
    for depth, units in enumerate(lower, start=1):
        x = layers.Bidirectional(layers.LSTM(units, return_sequences=True), name=f"bilstm_{depth}")(x)
        x = layers.Dropout(params["dropout"], name=f"dropout_{depth}")(x)
    x = layers.Bidirectional(layers.LSTM(top), name=f"bilstm_{len(params['units'])}")(x)
    x = layers.Dropout(params["dropout"], name=f"dropout_{len(params['units'])}")(x)
    x = layers.Dense(params["dense"], activation="relu", name="dense")(x)
    return keras.Model(ids, layers.Dense(3, activation="softmax", name="mood")(x), name="stacked_bilstm")


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
