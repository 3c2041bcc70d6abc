"""What one question to the LLM came to, and what can go wrong while asking."""

from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import UserError


class LabelError(UserError):
    """Base of everything this package raises."""


class PromptError(LabelError):
    """The prompt file is missing or malformed. The message names the file and what is wrong."""


class LabelServerError(LabelError):
    """No LLM server can label. The message names its address, what is wrong and what to start."""


class CoverageError(LabelError):
    """Too many posts of a chunk got no label; its labelled file is not written. Says how many and why."""


class QualityError(LabelError):
    """The labels of a chunk are not to be trusted (gold agreement, canaries); its file is not written."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a labelling run is: texts in all, answered (from the cache too), without a label so far."""

    total: int
    done: int
    cached: int
    failed: int


@dataclass(frozen=True, slots=True)
class LabelReport:
    """What labelling one chunk came to. `coverage` is the labelled share of the posts that can be labelled, 0 to 1."""

    chunk: str
    labeler: str
    prompt: str
    mode: str
    posts: int
    labelled: int
    refused: int  # will never get a label from this labeler: filtered, too long, empty
    coverage: float
    asked: int  # questions to the LLM in this run (calibration and retries too); the rest was in the cache
    counts: dict[str, int] = field(default_factory=dict)  # 부정, 중립, 긍정 -> posts
    quality: dict[str, Any] = field(default_factory=dict)  # gold, repeats, canaries (pipeline/label/quality.py)
    warnings: tuple[str, ...] = ()  # of this run: servers that somebody should look at
