"""The replay's mobile pages: the markup of m.inven.co.kr as a real saved list shows it, below /m on the replay."""

from collections.abc import Sequence
from datetime import datetime
from html import escape

from demo.replay_pages import NICKNAME, body_html, list_date, whole_page
from demo.replay_posts import ReplayPost
from pipeline import boards
from pipeline.clock import KST

PREFIX = "/m"


def mobile_list_page(board: boards.Board, number: int, posts: Sequence[ReplayPost], now: datetime) -> str:
    """A mobile list page of these posts, newest first; its notices stand outside the list."""
    notices = "".join(
        f'<li><a class="noti" href="{PREFIX}/board/maple/{board.id}/{n}">[공지] {title}</a></li>'
        for n, title in enumerate(("게시판 이용 수칙", "말머리 사용 방법"), start=1)
    )
    first = (number - 1) // 5 * 5 + 1
    paging = "".join(f'<a href="?p={n}">{n}</a> ' for n in range(first, first + 5))
    return whole_page(
        f"{board.name} - 메이플스토리 인벤",
        f'<section id="mo-notice"><ul>{notices if posts else ""}</ul></section>'
        f'<section class="mo-board-list"><ul>{"".join(_row(post, now) for post in posts)}</ul></section>'
        f'<section class="mo-paging">{paging}<a class="next" href="?p={first + 5}">다음</a></section>',
    )


def _row(post: ReplayPost, now: datetime) -> str:
    label = f'<span class="in-cate">{escape(post.category)}</span>' if post.category else ""
    recommends = f'<span class="reco">추천 {post.recommends}</span>' if post.recommends else ""
    link = f"{PREFIX}/board/maple/{post.board_id}/{post.post_id}"
    return (
        f'<li class="list"><a class="contentLink" href="{link}">{label} '
        f'<span class="subject">{escape(post.title)}</span>'
        f'<div class="user-info"><span class="layerNickName">{NICKNAME}{post.post_id % 1000}</span>'
        f'<span class="lv">Lv. 12</span><span class="time">{list_date(post.posted_at, now)}</span>'
        f'<span class="view">조회 {post.views:,}</span>{recommends}</div></a>'
        f'<a class="com-btn" href="{link}#comment"><span class="num">{post.comments}</span></a></li>\n'
    )


def mobile_article_page(post: ReplayPost) -> str:
    """A post's own mobile page."""
    category = f'<span class="in-cate">{escape(post.category)}</span>' if post.category else ""
    return whole_page(
        post.title,
        f'<section class="mo-board-view"><h2 id="articleSubject">{category} {escape(post.title)}</h2>'
        f'<div class="nick"><span class="layerNickName">{NICKNAME}{post.post_id % 1000}</span></div>'
        f'<div class="date">{post.posted_at.astimezone(KST):%Y-%m-%d %H:%M:%S}</div>'
        f'<div class="hit">조회 <span>{post.views:,}</span> 추천 <span>{post.recommends}</span></div>'
        f'<div class="bbs-con"><div id="imageCollectDiv">{body_html(post)}</div></div></section>',
    )
