"""The live database in trouble: every way in is one sentence that names the database, and nothing of it is lost."""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert, select, text
from sqlalchemy.exc import IntegrityError

from pipeline import clock
from pipeline.live import database
from pipeline.live.database import StoreError
from pipeline.live.records import Answer, Comment, Feedback, Post, Prediction, Visit
from pipeline.live.store import Store
from pipeline.live.tables import posts

MakePost = Callable[..., Post]
# Everything that writes, by name.
WRITES: dict[str, Callable[[Store, MakePost], Any]] = {
    "add_posts": lambda store, make: store.add_posts([make(2)]),
    "record_failure": lambda store, make: store.record_failure(5974, 2, "u", "drift", "x"),
    "clear_failure": lambda store, make: store.clear_failure(5974, 2),
    "set_visit": lambda store, make: store.set_visit(5974, Visit(clock.now())),
    "keep_robots": lambda store, make: store.keep_robots("u", "x", clock.now()),
    "new_categories": lambda store, make: store.new_categories(5974, ["새"]),
    "add_comments": lambda store, make: store.add_comments(5974, 1, [Comment(1, None, "가", 0, clock.now())], 1),
    "assign_chunk": lambda store, make: store.assign_chunk(1),
    "assign_archive": lambda store, make: store.assign_archive(1),
    "save_answers": lambda store, make: store.save_answers("x", [("a" * 64, Answer(label=1))]),
    "set_post_labels": lambda store, make: store.set_post_labels(
        [{"board_id": 5974, "post_id": 1, "label": 1, "confidence": 1.0, "labeler": "x"}]
    ),
    "save_keywords": lambda store, make: store.save_keywords("v", [(1, "가")]),
    "save_predictions": lambda store, make: store.save_predictions("v", [Prediction(5974, 1, 1, 0.5)]),
    "add_feedback": lambda store, make: store.add_feedback(Feedback("글", 1)),
    "add_missing_feedback": lambda store, make: store.add_missing_feedback("imported:x", [Feedback("글", 1)]),
}


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0.05)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'live.db'}"


@contextmanager
def locked(store_url: str) -> Iterator[sqlite3.Connection]:
    """What a backup does, or a database browser with an open edit: another connection holds the write lock."""
    path = store_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        try:
            yield other
        finally:
            if other.in_transaction:
                other.rollback()


# --- locked -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITES)
def test_whatever_writes_to_a_locked_database_ends_in_a_sentence_and_works_afterwards(
    hurried: None, url: str, make_post: MakePost, name: str
) -> None:
    with Store(url) as store:
        store.add_posts([make_post(1)])
        with locked(url), pytest.raises(StoreError) as ended:
            WRITES[name](store, make_post)
        said = str(ended.value)
        assert url in said
        assert "locked by another program" in said
        assert "the next run tries again" in said
        assert "\n" not in said
        WRITES[name](store, make_post)
        assert store.summary()["posts"] >= 1


def test_the_lock_is_tried_again_before_it_is_given_up(
    monkeypatch: pytest.MonkeyPatch, url: str, make_post: MakePost, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0.4)
    with Store(url) as store, locked(url) as other:
        threading.Timer(0.6, other.rollback).start()  # later than one try, sooner than two
        with caplog.at_level(logging.WARNING):
            assert store.add_posts([make_post(1)]) == 1
    (line,) = [record.getMessage() for record in caplog.records if record.name == "pipeline.live.database"]
    assert "locked by another program" in line


def test_a_new_database_that_is_locked_can_not_be_opened(hurried: None, url: str) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE x (y)")
    with locked(url), pytest.raises(StoreError, match="locked by another program"):
        Store(url)
    Store(url).close()


def test_reading_a_database_that_another_program_keeps_to_itself(hurried: None, url: str) -> None:
    with Store(url) as store:
        store.engine.dispose()
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as other:
            other.execute("PRAGMA locking_mode=EXCLUSIVE")
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(StoreError, match="locked by another program"):
                store.known_posts(5974, [1])
        assert store.known_posts(5974, [1]) == set()


# --- other trouble ------------------------------------------------------------------------------------


def test_a_database_of_a_newer_version_is_named_with_the_way_out(url: str) -> None:
    with Store(url) as store, store.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"live\.db is of revision 9999.*git pull"):
        Store(url)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "live.db"
    path.write_text("가나다 " * 1000, encoding="utf-8")
    with pytest.raises(StoreError, match=r"live\.db is no database"):
        Store(f"sqlite:///{path}")


def test_a_folder_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"folder of DATABASE_URL.*file"):
        Store(f"sqlite:///{tmp_path}/file/live.db")


def test_a_folder_in_the_databases_place(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="can't be opened: check the path"):
        Store(f"sqlite:///{tmp_path}")


@pytest.mark.parametrize("wrong", ["postgresql+nothing://x", "nothing://x/y"])
def test_a_kind_of_database_that_does_not_exist(wrong: str) -> None:
    with pytest.raises(StoreError, match="is not a database URL"):
        Store(wrong)


def test_a_server_that_is_not_there_and_no_password_in_the_message() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError) as ended:
        Store("postgresql+psycopg://maple:geheim@127.0.0.1:9/maple")
    assert "can't be used" in str(ended.value)
    assert "geheim" not in str(ended.value)


@pytest.mark.parametrize(
    ("pragma", "words"), [("max_page_count=1", "the disk is full"), ("query_only=ON", "give this user the right")]
)
def test_a_database_that_can_not_be_written(url: str, make_post: MakePost, pragma: str, words: str) -> None:
    with Store(url) as store:

        @event.listens_for(store.engine, "begin")
        def hinder(connection: Any) -> None:
            connection.exec_driver_sql(f"PRAGMA {pragma}")

        with pytest.raises(StoreError, match=words):
            store.add_posts([make_post(n, body="가" * 9000) for n in range(9)])
        event.remove(store.engine, "begin", hinder)
        store.engine.dispose()
        assert store.add_posts([make_post(1)]) == 1


def test_a_defect_stays_a_defect(url: str) -> None:
    with Store(url) as store, pytest.raises(IntegrityError), store.writing() as connection:
        connection.execute(insert(posts).values(board_id=1))


# --- text ---------------------------------------------------------------------------------------------

HALF = "앞\ud83d뒤"  # what JSON's "\ud83d" and HTML's &#xD83D; become


def test_half_a_character_costs_only_itself_wherever_it_stands(url: str, make_post: MakePost) -> None:
    with Store(url) as store:
        pair = "\ud83d\ude00"  # both halves side by side are a character
        store.add_posts([make_post(1, title=HALF, body=HALF + pair, url=HALF, category=HALF)])
        with store.reading() as connection:
            row = connection.execute(select(posts.c.title, posts.c.body, posts.c.url, posts.c.category)).one()
        assert tuple(row) == ("앞\ufffd뒤", "앞\ufffd뒤😀", "앞\ufffd뒤", "앞\ufffd뒤")
        store.record_failure(5974, 2, HALF, HALF, HALF)
        assert store.failures()[0]["detail"] == "앞\ufffd뒤"
        assert store.new_categories(5974, [HALF]) == [HALF]
        assert store.new_categories(5974, [HALF]) == []
        store.keep_robots(HALF, HALF, clock.now())
        assert store.kept_robots(HALF) is not None
        assert store.add_comments(5974, 1, [Comment(1, None, HALF, 0, clock.now())], 1, as_posts=True) == 1
        store.add_feedback(Feedback(HALF, 1, client=HALF))
        store.save_answers(HALF, [(HALF, Answer(label=1, note=HALF))])
        assert store.cached_answers([HALF], HALF)["앞\ufffd뒤"].note == "앞\ufffd뒤"
        store.save_keywords("v", [(1, HALF)])
