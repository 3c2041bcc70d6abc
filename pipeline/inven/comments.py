"""The comments of a post: the endpoint's form and its JSON as records. Writers' names are never read.

The JSON holds the newest hundred; older blocks arrive collapsed (a `titlenum` and an empty list) and are asked for
by their numbers. Texts are HTML, escaped once or twice, and often begin with `@` and somebody's name.
"""

import html
import json
import re
from dataclasses import dataclass
from typing import Any

from pipeline.inven.dates import article_date
from pipeline.inven.markup import body_of, page_of
from pipeline.inven.records import Failure
from pipeline.live.records import Comment

PATH = "/common/board/comment.json.php"
MOST_BLOCKS = 100  # older blocks of a hundred that are asked for; more comments than any post has
MOST_COMMENTS = 20_000  # of one answer
_NAME = re.compile(r"(?<![^\s(])@[^\s@]+[ \t]*")
_LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class CommentPage:
    """One answer: comments in the order given, and the numbers of the blocks that it left out."""

    comments: tuple[Comment, ...]
    collapsed: tuple[int, ...]


def form(board_id: int, post_id: int, blocks: tuple[int, ...] = ()) -> dict[str, str]:
    """What the page itself posts for a post's comments; `blocks`: older ones by number."""
    fields = {
        "comeidx": str(board_id),
        "articlecode": str(post_id),
        "sortorder": "date",
        "act": "list",
        "out": "json",
        "replynick": "",
        "replyidx": "0",
    }
    return fields | ({"titles": "|".join(map(str, blocks))} if blocks else {})


def parse_comments(content: bytes, *, url: str) -> CommentPage | Failure:
    """The comments of one answer, without deleted and placeholder rows, empty texts and those that can't be read.

    Never raises.
    """
    try:
        document = json.loads(content.decode("utf-8", errors="replace").lstrip("\ufeff"))
        return _page(document, url)
    except Exception as error:  # whatever is in the answer, one post's comments must not end a crawl
        return Failure("drift", url, f"the comments can't be read: {type(error).__name__}: {error}"[:300])


def _page(document: Any, url: str) -> CommentPage | Failure:
    if not isinstance(document, dict) or not {"message", "cmtcount", "commentlist"} & document.keys():
        return Failure("drift", url, "the answer is not the comment list that we know")
    found: dict[int, Comment] = {}
    collapsed = []
    rows = unread = 0
    for block in document.get("commentlist") or []:  # the key is absent when there are none
        items = block.get("list") or []
        number = _number(block.get("__attr__", {}).get("titlenum"))
        if number > 0 and not items:
            collapsed.append(number)
        for item in items:
            attributes = item["__attr__"]
            number = _number(attributes.get("cmtidx"))
            if number <= 0 or str(attributes.get("state", "Y")).upper() != "Y":
                continue  # a placeholder, or deleted
            rows += 1
            if rows > MOST_COMMENTS:
                return Failure("drift", url, f"more than {MOST_COMMENTS} comments in one answer")
            comment = _comment(item, number, _number(attributes.get("cmtpidx")))
            if comment is None:
                unread += 1
            elif comment.text:  # a sticker alone has none
                found.setdefault(number, comment)
    if unread * 2 > rows:
        return Failure(
            "drift", url, f"{unread} of {rows} comments have no date (o_date, o_datetime) or text (o_comment)"
        )
    return CommentPage(tuple(found.values()), tuple(collapsed[:MOST_BLOCKS]))


def _comment(item: dict[str, Any], number: int, above: int) -> Comment | None:
    dates = (article_date(str(item.get(name, ""))) for name in ("o_date", "o_datetime"))
    posted_at = next(filter(None, dates), None)
    if posted_at is None or "o_comment" not in item:
        return None
    try:
        text = _text(str(item["o_comment"] or ""))
    except ValueError:  # too much markup, or a character reference of thousands of digits: one writer's doing
        text = ""
    return Comment(
        comment_id=number,
        parent_id=above if above not in {0, number} else None,
        text=text,
        recommends=_number(item.get("o_recommend")),
        posted_at=posted_at,
    )


def _text(escaped: str) -> str:
    markup = html.unescape(html.unescape(escaped))
    root = page_of(f"<html><body><div>{markup}</div></body></html>".encode("utf-8", "replace"))
    return _NAME.sub("", body_of(root)).strip()


def _number(value: Any) -> int:
    """Values come as numbers or as text."""
    text = str(value)
    return min(int(text), _LARGEST) if text.isascii() and text.isdigit() and len(text) < 20 else 0
