"""Posts that change after they were collected: what is shown follows the site, what was frozen stays."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from demo.replay_pages import list_page
from pipeline import boards
from pipeline.freeze.cut import write_chunk
from pipeline.inven.crawl import BoardReport
from pipeline.live.records import Comment, Feedback, Prediction
from pipeline.live.store import Store
from pipeline.live.tables import feedback as feedback_table
from pipeline.live.tables import posts as posts_table
from tests.pipeline.inven.test_crawl import BOARD, broken, ids, path_of, stored, walk
from tests.support.replay_server import START, Clock, ReplayServer, drafts, page, timetable

Serve = Callable[..., ReplayServer]
AGE = timedelta(hours=24)


class Site:
    """A board and its crawler, on one clock."""

    def __init__(self, serve: Serve, store: Store, count: int = 30, initial: int = 0, **schedule: Any) -> None:
        self.clock = Clock()
        self.posts = timetable(drafts(count), **{"initial": initial, "per_minute": 1, **schedule})
        self.server = serve(self.posts, self.clock)
        self.store = store

    def crawl(self, **options: Any) -> BoardReport:
        manners = {"wall": self.clock, "shelf": self.store}
        return walk(self.server, self.store, manners=manners, **{"reread_age": AGE, **options})

    def collected(self) -> "Site":
        """Every post an hour after the first, and some others above them, so that they stand on no first page."""
        self.clock.pass_time(hours=1)
        assert self.crawl().new == len(self.posts)
        return self

    def asked(self, action: Callable[[], Any]) -> list[str]:
        """The posts that were asked for meanwhile."""
        before = len(self.server.paths)
        action()
        return [path for path in self.server.paths[before:] if "?p=" not in path and "robots" not in path]

    def shown(self) -> dict[int, dict[str, Any]]:
        return {row["post_id"]: row for row in self.store.moods(START - timedelta(days=9), START + timedelta(days=9))}


# --- what a list says ---------------------------------------------------------------------------------


def test_a_title_that_changed_on_the_list_is_read_at_once_and_shown(serve: Serve, store: Store) -> None:
    site = Site(serve, store).collected()
    edited = site.posts[-2]
    site.server.replay.edit(BOARD, edited.post_id, title="고친 제목", body="고친 본문")
    assert site.asked(site.crawl) == [path_of(edited)]
    assert site.shown()[edited.post_id]["title"] == "고친 제목"
    assert store.texts(BOARD, [edited.post_id])[edited.post_id].body == "고친 본문"
    report = site.crawl()
    assert (report.edited, report.pages) == (0, 1)
    assert site.asked(site.crawl) == []


def test_what_the_list_leaves_out_is_deleted_and_what_it_shows_again_is_not(serve: Serve, store: Store) -> None:
    site = Site(serve, store).collected()
    deleted = [post.post_id for post in site.posts[-5:-3]]
    for post_id in deleted:
        site.server.replay.remove(BOARD, post_id)
    report = site.crawl()
    assert (report.deleted, report.edited) == (2, 0)
    assert "of those stored before 0 edited, 2 deleted" in str(report)
    assert set(ids(site.posts)) - set(site.shown()) == set(deleted)
    assert set(stored(store)) == set(ids(site.posts))  # kept
    assert site.asked(site.crawl) == []
    site.server.replay.restore(BOARD, deleted[0])
    site.crawl()
    assert set(ids(site.posts)) - set(site.shown()) == {deleted[1]}


def test_a_list_with_rows_that_can_not_be_read_or_in_another_order_deletes_nothing(serve: Serve, store: Store) -> None:
    site = Site(serve, store).collected()
    newest = site.posts[::-1]
    there = [newest[0], *newest[2:]]
    whole = list_page(boards.board(BOARD), 1, there, site.clock())
    unread = whole.replace("</tbody>", "<tr><td class='num'>1</td><td>?</td><td>?</td></tr></tbody>")
    pinned = list_page(boards.board(BOARD), 1, [newest[4], *there], site.clock())
    for html in (unread, pinned):
        site.server.fault = lambda path, count, html=html: page(html) if path.endswith("?p=1") else None
        assert site.crawl().deleted == 0
    site.server.fault = lambda path, count: page(whole) if path.endswith("?p=1") else None
    assert site.crawl().deleted == 1


def test_a_wide_hole_in_the_list_is_left_to_a_reading(serve: Serve, store: Store) -> None:
    site = Site(serve, store).collected()
    for post in site.posts[2:28]:
        site.server.replay.remove(BOARD, post.post_id)
    assert site.crawl().deleted == 0
    site.clock.pass_time(hours=24)
    assert site.crawl().deleted == 26
    assert len(site.shown()) == 4


# --- at the stated age --------------------------------------------------------------------------------


def test_at_the_stated_age_each_post_is_read_once_more(serve: Serve, store: Store) -> None:
    site = Site(serve, store).collected()
    edited, deleted = site.posts[3], site.posts[7]
    site.server.replay.edit(BOARD, edited.post_id, body="고친 본문")
    site.server.replay.remove(BOARD, deleted.post_id)
    short = list_page(boards.board(BOARD), 1, [site.posts[0]], site.clock())
    site.server.fault = lambda path, count: page(short) if path.endswith("?p=1") else None  # they stand far down
    site.clock.pass_time(hours=22)
    assert site.asked(site.crawl) == []
    site.clock.pass_time(hours=1, minutes=10)
    first = site.asked(site.crawl)
    assert first == [path_of(post) for post in site.posts[:10]]  # those that have come of age
    site.clock.pass_time(hours=1)
    assert site.asked(site.crawl) == [path_of(post) for post in site.posts[10:]]
    site.clock.pass_time(hours=24)
    assert site.asked(site.crawl) == []
    assert store.texts(BOARD, [edited.post_id])[edited.post_id].body == "고친 본문"
    assert set(ids(site.posts)) - set(site.shown()) == {deleted.post_id}


def test_a_run_reads_no_more_than_it_may_and_the_next_goes_on(serve: Serve, store: Store) -> None:
    site = Site(serve, store).collected()
    site.clock.pass_time(hours=30)
    runs = [site.asked(lambda: site.crawl(reread_posts=12)) for _ in range(4)]
    assert [len(run) for run in runs] == [12, 12, 6, 0]
    assert [path for run in runs for path in run] == [path_of(post) for post in site.posts]
    assert site.asked(lambda: site.crawl(reread_posts=0)) == []


def test_posts_collected_late_are_not_asked_for_again(serve: Serve, store: Store) -> None:
    site = Site(serve, store)
    site.clock.pass_time(hours=40)  # a weekend off
    site.crawl()
    site.clock.pass_time(hours=30)
    assert site.asked(site.crawl) == []
    assert site.asked(lambda: site.crawl(reread_age=timedelta())) == []


def test_a_place_from_the_future_is_not_believed(serve: Serve, store: Store) -> None:
    site = Site(serve, store).collected()
    store.set_reread_place(BOARD, (START + timedelta(days=3650), 1))
    site.clock.pass_time(hours=30)
    assert len(site.asked(site.crawl)) == 30


@pytest.mark.parametrize("trouble", ["changed", "silent", "refused", "excess"])
def test_what_can_not_be_read_changes_nothing_and_does_not_hold_the_rest_up(
    serve: Serve, store: Store, trouble: str
) -> None:
    site = Site(serve, store).collected()
    site.clock.pass_time(hours=30)
    odd = {path_of(post) for post in site.posts[4:6]}
    answers = {
        "changed": page("<html><div id='tbArticle'>새</div></html>"),
        "silent": page("<html><body></body></html>"),
        "refused": page("", 403),
        "excess": page("<html>" + "<div>" * 3000 + "</html>"),
    }
    site.server.fault = lambda path, count: answers[trouble] if path in odd else None
    report = site.crawl()
    assert (report.stopped, report.failed) == ("", 0)
    assert report.deleted == (2 if trouble == "silent" else 0)  # others could be read: these are gone
    assert len(site.shown()) == 30 - report.deleted
    assert site.asked(site.crawl) == []


def test_a_site_that_has_changed_is_not_asked_for_every_post(serve: Serve, store: Store) -> None:
    site = Site(serve, store).collected()
    site.clock.pass_time(hours=30)
    site.server.fault = lambda path, count: page("<html><body>점검</body></html>") if "/45" in path else None
    assert len(site.asked(site.crawl)) == 3
    assert len(site.shown()) == 30  # none counts as gone


# --- what was made of the old text ----------------------------------------------------------------------


def test_what_was_frozen_stays_and_what_is_shows(serve: Serve, store: Store, tmp_path: Path) -> None:
    site = Site(serve, store).collected()
    chunk = store.assign_chunk(20)
    assert chunk == 1
    before = write_chunk(store, "0001", tmp_path / "before").read_bytes()
    edited, pending = site.posts[3], site.posts[-1]
    for n in (1, 2):
        for post in (edited, pending):
            site.server.replay.edit(BOARD, post.post_id, title=f"고친 제목 {n}", body=f"고친 본문 {n}", category="아델")
        assert site.crawl().edited == 2
    assert write_chunk(store, "0001", tmp_path / "after").read_bytes() == before
    shown = site.shown()
    assert {shown[post.post_id]["title"] for post in (edited, pending)} == {"고친 제목 2"}
    assert {shown[post.post_id]["job"] for post in (edited, pending)} == {"아델"}
    assert store.assign_chunk(10) == 2
    assert store.posts_of_chunk(2)[-1]["title"] == "고친 제목 2"  # not trained on before: learned as it is
    assert site.posts[-1].post_id == store.posts_of_chunk(2)[-1]["post_id"]


def test_judgements_of_the_old_text_do_not_count_for_the_new_one(serve: Serve, store: Store) -> None:
    site = Site(serve, store).collected()
    post_id = site.posts[-2].post_id
    label = {"board_id": BOARD, "post_id": post_id, "label": 0, "confidence": 0.9, "labeler": "x"}

    def mood() -> tuple[int | None, str | None]:
        row = site.shown()[post_id]
        return row["label"], row["source"]

    def says(kind: int, at: datetime) -> None:
        number = store.add_feedback(Feedback("글", kind, board_id=BOARD, post_id=post_id, source="imported:test"))
        with store.writing() as connection:
            mine = update(feedback_table).where(feedback_table.c.id == number)
            connection.execute(mine.values(created_at=at.isoformat(timespec="seconds")))

    store.assign_chunk(30)
    store.save_predictions("20261122T000000", [Prediction(BOARD, post_id, 2, 0.9)])
    store.save_keywords("k1", [(store.posts_of_chunk(1)[-2]["seq"], "옛 낱말")])
    store.set_post_labels([label])
    says(1, START)
    assert mood() == (1, "human")
    site.server.replay.edit(BOARD, post_id, title="고친 제목")
    site.crawl()
    assert mood() == (None, None)
    assert site.shown()[post_id]["keywords"] is None
    assert post_id in {row["post_id"] for row in store.posts_to_score("20261122T000000", 99)}
    assert len(store.posts_without_keywords("k1", 99)) == 30
    assert store.posts_not_settled([(BOARD, post_id)]) == []
    store.set_post_labels([label])  # the chunk is labelled later: its label is that of the frozen text
    assert mood() == (None, None)
    store.save_predictions("20261122T000000", [Prediction(BOARD, post_id, 1, 0.9)])
    assert mood() == (1, "model")
    says(0, START + timedelta(days=3650))
    assert mood() == (0, "human")


def test_a_reading_that_finds_the_same_changes_nothing(serve: Serve, store: Store) -> None:
    site = Site(serve, store).collected()
    store.assign_chunk(30)
    rows = [{"board_id": BOARD, "post_id": i, "label": 1, "confidence": 0.9, "labeler": "x"} for i in ids(site.posts)]
    store.set_post_labels(rows)
    site.clock.pass_time(hours=30)
    assert (len(site.asked(site.crawl)), site.crawl().edited) == (30, 0)
    assert {row["label"] for row in site.shown().values()} == {1}


# --- comments -----------------------------------------------------------------------------------------


def test_comments_that_count_as_posts_follow_theirs(serve: Serve, store: Store) -> None:
    site = Site(serve, store).collected()
    above = site.posts[-2].post_id
    said = [Comment(n, None, f"댓글 {n}", 0, START) for n in (1, 2, 3)]
    assert store.add_comments(BOARD, above, said, 3, as_posts=True) == 3

    def shown() -> list[str]:
        return sorted(row["title"] for post_id, row in site.shown().items() if post_id < 0)

    now = [Comment(1, None, "고친 댓글", 0, START), said[2]]
    assert store.add_comments(BOARD, above, now, 2, as_posts=True) == 0
    assert shown() == ["고친 댓글", "댓글 3"]
    store.add_comments(BOARD, above, [], 2, as_posts=True)  # an answer without what the list promises
    assert shown() == ["고친 댓글", "댓글 3"]
    store.add_comments(BOARD, above, said, 3, as_posts=True)
    assert shown() == ["댓글 1", "댓글 2", "댓글 3"]
    site.server.replay.remove(BOARD, above)
    site.crawl()
    assert shown() == []
    site.server.replay.restore(BOARD, above)
    site.crawl()
    assert len(shown()) == 3


def test_old_databases_learn_the_lists_titles_without_a_request(serve: Serve, store: Store) -> None:
    site = Site(serve, store).collected()
    with store.writing() as connection:
        connection.execute(update(posts_table).values(listed_title=None))
    assert site.asked(site.crawl) == []
    with store.reading() as connection:
        assert None not in connection.scalars(select(posts_table.c.listed_title)).all()[-30:]
    site.server.fault = broken(site.posts[0])
    assert site.asked(site.crawl) == []
