"""Gaps: ids of a board that no walk has listed yet, between posts that were. Pure functions on tuples of them.

A gap is left where a walk ended at its largest number of pages before it reached what earlier walks had settled, and
around a post that could not be read. Gaps are kept apart from each other, in ascending order.
"""

from collections.abc import Iterable

from pipeline.live.records import Gap


def ids(gaps: Iterable[Gap]) -> int:
    """How many ids lie in these gaps: at least as many as there are posts, because some of them are deleted."""
    return sum(gap.before - gap.after - 1 for gap in gaps)


def covers(gaps: Iterable[Gap], post_id: int) -> bool:
    """Whether an id lies in one of these gaps."""
    return any(gap.after < post_id < gap.before for gap in gaps)


def joined(gaps: Iterable[Gap], more: Gap) -> tuple[Gap, ...]:
    """These gaps and another one, which may overlap them."""
    apart: list[Gap] = []
    for gap in sorted((*gaps, more), key=lambda gap: gap.after):
        if gap.before - gap.after < 2:
            continue  # no id between
        if apart and gap.after < apart[-1].before:
            last = apart.pop()
            top = max(last, gap, key=lambda each: each.before)  # its page is where the higher edge stands
            gap = Gap(last.after, top.before, top.page)
        apart.append(gap)
    return tuple(apart)


def without(gaps: Iterable[Gap], lowest: int, highest: int, page: int) -> tuple[Gap, ...]:
    """What is left of these gaps once every post from `lowest` to `highest` has been listed.

    `page` is the list page on which `lowest` stands.
    """
    left: list[Gap] = []
    for gap in gaps:
        if highest <= gap.after or gap.before <= lowest:
            left.append(gap)
            continue
        left += [Gap(gap.after, lowest, page), Gap(highest, gap.before, gap.page)]
    return tuple(gap for gap in left if gap.before - gap.after > 1)
