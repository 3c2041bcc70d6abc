"""Inven's PC pages as records: pure functions from bytes to a record or a typed Failure. They never raise.

What they rest on: selectors on which many public crawlers agree. So they fail closed: a page with posts that
can't be read, or an article without its body container, is `drift`, never an empty record.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import parse_qs, urljoin, urlsplit

from parsel import Selector

from pipeline import boards
from pipeline.inven.dates import article_date, list_hints
from pipeline.inven.records import GONE_SAID, GONE_UNEXPLAINED, Article, Failure, ListPage, ListRow
from pipeline.text import normalise

_GONE_TEXTS = (
    "요청하신 페이지를 찾을 수 없습니다",
    "삭제된 게시물",
    "존재하지 않는 게시물",
    "존재하지 않는 글",
)
_LOGIN_TEXTS = ("로그인이 필요", "로그인 후 이용", "로그인을 하셔야")
_LISTS = ("#new-board .board-list table", ".board-list table", "#new-board table")
_ARTICLE = "#tbArticle, .articleTitle, .articleSubject, .articleDate, .articleContent, .contentBody"
_POST_PATH = re.compile(r"/board/maple/([0-9]{1,9})/([0-9]{1,10})/?")
_LABEL = re.compile(r"\s*\[([^\[\]]{1,30})\]")
_NUMBER = re.compile(r"[0-9][0-9,]*")
_LARGEST = 2**31 - 1  # what an integer column of the database holds
_CATEGORY_LENGTH = 100  # characters; the database column's

_BLOCKS = re.compile(
    "address|article|blockquote|center|d[dlt]|div|figcaption|figure|footer|h[1-6r]|header|li|main|ol|p|pre"
    "|section|table|tbody|tr|ul"
)
_UNSEEN = re.compile("script|style|noscript|template|iframe|textarea|select|button|object")
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_BREAK, _BLOCK = "\n", "\x1e"  # a line break; the edge of a block, of which neighbours share one
_INLINE = {"br": _BREAK, "td": " ", "th": " "}


def parse_list(content: bytes, *, board_id: int, page: int, fetched_at: datetime, url: str) -> ListPage | Failure:
    """The posts of a list page in the order shown. `fetched_at` (aware) is what the rows' dates count from.

    A list without rows is a page beyond the last; no list at all is a Failure. Never raises.
    """
    return _guarded(lambda: _list(_page(content), board_id, page, fetched_at, url), url)


def parse_article(content: bytes, *, board_id: int, post_id: int, url: str) -> Article | Failure:
    """The post on an article page. A post with pictures only has the body "". Never raises."""
    return _guarded(lambda: _article(_page(content), board_id, post_id, url), url)


_Record = TypeVar("_Record")


def _guarded(parse: Callable[[], _Record | Failure], url: str) -> _Record | Failure:
    # Whatever markup does to the libraries below, one page must not end a crawl.
    try:
        return parse()
    except Exception as error:
        return Failure("drift", url, f"the parser failed: {type(error).__name__}: {error}"[:300])


def _page(content: bytes) -> Selector:
    # Real pages hold isolated bad bytes; they must not cost the rest of the page.
    return Selector(text=content.decode("utf-8", errors="replace"), type="html")


# --- list ---------------------------------------------------------------------------------------------


def _list(page: Selector, board_id: int, number: int, fetched_at: datetime, url: str) -> ListPage | Failure:
    table = next(filter(None, (page.css(place) for place in _LISTS)), None)
    if table is None:
        return _no_frame(page, url) or Failure("drift", url, "there is no post list (#new-board) on the page")
    rows: dict[int, ListRow] = {}
    notices = unread = 0
    for tr in table[0].css("tr"):
        if _is_notice(tr):
            notices += 1
            continue
        if not tr.css("td"):
            continue  # the heading
        row = _row(tr, board_id, url)
        if row is not None:
            rows.setdefault(row.post_id, row)
        elif len(tr.xpath("./td")) > 2:  # a lone wide cell is a message or an advertisement
            unread += 1
    if unread > len(rows):
        return Failure("drift", url, f"{unread} rows of the list can't be read, {len(rows)} can")
    hints = list_hints([row.date_text for row in rows.values()], fetched_at)
    dated = (replace(row, posted_at_hint=hint) for row, hint in zip(rows.values(), hints, strict=True))
    return ListPage(board_id, number, tuple(dated), notices)


def _is_notice(tr: Selector) -> bool:
    classes = (tr.xpath("@class").get() or "").split()
    return "notice" in classes or _text(tr.css("td.num")) == "공지"


def _row(tr: Selector, board_id: int, url: str) -> ListRow | None:
    links = tr.css("td.tit a.subject-link")
    if not links:
        return None
    post_id = _post_id(links[0].xpath("@href").get() or "", board_id, url)
    if post_id is None:
        return None
    category, title = _subject(links[0], board_id)
    return ListRow(
        board_id=board_id,
        post_id=post_id,
        category=category,
        title=title,
        date_text=_text(tr.css("td.date"))[:40],
        posted_at_hint=None,
        views=_number(_text(tr.css("td.view"))),
        recommends=_number(_text(tr.css("td.reco"))),
        comments=_number(_text(tr.css("td.tit .con-comment"))),
    )


def _post_id(href: str, board_id: int, url: str) -> int | None:
    """The post of this board that a link leads to. Links carry the list's query along: the path counts."""
    try:
        target = urlsplit(urljoin(url, href))
    except ValueError:  # not an address
        return None
    if match := _POST_PATH.fullmatch(target.path):
        found, post_id = int(match[1]), int(match[2])
    elif target.path.endswith("/powerbbs.php"):  # the old form of the same address
        query = parse_qs(target.query)
        numbers = [query.get(name, [""])[0] for name in ("come_idx", "l")]
        if not all(re.fullmatch(r"[0-9]{1,10}", number) for number in numbers):
            return None
        found, post_id = int(numbers[0]), int(numbers[1])
    else:
        return None
    return post_id if found == board_id and 0 < post_id <= _LARGEST else None


def _subject(link: Selector, board_id: int) -> tuple[str | None, str]:
    """Category and title of a list row's link."""
    label = link.css("span.category")
    parts = link.xpath(
        ".//text()[not(ancestor::span[contains(concat(' ', @class, ' '), ' category ')"
        " or contains(@class, 'con-comment') or contains(@class, 'icon') or contains(@class, 'board-img')])]"
    ).getall()
    title = _line("".join(parts))
    if label:
        return _category(_text(label)), title
    # A title may begin with a bracket of the writer's own, so without the span only a known label counts.
    match = _LABEL.match(title)
    if match and boards.job_of_category(board_id, match[1]) is not None:
        return match[1], title[match.end() :].strip()
    return None, title


# --- article ------------------------------------------------------------------------------------------


def _article(page: Selector, board_id: int, post_id: int, url: str) -> Article | Failure:
    body = page.css("#powerbbsContent")
    if not body and not page.css(_ARTICLE):
        return _no_frame(page, url) or Failure("gone", url, GONE_UNEXPLAINED)
    if not body:
        return Failure("drift", url, "the article has no body container (#powerbbsContent)")
    if not len(body[0].root) and not body[0].root.text:
        # A post of pictures only has their elements here; nothing at all is a body that comes by script.
        return Failure("drift", url, "the body container (#powerbbsContent) is empty")
    posted_at = article_date(_text(page.css(".articleDate")))
    if posted_at is None:
        return Failure("drift", url, "the article has no date (.articleDate)")
    category = _category(_text(page.css(".articleCategory")))
    heading = page.css(".articleTitle h1, .articleSubject h1")
    title = _text(heading) or _line(page.css("meta[property='og:title']::attr(content)").get() or "")
    if category is not None:
        title = title.removeprefix(f"[{category}]").strip()
    if not heading and not title:
        return Failure("drift", url, "the article has no title (.articleTitle h1)")
    hit = _text(page.css(".articleHit"))
    return Article(
        board_id=board_id,
        post_id=post_id,
        category=category,
        title=title,
        body=_body(body[0].root),
        posted_at=posted_at,
        views=_after("조회", hit),
        recommends=_number(_text(page.css("#bbsRecommendNum1"))) or _after("추천", hit),
    )


def _body(root: Any) -> str:
    """The text of an element as a reader sees it: lines end at <br> and at the edges of blocks.

    Walks with a stack of its own: markup nested a thousand deep is no recursion error.
    """
    parts: list[str] = []
    stack: list[tuple[Any, bool]] = [(root, False)]
    while stack:
        element, left = stack.pop()
        tag = element.tag if isinstance(element.tag, str) else ""  # comments have a function here
        edge = _BLOCK if _BLOCKS.fullmatch(tag) else ""
        hidden = _UNSEEN.fullmatch(tag) or _HIDDEN.search(element.get("style") or "") if tag else True
        if not left and (element is root or not hidden):
            parts += [edge, _INLINE.get(tag, ""), _flat(element.text)]
            stack.append((element, True))
            stack.extend((child, False) for child in reversed(element))
            continue
        if left:
            parts.append(edge)
        if element is not root:
            parts.append(_flat(element.tail))
    # A block's last <br> draws no line of its own, and neighbouring edges make one line end.
    text = re.sub(rf" *{_BREAK}? *{_BLOCK}[ {_BLOCK}]*", _BREAK, "".join(parts))
    return normalise(text)


def _flat(text: str | None) -> str:
    """Source text as HTML shows it: white space of any kind, and separators of ours, are one space."""
    return re.sub(r"[\s\x1c-\x1f]+", " ", text) if text else ""


# --- both ---------------------------------------------------------------------------------------------


def _no_frame(page: Selector, url: str) -> Failure | None:
    text = _line(" ".join(page.xpath("//text()").getall()))
    if any(phrase in text for phrase in _GONE_TEXTS):
        return Failure("gone", url, GONE_SAID)
    if any(phrase in text for phrase in _LOGIN_TEXTS):
        return Failure("login", url, "the site shows this page to members only")
    return None


def _text(found: Any) -> str:
    """The first element's text on one line, "" without one."""
    return _line("".join(found[0].xpath(".//text()").getall())) if found else ""


def _line(text: str) -> str:
    return " ".join(normalise(text).split())


def _category(text: str) -> str | None:
    return text.strip("[] ")[:_CATEGORY_LENGTH] or None


def _number(text: str) -> int:
    match = _NUMBER.search(text)
    if match is None:
        return 0
    return min(int(match[0].replace(",", "")[:12]), _LARGEST)


def _after(word: str, text: str) -> int:
    return _number(text.partition(word)[2])
