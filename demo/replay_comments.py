"""The replay's comments: the endpoint's JSON with invented texts, in the shapes that crawlers have met.

Deleted and placeholder rows, values as numbers or as text, HTML escaped once or twice, stickers, answers that begin
with somebody's name; of more than a hundred only the newest hundred come at once.
"""

import html
from datetime import timedelta
from typing import Any

from demo.replay_pages import NICKNAME
from demo.replay_posts import ReplayPost

BLOCK = 100
_SAID = ("공감합니다 ㅋㅋ", "이건 좀 아닌 듯", "오 꿀팁 감사", "그래도 <재밌음> & 편함", "ㅠㅠ 언제 고쳐주나")


def comments_of(post: ReplayPost) -> list[tuple[int, str]]:
    """What there is to read below a post: comment ids and texts, oldest first."""
    return [(3 + 2 * n, f"{_SAID[(post.post_id + n) % len(_SAID)]} {n}") for n in range(post.comments)]


def comment_json(post: ReplayPost, titles: str = "") -> dict[str, Any]:
    """The answer for a post; `titles` names the older blocks that shall come along: `100|200`."""
    said = comments_of(post)
    answer: dict[str, Any] = {
        "message": 1,
        "cmtcount": len(said),
        "pagecount": BLOCK,
        "lastblock": max(0, len(said) - 1) // BLOCK * BLOCK,
        "anonymous": 0,
    }
    if not said:
        return answer  # without the key, as on the site
    wanted = {int(number) for number in titles.split("|") if number.isdigit()}
    blocks = []
    for number in range(answer["lastblock"], -1, -BLOCK):  # 0 is the newest hundred
        end = len(said) - number
        part = said[max(0, end - BLOCK) : end]
        rows = [_row(post, place, text) for place, text in part] if number in {0, *wanted} else []
        if rows and number == 0:
            rows += _empty_rows()
        blocks.append({"__attr__": {"titlenum": number}, "list": rows})
    return {**answer, "commentlist": blocks}


def _row(post: ReplayPost, number: int, text: str) -> dict[str, Any]:
    kind = number // 2 % 4
    above = 3 if kind == 1 else number
    markup = html.escape(text, quote=False)
    if kind == 1:
        markup = f"@{NICKNAME}{number} {markup}"
    if kind == 2:  # escaped once more, with markup of the editor's own
        markup = html.escape(f"<b>{markup}</b>&nbsp;<img class='cmtimage' src='/s.png'>")
    written = post.posted_at + timedelta(minutes=number)
    return {
        "__attr__": {"cmtidx": str(number) if kind == 3 else number, "cmtpidx": above, "state": "Y"},
        "o_date": f"{written:%Y-%m-%d %H:%M:%S}",
        "o_name": f"{NICKNAME}{number}",
        "o_comment": markup,
        "o_recommend": str(kind) if kind == 3 else kind,
    }


def _empty_rows() -> list[dict[str, Any]]:
    """Rows without a word: deleted, a placeholder, a sticker alone."""
    shared = {"o_date": "2026-01-01 00:00:00", "o_name": f"{NICKNAME}9", "o_recommend": 0}
    sticker = "&lt;img class=&quot;cmtimage&quot; src=&quot;/s.png&quot;&gt;"
    return [
        {"__attr__": {"cmtidx": 900001, "cmtpidx": 900001, "state": "N"}, **shared, "o_comment": "지운 댓글"},
        {"__attr__": {"cmtidx": 0, "cmtpidx": 0, "state": "C"}, **shared, "o_comment": ""},
        {"__attr__": {"cmtidx": 900002, "cmtpidx": 900002, "state": "Y"}, **shared, "o_comment": sticker},
    ]
