"""A crawling process that tests may kill: forked from a server that has imported everything already."""

import asyncio
import multiprocessing
from collections.abc import Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path

from pipeline.inven.client import BoardBlocked, InvenClient, SiteUnavailable
from pipeline.inven.crawl import crawl_board
from pipeline.live.store import Store

MANNERS = {"min_interval": 0.0, "jitter": 0.0, "timeout": 0.15, "backoff": 0.005, "max_attempts": 3}


def processes() -> ForkServerContext:
    """Where to start crawling processes: each is its own, and begins at once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.crawling", "alembic.command", "sqlalchemy.dialects.sqlite"])
    return context


def crawl_on(url: str, database: str, board_ids: Sequence[int], quarantine: str) -> None:
    """Walk these boards again and again, as the flow does on its schedule, until killed."""
    with Store(database) as store:
        while True:
            for board_id in board_ids:
                asyncio.run(_once(url, store, board_id, Path(quarantine)))


async def _once(url: str, store: Store, board_id: int, quarantine: Path) -> None:
    try:
        async with InvenClient(url, contact="test@example.org", shelf=store, **MANNERS) as client:
            await crawl_board(client, store, board_id, max_pages=50, quarantine_folder=quarantine)
    except (SiteUnavailable, BoardBlocked):
        pass  # the next walk goes on from there
