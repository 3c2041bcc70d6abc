"""The network as it is served: the same graph and weights, with one fused operation for each direction of an LSTM.

Keras runs an LSTM on a CPU as a loop of some fifteen small operations a token, which is most of the time that one text
takes (measured: 5.4 of 5.7 ms; with TensorFlow's BlockLSTMV2 1.3 of 1.6). Only layers that are known to be the same
are exchanged, everything else is kept as it is: another architecture is served too, as fast as Keras makes it.

Importing this module imports TensorFlow.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from pipeline.model.network import quiet_keras

keras = quiet_keras()
import tensorflow as tf  # noqa: E402  (quiet_keras silences its first words)

# One thread for each pass: passes run beside the tokenizer and beside each other, and TensorFlow's waiting threads
# spin. With two, many texts cost 0.15 ms of CPU more each (measured on two cores). Once TensorFlow has begun to work
# it can't be set any more: then it is only slower.
with contextlib.suppress(RuntimeError):
    tf.config.threading.set_intra_op_parallelism_threads(1)


class FusedBiLSTM(keras.layers.Layer):  # type: ignore[misc, name-defined]
    """A trained `Bidirectional(LSTM)` for inference: (texts, tokens, width) -> both directions' outputs.

    Padding stands on the right of each text, and a text has at least one token (`Vocabulary.encode`). Where a whole
    sequence is returned, padding is zero in it, as Keras has it within `Bidirectional`.
    """

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(trainable=False, **kwargs)
        self.supports_masking = True
        self._sequences = bool(layer.return_sequences)
        self._directions = [_weights(one) for one in (layer.forward_layer, layer.backward_layer)]

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Keras asks for it when the graph is built."""
        width = sum(units for _, _, units in self._directions)
        return (shape[0], shape[1], width) if self._sequences else (shape[0], width)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """As `Bidirectional`: the mask goes on with a sequence only."""
        return mask if self._sequences else None

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """One BlockLSTMV2 each way. Time comes first in it, and the way back begins at each text's own end."""
        texts, tokens = tf.shape(inputs)[0], tf.shape(inputs)[1]
        lengths = tf.fill([texts], tokens) if mask is None else tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
        text, time = tf.range(texts)[:, None], tf.range(tokens)[None, :]
        mirrored = tf.where(time < lengths[:, None], lengths[:, None] - 1 - time, time)
        outputs = []
        for (kernel, bias, units), place in zip(self._directions, (time + 0 * text, mirrored), strict=True):
            state, peephole = tf.zeros([texts, units]), tf.zeros([units])
            hidden = tf.raw_ops.BlockLSTMV2(
                seq_len_max=tf.cast(tokens, tf.int64),
                x=_rows(inputs, tf.transpose(text * tokens + place)),
                cs_prev=state,
                h_prev=state,
                w=kernel,
                wci=peephole,
                wcf=peephole,
                wco=peephole,
                b=bias,
                cell_clip=0.0,
                use_peephole=False,
            ).h
            wanted = place if self._sequences else lengths[:, None] - 1
            outputs.append(_rows(hidden, wanted * texts + text))
        output = tf.concat(outputs, axis=-1)
        if not self._sequences:
            return output[:, 0]
        return output if mask is None else tf.where(mask[:, :, None], output, 0.0)


def compiled(network: Any) -> Callable[[dict[str, np.ndarray]], np.ndarray]:
    """A function from the network's inputs, by name, to its output. Safe to call from several threads.

    It is traced once for every shape: `model.predict` costs tens of milliseconds a call, this only the arithmetic.
    Inputs that the network does not have are left aside.
    """
    inference = fused(network)
    signature = {tensor.name: tf.TensorSpec([None] * len(tensor.shape), tensor.dtype) for tensor in network.inputs}
    only = None if isinstance(network.input, dict) else network.inputs[0].name
    graph = tf.function(
        lambda inputs: inference(inputs[only] if only else inputs, training=False), input_signature=[signature]
    )
    forward = graph.get_concrete_function()  # without the look-up of a trace: 0.4 ms less a call
    return lambda inputs: np.asarray(forward({name: tf.constant(inputs[name]) for name in signature}))


def fused(network: Any) -> Any:
    """The network with every Bi-LSTM of the usual kind fused; all other layers are the network's own."""
    return keras.models.clone_model(network, clone_function=_swap, recursive=True)


def _swap(layer: Any) -> Any:
    return FusedBiLSTM(layer, name=f"{layer.name}_fused") if _is_usual(layer) else layer


def _is_usual(layer: Any) -> bool:
    """Whether a layer computes what FusedBiLSTM does."""
    return (
        type(layer) is keras.layers.Bidirectional
        and layer.merge_mode == "concat"
        and not layer.return_state
        and all(
            type(one) is keras.layers.LSTM
            and one.activation is keras.activations.tanh
            and one.recurrent_activation is keras.activations.sigmoid
            and one.use_bias
            and not one.stateful
            and one.go_backwards is backwards
            for one, backwards in ((layer.forward_layer, False), (layer.backward_layer, True))
        )
    )


def _weights(lstm: Any) -> tuple[np.ndarray, np.ndarray, int]:
    """Kernel (inputs + units, 4 units), bias and units; Keras and the fused operation order the gates alike."""
    kernel, recurrent, bias = lstm.get_weights()
    return np.concatenate([kernel, recurrent]), bias, lstm.units


def _rows(vectors: Any, places: Any) -> Any:
    """The vectors (a, b, width), counted through, at these places: whole rows are copied.

    TensorFlow's transpose and reverse_sequence go number by number: 12 % of a pass (measured).
    """
    return tf.gather(tf.reshape(vectors, [-1, tf.shape(vectors)[-1]]), places)
