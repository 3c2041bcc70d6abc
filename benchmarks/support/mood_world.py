"""A test world of posts whose moods are known, with an LLM and a model that err in known ways."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.serve.shares import Judge

POSTS, WEEKS = 3000, 6
LLM_WEEKS = 4  # that the LLM has read; the model reads the others
GROUPS = {  # how the job groups' moods are mixed in the middle of the six weeks: 부정, 중립, 긍정
    "warrior": (0.17, 0.73, 0.10),
    "magician": (0.30, 0.60, 0.10),
    "archer": (0.08, 0.82, 0.10),
    "thief": (0.15, 0.65, 0.20),
    "pirate": (0.40, 0.52, 0.08),
}
DRIFT = np.array([1.0, 0.0, -0.6])  # of the moods' logits over the six weeks
LLM, MODEL = Judge("llm", "embedded"), Judge("model", "20261122T154500")
ERRORS = {  # answers to posts of each mood (row); the first is what the embedded LLM did on real posts of another board
    LLM: np.array([[0.80, 0.14, 0.06], [0.30, 0.62, 0.08], [0.10, 0.32, 0.58]]),
    MODEL: np.array([[0.72, 0.24, 0.04], [0.22, 0.72, 0.06], [0.12, 0.42, 0.46]]),
}
ALIKE = 20  # audited posts of a mood after which a group's own errors would be known, in the world where they differ


@dataclass(frozen=True)
class Stream:
    """Posts, as arrays of n: job group, week, true mood, judge (its place in `names`), probabilities (n, 3)."""

    groups: np.ndarray
    weeks: np.ndarray
    moods: np.ndarray
    judges: np.ndarray
    said: np.ndarray
    names: tuple[Judge, ...] = (LLM, MODEL)

    def slices(self) -> Iterator[tuple[str, str | None, np.ndarray]]:
        """The sets that a page shows: all posts, a job group, a job group's week."""
        yield "all", None, np.ones(len(self.moods), dtype=bool)
        for group in GROUPS:
            members = self.groups == group
            yield "group", group, members
            for week in range(WEEKS):
                yield "group's week", group, members & (self.weeks == week)

    def true(self, members: np.ndarray) -> np.ndarray:
        """The shares of the members' moods."""
        return np.bincount(self.moods[members], minlength=3) / members.sum()


def world(seed: int, differ: bool) -> Stream:
    """3,000 posts; with `differ` each job group's errors are drawn around the judge's."""
    rng = np.random.default_rng(seed)
    groups = rng.choice(list(GROUPS), POSTS)
    times = rng.random(POSTS) * WEEKS
    mixes = np.array([GROUPS[group] for group in groups]) * np.exp(np.outer(times / WEEKS - 0.5, DRIFT))
    moods = _drawn(rng, mixes / mixes.sum(axis=1, keepdims=True))
    judges = (times >= LLM_WEEKS).astype(int)
    errors = np.empty((POSTS, 3))
    for number, judge in enumerate((LLM, MODEL)):
        for group in GROUPS:
            its = np.array([rng.dirichlet(ALIKE * row) for row in ERRORS[judge]]) if differ else ERRORS[judge]
            members = (judges == number) & (groups == group)
            errors[members] = its[moods[members]]
    return Stream(groups, times.astype(int), moods, judges, _probabilities(rng, moods, _drawn(rng, errors)))


def _drawn(rng: np.random.Generator, rows: np.ndarray) -> np.ndarray:
    """One of three for each row of probabilities."""
    return (rng.random(len(rows))[:, None] > rows.cumsum(axis=1)).sum(axis=1).clip(0, 2)


def _probabilities(rng: np.random.Generator, moods: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Probabilities whose likeliest mood is the answer: surer where it is right, leaning to the truth elsewhere."""
    n, right = np.arange(len(moods)), answers == moods
    sure = 0.5 + 0.5 * np.where(right, rng.beta(2.5, 1.5, len(n)), rng.beta(1.2, 2.0, len(n)))
    second, third = (answers + 1) % 3, (answers + 2) % 3
    leaning = np.where(right, 0.5, np.where(moods == second, 0.7, 0.3))
    part = rng.beta(4 * leaning, 4 * (1 - leaning))
    found = np.empty((len(n), 3))
    found[n, answers], found[n, second], found[n, third] = sure, (1 - sure) * part, (1 - sure) * (1 - part)
    return found
