"""The live database's records: what collecting, labelling, scoring and people put into it."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Post:
    """One post as collected. Times are aware; counts are None where the page did not say.

    `listed_title` is its title as the list has it, to see when that changes; None where it is not known.
    """

    board_id: int
    post_id: int
    category: str | None
    job_group: str | None
    job: str | None
    title: str
    body: str
    url: str
    posted_at: datetime
    collected_at: datetime
    views: int | None = None
    recommends: int | None = None
    comments: int | None = None
    listed_title: str | None = None


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment of a post, without its writer. `parent_id`: the comment that it answers. `posted_at` is KST."""

    comment_id: int
    parent_id: int | None
    text: str
    recommends: int
    posted_at: datetime


@dataclass(frozen=True, slots=True)
class Visit:
    """A board's last visit. `began` is None when it was cut off or something could not be read; aware, KST.

    `blocked_until`: the board refused us and is left alone until then.
    """

    began: datetime | None = None
    blocked_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Ids of a board that no walk has listed yet: those above `after` and below `before`, both of which were.

    `page` is the list page on which `before` was last seen.
    """

    after: int
    before: int
    page: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a board has been walked: every post from `low_water` up to `high_water` is settled, except in gaps.

    Settled is what is stored, gone, or given up. `low_page` is the list page on which `low_water` was last seen; both
    are None where that is not known. Gaps are in ascending order.
    """

    high_water: int
    low_water: int | None = None
    low_page: int | None = None
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """`label` None means no label; `note` then says why. `scores` are raw: over the label words, uncalibrated.

    `scores[i]` is the probability of the word for label i (0 부정, 1 중립, 2 긍정); the three sum to 1.
    `confidence` is the probability of `label`, or the share of samples that say it (`label.samples`); None where
    there is neither. Without a label, `kind` is what went wrong (`pipeline.label.no_label.Kind`), and `lasting` says
    that the text is not asked again unless somebody wants it: the refusal is the answer.
    """

    label: int | None
    confidence: float | None = None
    scores: tuple[float, float, float] | None = None
    note: str = ""
    kind: str = field(default="", compare=False)
    lasting: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class LabelFailure:
    """A chunk that could not be labelled: how often in a row with this setup, what last, when (aware, KST).

    `kind` is "coverage" or "quality"; `setup` a hash of the settings that it failed with.
    """

    chunk: int
    setup: str
    failures: int
    kind: str
    reason: str
    failed_at: datetime


@dataclass(frozen=True, slots=True)
class Prediction:
    """The production model's view of one collected post."""

    board_id: int
    post_id: int
    label: int
    confidence: float


ANONYMOUS = "anonymous"  # a visitor of the page
IMPORTED = "imported:"  # and the name of where the corrections come from


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a person said about a text: `label` is the person's, `predicted` was the model's.

    `source` says whose word it is: `anonymous`, or `imported:NAME`.
    """

    text: str
    label: int
    predicted: int | None = None
    confidence: float | None = None
    model_version: str | None = None
    board_id: int | None = None
    post_id: int | None = None
    client: str | None = None
    source: str = ANONYMOUS
