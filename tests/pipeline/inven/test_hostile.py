"""Pages made to take long: what one costs is bounded by its size, and it costs the board nothing but itself."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from demo.replay_pages import article_page
from pipeline.inven import comments, markup
from pipeline.inven.comments import CommentPage, parse_comments
from pipeline.inven.mobile import parse_mobile_article, parse_mobile_list
from pipeline.inven.parse import parse_article, parse_list
from pipeline.inven.records import Article, Failure, ListPage
from pipeline.live.store import Store
from pipeline.text import normalise
from tests.pipeline.inven.test_crawl import BOARD, folder_of, high_water, ids, path_of, stored, walk
from tests.pipeline.inven.test_parse import HEAD, TAIL, article_html, row
from tests.support.replay_server import START, ReplayServer, drafts, page, timetable

Serve = Callable[..., ReplayServer]
SECONDS = 4.0  # of one core, for sixteen readings: measured 0.1 to 0.8; without bounds minutes
SIZE = 200_000  # bytes
MANY = 10_000  # elements
URL = "https://www.inven.co.kr/board/maple/2294"
MOBILE = "<html><section class='mo-board-list'><section class='mo-board-view'><div class='bbs-con'>"


def again(text: str, size: int = SIZE) -> str:
    return text * (size // len(text))


def names(form: str, count: int = SIZE // 8) -> str:
    return " ".join(form.format(n) for n in range(count))


# Grows with the square, or with depth times breadth, where nothing bounds it.
TOO_MUCH = {
    "attributes": f"<p {names('a{}=1')}>x</p>",
    "attributes without a value": f"<p {names('a{}')}>x</p>",
    "attributes behind a quoted end": f"<p x='>' {names('a{}')}>x</p>",
    "attributes that hold a start": "<p " + names("a{}='<'", SIZE // 11) + ">x</p>",
    "attributes apart by slashes": "<p/" + names("a{}").replace(" ", "/") + ">x</p>",
    "attributes inside a comment's quotes": f"<!-- <a b=' --> <p {names('a{}')}>x</p> <!-- ' -->",
    "deep blocks": again("<div>"),
    "deep marks": again("<b>가"),
    "deep tables": again("<table><tr><td>가"),
    "deep rows": again("<ul><li class=list><span class=subject>가"),
    "rows in rows": again("<div><li class=list><a class=contentLink href=/board/maple/2294/5></a><span class=subject>"),
    "lists in lists": again("<div id='new-board'><div class='board-list'>"),
    "lines": again("<br> ", 300_000),
    "paragraphs never closed": again("<p>x", 300_000),
    "marks across paragraphs": again("<b><p>x", 400_000),
}
# Within the bounds, and the worst that fits.
JUST_WITHIN = {
    "titles below many spans": "<span>" * 200 + "<i>x</i>" * MANY,
    "titles below spans of many names": f"<span class='{'x' * 900}'>" * 200 + "<i>x</i>" * MANY,
    "lists below many frames": "<div id='new-board'><div class='board-list'>" * 100 + "<table></table>" * MANY,
    "bodies below many frames": "<div class=bbs-con>" * 200 + "<div id=imageCollectDiv></div>" * MANY,
    "notices below many frames": "<div id=mo-notice>" * 200 + "<li></li>" * MANY,
    "rows in rows": "<div><li class=list><span class=subject>가</span>" * 70 + "<i>가</i>" * MANY,
    "headings in headings": "<div class=articleTitle>" * 200 + "<i></i>" * MANY,
    "many cells": "<tr>" + "<td class=tit></td>" * MANY,
    "many names": f"<i class='{'article ' * 150}'></i>" * 400,
    "many attributes": f"<p {names('a{}=1', 190)}>x</p>" * 300,
    "spaces": again("<b> </b>", 150_000),
}
# Long for other reasons, and no reason to refuse.
HARMLESS = {
    "attributes without an end": f"<p {names('a{}')}",
    "comments": again("<!-- x -->"),
    "comments never closed": again("<!-- "),
    "one huge comment": f"<!--{again('x')}-->",
    "dashes": f"<!--{again('-')}",
    "references": again("&amp;&#44032;&x"),
    "one long reference": f"&#{again('9')};&{again('a')};",
    "starts": again("<"),
    "open quotes": again('<p a="'),
    "one open quote": f'<p a="{again("x")}',
    "instructions": again("<?x "),
    "sections": again("<![CDATA["),
    "scripts": again("<script>"),
    "a script's end, almost": f"<script>{again('</scrip')}",
    "ends of nothing": again("</b>"),
    "styles": f"<p style='display{again(' ')}none'>x</p>",
    "one attribute again and again": f"<p {again('a=1 ')}>x</p>",
    "one picture in the text": f"<img src='data:image/png;base64,{again('iVBORw0K')}'>",
    "line ends": again("\n"),
    "marks on one letter": "a" + again("\u0301\u0316", 150_000),
    "digits": again("9"),
    "text": again("가나 다"),
}


def results(core: str) -> list[Any]:
    where = {"board_id": BOARD, "url": URL}
    found: list[Any] = []
    for html in (article_html(core), HEAD + row(5, core) + TAIL, HEAD + core + TAIL, MOBILE + core):
        content = html.encode("utf-8", "surrogatepass")
        found += [
            parse_article(content, post_id=7, **where),
            parse_list(content, page=1, fetched_at=START, **where),
            parse_mobile_article(content, post_id=7, **where),
            parse_mobile_list(content, page=1, fetched_at=START, **where),
        ]
    return found


def in_time(core: str) -> list[Any]:
    started = time.process_time()
    found = results(core)
    assert time.process_time() - started < SECONDS
    assert all(isinstance(result, Article | ListPage | Failure) for result in found)
    assert not [result for result in found if "parser failed" in getattr(result, "detail", "")]
    return found


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", TOO_MUCH)
def test_too_much_markup_is_a_typed_failure_in_bounded_time(name: str) -> None:
    for result in in_time(TOO_MUCH[name]):
        assert isinstance(result, Failure), result
        assert result.kind == "excess"
        assert "too much markup" in result.detail


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", JUST_WITHIN)
def test_the_worst_within_the_bounds_takes_seconds(name: str) -> None:
    kinds = {result.kind for result in in_time(JUST_WITHIN[name]) if isinstance(result, Failure)}
    assert "excess" not in kinds


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_only_long_is_read(name: str) -> None:
    article = in_time(HARMLESS[name])[0]
    if name in {"text", "one picture in the text", "references", "digits", "marks on one letter"}:
        assert isinstance(article, Article)


def test_marks_on_one_letter_are_cut_and_languages_keep_theirs() -> None:
    started = time.process_time()
    zalgo = normalise("가" + "\u0301\u0316" * 100_000 + " 나")
    assert time.process_time() - started < SECONDS
    assert len(zalgo) < 40
    assert (zalgo[0], zalgo[-1]) == ("가", "나")
    text = "한글 e\u0301 \u1112\u1161\u11ab " * 900
    assert normalise(text) == ("한글 é 한 " * 900).strip()


# --- the board goes on --------------------------------------------------------------------------------


def test_hostile_posts_are_left_out_and_the_board_goes_on(serve: Serve, store: Store) -> None:
    posts = timetable(drafts(30))
    server = serve(posts)
    hostile = {path_of(post): post for post in posts[5:11]}  # six in a row: one writer's doing, not the site's
    whole = {path: article_page(post) for path, post in hostile.items()}
    attack = TOO_MUCH["attributes"]
    server.fault = lambda path, count: (
        page(whole[path].replace("</body>", attack + "</body>")) if path in whole else None
    )
    report = walk(server, store)
    assert (report.new, report.failed, report.stopped) == (24, 6, "")
    assert {failure["kind"] for failure in store.failures()} == {"excess"}
    assert not folder_of(store).exists()  # nothing is kept of megabytes of rubbish
    assert high_water(store) == ids(posts)[-1]
    server.paths.clear()
    report = walk(server, store)
    assert (report.new, report.failed) == (0, 0)
    assert server.count("article") == 0  # not asked for again
    assert len(stored(store)) == 24


# --- comments -----------------------------------------------------------------------------------------


def comment(number: int, text: str) -> dict[str, Any]:
    attributes = {"cmtidx": number, "cmtpidx": number, "state": "Y"}
    return {"__attr__": attributes, "o_date": "2026-06-27 02:48:09", "o_comment": text, "o_recommend": 0}


def answer(*items: dict[str, Any], blocks: int = 0) -> CommentPage | Failure:
    more = [{"__attr__": {"titlenum": 100 * (n + 1)}, "list": []} for n in range(blocks)]
    document = {"message": 1, "cmtcount": 1, "commentlist": [*more, {"__attr__": {"titlenum": 0}, "list": list(items)}]}
    started = time.process_time()
    result = parse_comments(json.dumps(document).encode(), url="u")
    assert time.process_time() - started < SECONDS
    return result


@pytest.mark.parametrize(
    "text",
    [
        TOO_MUCH["attributes"],
        TOO_MUCH["deep blocks"],
        TOO_MUCH["attributes"].replace("<", "&lt;"),
        "&#" + "9" * 5000 + ";",  # Python refuses to read such a number
        "&#xD800;\ud800",
        "가" + "\u0301\u0316" * 100_000,
    ],
)
def test_one_hostile_comment_costs_only_itself(text: str) -> None:
    result = answer(comment(1, "앞"), comment(2, text), comment(3, "뒤"))
    assert isinstance(result, CommentPage), result
    texts = {entry.comment_id: entry.text for entry in result.comments}
    assert (texts[1], texts[3]) == ("앞", "뒤")
    assert len(texts.get(2, "")) < 40
    assert isinstance(answer(comment(2, text)), CommentPage)


def test_an_answer_can_not_ask_for_endless_work() -> None:
    result = answer(comment(1, "글"), blocks=5000)
    assert isinstance(result, CommentPage)
    assert len(result.collapsed) == comments.MOST_BLOCKS
    many = answer(*(comment(n, "가") for n in range(1, comments.MOST_COMMENTS + 2)))
    assert isinstance(many, Failure)
    assert isinstance(parse_comments(b'{"commentlist":' + b"[" * 100_000, url="u"), Failure)


def test_the_bounds_are_far_from_real_pages() -> None:
    """A list has some 3,000 elements; a guide of 5,000 lines about 10,000."""
    guide = "".join(f"<p><span style='color:red'>줄 {n}</span></p>" for n in range(5000))
    article = results(f"앞 {guide}")[0]
    assert isinstance(article, Article)
    assert article.body.count("\n") == 5000
    assert markup.MOST_ELEMENTS >= 3 * 15_000
