"""Inven's PC pages as records: pure functions from bytes to a record or a typed Failure. They never raise.

What they rest on: selectors on which many public crawlers agree. So they fail closed: a page with posts that
can't be read, or an article without its body container, is `drift`, never an empty record.
"""

import re
from dataclasses import replace
from datetime import datetime

from lxml import etree

from pipeline import boards
from pipeline.inven.dates import article_date, list_hints
from pipeline.inven.markup import (
    Element,
    all_below,
    body_among,
    category_of,
    css,
    guarded,
    is_a,
    line_of,
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

_BOARD, _FRAME, _TABLE = is_a(id="new-board"), is_a(name="board-list"), is_a("table")
_LISTS = ((_BOARD, _FRAME, _TABLE), (_FRAME, _TABLE), (_BOARD, _TABLE))
_ARTICLE = css("#tbArticle, .articleTitle, .articleSubject, .articleDate, .articleContent, .contentBody")
# One look at the page finds every part of an article; each part by itself would be a look of its own.
_PARTS = etree.XPath(
    "descendant::*[contains(@class, 'article') or @id = 'powerbbsContent' or @id = 'bbsRecommendNum1']"
)
_MOST_PARTS = 5  # elements of one name: templates repeat some, the first of them empty
_OG_TITLE = css("meta[property='og:title']")
_LABEL = re.compile(r"\s*\[([^\[\]]{1,30})\]")


def parse_list(content: bytes, *, board_id: int, page: int, fetched_at: datetime, url: str) -> ListPage | Failure:
    """The posts of a list page in the order shown. `fetched_at` (aware) is what the rows' dates count from.

    A list without rows is a page beyond the last; no list at all is a Failure. Never raises.
    """
    return guarded(lambda: _list(page_of(content), board_id, page, fetched_at, url), url)


def parse_article(content: bytes, *, board_id: int, post_id: int, url: str) -> Article | Failure:
    """The post on an article page. A post with pictures only has the body "". Never raises."""
    return guarded(lambda: _article(page_of(content), board_id, post_id, url), url)


# --- list ---------------------------------------------------------------------------------------------


def _list(page: Element, board_id: int, number: int, fetched_at: datetime, url: str) -> ListPage | Failure:
    table = next((found for steps in _LISTS for found in all_below(page, *steps)), None)
    if table is None:
        return no_frame(page, url) or Failure("drift", url, "there is no post list (#new-board) on the page")
    without_scripts(table)
    rows: dict[int, ListRow] = {}
    notices = unread = 0
    for tr in table.iter("tr"):
        cells = _cells_of(tr)
        if "notice" in (tr.get("class") or "").split() or text_of(cells.get("num")) == "공지":
            notices += 1
            continue
        row = _row(cells, board_id, url)
        if row is not None:
            rows.setdefault(row.post_id, row)
        elif sum(cell.tag == "td" for cell in tr) > 2:  # a lone wide cell is a message or an advertisement
            unread += 1
    if unread > len(rows):
        return Failure("drift", url, f"{unread} rows of the list can't be read, {len(rows)} can")
    hints = list_hints([row.date_text for row in rows.values()], fetched_at)
    dated = (replace(row, posted_at_hint=hint) for row, hint in zip(rows.values(), hints, strict=True))
    return ListPage(board_id, number, tuple(dated), notices, unread)


def _cells_of(tr: Element) -> dict[str, Element]:
    """The cells of a row by their classes."""
    return {name: cell for cell in tr.iterchildren("td") for name in (cell.get("class") or "").split()}


def _within(element: Element, tag: str, name: str) -> Element | None:
    """The first such tag below an element that has this class."""
    return next((found for found in element.iter(tag) if name in (found.get("class") or "").split()), None)


def _row(cells: dict[str, Element], board_id: int, url: str) -> ListRow | None:
    cell = cells.get("tit")
    link = None if cell is None else _within(cell, "a", "subject-link")
    if cell is None or link is None:
        return None
    post_id = post_id_of(link.get("href") or "", board_id, url)
    if post_id is None:
        return None
    category, title = _subject(link, board_id)
    return ListRow(
        board_id=board_id,
        post_id=post_id,
        category=category,
        title=title,
        date_text=text_of(cells.get("date"))[:40],
        posted_at_hint=None,
        views=number_in(text_of(cells.get("view"))),
        recommends=number_in(text_of(cells.get("reco"))),
        comments=number_in(text_of(_within(cell, "span", "con-comment"))),
    )


def _subject(link: Element, board_id: int) -> tuple[str | None, str]:
    """Category and title of a list row's link."""
    label = _within(link, "span", "category")
    title = title_of(link)
    if label is not None:
        return category_of(text_of(label)), title
    # A title may begin with a bracket of the writer's own, so without the span only a known label counts.
    match = _LABEL.match(title)
    if match and boards.job_of_category(board_id, match[1]) is not None:
        return match[1], title[match.end() :].strip()
    return None, title


# --- article ------------------------------------------------------------------------------------------


def _article(page: Element, board_id: int, post_id: int, url: str) -> Article | Failure:
    parts = _parts_of(page)
    if "powerbbsContent" not in parts:
        if _ARTICLE(page):
            return Failure("drift", url, "the article has no body container (#powerbbsContent)")
        return no_frame(page, url) or Failure("gone", url, GONE_UNEXPLAINED)
    body, text, remark = body_among(parts["powerbbsContent"])
    if not len(body) and not body.text:
        # A post of pictures only has their elements here; nothing at all is a body that comes by script.
        return Failure("drift", url, "the body container (#powerbbsContent) is empty")
    without_scripts(page)
    posted_at = article_date(_said(parts, "articleDate"))
    if posted_at is None:
        return Failure("drift", url, "the article has no date (.articleDate)")
    category = category_of(_said(parts, "articleCategory"))
    title = _said(parts, "h1") or line_of(next((meta.get("content") or "" for meta in _OG_TITLE(page)), ""))
    if category is not None:
        title = title.removeprefix(f"[{category}]").strip()
    if "h1" not in parts and not title:
        return Failure("drift", url, "the article has no title (.articleTitle h1)")
    hit = _said(parts, "articleHit")
    return Article(
        board_id=board_id,
        post_id=post_id,
        category=category,
        title=title,
        body=text,
        posted_at=posted_at,
        views=number_after("조회", hit),
        recommends=number_in(_said(parts, "bbsRecommendNum1")) or number_after("추천", hit),
        remark=remark,
    )


def _parts_of(page: Element) -> dict[str, list[Element]]:
    """The first elements of each class and id that an article's parts have, and the heading as `h1`."""
    parts: dict[str, list[Element]] = {}
    for element in _PARTS(page):
        names = {*(element.get("class") or "").split(), element.get("id") or ""}
        for name in names:
            same = parts.setdefault(name, [])
            if len(same) < _MOST_PARTS:
                same.append(element)
        if "h1" not in parts and ("articleTitle" in names or "articleSubject" in names):
            heading = next(element.iter("h1"), None)
            if heading is not None:
                parts["h1"] = [heading]
    return parts


def _said(parts: dict[str, list[Element]], name: str) -> str:
    """The text of the first such element that has any."""
    return next(filter(None, map(text_of, parts.get(name, []))), "")
