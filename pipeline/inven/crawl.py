"""Walks over a board: every post once, in order of posting, whatever happens in between.

A walk first lists pages from the newest back to where the last walk ended (`pipeline.inven.listing`), then reads
the unknown posts from the oldest to the newest (`pipeline.inven.walk`). Where it could not reach so far, after a
weekend off, what lies between is a gap (`pipeline.inven.gaps`): later walks fill it with the pages that they have left
(`pipeline.inven.older`).

A board's high water is the id up to which every post is settled: stored, gone, or given up. Its low water is the id
down to which that is true; a backfill lowers it (`pipeline.live.records.Progress`).
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from pipeline.inven import older, reread, visits
from pipeline.inven.client import COOL_DOWN, BoardBlocked, InvenClient, View
from pipeline.inven.report import BoardReport
from pipeline.inven.walk import Walk
from pipeline.layout import QUARANTINE
from pipeline.live.store import Store

__all__ = ["BoardReport", "backfill_board", "crawl_board", "crawl_page"]


async def crawl_board(
    client: InvenClient,
    store: Store,
    board_id: int,
    *,
    max_pages: int,
    overlap_pages: int = 0,
    comments: bool = False,
    comments_as_posts: bool = False,
    reread_age: timedelta = timedelta(),
    reread_posts: int = 50,
    quarantine_folder: Path = QUARANTINE,
) -> BoardReport:
    """Walk a board from page 1 and store every unknown post; list `overlap_pages` more after the end.

    At most `max_pages` list pages: what is left of them goes into the board's gaps, the newest first.

    Then at most `reread_posts` stored posts are read once more: those that the list calls otherwise now, and those that
    have become `reread_age` old (0: none). `comments`: read the comments of listed posts too, where their number has
    changed since; `comments_as_posts`: keep them as posts as well, to be labelled and counted. Markup drift that the
    mobile site can't make up for stops the walk; all drift is quarantined and reported. The visit is remembered
    (`pipeline.inven.visits`). Raises InvenError; what was read is stored by then.
    """
    walk = Walk(client, store, board_id, quarantine_folder)
    began = client.wall()
    visits.begin(store, board_id)
    with _remembering_refusals(client, store, board_id):
        pages = await walk.list_board(max_pages, overlap_pages)
        if not walk.stopped:
            await walk.collect(pages, from_top=True)
        if not walk.stopped:
            await older.fill_gaps(walk, max_pages)
        if comments and not walk.stopped:
            await walk.read_comments(as_posts=comments_as_posts)
        if not walk.stopped:
            await reread.reread(walk, reread_age, reread_posts)
    report = walk.report()
    if not (report.stopped or report.failed):
        visits.end(store, board_id, began)
    return report


async def crawl_page(
    client: InvenClient,
    store: Store,
    board_id: int,
    page: int,
    *,
    view: View | None = None,
    quarantine_folder: Path = QUARANTINE,
) -> BoardReport:
    """Store the unknown posts of one list page. `view`: of posts with many recommendations.

    They are the same posts in every view. Leaves the board's high water alone. Raises InvenError."""
    walk = Walk(client, store, board_id, quarantine_folder)
    rows = await walk.list_page(page, view)
    if rows:
        await walk.collect([walk.first_seen(rows)], from_top=False)
    return walk.report()


async def backfill_board(
    client: InvenClient,
    store: Store,
    board_id: int,
    *,
    pages: int,
    on_page: Callable[[int], Awaitable[None]] | None = None,
    quarantine_folder: Path = QUARANTINE,
) -> BoardReport:
    """Collect older posts until the board's newest `pages` pages are stored: its gaps, then on from its low water.

    `on_page` is awaited with the number of every page that is done. For a board that has been walked before:
    otherwise the place is not kept. Raises InvenError.
    """
    walk = Walk(client, store, board_id, quarantine_folder)
    with _remembering_refusals(client, store, board_id):
        await older.backfill(walk, pages, on_page)
    return walk.report()


@contextmanager
def _remembering_refusals(client: InvenClient, store: Store, board_id: int) -> Iterator[None]:
    try:
        yield
    except BoardBlocked:
        visits.block(store, board_id, client.wall() + timedelta(seconds=COOL_DOWN))
        raise
