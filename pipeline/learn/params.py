"""Sections `prepare` and `train` of params.yaml. What each value means, and its unit, stands beside it there."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from pipeline.params import AtLeastOne, Count, NotNegative, Share

Positive = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, slots=True)
class PrepareParams:
    """Section `prepare`."""

    seed: int
    base_ratio: NotNegative
    feedback_weight: Positive
    min_confidence: Share
    confidence_weight: bool
    test_share: Share
    validation_share: Share


@dataclass(frozen=True, slots=True)
class TrainParams:
    """Section `train`."""

    seed: int
    max_tokens: AtLeastOne
    vocabulary: AtLeastOne
    min_count: AtLeastOne
    wide_buckets: AtLeastOne
    wide_c: Positive
    wide_trust: Share
    embedding: AtLeastOne
    units: Annotated[tuple[AtLeastOne, ...], Field(min_length=1)]
    dropout: Share
    word_dropout: Share
    label_smoothing: Share
    weight_decay: NotNegative
    batch: AtLeastOne
    learning_rate: NotNegative
    pretrain: Count
    epochs: AtLeastOne
    min_steps: Count
    patience: Count
    warm_start: bool
    warm_learning_rate: NotNegative
    warm_epochs: AtLeastOne
    replay: NotNegative
    abstain_precision: Share
