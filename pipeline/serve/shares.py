"""Shares: what was said of a set of posts becomes an estimate of the true shares of 부정, 중립, 긍정, with an interval.

A judge (an LLM with its prompt, or a version of the model) answers a post of mood y with answer a in the share C[y, a].
Posts that people judged after a random draw (audited posts) tell C, and those of the set itself tell its shares π as
well (double sampling: Tenenbein 1970, doi 10.1080/01621459.1970.10481170). The answers to all other posts of the set
are distributed as πC (adjusted count: Forman 2008, doi 10.1007/s10618-008-0097-y; with probabilities in the place of
answers: Bella et al. 2010, doi 10.1109/ICDM.2010.75). Both are joined by Bayes' rule (Ziegler & Czyż 2023, arXiv
2302.09159), so that the interval holds what a sample of posts and what a few audits leave open. C is integrated out:
given π the answers are Dirichlet-multinomial, with the mean and variance that the audits imply. What is left has two
dimensions and is summed on a lattice, in milliseconds, without chance.

It rests on one assumption: a judge errs on a post of a mood as it erred on the audited ones of that mood, if less
surely so in other job groups and in other versions. `benchmarks/truth.py` compares it with other ways.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import numpy as np
from scipy.special import betaincinv, gammaln

LEVEL = 0.9  # of the interval
LEAST = 15  # audited posts of a kind of judge under which nothing is corrected (benchmarks/truth.py)
STRENGTH = 20.0  # audited posts of each mood that other groups' and other versions' count for, at most (the same)
_WIDER = 3.0  # posts that the shares of the larger set count for (the same)
_DOUBT = (
    np.eye(3) + 1
) / 2  # before its first audit a judge is believed right on half of each mood: as if of two posts
_CELLS = 60  # of the lattice, along each side
_NOWHERE = 1e-6  # of the highest density: no longer looked at
_WORTH = 0.7  # of the lattice's side: narrowing it to more than that gains nothing

Three: TypeAlias = tuple[float, float, float]


class Judge(NamedTuple):
    """Who answered. `kind`: `llm` or `model`; `version`: the labeler's fingerprint or the model's version."""

    kind: str
    version: str


def _lattice() -> np.ndarray:
    """The middles of the triangles that all shares fall into, shape (1830, 3): rows of three numbers that sum to 1."""
    first, second = np.triu_indices(_CELLS)
    return np.column_stack([first, second - first, _CELLS - 1 - second]) / _CELLS + 1 / (3 * _CELLS)


_LATTICE = _lattice()


def _no_posts() -> np.ndarray:
    return np.zeros((3, 3))


@dataclass(frozen=True, slots=True)
class Said:
    """What one judge said of the posts of a set: sums over posts of its answers (0, 0, 1), or of its probabilities.

    `answers` has shape (3,): the posts that no audit drew. `audited` has shape (3, 3): those that an audit drew at
    random from this very set, by the mood that a person gave (row). A queue of doubtful posts is no random draw.
    """

    judge: Judge
    answers: np.ndarray
    audited: np.ndarray = field(default_factory=_no_posts)

    @property
    def posts(self) -> float:
        """The number of posts of both sorts."""
        return float(self.answers.sum() + self.audited.sum())


@dataclass(frozen=True, slots=True)
class Audits:
    """All audited posts. `tables`: sums of shape (3, 3) by judge and job group, people's moods down, answers across.

    One audited post may stand in the tables of several judges.
    """

    tables: Mapping[tuple[Judge, str], np.ndarray]

    @classmethod
    def of(cls, posts: Iterable[tuple[Judge, str, int, Sequence[float]]]) -> "Audits":
        """From single posts: judge, job group ('' where there is none), a person's mood, the answer as in `Said`."""
        tables: dict[tuple[Judge, str], np.ndarray] = {}
        for judge, group, mood, answer in posts:
            tables.setdefault((judge, group), _no_posts())[mood] += answer
        return cls(tables)

    def count(self, kind: str) -> int:
        """Audited posts that a judge of this kind has answered, all versions and groups together."""
        return round(float(self._sum(lambda judge, _: judge.kind == kind).sum()))

    def known(self, judge: Judge, group: str | None, inside: np.ndarray, strength: float) -> np.ndarray:
        """What is known of a judge's errors without a set's own audited posts (`inside`): counts of shape (3, 3).

        `group`: the set's job group; None: it spans them all. The judge's other posts there count fully, those of
        other groups and then those of other versions together as `strength` posts of each mood at most. Raises
        ValueError when more posts are audited inside than in all.
        """
        own = self._sum(lambda one, where: one == judge and group in (None, where)) - inside
        if own.min() < -1e-6:
            raise ValueError(f"more posts of {judge} are audited in the set than in all of {group or 'them'}")
        others = self._sum(lambda one, where: one == judge and group not in (None, where))
        versions = self._sum(lambda one, _: one.kind == judge.kind and one != judge)
        return np.maximum(own, 0) + _at_most(others + _at_most(versions + _DOUBT, strength), strength)

    def _sum(self, wanted: Callable[[Judge, str], bool]) -> np.ndarray:
        return sum((table for (judge, group), table in self.tables.items() if wanted(judge, group)), _no_posts())


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of 부정, 중립, 긍정 in a set of posts, numbers from 0 to 1; those of `raw` and of `shares` sum to 1.

    `raw` counts what was said. `shares` are the estimate; in 90 of 100 cases the true ones, of all that such posts are
    a sample of, are from `low` to `high`. Where it is not `corrected` the shares are raw and no interval is known.
    """

    raw: Three
    shares: Three
    low: Three | None
    high: Three | None
    posts: int
    audited: int  # posts that it was corrected by, those of other groups and versions among them
    corrected: bool
    reason: str  # why it was not corrected, or by what it was


def estimate(
    said: Sequence[Said],
    audits: Audits,
    *,
    people: Sequence[float] = (0, 0, 0),
    group: str | None = None,
    wider: Shares | None = None,
    strength: float = STRENGTH,
) -> Shares:
    """The true shares of a set of posts.

    `said`: one of each judge whose word counts in the set, each post once. `people`: the posts of each mood that people
    judged otherwise than in an audit; they count as they are. `group`: the set's job group; None: it spans them all.
    `wider`: the shares of a larger set that this one is a part of; they count like three posts. `strength`: see
    `Audits.known`. Raises ValueError for a set without posts, and when more are audited in it than in all.
    """
    parts = [one for one in said if one.posts > 0]
    sure = np.asarray(people, dtype=np.float64)
    total = sum(one.posts for one in parts) + float(sure.sum())
    if total <= 0:
        raise ValueError("a set without posts has no shares")
    raw = (sum((one.answers + one.audited.sum(axis=0) for one in parts), np.zeros(3)) + sure) / total
    counts = {one.judge.kind: audits.count(one.judge.kind) for one in parts}
    audited = min(counts.values(), default=0)
    lacking = [f"{kind}: {count} audited posts, {LEAST} are needed" for kind, count in counts.items() if count < LEAST]
    if lacking:
        return Shares(_three(raw), _three(raw), None, None, round(total), audited, False, "; ".join(lacking))
    leaning = _WIDER * np.array(wider.shares) if wider is not None else np.zeros(3)
    mean, variance = np.zeros(3), np.zeros(3)
    for one in parts:
        known = audits.known(one.judge, group, one.audited, strength)
        its_mean, its_variance = posterior(one.answers, one.audited, known, 1 + leaning * one.posts / total)
        mean += its_mean * one.posts / total
        variance += its_variance * (one.posts / total) ** 2
    if sure.sum():
        moods = sure / sure.sum()
        mean += moods * sure.sum() / total
        variance += moods * (1 - moods) / (sure.sum() + 1) * (sure.sum() / total) ** 2
    low, high = _between(mean, variance)
    reason = f"{audited} audited posts" if parts else "judged by people"
    return Shares(_three(raw), _three(mean), _three(low), _three(high), round(total), audited, True, reason)


def posterior(
    answers: np.ndarray, inside: np.ndarray, known: np.ndarray, prior: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each mood's share, both of shape (3,), as one judge's answers and audited posts tell it.

    `answers` (3,) of the posts that were not audited; `inside` (3, 3) audited posts of the same set, `known` (3, 3)
    others, every row above 0; `prior` (3,): Dirichlet parameters of the shares.
    """
    table = known + inside
    rows = table.sum(axis=1)
    confusion = table / rows[:, None]
    spread = (confusion * (1 - confusion)).sum(axis=1) / (rows + 1)
    exponents, n = prior - 1 + inside.sum(axis=1), answers.sum()
    least = np.zeros(3)  # every mood's share is at least that, as far as is still looked
    while True:
        shares = least + (1 - least.sum()) * _LATTICE
        density = np.log(shares) @ exponents
        if n > 0:
            said = shares @ confusion
            # As many audited posts as would leave a single vector of answers this uncertain.
            size = (said * (1 - said)).sum(axis=1) / (shares**2 @ spread) - 1
            weight = size[:, None] * said
            density += gammaln(size) - gammaln(size + n) + (gammaln(weight + answers) - gammaln(weight)).sum(axis=1)
        weights = np.exp(density - density.max())
        narrower = np.maximum(shares[weights > _NOWHERE].min(axis=0) - (1 - least.sum()) / _CELLS, least)
        if 1 - narrower.sum() > _WORTH * (1 - least.sum()):
            break
        least = narrower
    weights /= weights.sum()
    mean = weights @ shares
    within = ((1 - least.sum()) / _CELLS) ** 2 / 18  # the variance of a mood's share in one triangle
    return mean, weights @ (shares - mean) ** 2 + within


def share_error(estimated: Sequence[float] | np.ndarray, true: Sequence[float] | np.ndarray) -> float:
    """The mean over the moods of the absolute difference of two lists of shares."""
    return float(np.abs(np.asarray(estimated) - np.asarray(true)).mean())


def _at_most(table: np.ndarray, strength: float) -> np.ndarray:
    """The same table, its rows made smaller where their sum is above `strength`."""
    return np.asarray(table * np.minimum(1, strength / table.sum(axis=1, keepdims=True)))


def _between(mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the interval: quantiles of beta distributions with these means and variances, (3,) each."""
    inside = (mean > 0) & (mean < 1) & (variance > 0)
    size = np.where(inside, mean * (1 - mean) / np.where(inside, variance, 1) - 1, 1)
    a, b = np.where(inside, mean * size, 1), np.where(inside, (1 - mean) * size, 1)
    ends = [np.where(inside, betaincinv(a, b, share), mean) for share in ((1 - LEVEL) / 2, (1 + LEVEL) / 2)]
    return ends[0], ends[1]


def _three(values: np.ndarray) -> Three:
    return float(values[0]), float(values[1]), float(values[2])
