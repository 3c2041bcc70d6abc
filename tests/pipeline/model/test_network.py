"""The network's file: the same weights, the same bytes; no code in it."""

import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.model.features import Vocabulary
from pipeline.model.network import (
    MODEL_FILE,
    build_deep,
    join_wide,
    load_network,
    make_deterministic,
    quiet_keras,
    save_network,
)
from tests.pipeline.conftest import TINY_VERSION

SHAPE = {"embedding": 8, "units": (6, 4), "dropout": 0.4, "word_dropout": 0.1}
IDS = np.array([[2, 3, 4, 0], [5, 0, 0, 0]], dtype=np.int32)


def test_saving_the_same_weights_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    make_deterministic(1)
    network = build_deep(30, **SHAPE)
    network.compile(optimizer="adam", loss="categorical_crossentropy")
    network.optimizer.build(network.trainable_variables)  # its state must not come into the file
    # In between other layers are made, so that memory addresses and name counters differ; and time passes.
    build_deep(30, **SHAPE)
    make_deterministic(2)
    rebuilt = build_deep(30, **SHAPE)
    rebuilt.set_weights(network.get_weights())
    for name, model in (("a", network), ("b", rebuilt)):
        (tmp_path / name).mkdir()
        save_network(model, tmp_path / name, TINY_VERSION)
        assert [path.name for path in (tmp_path / name).iterdir()] == [MODEL_FILE]
    assert (tmp_path / "a" / MODEL_FILE).read_bytes() == (tmp_path / "b" / MODEL_FILE).read_bytes()
    loaded = load_network(tmp_path / "a")
    np.testing.assert_array_equal(loaded(IDS, training=False), network(IDS, training=False))
    rebuilt.set_weights([weight + 0.1 for weight in network.get_weights()])
    save_network(rebuilt, tmp_path / "b", TINY_VERSION)
    assert (tmp_path / "a" / MODEL_FILE).read_bytes() != (tmp_path / "b" / MODEL_FILE).read_bytes()


def test_the_file_names_its_version_and_neither_clock_nor_code(tiny_model: Path) -> None:
    with zipfile.ZipFile(tiny_model / MODEL_FILE) as file:
        assert file.namelist() == ["config.json", "metadata.json", "model.weights.h5"]
        assert {entry.date_time[0] for entry in file.infolist()} == {1980}
        assert json.loads(file.read("metadata.json"))["date_saved"] == TINY_VERSION
        config = file.read("config.json").decode()
    assert all(int(number) < 100 for number in re.findall(r'"shared_object_id": (\d+)', config))
    assert "Lambda" not in config
    assert not any(path.suffix in (".pkl", ".pickle", ".joblib") for path in tiny_model.iterdir())
    for path in tiny_model.glob("*.npy"):
        np.load(path, allow_pickle=False)  # an array of numbers: objects would be pickled, and refused
    for path in tiny_model.iterdir():
        assert not path.read_bytes().startswith(b"\x80")  # where a pickle begins


def test_a_file_with_code_in_it_is_refused(tmp_path: Path) -> None:
    keras = quiet_keras()
    ids = keras.Input(shape=(4,))
    keras.Model(ids, keras.layers.Lambda(lambda x: x * 2)(ids)).save(tmp_path / MODEL_FILE)
    with pytest.raises(ValueError, match=r"[Ll]ambda"):
        load_network(tmp_path)


def test_the_trained_file_loads_in_safe_mode(tiny_model: Path) -> None:
    network = load_network(tiny_model)
    inputs = Vocabulary.load(tiny_model).inputs(["갓겜", "노답 패치"], [["갓겜"], ["노답", "패치"]])
    probabilities = network(inputs, training=False).numpy()
    assert probabilities.shape == (2, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert not getattr(network, "compiled", False)


def test_the_network_is_a_stacked_bilstm_that_does_not_read_padding() -> None:
    make_deterministic(1)
    network = build_deep(30, **(SHAPE | {"units": (6, 5, 4)}))
    layers = [type(layer).__name__ for layer in network.layers]
    assert layers.count("Bidirectional") == 3
    assert layers.count("Dropout") == 4  # of words, and after each Bi-LSTM
    assert network.get_layer("bilstm_1").output.shape == (None, None, 12)
    assert network.get_layer("pooled").output.shape == (None, 16)  # maximum and mean of both directions
    short, padded = np.array([[5, 6]], dtype=np.int32), np.array([[5, 6, 0, 0, 0]], dtype=np.int32)
    np.testing.assert_allclose(network(short, training=False), network(padded, training=False), atol=1e-6)
    first, second = (network(padded, training=True).numpy() for _ in range(2))
    assert not np.array_equal(first, second)  # dropout while it learns
    np.testing.assert_array_equal(network(padded, training=False), network(padded, training=False))


def test_the_same_seed_gives_the_same_weights() -> None:
    def weights(seed: int) -> list[np.ndarray]:
        make_deterministic(seed)
        found: list[np.ndarray] = build_deep(30, **SHAPE).get_weights()
        return found

    for one, other in zip(weights(3), weights(3), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(weights(3)[0], weights(4)[0])


def test_weights_alone_are_kept(tiny_model: Path) -> None:
    with zipfile.ZipFile(tiny_model / MODEL_FILE) as file:
        data = file.read("model.weights.h5")
    import h5py

    with h5py.File(io.BytesIO(data)) as weights:
        assert "optimizer" not in weights


def test_the_whole_model_is_the_mix_of_both_paths() -> None:
    make_deterministic(1)
    deep = build_deep(30, **SHAPE)
    rng = np.random.default_rng(1)
    idf, table, bias = rng.random(64) + 1, rng.normal(size=(64, 3)), np.array([0.1, 0.0, -0.2])
    whole = join_wide(deep, idf, table, bias, (1.5, 0.5))
    inputs = Vocabulary("kiwi", 4, 64, ("갓겜", "노답")).inputs(["갓겜", "노답 노답"], [["갓겜"], ["노답", "노답"]])
    value = inputs["bag_tf"] * idf[inputs["bag"]]
    value /= np.linalg.norm(value, axis=1, keepdims=True)
    wide = np.einsum("bn,bnk->bk", value, table[inputs["bag"]]) + bias
    logits = 1.5 * wide + 0.5 * deep(inputs["ids"], training=False).numpy()
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(whole(inputs, training=False).numpy(), expected, atol=1e-5)
    empty = Vocabulary("kiwi", 4, 64, ()).inputs([""], [[]])
    assert np.isfinite(whole(empty, training=False).numpy()).all()
