"""The parsers: the reference's markup, its traps, and any bytes at all."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demo.replay_pages import NICKNAME, article_page, gone_page, list_page
from pipeline import boards
from pipeline.clock import KST
from pipeline.inven.mobile import parse_mobile_article, parse_mobile_list
from pipeline.inven.parse import parse_article, parse_list
from pipeline.inven.records import GONE_SAID, GONE_UNEXPLAINED, Article, Failure, ListPage
from tests.support.replay_server import START, drafts, timetable

URL = "https://www.inven.co.kr/board/maple/2294"
HEAD = "<html><body><div id='new-board'><form><div class='board-list'><table><tbody>"
TAIL = "</tbody></table></div></form></div></body></html>"
ROW = (
    "<tr class=''><td class='num'><span>{id}</span></td><td class='tit'><div class='text-wrap'><div>"
    "<a class='subject-link' href='{href}'>{subject}</a></div><span class='con-comment'>{comments}</span></div></td>"
    "<td class='user'><span class='layerNickName'>누군가</span></td><td class='date'>{date}</td>"
    "<td class='view'>1,234</td><td class='reco'>9</td></tr>"
)


def row(
    post_id: int,
    subject: str = "제목",
    *,
    href: str | None = None,
    date: str = "11:00",
    comments: str = "",
) -> str:
    return ROW.format(id=post_id, subject=subject, href=href or f"{URL}/{post_id}", date=date, comments=comments)


def read_list(html: str | bytes, board_id: int = 2294) -> ListPage | Failure:
    content = html if isinstance(html, bytes) else html.encode()
    return parse_list(content, board_id=board_id, page=1, fetched_at=START, url=URL)


def read_rows(*rows: str, board_id: int = 2294) -> ListPage:
    result = read_list(HEAD + "".join(rows) + TAIL, board_id)
    assert isinstance(result, ListPage), result
    return result


def article_html(body: str = "본문", *, head: str = "", date: str = "2026-11-20 11:59:58", title: str = "제목") -> str:
    return (
        f"<html><body><div id='tbArticle'>{head}<div class='articleTitle'><h1>{title}</h1></div>"
        f"<div class='articleDate'>{date}</div><div class='articleHit'><strong>조회: </strong>1,678 "
        "<strong>추천:</strong> <span id='bbsRecommendNum1'>23</span></div><div class='articleContent'>"
        f"<div class='contentBody' id='imageCollectDiv'><div id='powerbbsContent'>{body}</div></div>"
        "목록 | 댓글</div></div></body></html>"
    )


def read_article(html: str | bytes) -> Article | Failure:
    content = html if isinstance(html, bytes) else html.encode()
    return parse_article(content, board_id=2294, post_id=7, url=f"{URL}/7")


def body_of(html: str) -> str:
    result = read_article(article_html(html))
    assert isinstance(result, Article), result
    return result.body


# --- list ---------------------------------------------------------------------------------------------


def test_a_row_in_the_markup_of_the_reference() -> None:
    subject = "<span class='category'>[히어로]</span>\n&nbsp;&nbsp;제목 &lt;굿&gt; [3]"
    page = read_rows(row(457412, subject, comments="[12]"))
    (only,) = page.rows
    assert (only.board_id, only.post_id, only.category, only.title) == (
        2294,
        457412,
        "히어로",
        "제목 <굿> [3]",
    )
    assert (only.views, only.recommends, only.comments) == (1234, 9, 12)
    assert only.posted_at_hint == datetime(2026, 11, 20, 11, 0, tzinfo=KST)


@pytest.mark.parametrize(
    "href",
    [
        "https://www.inven.co.kr/board/maple/2294/77?category=%EC%95%84%EB%8D%B8&p=3",
        "/board/maple/2294/77",
        "/board/maple/2294/77/?my=chu",
        "/board/powerbbs.php?come_idx=2294&l=77",
    ],
)
def test_links_are_read_by_their_path(href: str) -> None:
    assert [r.post_id for r in read_rows(row(1, href=href)).rows] == [77]


@pytest.mark.parametrize("href", ["/board/maple/2295/77", "/x", "http://[", "/board/maple/2294/99999999999", "#"])
def test_links_elsewhere_are_no_posts_of_the_board(href: str) -> None:
    assert [r.post_id for r in read_rows(row(5), row(1, href=href)).rows] == [5]


def test_notices_advertisements_and_doubles_are_no_rows() -> None:
    notice = row(9).replace("class=''", "class='notice all'", 1)
    spoken = row(8).replace("<span>8</span>", "공지")
    advertisement = "<tr><td colspan='6'><a href='/ad'>광고</a></td></tr>"
    page = read_rows(notice, spoken, advertisement, row(5), row(5), row(4))
    assert [r.post_id for r in page.rows] == [5, 4]
    assert page.notices == 2


def test_a_label_without_its_span_counts_only_if_it_is_known() -> None:
    page = read_rows(row(5, "[히어로] 버프"), row(4, "[질문] 스펙"))
    assert [(r.category, r.title) for r in page.rows] == [("히어로", "버프"), (None, "[질문] 스펙")]


def test_badges_in_the_link_are_not_the_title() -> None:
    badges = "<span class='board-img'>사진</span><span class='con-comment'>[3]</span>"
    assert read_rows(row(5, f"<span class='category'>[아델]</span> 제목{badges}")).rows[0].title == "제목"


def test_an_empty_frame_is_a_page_beyond_the_last() -> None:
    assert read_list(HEAD + TAIL) == ListPage(2294, 1, (), 0)


@pytest.mark.parametrize(
    ("html", "kind"),
    [
        ("", "drift"),
        ("<html><body>점검 중</body></html>", "drift"),
        (gone_page(), "gone"),
        ("<html><body>로그인이 필요합니다.</body></html>", "login"),
        (HEAD + "<tr><td>1</td><td>제목</td><td>이름</td></tr>" + TAIL, "drift"),
        (HEAD + row(3).replace("subject-link", "renamed") * 3 + TAIL, "drift"),
    ],
)
def test_a_list_that_can_not_be_read_is_a_failure(html: str, kind: str) -> None:
    result = read_list(html)
    assert isinstance(result, Failure)
    assert result.kind == kind


def test_the_replays_list_is_read_completely() -> None:
    posts = timetable(drafts(45, 5974), initial=45)
    shown = list_page(boards.board(5974), 1, posts[::-1], START)
    page = read_list(shown, 5974)
    assert isinstance(page, ListPage)
    assert [r.post_id for r in page.rows] == [post.post_id for post in posts[::-1]]
    assert {r.category for r in page.rows} == {"수다"}
    assert page.notices == 3
    for found, post in zip(page.rows, posts[::-1], strict=True):
        assert (found.title, found.views, found.recommends) == (post.title, post.views, post.recommends)
        assert found.comments == post.comments
        assert found.posted_at_hint is not None
        assert abs(found.posted_at_hint - post.posted_at) < timedelta(days=1)
    assert NICKNAME not in repr(page)


# --- article ------------------------------------------------------------------------------------------


def test_an_article_in_the_markup_of_the_reference() -> None:
    head = "<div class='articleHeadMenu'><div class='articleCategory'>[히어로]</div></div>"
    result = read_article(article_html("첫 줄<br>둘째 줄", head=head, title="[히어로] 제목 [1]"))
    assert result == Article(
        board_id=2294,
        post_id=7,
        category="히어로",
        title="제목 [1]",
        body="첫 줄\n둘째 줄",
        posted_at=datetime(2026, 11, 20, 11, 59, 58, tzinfo=KST),
        views=1678,
        recommends=23,
    )


@pytest.mark.parametrize(
    ("html", "body"),
    [
        ("가<br>나<br/>다", "가\n나\n다"),
        ("<div>가</div><div>나</div>", "가\n나"),
        ("<div>가<br></div><div><br></div><div>나</div>", "가\n나"),
        ("<p>가</p>나<p>다</p>", "가\n나\n다"),
        ("가\n  <b>나</b>다", "가 나다"),
        ("가&nbsp;&nbsp;나 &lt;b&gt; &amp;amp;", "가 나 <b> &amp;"),
        ("가<script>alert('x')</script><style>p{}</style>나<!-- 안 보임 -->다", "가나다"),
        ("가<div style='display: none'>안 보임</div>나", "가나"),
        ("<div><img src='a.png'></div><div style='display:none'><img></div>", ""),
        ("<figure><iframe src='https://video'>영상</iframe></figure>", ""),
        ("\u1109\u1165 ㅋㅋㅠㅠ", "서 ㅋㅋㅠㅠ"),
        ("<table><tr><td>가</td><td>나</td></tr></table>", "가 나"),
    ],
)
def test_body_text(html: str, body: str) -> None:
    assert body_of(html) == body


def test_deep_markup_is_no_recursion_error() -> None:
    assert body_of("<div>" * 200 + "가" + "</div>" * 200) == "가"
    result = read_article(article_html("<div>" * 3000 + "가" + "</div>" * 3000))
    assert isinstance(result, Failure)
    assert result.kind == "excess"


_EMPTY = "<div id='powerbbsContent'></div>"
_PICTURE = "<div id='powerbbsContent'><img src='a.png'></div>"


@pytest.mark.parametrize(
    ("bodies", "text", "odd"),
    [
        (f"{_EMPTY}<div id='powerbbsContent'>본문</div>", "본문", True),
        (f"{_PICTURE}<div id='powerbbsContent'>본문</div>", "본문", True),
        (f"<div id='powerbbsContent'> <br></div>{_EMPTY}<div id='powerbbsContent'>본문</div>", "본문", True),
        (f"<div id='powerbbsContent'>본문</div>{_EMPTY}", "본문", False),
        ("<div id='powerbbsContent'>앞</div><div id='powerbbsContent'>뒤</div>", "앞", False),
        (f"{_EMPTY}{_PICTURE}", "", True),
        (_PICTURE, "", False),
    ],
)
def test_of_two_bodies_the_one_with_text_is_read(bodies: str, text: str, odd: bool) -> None:
    result = read_article(article_html().replace("<div id='powerbbsContent'>본문</div>", bodies))
    assert isinstance(result, Article), result
    assert (result.body, "body containers" in result.remark) == (text, odd)


def test_two_empty_bodies_are_drift_as_one_is() -> None:
    result = read_article(article_html().replace("<div id='powerbbsContent'>본문</div>", _EMPTY * 2))
    assert isinstance(result, Failure)
    assert "empty" in result.detail


def test_other_parts_that_stand_twice_are_read_where_they_say_something() -> None:
    empty = (
        "<div class='articleTitle'><h1></h1></div><div class='articleDate'> </div><div class='articleCategory'></div>"
    )
    result = read_article(article_html(head=f"{empty}<div class='articleCategory'>[히어로]</div>"))
    assert isinstance(result, Article), result
    assert (result.category, result.posted_at.year) == ("히어로", 2026)


@pytest.mark.parametrize(
    ("html", "kind", "detail"),
    [
        (gone_page(), "gone", GONE_SAID),
        ("<html><body></body></html>", "gone", GONE_UNEXPLAINED),
        ("", "gone", GONE_UNEXPLAINED),
        ("<html><body><script>alert('로그인이 필요합니다')</script></body></html>", "login", "members"),
        (article_html().replace("powerbbsContent", "newContent"), "drift", "powerbbsContent"),
        (article_html(""), "drift", "empty"),
        (article_html(date="어제"), "drift", "articleDate"),
        (article_html().replace("h1", "h2"), "drift", "title"),
    ],
)
def test_an_article_that_can_not_be_read_is_a_failure(html: str, kind: str, detail: str) -> None:
    result = read_article(html)
    assert isinstance(result, Failure)
    assert result.kind == kind
    assert detail in result.detail


def test_bad_bytes_cost_only_themselves() -> None:
    result = read_article(article_html("가나다").encode().replace("나".encode(), b"\xb3\xaa"))
    assert isinstance(result, Article)
    assert result.body.startswith("가")
    assert result.body.endswith("다")


def test_the_replays_articles_are_read_back_as_written() -> None:
    for post in timetable(drafts(6), initial=6):
        result = read_article(article_page(post))
        assert isinstance(result, Article)
        assert (result.title, result.body, result.category) == (post.title, post.body, post.category)
        assert (result.posted_at, result.views, result.recommends) == (
            post.posted_at,
            post.views,
            post.recommends,
        )
        assert NICKNAME not in repr(result)


# --- anything -----------------------------------------------------------------------------------------

_TRICKS = (
    "<div id='powerbbsContent'>|<td class='tit'>|</table>|<tr>|<a class='subject-link' href='|'>|&#xD800;|&#0;|\x00"
    "|<!--|<![CDATA[|<script>document.write('<tr><td class=tit>')</script>|<script>|</script>|<table><tr><td>|"
    "<table><tbody><tr class='notice'>|</td></tr></tbody></table>|<form name='board_list1'>|<div id='tbArticle'>|<?xml"
    "|http://[|<span class='category'>|<h1>|<svg>|<plaintext>|<template>|\x1e|\ufffe|&nbsp;"
)
_WHOLE = [HEAD, TAIL, HEAD + HEAD, TAIL + TAIL, row(5), article_html()]
_PIECES = st.sampled_from([*_WHOLE, "가\x00나" * 50, "9" * 5000, *_TRICKS.split("|")])
_TEXT = st.text(max_size=30) | _PIECES
_ROWS = st.builds(row, st.just(5), _TEXT, href=_TEXT, date=_TEXT, comments=_TEXT)
_LISTS = st.lists(_ROWS, max_size=4).map(lambda rows: HEAD + "".join(rows) + TAIL)
_ARTICLES = st.builds(article_html, _TEXT, head=_TEXT, date=_TEXT, title=_TEXT)
_HTML = st.lists(_TEXT, max_size=25).map("".join) | _LISTS | _ARTICLES
_BYTES = st.binary(max_size=300) | _HTML.map(lambda text: text.encode("utf-8", "surrogatepass"))


def read_mobile(content: bytes) -> tuple[ListPage | Failure, Article | Failure]:
    return (
        parse_mobile_list(content, board_id=2294, page=1, fetched_at=START, url=URL),
        parse_mobile_article(content, board_id=2294, post_id=7, url=f"{URL}/7"),
    )


_HUGE = "긴 제목 <b>\x00" * (1024 * 1024 // 16)  # 1 MB
_SCRIPT = '<script>document.write(\'<td class="tit"><a class="subject-link" href="/board/maple/2294/1">\')</script>'


@pytest.mark.parametrize(
    ("subject", "title"),
    [
        (_HUGE, None),
        (f"{_SCRIPT}제목", "제목"),
        ("제\x00목", "제목"),
        ("&#0;제목&#xD800;", None),
        ("<table><tr><td class='tit'><a class='subject-link' href='/board/maple/2294/9'>속</a></table>", None),
    ],
)
def test_hostile_rows_and_titles_end_in_a_record_or_a_typed_failure(subject: str, title: str | None) -> None:
    listed, article = read_list(HEAD + row(5, subject) + row(4) + TAIL), read_article(article_html(title=subject))
    for result in (listed, article, *read_mobile((HEAD + subject).encode("utf-8", "surrogatepass"))):
        assert isinstance(result, ListPage | Article | Failure)
        assert "parser failed" not in str(getattr(result, "detail", ""))
    if title is not None:
        assert isinstance(listed, ListPage)
        assert isinstance(article, Article)
        assert (listed.rows[0].title, article.title) == (title, title)
    assert "\x00" not in repr(listed) + repr(article)


def test_a_table_in_a_row_is_not_the_list() -> None:
    nested = f"<table><tbody>{row(99)}</tbody></table>"
    result = read_list(HEAD + row(5).replace("</td></tr>", f"{nested}</td></tr>") + row(4) + TAIL)
    assert isinstance(result, ListPage)
    assert {found.post_id for found in result.rows} <= {5, 4, 99}
    assert result.rows[0].post_id == 5


@settings(max_examples=200, deadline=None)
@given(_BYTES)
def test_parsers_never_raise_and_never_fall_back_on_their_guard(content: bytes) -> None:
    for result in (read_list(content), read_article(content), *read_mobile(content)):
        assert isinstance(result, ListPage | Article | Failure)
        if isinstance(result, Failure):
            assert "parser failed" not in result.detail
            assert result.kind in {"gone", "login", "drift", "excess"}
        elif isinstance(result, Article):
            assert "\x00" not in result.title + result.body
