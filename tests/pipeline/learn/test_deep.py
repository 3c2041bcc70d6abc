"""The Bi-LSTM's training: padding never changes an answer."""

import numpy as np

from pipeline.learn.deep import deep_logits
from pipeline.model.network import build_deep, make_deterministic


def test_padding_changes_nothing() -> None:
    make_deterministic(1)
    network = build_deep(50, embedding=8, units=(6, 4), dropout=0.4, word_dropout=0.1)
    short, long = np.array([[4, 9, 2, 0, 0, 0, 0]], dtype=np.int32), np.array([[3, 3, 8, 1, 7, 9, 2]], dtype=np.int32)
    alone = network(short[:, :3], training=False).numpy()
    together = network(np.concatenate([short, long]), training=False).numpy()
    np.testing.assert_allclose(together[:1], alone, atol=1e-6)
    np.testing.assert_allclose(deep_logits(network, np.concatenate([long, short])), together[::-1], atol=1e-6)
