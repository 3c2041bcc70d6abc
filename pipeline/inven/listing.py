"""Listing a board's pages: which posts there are, which of them are unknown, and where a walk may end.

A walk ends at a page that reaches down to the board's high water (`pipeline.live.records.Progress`). Posts that arrive
meanwhile push others to later pages, where they are seen twice and counted once; posts deleted meanwhile pull others
up: see `Listing.list_board`. A list page that has changed is read on the mobile site, if there is one.
"""

import logging
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.inven import gaps, quarantine
from pipeline.inven.client import InvenClient, View
from pipeline.inven.records import Failure, ListPage, ListRow
from pipeline.live.store import Store

log = logging.getLogger("pipeline.inven.crawl")

GIVE_UP = 5  # failed reads of one post, all but the first in walks that read others


class Changed(Exception):
    """The PC list has changed below the first page: list the board again, on the mobile site."""


class Listing:
    """The listing half of one walk over one board, and what both halves share."""

    def __init__(self, client: InvenClient, store: Store, board_id: int, folder: Path) -> None:
        self.stopped = ""
        self._client = client
        self._store = store
        self._board = board_id
        self._folder = folder
        self._started = time.monotonic()
        before = store.progress(board_id)
        self._high_water = before.high_water if before else None  # when the walk began
        self._gaps = before.gaps if before else ()
        self._listed: set[int] = set()
        self._settled: set[int] = set()
        self._failed_before: set[int] = set()  # posts that earlier walks could not read
        self._comment_counts: dict[int, int] = {}  # as the list promises them
        self._mobile_lists = False
        self._drift = ""  # what has changed on the PC site, while the mobile site helps out
        self.retitled: dict[int, ListRow] = {}  # stored posts that the list calls otherwise now
        self._pages = self._last_page = self._known = self._failed = 0
        self.deleted = 0  # stored posts that are gone now
        self._reached = True  # what earlier walks have settled

    @property
    def had_gaps(self) -> bool:
        """Whether there were gaps when the walk began."""
        return bool(self._gaps)

    @property
    def board(self) -> int:
        """The board's id."""
        return self._board

    @property
    def client(self) -> InvenClient:
        """The site."""
        return self._client

    @property
    def store(self) -> Store:
        """Where it is kept."""
        return self._store

    @property
    def pages(self) -> int:
        """List pages read so far."""
        return self._pages

    def unsettled(self, post_ids: Iterable[int]) -> set[int]:
        """Which of these posts are neither stored nor gone nor given up."""
        return set(post_ids) - self._settled

    def forget_listed(self) -> None:
        """Begin to list anew."""
        self._listed.clear()

    async def list_board(self, max_pages: int, overlap_pages: int) -> list[list[ListRow]]:
        """The rows of each page that were not on one before it, newest page first.

        A post deleted between two requests pulls the next page's first post up to the page just read, where
        nobody sees it. That can only have happened where ids are missing between two pages; there both are read once
        more.
        """
        try:
            return await self._list_pages(max_pages, overlap_pages)
        except Changed:
            self._listed.clear()  # pages of the two sites need not hold the same number of rows
            self._pages = self._known = 0
            return await self._list_pages(max_pages, overlap_pages)

    async def _list_pages(self, max_pages: int, overlap_pages: int) -> list[list[ListRow]]:
        pages: list[list[ListRow]] = []
        lowest = 0
        reached = False
        for number in range(1, max_pages + 1):
            rows = await self.list_page(number)
            if rows is None:
                return []
            if not rows:
                if self._high_water is not None:
                    if number == 1:
                        self._stop_at_list("the board shows no posts any more")
                    elif not await self.ends_before(number):
                        return []
                reached = True
                break
            fresh = self.first_seen(rows)
            if missed := await self.missed_above(number, lowest, fresh):
                pages.append(missed)
            if self.stopped:
                return []
            pages.append(fresh)
            lowest = rows[-1].post_id
            if self._ends_here(rows):
                reached = True
                overlap_pages -= 1
                if overlap_pages < 0:
                    break
        self._reached = reached or self._high_water is None
        return pages

    async def ends_before(self, number: int) -> bool:
        """Whether the list really ends above this page, which was empty although older posts are known: asked again."""
        rows = await self.list_page(number)
        if rows:
            self._stop_at_list(f"page {number} was empty, and at once no longer")
        return rows == []

    async def missed_above(self, number: int, lowest: int, fresh: Sequence[ListRow]) -> list[ListRow]:
        """Posts that a deletion has hidden between this page and the one above, whose last id was `lowest` (0: none).

        A deletion pulls them up to the page above, a post that arrives meanwhile pushes them back: both are read again.
        """
        if not lowest or not fresh or lowest - max(row.post_id for row in fresh) <= 1:
            return []
        found: list[ListRow] = []
        for again in (number - 1, number):
            found += self.first_seen(await self.list_page(again) or [])
            if self.stopped or any(row.post_id < lowest for row in found):
                break
        return found

    async def list_page(self, number: int, view: View | None = None) -> list[ListRow] | None:
        """The rows of a page, after asking the store about them; None if the page can't be used."""
        page = await self._get_list(number, view)
        if isinstance(page, Failure):
            self._stop_at_list(page.detail, page, f"-list-{number}")
            return None
        self._pages += 1
        self._last_page = number
        self._comment_counts.update((row.post_id, row.comments) for row in page.rows if row.comments)
        unseen = [row.post_id for row in page.rows if row.post_id not in self._listed]
        self._settled |= self._store.known_posts(self._board, unseen)
        attempts = self._store.failed_attempts(
            self._board, [0, *(post_id for post_id in unseen if post_id not in self._settled)]
        )
        if attempts.pop(0, 0) and not self._mobile_lists:  # 0 is the list itself, and it can be read again
            self._store.clear_failure(self._board, None)
        self._failed_before.update(attempts)
        self._settled.update(post_id for post_id, times in attempts.items() if times >= GIVE_UP)
        self._known += sum(post_id in self._settled for post_id in unseen)
        if view is None:
            self._note_changes(page)
        return list(page.rows)

    def _note_changes(self, page: ListPage) -> None:
        """Stored posts that the list calls otherwise now, and those that it leaves out. Costs no request."""
        # The two sites' lists may put a title differently.
        shown = [(row.post_id, None if self._mobile_lists else row.title) for row in page.rows]
        noticed = self._store.note_listed(self._board, shown, whole=not page.unread)
        self.retitled.update((row.post_id, row) for row in page.rows if row.post_id in noticed.retitled)
        self.deleted += noticed.gone

    async def _get_list(self, number: int, view: View | None) -> ListPage | Failure:
        if not self._mobile_lists:
            page = await self._client.get_list(self._board, number, view)
            if not isinstance(page, Failure) or page.kind != "drift" or await self._client.mobile() is None:
                return page
            self._mobile_lists = True
            self._store.record_failure(self._board, None, page.url, page.kind, page.detail)
            self._note_drift(page, f"-list-{number}")
            if self._pages:
                raise Changed
        mobile = await self._client.mobile()
        assert mobile is not None  # noqa: S101 - it was there when the PC list changed
        return await mobile.get_list(self._board, number, view)

    def first_seen(self, rows: Iterable[ListRow]) -> list[ListRow]:
        """The rows that this walk has not listed before."""
        fresh = [row for row in rows if row.post_id not in self._listed]
        self._listed.update(row.post_id for row in fresh)
        return fresh

    def _ends_here(self, rows: Sequence[ListRow]) -> bool:
        """Whether a page reaches the posts that earlier walks settled, with none among those that they did not.

        Then what is new stands above, because ids fall from row to row: one list request finds a few new posts. Gaps
        are filled afterwards (`pipeline.inven.older`).
        """
        high = self._high_water
        if high is None or rows[-1].post_id > high:
            return False
        old = {row.post_id for row in rows if row.post_id <= high and not gaps.covers(self._gaps, row.post_id)}
        return old <= self._settled | self._failed_before

    def _stop_at_list(self, detail: str, page: Failure | None = None, name: str = "") -> None:
        kind, url = (page.kind, page.url) if page else ("drift", self._client.list_url(self._board, 1))
        self._stop(f"the list can't be used: {detail}")
        self._failed += 1
        self._store.record_failure(self._board, None, url, kind, detail)
        if page is not None:
            self._keep(name, page)

    def _note_drift(self, failure: Failure, name: str) -> None:
        """A PC page has changed and the mobile site has what it should have said: keep it, report it, go on."""
        self._drift = self._drift or f"{failure.url}: {failure.detail}"
        self._keep(name, failure)

    def _stop(self, why: str) -> None:
        self.stopped = why
        log.error("board %s stops: %s", self._board, why)

    def _keep(self, name: str, failure: Failure) -> None:
        if failure.content:
            path = quarantine.keep(self._folder, f"{self._board}{name}", failure.content)
            log.error("%s: %s; the page is kept as %s", failure.url, failure.detail, path)
