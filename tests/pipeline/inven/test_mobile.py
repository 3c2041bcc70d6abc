"""The mobile site: its markup as records, and as the way out when the PC pages have changed."""

from collections.abc import Callable
from typing import Any

import pytest

from demo.replay_mobile import mobile_article_page, mobile_list_page
from demo.replay_pages import NICKNAME, gone_page
from pipeline import boards
from pipeline.inven.mobile import parse_mobile_article, parse_mobile_list
from pipeline.inven.records import GONE_SAID, Article, Failure, ListPage
from pipeline.inven.walk import STRANGE
from pipeline.live.store import Store
from tests.pipeline.inven.test_crawl import BOARD, folder_of, ids, path_of, stored, walk
from tests.support.replay_server import START, ReplayServer, drafts, page, timetable

Serve = Callable[..., ReplayServer]
URL = "https://m.inven.co.kr/board/maple/2294"
# The markup of the reference, row by row.
ITEM = (
    "<li class='list'><a class='contentLink' href='https://m.inven.co.kr/board/maple/2294/457412?my=chu'>"
    "<span class='in-cate'>아크(불독)</span><span class='in-icon photo'></span>"
    "<span class='subject'>[질문] 제목 [3]</span>"
    "<span class='layerNickName'>누군가</span><span class='lv'>Lv. 33</span><span class='time'>09:10</span>"
    "<span class='view'>조회 1,026</span><span class='reco'>추천 11</span></a>"
    "<a class='com-btn' href='#'><span class='num'>7</span></a></li>"
)
NEW = "<html><body><div id='nuxt'>새 모양</div></body></html>"


def read_list(html: str) -> ListPage | Failure:
    return parse_mobile_list(html.encode(), board_id=BOARD, page=1, fetched_at=START, url=URL)


def read_article(html: str) -> Article | Failure:
    return parse_mobile_article(html.encode(), board_id=BOARD, post_id=7, url=f"{URL}/7")


# --- records ------------------------------------------------------------------------------------------


def test_a_row_in_the_markup_of_a_real_page() -> None:
    result = read_list(
        f"<html><section id='mo-notice'><ul><li><a class='noti' href='{URL}/1'>공지</a></li></ul></section>"
        f"<section class='mo-board-list'><ul>{ITEM}</ul></section></html>"
    )
    assert isinstance(result, ListPage)
    assert result.notices == 1
    (row,) = result.rows
    assert (row.post_id, row.category, row.title) == (457412, "아크(불독)", "[질문] 제목 [3]")
    assert (row.views, row.recommends, row.comments, row.date_text) == (1026, 11, 7, "09:10")


def test_the_replays_mobile_pages_are_read_back_as_written() -> None:
    posts = timetable(drafts(45))
    result = read_list(mobile_list_page(boards.board(BOARD), 1, posts[::-1], START))
    assert isinstance(result, ListPage)
    assert [(row.post_id, row.title, row.category) for row in result.rows] == [
        (post.post_id, post.title, post.category) for post in posts[::-1]
    ]
    for post in posts[:6]:
        article = read_article(mobile_article_page(post))
        assert isinstance(article, Article)
        assert (article.title, article.body, article.posted_at) == (post.title, post.body, post.posted_at)
        assert article.category == post.category
        assert (article.views, article.recommends) == (post.views, post.recommends)
        assert NICKNAME not in repr((article, result))


@pytest.mark.parametrize(
    ("heading", "category", "title"),
    [
        (" id='articleSubject'><span class='in-cate'>[히어로]</span> [질문] 스펙 [3]", "히어로", "[질문] 스펙 [3]"),
        (" id='articleSubject'><a href='#'><span class='in-cate'>아크(불독)</span></a>버프", "아크(불독)", "버프"),
        (" id='articleSubject'>제목<span class='in-icon photo'>사진</span>", None, "제목"),
        (" id='articleSubject'>", None, ""),
        ("><span class='in-cate'>히어로</span>딴 곳", None, ""),  # the list's row has them
    ],
)
def test_the_title_and_its_category_where_two_crawlers_have_seen_them(
    heading: str, category: str | None, title: str
) -> None:
    (post,) = timetable(drafts(1))
    before, after = mobile_article_page(post).split("<h2", 1)
    article = read_article(f"{before}<h2{heading}</h2>{after.partition('</h2>')[2]}")
    assert isinstance(article, Article)
    assert (article.category, article.title, article.body) == (category, title, post.body)


def test_of_two_bodies_the_one_with_text_is_read() -> None:
    (post,) = timetable(drafts(1))
    html = mobile_article_page(post).replace(
        '<div id="imageCollectDiv">', '<div id="imageCollectDiv"></div><div id="imageCollectDiv">'
    )
    article = read_article(html)
    assert isinstance(article, Article)
    assert article.body == post.body
    assert "2 body containers" in article.remark


@pytest.mark.parametrize(
    ("html", "kind"),
    [
        (NEW, "drift"),
        (gone_page(), "gone"),
        ("<html><section class='mo-board-list'>" + "<li class='list'>" * 3, "drift"),
    ],
)
def test_a_mobile_list_that_can_not_be_read_is_a_failure(html: str, kind: str) -> None:
    result = read_list(html)
    assert isinstance(result, Failure)
    assert result.kind == kind


def test_a_mobile_article_that_can_not_be_read_is_a_failure() -> None:
    (post,) = timetable(drafts(1))
    whole = mobile_article_page(post)
    for html, detail in (
        (gone_page(), GONE_SAID),
        (whole.replace("imageCollectDiv", "new"), "imageCollectDiv"),
        (whole.replace('class="date"', "class='day'"), "date"),
    ):
        result = read_article(html)
        assert isinstance(result, Failure)
        assert detail in result.detail


def test_an_empty_mobile_list_is_a_page_beyond_the_last() -> None:
    assert read_list("<html><section class='mo-board-list'><ul></ul></section></html>") == ListPage(BOARD, 1, (), 0)


# --- the way out --------------------------------------------------------------------------------------


def mobile(server: ReplayServer) -> dict[str, Any]:
    return {"manners": {"mobile_url": f"{server.url}/m"}}


def changed(html: str, *, lists: bool = False, articles: bool = False) -> Any:
    """A fault: these PC pages are of another kind now."""

    def fault(path: str, count: int) -> Any:
        if not path.startswith("/board/"):
            return None
        return page(html) if (lists if "?p=" in path else articles) else None

    return fault


def test_a_changed_list_is_read_on_the_mobile_site_and_reported(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(95))
    server = serve(posts)
    server.fault = changed(NEW, lists=True)
    report = walk(server, store, **mobile(server))
    assert stored(store) == ids(posts)
    assert (report.new, report.stopped) == (95, "")
    assert f"{server.url}/board/maple/{BOARD}?p=1" in report.drift
    assert report.drift in str(report)
    assert [path.name for path in folder_of(store).iterdir()] == [f"{BOARD}-list-1.html"]
    assert [(f["post_id"], f["kind"]) for f in store.failures()] == [(0, "drift")]  # the board is marked
    server.paths.clear()
    assert walk(server, store, **mobile(server)).new == 0
    assert len(server.paths) == 4  # two robots.txt, the changed list, the mobile one
    server.fault = lambda path, count: None
    assert walk(server, store, **mobile(server)).drift == ""
    assert store.failures() == []


def test_changed_articles_are_read_on_the_mobile_site(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(20), deleted=2)
    server = serve(posts)
    server.fault = changed("<html><div id='tbArticle'>새 모양</div></html>", articles=True)
    report = walk(server, store, **mobile(server))
    assert stored(store) == ids(posts)
    assert (report.new, report.gone, report.stopped) == (18, 2, "")
    assert path_of(posts[0]) in report.drift
    pc = [path for path in server.paths if path.startswith("/board/") and "?p=" not in path]
    assert len(pc) == STRANGE  # then it is clear that the site has changed


def test_an_article_that_is_silently_gone_is_asked_for_on_the_mobile_site(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(5), deleted=1)
    server = serve(posts)
    silent = [path_of(post) for post in posts if post.deleted]
    server.fault = lambda path, count: page("<html><body></body></html>") if path in silent else None
    report = walk(server, store, **mobile(server))
    assert (report.new, report.gone, report.failed, report.drift) == (4, 1, 0, "")


def test_a_list_that_changes_during_the_walk_is_listed_anew(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(150))
    server = serve(posts)

    def fault(path: str, count: int) -> Any:
        if path.startswith("/m/board/") and "?p=" in path:  # the mobile site shows more posts on a page
            first = (int(path.partition("?p=")[2]) - 1) * 50
            return page(mobile_list_page(boards.board(BOARD), 1, posts[::-1][first : first + 50], START))
        return page(NEW) if path.startswith("/board/") and "?p=3" in path else None

    server.fault = fault
    assert walk(server, store, **mobile(server)).new == 150
    assert stored(store) == ids(posts)


def test_without_a_mobile_site_that_answers_the_board_stops(serve: Serve, store: Store) -> None:
    server = serve(timetable(drafts(5)))
    server.fault = lambda path, count: page(NEW) if "?p=" in path or "/m/robots" in path else None
    report = walk(server, store, **mobile(server))
    assert "list" in report.stopped
    assert not [path for path in server.paths if path.startswith("/m/board")]


def test_when_both_sites_have_changed_the_board_stops(serve: Serve, store: Store) -> None:
    server = serve(timetable(drafts(5)))
    server.fault = lambda path, count: page(NEW) if "?p=" in path else None
    report = walk(server, store, **mobile(server))
    assert "mo-board-list" in report.stopped
    assert report.new == 0
