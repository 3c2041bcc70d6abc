"""The smoke test: a model that is to be served must answer, and not the same to everything."""

import numpy as np

from pipeline.classifier import Classifier

_TEXTS = ("이번 패치 진짜 최고다 너무 재밌어", "사냥터 추천 좀 해주세요", "버그투성이에 하향까지 노답이네")


def smoke_error(model: Classifier) -> str:
    """Empty when the model answers sensibly; else what is wrong with its answers."""
    probabilities = model.probabilities(_TEXTS)
    if not np.isfinite(probabilities).all() or not np.allclose(probabilities.sum(axis=1), 1, atol=1e-6):
        return "its probabilities are not finite or do not sum to one"
    if np.allclose(probabilities, probabilities[0], atol=1e-6):
        return "it answers every text alike"
    return ""
