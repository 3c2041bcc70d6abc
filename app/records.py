"""The records that the page's parts hand each other, and what they ask of a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl

from app import charts
from app.suspects import Suspect
from pipeline.serve.keywords import Keyword

# Name -> days shown (None: all), days before them to compare the keywords with.
PERIODS: dict[str, tuple[int | None, int]] = {
    "오늘": (1, 7),
    "7일": (7, 28),
    "30일": (30, 90),
    charts.ALL: (None, 0),
}
DEFAULT_PERIOD = "7일"


class VerdictLike(Protocol):
    """What a classifier says of one text (`pipeline.serve.classifier.Verdict`, which says what the fields mean)."""

    @property
    def label(self) -> int: ...
    @property
    def probabilities(self) -> tuple[float, float, float]: ...
    @property
    def confidence(self) -> float: ...
    @property
    def tokens(self) -> tuple[tuple[str, float], ...]: ...
    @property
    def certain(self) -> bool: ...


class ClassifierLike(Protocol):
    """A loaded model (`pipeline.serve.classifier.Classifier`)."""

    @property
    def version(self) -> str: ...
    def predict(self, texts: Sequence[str], explain: bool = False) -> Sequence[VerdictLike]: ...


class ModelProvider(Protocol):
    """Gives the model in production, None before the first one (`pipeline.serve.production.ProductionModel`).

    `warming_up`: the first one is there and about to answer. `outdated`: it can't, as it needs another version of the
    code. None may wait.
    """

    @property
    def warming_up(self) -> bool: ...
    @property
    def outdated(self) -> bool: ...
    def current(self) -> ClassifierLike | None: ...


class Refused(ValueError):
    """A visitor's input can't be taken. The message is Korean and meant for the visitor."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What the dashboard shows: a period of PERIODS, a job group and a job (or 전체)."""

    period: str = DEFAULT_PERIOD
    group: str = charts.ALL
    job: str = charts.ALL


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the next training is: posts and corrections waiting, and how many it takes."""

    posts: int
    posts_needed: int
    feedback: int
    feedback_needed: int


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One state of the dashboard. Two with the same `fingerprint` look the same."""

    filters: Filters
    figures: charts.Figures
    groups: pl.DataFrame  # charts.shares of every job group in the period
    jobs: pl.DataFrame  # charts.shares of every job of the chosen group
    keywords: list[Keyword]
    compared_with: str | None  # what the keywords stand out from; None: ranked by count
    cloud: np.ndarray | None
    newest: pl.DataFrame
    total_posts: int  # in the database, whatever the filters
    collected_at: str | None  # ISO 8601, of the newest post in order of collection
    model_version: str | None
    warming_up: bool  # no model answers yet, but one is being loaded
    progress: Progress
    fingerprint: str
    outdated: bool = False  # no model answers: the one that is there needs another version of the code


@dataclass(frozen=True, slots=True)
class Analysis:
    """One analysed text, normalised. Without a model `verdict` and `version` are None; `warming_up`: one is on its way;
    `outdated`: the one that is there needs another version of the code.

    `suspect` is the collected post that the text is of: its title may be shown, the text may not.
    """

    id: str
    text: str
    verdict: VerdictLike | None
    version: str | None
    suspect: Suspect | None = None
    warming_up: bool = False
    outdated: bool = False

    @property
    def shown(self) -> str:
        """What the page may show of the text."""
        return self.suspect.title if self.suspect else self.text
