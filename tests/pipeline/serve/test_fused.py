"""The network as it is served says what the network says."""

from typing import Any

import numpy as np
import pytest

from pipeline.model.network import make_deterministic, quiet_keras
from pipeline.serve.fused import FusedBiLSTM, compiled, fused

IDS = np.array([[2, 3, 4, 5, 6], [7, 8, 0, 0, 0], [9, 0, 0, 0, 0], [1, 2, 3, 0, 0]], dtype=np.int32)


def stacked(*units: int, last_as_sequence: bool = False) -> Any:
    """Ids -> three Bi-LSTMs' features -> 3 numbers, with weights of which none is zero."""
    keras = quiet_keras()
    layers = keras.layers
    make_deterministic(1)
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = layers.Embedding(30, 8, mask_zero=True, name="embedding")(ids)
    x = layers.SpatialDropout1D(0.4)(x)
    for depth, width in enumerate(units, start=1):
        sequence = depth < len(units) or last_as_sequence
        x = layers.Bidirectional(layers.LSTM(width, return_sequences=sequence), name=f"bilstm_{depth}")(x)
        x = layers.Dropout(0.4)(x)
    if last_as_sequence:
        x = layers.GlobalAveragePooling1D()(x)  # reads the mask
    network = keras.Model(ids, layers.Dense(3)(x))
    rng = np.random.default_rng(1)
    for weight in network.weights:
        weight.assign(weight + rng.normal(0, 0.5, weight.shape))
    return network


def fused_layers(network: Any) -> int:
    return sum(isinstance(layer, FusedBiLSTM) for layer in network.layers)


@pytest.mark.parametrize("last_as_sequence", [False, True])
def test_a_stacked_bilstm_is_fused_and_says_the_same(last_as_sequence: bool) -> None:
    network = stacked(6, 5, 4, last_as_sequence=last_as_sequence)
    served = fused(network)
    assert fused_layers(served) == 3
    expected = network(IDS, training=False).numpy()
    np.testing.assert_allclose(served(IDS, training=False).numpy(), expected, atol=1e-5)
    assert np.ptp(expected, axis=0).min() > 0.01  # or equality would say nothing
    np.testing.assert_allclose(served(IDS[1:2, :2], training=False).numpy(), expected[1:2], atol=1e-5)
    np.testing.assert_array_equal(served(IDS, training=False), served(IDS, training=False))


def test_a_whole_sequence_has_zeros_for_padding_as_keras_has_it() -> None:
    network = stacked(6, 5, 4)
    keras = quiet_keras()
    for name in ("bilstm_1", "bilstm_2"):
        part = keras.Model(network.input, network.get_layer(name).output)
        expected = part(IDS, training=False).numpy()
        np.testing.assert_allclose(fused(part)(IDS, training=False).numpy(), expected, atol=1e-6)
        assert not expected[1, 2:].any()
        assert expected[1, :2].all()


def test_a_mask_goes_on_with_a_sequence_only() -> None:
    served, mask = fused(stacked(6, 5)), IDS != 0
    assert served.get_layer("bilstm_1_fused").compute_mask(IDS, mask) is mask
    assert served.get_layer("bilstm_2_fused").compute_mask(IDS, mask) is None


def test_without_a_mask_every_place_is_read() -> None:
    keras = quiet_keras()
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = keras.layers.Embedding(30, 8)(ids)
    network = keras.Model(ids, keras.layers.Bidirectional(keras.layers.LSTM(5))(x))
    assert fused_layers(fused(network)) == 1
    np.testing.assert_allclose(fused(network)(IDS, training=False), network(IDS, training=False), atol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        "LSTM(5)",
        "GRU(5)",
        "LSTM(5, activation='relu')",
        "LSTM(5, use_bias=False)",
        "LSTM(5, recurrent_activation='relu')",
    ],
)
def test_another_kind_of_layer_is_left_as_it_is(layer: str) -> None:
    keras = quiet_keras()
    kind, _, rest = layer.partition("(")
    options: dict[str, Any] = {"units": 5}
    if "=" in rest:
        name, value = rest.removesuffix(")").split(", ")[1].split("=")
        options[name] = {"False": False}.get(value, value.strip("'"))
    inner = getattr(keras.layers, kind)(**options)
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = keras.layers.Embedding(30, 8, mask_zero=True)(ids)
    mode = "sum" if layer == "LSTM(5)" else "concat"
    network = keras.Model(ids, keras.layers.Bidirectional(inner, merge_mode=mode)(x))
    served = fused(network)
    assert fused_layers(served) == 0
    np.testing.assert_array_equal(served(IDS, training=False), network(IDS, training=False))


def test_a_network_within_a_network_is_fused_too() -> None:
    keras = quiet_keras()
    deep = stacked(6, 5, 4)
    ids = keras.Input((None,), dtype="int32", name="ids")
    network = keras.Model(ids, keras.layers.Softmax()(deep(ids)))
    served = fused(network)
    assert sum(fused_layers(layer) for layer in served.layers if isinstance(layer, keras.Model)) == 3
    np.testing.assert_allclose(served(IDS, training=False), network(IDS, training=False), atol=1e-6)


def test_the_compiled_function_takes_what_the_network_reads_and_leaves_the_rest() -> None:
    keras = quiet_keras()
    deep = stacked(6, 5)
    more = keras.Input((None,), dtype="float32", name="more")
    network = keras.Model({"ids": deep.input, "more": more}, keras.layers.Concatenate()([deep.output, more]))
    inputs = {"ids": IDS, "more": np.arange(8, dtype=np.float32).reshape(4, 2)}
    forward = compiled(network)
    expected = network(inputs, training=False).numpy()
    assert expected.shape == (4, 5)
    np.testing.assert_allclose(forward({**inputs, "unknown": IDS}), expected, atol=1e-5)
    short = {name: array[1:2, :2] for name, array in inputs.items()}
    np.testing.assert_allclose(forward(short), expected[1:2], atol=1e-5)
    np.testing.assert_allclose(compiled(deep)(inputs), deep(IDS, training=False).numpy(), atol=1e-5)
