"""Inven's mobile pages as records: the second source when the PC pages have changed. Never raises, fails closed.

Only markup that others have seen on real pages is read. The list: every selector, on a saved page (40 rows, 3 notices
outside the list). The article: frame, date, hits and body container, the title with the category inside it, and the
sentence of a page that is gone. A title that stands elsewhere is left empty: the list's row has it, and the category.
Not seen on a real page: the names 조회 and 추천 in the article's hits (without them the first number counts as views).
"""

from dataclasses import replace
from datetime import datetime
from itertools import islice

from pipeline.inven.dates import article_date, list_hints
from pipeline.inven.markup import (
    Element,
    all_below,
    body_among,
    category_of,
    css,
    first,
    guarded,
    is_a,
    no_frame,
    number_after,
    number_in,
    page_of,
    post_id_of,
    text_of,
    title_of,
    without_scripts,
)
from pipeline.inven.records import GONE_UNEXPLAINED, Article, Failure, ListPage, ListRow

_LIST = css("section.mo-board-list")
_ITEM = css("li.list")
_NOTICE = (is_a(id="mo-notice"), is_a("li"))
_LINK = css("a.contentLink")
_SUBJECT = css("span.subject")
_CATEGORY = css("span.in-cate")
_TIME = css("span.time")
_VIEW = css("span.view")
_RECO = css("span.reco")
_COMMENTS = (is_a("a", name="com-btn"), is_a("span", name="num"))
_ARTICLE = css("section.mo-board-view")
_BODY = (is_a("div", name="bbs-con"), is_a(id="imageCollectDiv"))
_TITLE = css("h2#articleSubject")
_DATE = css("div.date")
_HIT = css("div.hit")


def parse_mobile_list(
    content: bytes, *, board_id: int, page: int, fetched_at: datetime, url: str
) -> ListPage | Failure:
    """As `pipeline.inven.parse.parse_list`, for a mobile list page."""
    return guarded(lambda: _list(page_of(content), board_id, page, fetched_at, url), url)


def parse_mobile_article(content: bytes, *, board_id: int, post_id: int, url: str) -> Article | Failure:
    """As `pipeline.inven.parse.parse_article`, for a mobile article page."""
    return guarded(lambda: _article(page_of(content), board_id, post_id, url), url)


def _list(page: Element, board_id: int, number: int, fetched_at: datetime, url: str) -> ListPage | Failure:
    frame = _LIST(page)
    if not frame:
        return no_frame(page, url) or Failure("drift", url, "there is no post list (mo-board-list) on the mobile page")
    without_scripts(frame[0])
    rows: dict[int, ListRow] = {}
    unread = 0
    for item in _ITEM(frame[0]):
        row = _row(item, board_id, url)
        if row is None:
            unread += 1
        else:
            rows.setdefault(row.post_id, row)
    if unread > len(rows):
        return Failure("drift", url, f"{unread} rows of the mobile list can't be read, {len(rows)} can")
    hints = list_hints([row.date_text for row in rows.values()], fetched_at)
    dated = (replace(row, posted_at_hint=hint) for row, hint in zip(rows.values(), hints, strict=True))
    return ListPage(board_id, number, tuple(dated), sum(1 for _ in all_below(page, *_NOTICE)), unread)


def _row(item: Element, board_id: int, url: str) -> ListRow | None:
    post_id = post_id_of(next((link.get("href") or "" for link in _LINK(item)), ""), board_id, url)
    subject = _SUBJECT(item)
    if post_id is None or not subject:
        return None
    return ListRow(
        board_id=board_id,
        post_id=post_id,
        category=category_of(text_of(first(_CATEGORY(item)))),
        title=text_of(subject[0]),
        date_text=text_of(first(_TIME(item)))[:40],
        posted_at_hint=None,
        views=number_in(text_of(first(_VIEW(item)))),
        recommends=number_in(text_of(first(_RECO(item)))),
        comments=number_in(text_of(next(all_below(item, *_COMMENTS), None))),
    )


def _article(page: Element, board_id: int, post_id: int, url: str) -> Article | Failure:
    frame = _ARTICLE(page)
    if not frame:
        return no_frame(page, url) or Failure("gone", url, GONE_UNEXPLAINED)
    bodies = list(islice(all_below(frame[0], *_BODY), 5))
    if not bodies:
        return Failure("drift", url, "the mobile article has no body container (#imageCollectDiv)")
    body, text, remark = body_among(bodies)
    if not len(body) and not body.text:
        return Failure("drift", url, "the body container (#imageCollectDiv) is empty")
    without_scripts(frame[0])
    posted_at = article_date(text_of(first(_DATE(frame[0]))))
    if posted_at is None:
        return Failure("drift", url, "the mobile article has no date (div.date)")
    hit = text_of(first(_HIT(frame[0])))
    heading = first(_TITLE(page))
    return Article(
        board_id=board_id,
        post_id=post_id,
        category=None if heading is None else category_of(text_of(first(_CATEGORY(heading)))),
        title="" if heading is None else title_of(heading),
        body=text,
        posted_at=posted_at,
        views=number_after("조회", hit) or number_in(hit),
        recommends=number_after("추천", hit),
        remark=remark,
    )
