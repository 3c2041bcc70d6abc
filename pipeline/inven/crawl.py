"""Walks over a board: every post once, in order of posting, whatever happens in between.

A walk first lists pages from the newest back to where the last walk ended, then reads the unknown posts from
the oldest to the newest: what is stored has no holes when a walk is cut off, and the order of collection is the
order of posting. Posts that arrive meanwhile push others to later pages, where they are seen twice and counted
once; the next walk finds the new ones. Posts deleted meanwhile pull others up: see `_Walk.list_board`.

A board's mark is the id up to which every post is settled: stored, gone, or given up. A walk ends at a page that
shows nothing new and reaches down to the mark.
"""

import logging
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from sqlalchemy import select

from pipeline import boards, clock
from pipeline.inven import quarantine
from pipeline.inven.client import InvenClient, SiteUnavailable
from pipeline.inven.records import GONE_UNEXPLAINED, Article, Failure, ListRow
from pipeline.inven.report import BoardReport
from pipeline.store import Post, Store
from pipeline.tables import crawl_failures

log = logging.getLogger(__name__)

GIVE_UP = 5  # failed reads of one post, all but the first in walks that read others
STRANGE = 3  # answers in a row that are no article: then it is the site, not the posts
SILENT = 2  # posts in a row without any answer: then the site is down


async def crawl_board(
    client: InvenClient,
    store: Store,
    board_id: int,
    *,
    max_pages: int,
    overlap_pages: int = 0,
    quarantine_folder: Path = quarantine.FOLDER,
) -> BoardReport:
    """Walk a board from page 1 and store every unknown post; list `overlap_pages` more after the end.

    Markup drift stops the walk, is quarantined and reported. Raises InvenError; what was read is stored by then.
    """
    walk = _Walk(client, store, board_id, quarantine_folder)
    pages = await walk.list_board(max_pages, overlap_pages)
    if not walk.stopped:
        await walk.collect(pages, move_mark=True)
    return walk.report()


async def crawl_page(
    client: InvenClient,
    store: Store,
    board_id: int,
    page: int,
    *,
    quarantine_folder: Path = quarantine.FOLDER,
) -> BoardReport:
    """Store the unknown posts of one list page. Leaves the board's mark alone. Raises InvenError."""
    walk = _Walk(client, store, board_id, quarantine_folder)
    rows = await walk.list_page(page)
    if rows:
        await walk.collect([walk.first_seen(rows)], move_mark=False)
    return walk.report()


class _Walk:
    """One walk over one board."""

    def __init__(self, client: InvenClient, store: Store, board_id: int, folder: Path) -> None:
        self.stopped = ""
        self._client = client
        self._store = store
        self._board = board_id
        self._folder = folder
        self._started = time.monotonic()
        self._mark = store.crawl_mark(board_id)
        self._listed: set[int] = set()
        self._settled: set[int] = set()
        self._failed_before: set[int] = set()  # posts that earlier walks could not read
        self._doubtful: list[tuple[int, Failure]] = []  # gone, with nothing that says why
        self._read: list[Post] = []  # not stored yet
        self._odd = 0  # answers in a row that are no article
        self._silent: list[tuple[int, Failure]] = []  # the last posts, if none of them had any answer
        self._pages = self._articles = self._new = self._known = self._gone = self._failed = 0
        self._complete = True

    def report(self) -> BoardReport:
        """The walk so far."""
        return BoardReport(
            board=self._board,
            pages=self._pages,
            new=self._new,
            known=self._known,
            gone=self._gone,
            failed=self._failed,
            seconds=round(time.monotonic() - self._started, 3),
            stopped=self.stopped,
            complete=self._complete,
        )

    # --- listing ----------------------------------------------------------------------------------

    async def list_board(self, max_pages: int, overlap_pages: int) -> list[list[ListRow]]:
        """The rows of each page that were not on one before it, newest page first.

        A post deleted between two requests pulls the next page's first post up to the page just read, where
        nobody sees it. That can only have happened where ids have a gap between two pages; there the upper page
        is read once more. (Not between the first two: the next walk reads those again.)
        """
        pages: list[list[ListRow]] = []
        lowest = 0
        reached = False
        for number in range(1, max_pages + 1):
            rows = await self.list_page(number)
            if rows is None:
                return []
            if not rows:
                if number == 1 and self._mark is not None:
                    self._stop_at_list("the board shows no posts any more")
                reached = True
                break
            fresh = self.first_seen(rows)
            if number > 2 and fresh and lowest - max(row.post_id for row in fresh) > 1:
                again = await self.list_page(number - 1)
                if again is None:
                    return []
                pages.append(self.first_seen(again))
            pages.append(fresh)
            lowest = rows[-1].post_id
            if self._ends_here(rows):
                reached = True
                overlap_pages -= 1
                if overlap_pages < 0:
                    break
        self._complete = reached or self._mark is None
        return pages

    async def list_page(self, number: int) -> list[ListRow] | None:
        """The rows of a page, after asking the store about them; None if the page can't be used."""
        page = await self._client.get_list(self._board, number)
        if isinstance(page, Failure):
            self._stop_at_list(page.detail, page, f"-list-{number}")
            return None
        self._pages += 1
        unseen = [row.post_id for row in page.rows if row.post_id not in self._listed]
        self._settled |= self._store.known_posts(self._board, unseen)
        attempts = self._attempts([0, *(post_id for post_id in unseen if post_id not in self._settled)])
        if attempts.pop(0, 0):  # 0 is the list itself, and it can be read again
            self._store.clear_failure(self._board, None)
        self._failed_before.update(attempts)
        self._settled.update(post_id for post_id, times in attempts.items() if times >= GIVE_UP)
        self._known += sum(post_id in self._settled for post_id in unseen)
        return list(page.rows)

    def first_seen(self, rows: Iterable[ListRow]) -> list[ListRow]:
        """The rows that this walk has not listed before."""
        fresh = [row for row in rows if row.post_id not in self._listed]
        self._listed.update(row.post_id for row in fresh)
        return fresh

    def _ends_here(self, rows: Sequence[ListRow]) -> bool:
        """Whether a page has nothing new and reaches the posts that earlier walks settled."""
        if self._mark is None or rows[-1].post_id > self._mark:
            return False
        return {row.post_id for row in rows} <= self._settled | self._failed_before

    def _attempts(self, post_ids: Sequence[int]) -> dict[int, int]:
        """How often each of these posts could not be read; without those that never failed."""
        table = crawl_failures
        query = select(table.c.post_id, table.c.attempts).where(
            table.c.board_id == self._board, table.c.post_id.in_(post_ids)
        )
        with self._store.reading() as connection:
            return {row.post_id: row.attempts for row in connection.execute(query)}

    def _stop_at_list(self, detail: str, page: Failure | None = None, name: str = "") -> None:
        kind, url = (page.kind, page.url) if page else ("drift", self._client.list_url(self._board, 1))
        self._stop(f"the list can't be used: {detail}")
        self._failed += 1
        self._store.record_failure(self._board, None, url, kind, detail)
        if page is not None:
            self._keep(name, page)

    # --- collecting -------------------------------------------------------------------------------

    async def collect(self, pages: Sequence[Sequence[ListRow]], *, move_mark: bool) -> None:
        """Read and store the unknown posts, oldest first; those that failed in earlier walks come last.

        Each page's posts are one transaction, also when the walk is cut off inside it.
        """
        unsettled = self._listed - self._settled
        if move_mark and self._mark is not None and unsettled and min(unsettled) <= self._mark:
            self._store.set_crawl_mark(self._board, min(unsettled) - 1)  # true even if we die from here on
        try:
            for retrying in (False, True):
                for rows in reversed(pages):
                    try:
                        for row in sorted(rows, key=lambda row: row.post_id):
                            if row.post_id in self._settled or self.stopped:
                                continue
                            if (row.post_id in self._failed_before) == retrying:
                                await self._collect(row, retrying)
                    finally:
                        self._flush()
        finally:
            self._settle_silent()
            self._settle_doubtful(proven=False)
            if move_mark:
                self._move_mark()

    async def _collect(self, row: ListRow, retrying: bool) -> None:
        url = self._client.article_url(self._board, row.post_id)
        try:
            result = await self._client.get_article(self._board, row.post_id)
        except SiteUnavailable as error:
            self._silent.append((row.post_id, Failure("unavailable", url, str(error))))
            if len(self._silent) >= SILENT:
                self._silent = []  # not the posts' fault
                raise
            return
        self._settle_silent()
        if isinstance(result, Article):
            self._articles += 1
            self._odd = 0
            self._settle_doubtful(proven=True)
            self._read.append(self._post(result, row, url))
            return
        if result.kind == "gone" and result.detail != GONE_UNEXPLAINED:
            self._settle_gone(row.post_id, result)
            return
        self._odd += 1
        if result.kind == "gone":
            self._doubtful.append((row.post_id, result))
        else:
            self._fail(row.post_id, result)
        if result.kind == "drift" and not retrying:
            # One post may be odd, or the site's markup has changed: stop here, and next time try this one last.
            self._stop(f"{url}: {result.detail}")
        elif self._odd >= STRANGE:
            self._stop(f"{self._odd} answers in a row were no articles, the last at {url}: {result.detail}")

    def _post(self, article: Article, row: ListRow, url: str) -> Post:
        category = article.category or row.category
        title = article.title or row.title
        job = boards.job_of_post(self._board, category, title)
        return Post(
            board_id=self._board,
            post_id=row.post_id,
            category=category,
            job_group=boards.group_of(self._board, job),
            job=job.name if job else None,
            title=title,
            body=article.body,
            url=url,
            posted_at=article.posted_at,
            collected_at=clock.now(),
            views=article.views,
            recommends=article.recommends,
            comments=row.comments,
        )

    def _flush(self) -> None:
        """Store what was read."""
        if not self._read:
            return
        self._new += self._store.add_posts(self._read)
        for post in self._read:
            self._settled.add(post.post_id)
            if post.post_id in self._failed_before:
                self._store.clear_failure(self._board, post.post_id)
        self._read = []

    def _fail(self, post_id: int, failure: Failure) -> None:
        self._failed += 1
        # While nothing can be read it is not the post's fault: then a second failure does not count against it.
        if post_id not in self._failed_before or self._articles:
            self._store.record_failure(self._board, post_id, failure.url, failure.kind, failure.detail)
        if failure.kind == "drift":
            self._keep(f"-{post_id}", failure)

    def _settle_gone(self, post_id: int, failure: Failure) -> None:
        self._gone += 1
        self._settled.add(post_id)
        self._store.record_failure(self._board, post_id, failure.url, "gone", failure.detail)

    def _settle_silent(self) -> None:
        for post_id, failure in self._silent:
            self._fail(post_id, failure)
        self._silent = []

    def _settle_doubtful(self, *, proven: bool) -> None:
        """Believe that posts are gone if the site was in order later on (`proven`), or now in a second walk."""
        for post_id, failure in self._doubtful:
            if proven or (post_id in self._failed_before and self._articles and not self.stopped):
                self._settle_gone(post_id, failure)
            else:
                self._fail(post_id, Failure("drift", failure.url, failure.detail, failure.content))
        self._doubtful = []

    def _move_mark(self) -> None:
        if not self._listed:
            return
        unsettled = self._listed - self._settled
        mark = min(unsettled) - 1 if unsettled else max(self._mark or 0, *self._listed)
        if mark != self._mark:
            self._store.set_crawl_mark(self._board, mark)

    def _stop(self, why: str) -> None:
        self.stopped = why
        log.error("board %s stops: %s", self._board, why)

    def _keep(self, name: str, failure: Failure) -> None:
        if failure.content:
            path = quarantine.keep(self._folder, f"{self._board}{name}", failure.content)
            log.error("%s: %s; the page is kept as %s", failure.url, failure.detail, path)
