"""Inven over HTTP: a board's list pages and posts as records, asked for politely (`pipeline.inven.polite`).

It answers with records or Failures and raises an InvenError only when going on makes no sense: the site
forbids it (RobotsDisallowed), is not there (SiteUnavailable) or has begun to refuse us (BoardBlocked).
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, TypeVar

from pipeline.addresses import post_address
from pipeline.inven import comments
from pipeline.inven.comments import CommentPage
from pipeline.inven.mobile import parse_mobile_article, parse_mobile_list
from pipeline.inven.parse import parse_article, parse_list
from pipeline.inven.polite import Answer, InvenError, PoliteClient, RobotsDisallowed, SiteUnavailable
from pipeline.inven.records import GONE_SAID, Article, Failure, ListPage

__all__ = ["BoardBlocked", "InvenClient", "InvenError", "RobotsDisallowed", "SiteUnavailable", "View"]

log = logging.getLogger(__name__)

REFUSALS = 3  # in a row, then the board is left alone
COOL_DOWN = 1800.0  # seconds that it is left alone

View = Literal["chu", "chuchu"]  # only posts with ten, with thirty recommendations
_Record = TypeVar("_Record", ListPage, Article)


class BoardBlocked(InvenError):
    """A board refused several requests in a row (HTTP 403 or 429), so it is left alone for a while."""


class InvenClient(PoliteClient):
    """The boards of one Inven site. Arguments and errors are PoliteClient's; use `async with`.

    `mobile_url` is where its mobile site begins ("" for none). Nothing is asked of it before `mobile()` is called.
    """

    _parsers = (parse_list, parse_article)

    def __init__(self, base_url: str, *, mobile_url: str = "", **manners: Any) -> None:
        super().__init__(base_url, **manners)
        self._mobile_url = mobile_url
        self._manners = manners
        self._mobile: MobileClient | None = None
        self._refusals: dict[int, tuple[int, float]] = {}  # board: how many in a row, when the last

    async def __aexit__(self, *details: object) -> None:
        if self._mobile is not None:
            await self._mobile.__aexit__(*details)
        await super().__aexit__(*details)

    async def mobile(self) -> "MobileClient | None":
        """The mobile site, for pages that have changed here; None without one, or if it can't be asked.

        It is another host with a robots.txt of its own. Walks ask one site at a time.
        """
        if self._mobile is None and self._mobile_url:
            client = MobileClient(self._mobile_url, **self._manners)
            try:
                self._mobile = await client.__aenter__()
            except InvenError as error:
                log.error("the mobile site is no way out: %s", error)
                self._mobile_url = ""
        return self._mobile

    def list_url(self, board_id: int, page: int, view: View | None = None) -> str:
        """A board's list page (1 is the newest); `view` leaves out posts with few recommendations."""
        query = f"?my={view}&p={page}" if view else f"?p={page}"
        return f"{self.base_url}/board/maple/{board_id}{query}"

    def article_url(self, board_id: int, post_id: int) -> str:
        """A post's own address."""
        return post_address(board_id, post_id, self.base_url)

    async def get_list(self, board_id: int, page: int, view: View | None = None) -> ListPage | Failure:
        """One list page. Raises InvenError."""

        def parse(content: bytes, url: str) -> ListPage | Failure:
            return self._parsers[0](content, board_id=board_id, page=page, fetched_at=self.wall(), url=url)

        return await self._page(self.list_url(board_id, page, view), board_id, parse)

    async def get_article(self, board_id: int, post_id: int) -> Article | Failure:
        """One post. Raises InvenError."""

        def parse(content: bytes, url: str) -> Article | Failure:
            return self._parsers[1](content, board_id=board_id, post_id=post_id, url=url)

        return await self._page(self.article_url(board_id, post_id), board_id, parse)

    async def get_comments(self, board_id: int, post_id: int, blocks: tuple[int, ...] = ()) -> CommentPage | Failure:
        """One answer about a post's comments; `blocks` asks for older ones by number. Raises InvenError."""
        self._check_breaker(board_id)
        form = comments.form(board_id, post_id, blocks)
        answer = await self.post_form(self.base_url + comments.PATH, form, self.article_url(board_id, post_id))
        if answer.status in {403, 429}:
            return self._refused(answer, board_id)
        if answer.status != 200 or answer.problem:
            return Failure("drift", answer.url, answer.problem or f"HTTP {answer.status}", answer.content)
        result = comments.parse_comments(answer.content, url=f"{answer.url} ({board_id}/{post_id})")
        return replace(result, content=answer.content) if isinstance(result, Failure) else result

    async def _page(
        self, url: str, board_id: int, parse: Callable[[bytes, str], _Record | Failure]
    ) -> _Record | Failure:
        self._check_breaker(board_id)
        answer = await self.fetch_page(url)
        if answer.status in {403, 429}:
            return self._refused(answer, board_id)
        self._refusals.pop(board_id, None)
        if answer.status in {404, 410}:
            return Failure("gone", url, GONE_SAID)
        if answer.status == 401 or (300 <= answer.status < 400 and "login" in answer.problem):
            return Failure("login", url, f"the site shows this page to members only (HTTP {answer.status})")
        if answer.status != 200:
            return Failure("drift", url, answer.problem or f"HTTP {answer.status}", answer.content)
        result = parse(answer.content, url)
        if not isinstance(result, Failure):
            # A page that was cut off may look whole: its last rows or lines would be missing in silence.
            return Failure("drift", url, answer.problem, answer.content) if answer.problem else result
        if answer.problem and not (result.kind == "login" or result.detail == GONE_SAID):
            return Failure("drift", url, answer.problem, answer.content)
        return replace(result, content=answer.content)

    def _refused(self, answer: Answer, board_id: int) -> Failure:
        count = self._refusals.get(board_id, (0, 0.0))[0] + 1
        self._refusals[board_id] = (count, self.monotonic())
        log.warning("%s: HTTP %s, refusal %s of %s", answer.url, answer.status, count, REFUSALS)
        self._check_breaker(board_id)
        return Failure("refused", answer.url, f"the site refused (HTTP {answer.status})", answer.content)

    def _check_breaker(self, board_id: int) -> None:
        """Raise BoardBlocked while the board is left alone. After that one request may try again."""
        count, last = self._refusals.get(board_id, (0, 0.0))
        if count >= REFUSALS and self.monotonic() - last < COOL_DOWN:
            raise BoardBlocked(
                f"board {board_id} refused {count} requests in a row (HTTP 403 or 429) and is left alone for"
                f" {COOL_DOWN / 60:.0f} minutes. If this comes back, raise crawl.min_interval in params.yaml."
            )


class MobileClient(InvenClient):
    """The same boards in the markup of the mobile site."""

    _parsers = (parse_mobile_list, parse_mobile_article)
