"""One walk over one board: posts that are listed and unknown are read, oldest first, and stored page by page.

What is stored has no holes when a walk is cut off, and the order of collection is the order of posting.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline import boards
from pipeline.inven import gaps
from pipeline.inven.client import InvenClient, InvenError, SiteUnavailable
from pipeline.inven.listing import Listing
from pipeline.inven.records import GONE_UNEXPLAINED, Article, Failure, ListRow
from pipeline.inven.report import BoardReport
from pipeline.live.changes import Text
from pipeline.live.records import Comment, Gap, Post, Progress
from pipeline.live.store import Store

log = logging.getLogger("pipeline.inven.crawl")

STRANGE = 3  # answers in a row that are no article: then it is the site, not the posts
SILENT = 2  # posts in a row without any answer: then the site is down


def text_of(board_id: int, article: Article, category: str | None, title: str) -> Text:
    """What an article says; category and title are those of its list row, for pages that have none."""
    category, title = article.category or category, article.title or title
    job = boards.job_of_post(board_id, category, title)
    return Text(category, boards.group_of(board_id, job), job.name if job else None, title, article.body)


class Walk(Listing):
    """One walk over one board."""

    def __init__(self, client: InvenClient, store: Store, board_id: int, folder: Path) -> None:
        super().__init__(client, store, board_id, folder)
        self._doubtful: list[tuple[int, Failure]] = []  # gone, with nothing that says why
        self._read: list[Post] = []  # not stored yet
        self._odd = 0  # answers in a row that are no article
        self._changed = 0  # PC articles in a row that only the mobile site could say
        self._silent: list[tuple[int, Failure]] = []  # the last posts, if none of them had any answer
        self._articles = self._new = self._gone = self._comments = 0
        self.edited = 0  # stored posts that say something else now (`pipeline.inven.reread`)
        self._new_categories: list[str] = []
        self._remarks: list[str] = []  # on pages that could be read all the same

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
            gap=gaps.ids(now.gaps) if (now := self._store.progress(self._board)) else 0,
            gap_before=gaps.ids(self._gaps),
            drift=self._drift,
            comments=self._comments,
            new_categories=tuple(self._new_categories),
            edited=self.edited,
            deleted=self.deleted,
            odd=len(self._remarks),
            remark=next(iter(self._remarks), ""),
        )

    # --- collecting -------------------------------------------------------------------------------

    async def collect(self, pages: Sequence[Sequence[ListRow]], *, from_top: bool) -> None:
        """Read and store the unknown posts, oldest first; those that failed in earlier walks come last.

        Each page's posts are one transaction, also when the walk is cut off inside it. `from_top`: these are the
        board's newest pages, so that its high water moves.
        """
        unsettled = self._listed - self._settled
        if from_top and self._high_water is not None and unsettled and min(unsettled) <= self._high_water:
            self._lower_high_water(min(unsettled) - 1)  # true even if we die from here on
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
            if from_top:
                self._move_high_water()

    async def _collect(self, row: ListRow, retrying: bool) -> None:
        url = self._client.article_url(self._board, row.post_id)
        try:
            result = await self._get_article(row.post_id)
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
            if result.remark:
                self._remarks.append(f"{url}: {result.remark}")
                log.warning("%s: %s", url, result.remark)
            self._read.append(self._post(result, row, url))
            return
        if result.kind == "gone" and result.detail != GONE_UNEXPLAINED:
            self._settle_gone(row.post_id, result)
            return
        if result.kind == "excess":  # one writer's doing, and not the site's
            self._settle_excess(row.post_id, result)
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

    async def _get_article(self, post_id: int) -> Article | Failure:
        """The article, from the mobile site where the PC page has changed or says nothing at all."""
        changed: Failure | None = None
        if self._changed < STRANGE:
            result = await self._client.get_article(self._board, post_id)
            if isinstance(result, Article):
                self._changed = 0
                return result
            if result.kind != "drift" and result.detail != GONE_UNEXPLAINED:
                return result
            changed = result
        mobile = await self._client.mobile()
        if changed is None:
            assert mobile is not None  # noqa: S101 - it has just helped out three times
            return await mobile.get_article(self._board, post_id)
        if mobile is None:
            return changed
        try:
            second = await mobile.get_article(self._board, post_id)
        except InvenError as error:
            log.warning("the mobile site could not help: %s", error)
            return changed
        if isinstance(second, Article):
            self._changed += 1
            self._note_drift(changed, f"-{post_id}")
            return second
        return second if second.kind == "gone" and second.detail != GONE_UNEXPLAINED else changed

    def _post(self, article: Article, row: ListRow, url: str) -> Post:
        text = text_of(self._board, article, row.category, row.title)
        return Post(
            board_id=self._board,
            post_id=row.post_id,
            category=text.category,
            job_group=text.job_group,
            job=text.job,
            title=text.title,
            body=text.body,
            url=url,
            posted_at=article.posted_at,
            collected_at=self._client.wall(),
            views=article.views,
            recommends=article.recommends,
            comments=row.comments,
            listed_title=None if self._mobile_lists else row.title,
        )

    def _flush(self) -> None:
        """Store what was read."""
        if not self._read:
            return
        self._new += self._store.add_posts(self._read)
        unknown = {post.category for post in self._read if not boards.is_known(self._board, post.category)}
        if unknown:
            names = self._store.new_categories(self._board, sorted(filter(None, unknown)))
            self._new_categories += names
            for name in names:
                log.warning("board %s has a new category, [%s]: does pipeline/boards.py miss a job?", self._board, name)
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

    def _settle_excess(self, post_id: int, failure: Failure) -> None:
        self._failed += 1
        self._settled.add(post_id)
        self._store.record_failure(self._board, post_id, failure.url, failure.kind, failure.detail)
        log.error("%s: %s; it is left out", failure.url, failure.detail)  # not kept: it may be megabytes of rubbish

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

    def _lower_high_water(self, to: int) -> None:
        def lowered(now: Progress | None) -> Progress:
            return Progress(to) if now is None else replace(now, high_water=min(now.high_water, to))

        self._store.change_progress(self._board, lowered)

    def _move_high_water(self) -> None:
        """What was listed is settled up to the first post that is not. Below it a gap may be left."""
        if not self._listed:
            return
        lowest, highest = min(self._listed), max(self._listed)
        unsettled = self._listed - self._settled
        high = min(unsettled) - 1 if unsettled else max(self._high_water or 0, highest)

        def moved(now: Progress | None) -> Progress:
            if now is None or self._high_water is None:
                return Progress(high, lowest, self._last_page, now.gaps if now else ())
            left = gaps.without(now.gaps, lowest, highest, self._last_page)
            if not self._reached:
                left = gaps.joined(left, Gap(self._high_water, lowest, self._last_page))
            return replace(now, high_water=high, gaps=left)

        self._store.change_progress(self._board, moved)

    # --- comments ---------------------------------------------------------------------------------

    async def read_comments(self, *, as_posts: bool) -> None:
        """Read and store the comments of listed posts where the list promises another number than last time."""
        seen = self._store.comments_listed(self._board, list(self._comment_counts))
        stored = self._store.known_posts(self._board, list(self._comment_counts), gone=False)
        failed = 0
        for post_id, listed in sorted(self._comment_counts.items()):
            if seen.get(post_id) == listed or post_id not in stored:
                continue
            try:
                found = await self._get_comments(post_id)
            except InvenError as error:
                self._drift = self._drift or f"no comments: {error}"
                return
            if isinstance(found, Failure):
                failed += 1
                self._note_drift(found, f"-{post_id}-comments")
                if failed >= STRANGE:
                    return
                continue
            failed = 0
            self._comments += self._store.add_comments(self._board, post_id, found, listed, as_posts)

    async def _get_comments(self, post_id: int) -> list[Comment] | Failure:
        """All comments of a post, oldest first. Older blocks are asked for together, then one by one."""
        found: dict[int, Comment] = {}
        wanted: list[tuple[int, ...]] = [()]
        asked: set[tuple[int, ...]] = set()
        while wanted:
            blocks = wanted.pop()
            asked.add(blocks)
            page = await self._client.get_comments(self._board, post_id, blocks)
            if isinstance(page, Failure):
                return page
            found |= {comment.comment_id: comment for comment in page.comments}
            left = [page.collapsed] if not blocks else [(block,) for block in page.collapsed if block in blocks]
            wanted += [group for group in left if group and group not in asked]
        return sorted(found.values(), key=lambda comment: (comment.posted_at, comment.comment_id))
