"""Older pages of a board: gaps that walks have left, and backfills. From the newest to the oldest, page by page.

The place is a post id, because page numbers move: the page where it stands now is looked for. What was done is kept
after every page, so that a cut costs no more than the page at hand.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from pipeline.inven import gaps
from pipeline.inven.listing import Changed
from pipeline.inven.records import ListRow
from pipeline.inven.walk import Walk
from pipeline.live.records import Gap, Progress

log = logging.getLogger("pipeline.inven.crawl")

_BOTTOM = 10**6  # the "page" of a board that was walked to its end
_TOP = 2**31 - 1  # above every id

OnPage = Callable[[int], Awaitable[None]]


async def fill_gaps(walk: Walk, most_pages: int) -> None:
    """Collect what lies in the board's gaps, the newest first, until this walk has read `most_pages` list pages.

    Gaps that earlier walks have left get three pages at least, two to find them again and one to read: none waits for
    ever.
    """
    if walk.had_gaps:
        most_pages = max(most_pages, walk.pages + 3)
    await _on_either_site(walk, lambda: _Older(walk, most_pages).fill_gaps())


async def backfill(walk: Walk, pages: int, on_page: OnPage | None) -> None:
    """Collect the board's newest `pages` pages: its gaps, then on from where the last walk or backfill ended.

    `on_page` hears the number of each page that is done.
    """
    await _on_either_site(walk, lambda: _Older(walk, last_page=pages, on_page=on_page).backfill())


async def _on_either_site(walk: Walk, work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except Changed:
        walk.forget_listed()  # pages of the two sites need not hold the same number of rows
        await work()


class _Older:
    """One look at older pages. Ends at `most_pages` pages read by the walk, or at the list page `last_page`."""

    def __init__(
        self, walk: Walk, most_pages: int | None = None, last_page: int = _BOTTOM, on_page: OnPage | None = None
    ) -> None:
        self._walk = walk
        self._most_pages = most_pages
        self._last_page = last_page
        self._on_page = on_page

    async def fill_gaps(self) -> None:
        """Every gap that is there now, the newest first."""
        for gap in reversed(self._progress().gaps):
            if self._over(gap.page):
                return
            await self._descend(gap)

    async def backfill(self) -> None:
        """The gaps, then what lies below the low water."""
        await self.fill_gaps()
        low = self._progress()
        if not self._over(low.low_page or 1):
            await self._descend(Gap(0, low.low_water or _TOP, low.low_page or 1), below=True)

    def _progress(self) -> Progress:
        return self._walk.store.progress(self._walk.board) or Progress(0)

    def _over(self, page: int) -> bool:
        spent = self._most_pages is not None and self._walk.pages >= self._most_pages
        return bool(self._walk.stopped) or spent or page >= self._last_page

    async def _descend(self, gap: Gap, *, below: bool = False) -> None:
        """Collect a gap from its upper edge down. `below`: it is what lies below the low water."""
        found = await self._find(gap)
        if found is None:
            return
        number, rows = found
        edge = gap.before
        # Where the page begins below the edge, a deletion may have pulled a post up from it.
        lowest = edge if number > 1 and rows and rows[0].post_id < edge else 0
        while rows:
            fresh = self._walk.first_seen(rows)
            missed = await self._walk.missed_above(number, lowest, fresh)
            await self._walk.collect([[*missed, *fresh]], from_top=False)
            if self._walk.stopped:
                return
            lowest = rows[-1].post_id
            self._keep(lowest, edge, number, [row.post_id for row in (*missed, *fresh)], below)
            edge = lowest
            if self._on_page is not None:
                await self._on_page(number)
            if lowest <= gap.after + 1 or self._over(number):
                return
            number += 1
            rows = await self._walk.list_page(number)  # type: ignore[assignment]
        if rows is None or not (lowest or number > 1):  # not to be read; an empty board is no board's end
            return
        if below or await self._walk.ends_before(number):
            if not below:
                log.warning("board %s ends at page %s, above the rest of a gap: %s", self._walk.board, number - 1, gap)
            self._keep(gap.after + 1, edge, _BOTTOM, [], below)

    def _keep(self, lowest: int, edge: int, page: int, listed: Sequence[int], below: bool) -> None:
        """Every post from `lowest` up to the edge has been listed; those that are not settled stay a gap each."""
        left_out = self._walk.unsettled(listed)

        def kept(now: Progress) -> Progress:
            left = gaps.without(now.gaps, lowest, edge - 1, page)
            for post_id in left_out:
                left = gaps.joined(left, Gap(post_id - 1, post_id + 1, page))
            now = replace(now, gaps=left)
            return replace(now, low_water=lowest, low_page=page) if below else now

        self._change(kept)

    def _change(self, change: Callable[[Progress], Progress]) -> None:
        """Of a board that was never walked the place is not kept."""
        if self._walk.store.progress(self._walk.board) is not None:
            self._walk.store.change_progress(self._walk.board, lambda now: change(now or Progress(0)))

    def _begin_at(self, gap: Gap, page: int) -> None:
        """The next run begins to look for the gap on this page."""
        there = replace(gap, page=page)
        self._change(lambda now: replace(now, gaps=tuple(there if one == gap else one for one in now.gaps)))

    async def _find(self, gap: Gap) -> tuple[int, list[ListRow]] | None:
        """The page on which the upper edge of a gap stands now, or the first below it; None: not found in this run.

        Posts that arrived or were deleted have moved it. The ids on a page tell about how far: it takes two or three.
        """
        above, below = _Seen(0), _Seen(_BOTTOM)  # the lowest page above the edge, the highest below it
        number = max(1, gap.page)
        while True:
            rows = await self._walk.list_page(number)
            if rows is None:
                return None
            if rows and rows[-1].post_id >= gap.before:
                above = _Seen(number, rows[-1].post_id)
            elif (rows and rows[0].post_id >= gap.before) or above.page == number - 1:
                return number, rows
            else:
                below = _Seen(number, rows[0].post_id if rows else None)
            number = _between(above, below, gap.before, rows)
            if self._most_pages is not None and self._walk.pages >= self._most_pages:
                self._begin_at(gap, number)
                return None


@dataclass(frozen=True, slots=True)
class _Seen:
    """A list page, and an id on it."""

    page: int
    post_id: int | None = None


def _between(above: _Seen, below: _Seen, edge: int, rows: Sequence[ListRow]) -> int:
    """The page on which the edge is to be expected, between two that were seen; `rows` are those of the last one."""
    if above.post_id is not None and below.post_id is not None and above.post_id > below.post_id:
        share = (above.post_id - edge) / (above.post_id - below.post_id)
        number = above.page + round((below.page - above.page) * share)
    elif not rows:
        number = (above.page + below.page) // 2
    else:  # as many ids a page as on the last one
        ids = rows[0].post_id - rows[-1].post_id + 1
        number = above.page or below.page
        number += max(1, (rows[-1].post_id - edge) // ids) if above.page else -max(1, (edge - rows[0].post_id) // ids)
    return min(max(number, above.page + 1), max(below.page - 1, above.page + 1))
