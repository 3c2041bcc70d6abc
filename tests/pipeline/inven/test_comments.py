"""Comments: their JSON in every shape that was met, read only where something changed, in a table of their own."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from sqlalchemy import select
from starlette.responses import PlainTextResponse, Response

from demo.replay_comments import comment_json, comments_of
from demo.replay_pages import NICKNAME
from demo.replay_posts import ReplayPost
from pipeline.inven.comments import CommentPage, form, parse_comments
from pipeline.inven.records import Failure
from pipeline.live.store import Store
from pipeline.live.tables import comments as comments_table
from pipeline.live.tables import posts as posts_table
from tests.pipeline.inven.test_crawl import BOARD, ids, stored, walk
from tests.support.replay_server import Clock, ReplayServer, drafts, page, timetable

Serve = Callable[..., ReplayServer]
PATH = "/common/board/comment.json.php"
EMPTY = {"message": 1, "cmtcount": 0, "pagecount": 100, "lastblock": 0}


def item(text: str, number: Any = 42, above: Any = 42, state: str = "Y", **more: Any) -> dict[str, Any]:
    return {
        "__attr__": {"cmtidx": number, "cmtpidx": above, "state": state},
        "o_date": "2026-06-27 02:48:09",
        "o_name": NICKNAME,
        "o_comment": text,
        "o_recommend": 3,
        **more,
    }


def read(*items: dict[str, Any]) -> CommentPage:
    document = {**EMPTY, "commentlist": [{"__attr__": {"titlenum": 0}, "list": list(items)}]}
    result = parse_comments(json.dumps(document).encode(), url="http://x")
    assert isinstance(result, CommentPage), result
    return result


def stored_comments(store: Store) -> list[Any]:
    with store.reading() as connection:
        return list(connection.execute(select(comments_table).order_by(comments_table.c.id)).mappings())


# --- the JSON -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        ("그냥 글", "그냥 글"),
        ("가&nbsp;나", "가 나"),
        ("가&amp;nbsp;나", "가 나"),
        ("&lt;b&gt;굵게&lt;/b&gt; 아님", "굵게 아님"),
        ("&amp;lt;b&amp;gt;굵게&amp;lt;/b&amp;gt;", "굵게"),
        ("가<br>나", "가\n나"),
        ("@닉네임 동의합니다", "동의합니다"),
        ("&lt;b&gt;@닉네임&lt;/b&gt; 동의 (@다른이름 도)", "동의 (도)"),
        ("메일은 a@b.kr 로", "메일은 a@b.kr 로"),
        ("\u1109\u1165 ㅋㅋㅠㅠ", "서 ㅋㅋㅠㅠ"),
    ],
)
def test_texts_are_unescaped_and_name_nobody(escaped: str, text: str) -> None:
    (comment,) = read(item(escaped)).comments
    assert comment.text == text


def test_rows_without_a_word_are_left_out() -> None:
    sticker = "&lt;img class=&quot;cmtimage&quot; src=&quot;/s.png&quot;&gt;"
    page_ = read(
        item("지움", state="N"), item("", 0, 0, "C"), item(sticker, 7), item("@닉네임", 8), item("남음", "9", 3)
    )
    (comment,) = page_.comments
    assert (comment.comment_id, comment.parent_id, comment.text, comment.recommends) == (9, 3, "남음", 3)
    assert comment.posted_at.isoformat() == "2026-06-27T02:48:09+09:00"
    assert "o_name" not in repr(page_)
    assert NICKNAME not in repr(page_)


@pytest.mark.parametrize(
    "dates",
    [
        {"o_datetime": "2026-06-27 02:48:09"},
        {"o_date": "06-27", "o_datetime": "2026-06-27 02:48:09"},
        {"o_date": None, "o_datetime": "2026-06-27 02:48:09"},
        {"o_date": "2026-06-27 02:48:09", "o_datetime": ""},
        {"o_date": "2026-06-27 02:48:09", "o_datetime": "2026-06-27 02:48"},
    ],
)
def test_the_date_stands_in_either_of_two_places(dates: dict[str, Any]) -> None:
    row = item("글")
    del row["o_date"]
    (comment,) = read(row | dates).comments
    assert comment.posted_at.isoformat() == "2026-06-27T02:48:09+09:00"


def test_no_comments_has_no_list_at_all() -> None:
    assert parse_comments(json.dumps(EMPTY).encode(), url="http://x") == CommentPage((), ())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"<html>",
        b"{}",
        b'{"message":1,"commentlist":[1]}',
        b'{"message":1,"commentlist":[{"__attr__":{},"list":[{"__attr__":{"cmtidx":1,"state":"Y"}}]}]}',
    ],
)
def test_another_answer_is_drift(content: bytes) -> None:
    result = parse_comments(content, url="http://x")
    assert isinstance(result, Failure)
    assert result.kind == "drift"


def test_the_form_is_the_pages_own() -> None:
    assert form(5974, 7)["articlecode"] == "7"
    assert "titles" not in form(5974, 7)
    assert form(5974, 7, (200, 100))["titles"] == "200|100"


_KEYS = "commentlist list __attr__ titlenum cmtidx cmtpidx state o_date o_comment o_recommend message".split()  # noqa: SIM905
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10) | st.just("&lt;div" * 50),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=6),
    max_leaves=20,
)


@hypothesis(max_examples=100, deadline=None)
@given(_JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=50))
def test_the_parser_never_raises(content: bytes) -> None:
    assert isinstance(parse_comments(content, url="http://x"), CommentPage | Failure)


# --- the walk -----------------------------------------------------------------------------------------


def said(posts: list[ReplayPost]) -> list[tuple[int, int, str]]:
    return [(post.post_id, number, text) for post in posts if not post.deleted for number, text in comments_of(post)]


def test_comments_are_off_by_default(serve: Serve, store: Store) -> None:
    server = serve(timetable(drafts(3, comments=4)))
    assert walk(server, store).comments == 0
    assert PATH not in server.paths


def test_every_comment_is_stored_once_without_names(serve: Serve, store: Store) -> None:
    posts = timetable([*drafts(2, comments=0), *drafts(2, comments=7), *drafts(1, comments=250)], deleted=1)
    server = serve(posts)
    report = walk(server, store, comments=True)
    found = stored_comments(store)
    assert [(row["post_id"], row["comment_id"], row["text"]) for row in found] == said(posts)
    assert report.comments == len(found) > 250
    assert {row["parent_id"] for row in found} == {None, 3}
    assert server.paths.count(PATH) == len([post for post in posts if post.comments and not post.deleted]) + 1
    assert NICKNAME not in repr(found)
    assert stored(store) == ids(posts)  # comments are no posts
    server.paths.clear()
    assert walk(server, store, comments=True).comments == 0
    assert PATH not in server.paths


def test_older_blocks_are_asked_for_one_by_one_if_they_do_not_come_together(serve: Serve, store: Store) -> None:
    (post,) = timetable(drafts(1, comments=350))
    server = serve([post])
    answers: list[str] = []

    async def one_at_a_time(scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"].decode()
        titles = body.partition("titles=")[2].replace("%7C", "|")
        answers.append(titles)
        shown = titles if "|" not in titles else titles.split("|")[0]
        await Response(json.dumps(comment_json(post, shown)), media_type="application/json")(scope, receive, send)

    server.fault = lambda path, count: one_at_a_time if path == PATH else None
    walk(server, store, comments=True)
    assert [(row["post_id"], row["comment_id"], row["text"]) for row in stored_comments(store)] == said([post])
    assert answers == ["", "300|200|100", "100", "200"]


def test_more_comments_are_read_when_the_list_shows_more(serve: Serve, store: Store) -> None:
    before, after = timetable(drafts(2, comments=3)), timetable(drafts(2, comments=5))
    walk(serve(before), store, comments=True)
    server = serve([before[0], after[1]])
    assert walk(server, store, comments=True).comments == 2
    assert server.paths.count(PATH) == 1


@pytest.mark.parametrize("answer", [page("<html></html>"), PlainTextResponse("", 500), PlainTextResponse('{"a": 1}')])
def test_comments_that_can_not_be_read_cost_no_post_and_are_reported(
    serve: Serve, store: Store, answer: Response
) -> None:
    posts = timetable(drafts(6, comments=2))
    server = serve(posts)
    server.fault = lambda path, count: answer if path == PATH else None
    report = walk(server, store, comments=True)
    assert stored(store) == ids(posts)
    assert "comment" in report.drift
    assert not report.stopped
    assert server.paths.count(PATH) <= 3 * 3
    server.fault = lambda path, count: None
    assert walk(server, store, comments=True).comments == 12


def test_robots_may_forbid_comments_alone(serve: Serve, store: Store) -> None:
    server = serve(timetable(drafts(2, comments=2)))
    server.replay.robots = "User-agent: *\nDisallow: /common/\n"
    report = walk(server, store, comments=True)
    assert report.new == 2
    assert "robots.txt" in report.drift
    assert PATH not in server.paths


def test_comments_become_posts_only_when_the_setting_says_so(serve: Serve, store: Store) -> None:
    clock = Clock()
    posts = timetable(drafts(2, comments=3))
    server = serve(posts, clock)
    walk(server, store, comments=True, comments_as_posts=True)
    with store.reading() as connection:
        rows = connection.execute(select(posts_table).where(posts_table.c.post_id < 0)).mappings().all()
    assert [(row["title"], row["body"]) for row in rows] == [(text, "") for _, _, text in said(posts)]
    assert {(row["job"], row["job_group"]) for row in rows} == {("히어로", "전사")}
    assert {row["url"] for row in rows} == {f"{server.url}/board/maple/{BOARD}/{post.post_id}" for post in posts}
    assert store.count_pending() == (2 + 6, 0)
    assert walk(server, store, comments=True, comments_as_posts=True).new == 0
    assert store.count_pending() == (2 + 6, 0)
