"""The replay's HTML: the markup of Inven's PC pages as far as public crawlers describe it, with invented names.

Everything a post says is escaped. Writers are called 가상모험가 and a number, so that a test can prove that no
nickname is ever stored.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from html import escape

from demo.replay_posts import ReplayPost
from pipeline import boards
from pipeline.clock import KST

NICKNAME = "가상모험가"
GONE = "요청하신 페이지를 찾을 수 없습니다."
_NOTICES = ("게시판 이용 수칙", "[안내] 말머리 사용 방법", "신고 게시판 안내")


def whole_page(title: str, content: str) -> str:
    """A page around its content."""
    return (
        '<!DOCTYPE html>\n<html lang="ko"><head><meta charset="UTF-8">'
        f'<title>{escape(title)}</title><meta property="og:title" content="{escape(title)}">'
        "<style>body{font-family:sans-serif;max-width:60rem;margin:1rem auto}td{padding:.2rem .5rem}"
        ".notice{color:#888}</style><script>var replay = '<td>' + 1;</script></head>\n"
        f'<body><div id="comFrame">{content}</div>'
        "<p>인벤 게시판을 흉내 낸 로컬 데모입니다. 글과 닉네임은 모두 지어낸 것입니다.</p></body></html>\n"
    )


def gone_page() -> str:
    """What stands at the address of a deleted post: a shell, with HTTP status 200."""
    return whole_page("인벤", f'<div class="error"><strong>{GONE}</strong></div>')


def list_page(board: boards.Board, number: int, posts: Sequence[ReplayPost], now: datetime, *, query: str = "") -> str:
    """A list page of these posts (newest first) below the board's notices; none: a page beyond the last.

    `query` (without "?") is carried along by the links, as the site does it.
    """
    notices = "".join(_notice(board.id, n, title) for n, title in enumerate(_NOTICES, start=1))
    rows = "".join(_row(post, now, query) for post in posts)
    pages = "".join(
        f'<a href="?{escape(query + "&" if query else "")}p={n}">{n}</a> '
        for n in range(max(1, number - 2), number + 3)
    )
    table = (
        "<table><thead><tr><th>번호</th><th>제목</th><th>글쓴이</th><th>등록일</th><th>조회</th><th>추천</th></tr>"
        f"</thead>\n<tbody>{notices if posts else ''}{rows}</tbody></table>"
    )
    return whole_page(
        f"{board.name} - 메이플스토리 인벤",
        f'<h1>{board.name}</h1><div id="new-board"><form name="board_list1" method="post">'
        f'<div class="board-list">{table}</div></form><div class="paging">{pages}</div></div>',
    )


def _notice(board_id: int, number: int, title: str) -> str:
    # One notice belongs to another board, as on the site.
    board_id = boards.FREE_BOARD if number == len(_NOTICES) else board_id
    return (
        '<tr class="notice all"><td class="num">공지</td><td class="tit"><div class="text-wrap"><div>'
        f'<a class="subject-link" href="/board/maple/{board_id}/{number}">{escape(title)}</a></div></div></td>'
        '<td class="user"><span class="layerNickName">운영자</span></td><td class="date">2023-01-02</td>'
        '<td class="view">99,999</td><td class="reco">0</td></tr>\n'
    )


def _row(post: ReplayPost, now: datetime, query: str) -> str:
    label = f'<span class="category">[{escape(post.category)}]</span>&nbsp;&nbsp;' if post.category else "&nbsp;"
    link = f"/board/maple/{post.board_id}/{post.post_id}" + (f"?{escape(query)}" if query else "")
    comments = f"[{post.comments}]" if post.comments else "&ensp;"
    picture = '<span class="board-img"></span>' if not post.body else ""
    return (
        f'<tr class="{"lgtm" if post.recommends >= 10 else ""}"><td class="num"><span>{post.post_id}</span></td>'
        f'<td class="tit"><div class="text-wrap"><div><a class="subject-link" href="{link}">\n    {label}'
        f'{escape(post.title)}</a></div> <span class="con-comment">{comments}</span>{picture}</div></td>'
        f'<td class="user"><span class="layerNickName">{NICKNAME}{post.post_id % 1000}</span></td>'
        f'<td class="date">{list_date(post.posted_at, now)}</td><td class="view">{post.views:,}</td>'
        f'<td class="reco">{post.recommends}</td></tr>\n'
    )


def list_date(posted_at: datetime, now: datetime) -> str:
    """A date as the list shows it: HH:MM for today and yesterday, MM-DD before, with the year in older years."""
    posted, today = posted_at.astimezone(KST), now.astimezone(KST).date()
    if posted.date() >= today - timedelta(days=1):
        return posted.strftime("%H:%M")
    return posted.strftime("%m-%d" if today - posted.date() < timedelta(days=300) else "%Y-%m-%d")


def article_page(post: ReplayPost) -> str:
    """A post's own page."""
    category = f"[{escape(post.category)}]" if post.category else ""
    return whole_page(
        post.title,
        '<div id="tbArticle"><div class="articleHeadMenu"><div class="articleCategory">'
        f'{category}</div></div><div class="articleTitle"><h1>{escape(post.title)}</h1></div>'
        f'<div class="articleWriter"><span>{NICKNAME}{post.post_id % 1000}</span></div>'
        f'<div class="articleDate">{post.posted_at.astimezone(KST):%Y-%m-%d %H:%M:%S}</div>'
        f'<div class="articleHit"><strong>조회: </strong>{post.views:,} <strong>추천:</strong> '
        f'<span id="bbsRecommendNum1">{post.recommends}</span></div>'
        '<div class="articleContent"><div id="imageCollectDiv" class="contentBody">'
        f'<div id="powerbbsContent" class="powerbbsContent">{body_html(post)}</div></div>'
        '<div class="articleBottomMenu">목록 | 댓글 | 추천 | 공유 | 스크랩 | 신고 | 프로필</div></div></div>',
    )


def body_html(post: ReplayPost) -> str:
    """The body in one of the editor's three manners: line breaks, divs, or paragraphs."""
    if not post.body:
        picture = f'<img src="/upload/bbs/i{post.post_id}.png?MW=800" alt="">'
        return f'<div>{picture}</div><div style="display:none">{picture}</div>'
    lines = [escape(line) for line in post.body.split("\n")]
    manner = post.post_id % 3
    if manner == 0:
        return "<br>\n".join(lines)
    if manner == 1:
        return "".join(f"<div>{line or '<br>'}</div>" for line in lines) + "<script>var ad = 1;</script>"
    return "".join(f"<p>{line or '&nbsp;'}</p>\n" for line in lines)
