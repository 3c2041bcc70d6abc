"""Plain sentences: short texts of our own that a model must not get wrong (behavioural tests, CheckList).

After Ribeiro et al. 2020 (arXiv 2005.04118): `unmistakable` sentences have one mood that nobody doubts; `pair-same` are
two texts that must get the same mood (another job's name, spacing, a typo, ㅋㅋ); `pair-toward` are two of which the
second must be nearer to a mood (ㅠㅠ, 최악, 갓). They stand in data/plain_sentences.csv and are never trained on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.files import DataFileError, read_csv
from pipeline.labels import parse_label
from pipeline.layout import PLAIN_COLUMNS, PLAIN_FILE
from pipeline.text import normalise

UNMISTAKABLE, SAME, TOWARD = KINDS = ("unmistakable", "pair-same", "pair-toward")
MOODS = "moods"  # the group of which so many must be right that a model may be served
_NO_ROOM = 0.95  # probability from which a text need not come nearer to a mood

Predict = Callable[[Sequence[str]], np.ndarray]  # texts -> probabilities, shape (n, 3)


@dataclass(frozen=True, slots=True)
class PlainSentence:
    """One row. `other` is a pair's second text, `mood` the right label, or the one that `other` must be nearer to."""

    group: str
    kind: str
    text: str
    other: str
    mood: int | None


@dataclass(frozen=True, slots=True)
class Group:
    """How many sentences (or pairs) of a group are right, and the texts of those that are not."""

    right: int
    sentences: int
    wrong: tuple[str, ...]

    @property
    def share(self) -> float:
        """The share that is right, 0 to 1."""
        return self.right / self.sentences


def read_plain(root: Path = Path()) -> list[PlainSentence]:
    """All rows of data/plain_sentences.csv. Raises DataFileError, which names the row."""
    path = root / PLAIN_FILE
    sentences = []
    for number, row in enumerate(read_csv(path, PLAIN_COLUMNS), start=1):
        try:
            sentences.append(_sentence(row))
        except ValueError as error:
            raise DataFileError(f"{path}, row {number}: {error}") from None
    return sentences


def by_group(sentences: Sequence[PlainSentence], predict: Predict) -> dict[str, Group]:
    """What a model gets right of each group, in the order of the file. Each text is asked once."""
    texts = list(dict.fromkeys(text for one in sentences for text in (one.text, one.other) if text))
    answers = dict(zip(texts, predict(texts), strict=True)) if texts else {}
    groups: dict[str, list[tuple[bool, str]]] = {}
    for one in sentences:
        groups.setdefault(one.group, []).append((_is_right(one, answers), one.text))
    return {
        name: Group(sum(right for right, _ in found), len(found), tuple(text for right, text in found if not right))
        for name, found in groups.items()
    }


def under_floor(groups: dict[str, Group], floor: float) -> str:
    """Why a model with these answers may not be served; empty when it may. `floor`: share of unmistakable moods."""
    found = groups.get(MOODS)
    if found is None:
        return f"{PLAIN_FILE} has no sentence of the group {MOODS}"
    if found.share >= floor:
        return ""
    return (
        f"{found.share:.0%} of {found.sentences} plain sentences right, {floor:.0%} are needed: {found.wrong[0]!r}, …"
    )


def _is_right(one: PlainSentence, answers: dict[str, np.ndarray]) -> bool:
    first = answers[one.text]
    if one.kind == UNMISTAKABLE:
        return int(first.argmax()) == one.mood
    second = answers[one.other]
    if one.kind == SAME:
        return int(first.argmax()) == int(second.argmax())
    return bool(second[one.mood] > first[one.mood] or first[one.mood] >= _NO_ROOM)


def _sentence(row: dict[str, str]) -> PlainSentence:
    kind, text, other = row["kind"], normalise(row["text"]), normalise(row["other"])
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; use one of {', '.join(KINDS)}")
    if not row["group"] or not text:
        raise ValueError("group or text is empty")
    if (kind == UNMISTAKABLE) == bool(other):
        raise ValueError("a pair needs its second text in `other`, a single sentence none")
    wanted, unwanted = ("direction", "label") if kind == TOWARD else ("label", "direction")
    if row[unwanted] or bool(row[wanted]) == (kind == SAME):
        raise ValueError(f"{kind} takes {'neither label nor direction' if kind == SAME else f'a {wanted} alone'}")
    mood = None if kind == SAME else parse_label(row[wanted])
    return PlainSentence(row["group"], kind, text, other, mood)
