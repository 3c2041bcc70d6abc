"""The live database: nothing lost, nothing doubled, whoever writes at once."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from pipeline.clock import KST
from pipeline.live.database import StoreError
from pipeline.live.records import ANONYMOUS, Answer, Feedback, Gap, Post, Prediction, Progress
from pipeline.live.store import Store
from pipeline.live.tables import posts
from tests.support import ROOT

MakePost = Callable[..., Post]
DAY = (datetime(2026, 11, 22, tzinfo=KST), datetime(2026, 11, 23, tzinfo=KST))


def stored(store: Store) -> list[tuple[int, int]]:
    with store.reading() as connection:
        return [
            tuple(row) for row in connection.execute(select(posts.c.board_id, posts.c.post_id).order_by(posts.c.seq))
        ]


# --- opening ------------------------------------------------------------------------------------------


def test_opening_makes_the_folder_and_keeps_what_is_there(tmp_path: Path, make_post: MakePost) -> None:
    url = f"sqlite:///{tmp_path / 'a' / 'b' / 'live.db'}"
    with Store(url) as store:
        store.add_posts([make_post(1)])
    with Store(url) as store:
        assert stored(store) == [(5974, 1)]
        with store.reading() as connection:
            assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
            assert connection.scalar(text("PRAGMA synchronous")) == 2  # FULL: a power cut loses no commit


def test_a_bad_url_is_named() -> None:
    with pytest.raises(StoreError, match=r"DATABASE_URL='live\.db' is not a database URL"):
        Store("live.db")


def test_several_can_open_a_new_database_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'live.db'}"
    barrier = threading.Barrier(6)

    def opened(_: int) -> int:
        barrier.wait()
        with Store(url) as store:
            return store.last_chunk()

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(opened, range(6))) == [0] * 6


def test_a_transaction_that_fails_leaves_nothing(store: Store, make_post: MakePost) -> None:
    bad = make_post(2, posted_at=datetime(2026, 11, 22))  # without time zone
    with pytest.raises(ValueError, match="no time zone"):
        store.add_posts([make_post(1), bad])
    assert stored(store) == []
    assert store.add_posts([make_post(1)]) == 1


def test_writing_holds_the_write_lock_from_its_start(store: Store) -> None:
    other = sqlite3.connect(store.engine.url.database or "", timeout=0)
    try:
        with store.reading():
            other.execute("BEGIN IMMEDIATE")
            other.rollback()
        with store.writing(), pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
    finally:
        other.close()


# --- collecting ---------------------------------------------------------------------------------------


def test_the_same_post_counts_once_and_ids_repeat_across_boards(store: Store, make_post: MakePost) -> None:
    assert store.add_posts([make_post(7, 2294), make_post(7, 2298), make_post(7, 2294)]) == 2
    assert store.add_posts([make_post(7, 2294, title="another title"), make_post(8, 2294)]) == 1
    assert stored(store) == [(2294, 7), (2298, 7), (2294, 8)]
    with store.reading() as connection:
        assert connection.scalars(select(posts.c.title)).all() == ["제목 7", "제목 7", "제목 8"]  # the first one stays


def test_hostile_text_comes_back_as_it_was(store: Store, make_post: MakePost) -> None:
    texts = ["NUL \0 inside", "'; DROP TABLE posts; --", "=1+1", "ㅋㅋㅠㅠ", "가" * 1_000_000, "", "a\r\nb"]
    assert store.add_posts([make_post(i, body=body) for i, body in enumerate(texts, start=1)]) == len(texts)
    assert store.assign_chunk(len(texts)) == 1
    assert [row["body"] for row in store.posts_of_chunk(1)] == texts


def test_times_are_stored_as_korean_text(store: Store, make_post: MakePost) -> None:
    store.add_posts([make_post(1, posted_at=datetime(2026, 11, 22, 15, 30, tzinfo=UTC))])
    with store.reading() as connection:
        assert connection.scalar(select(posts.c.posted_at)) == "2026-11-23T00:30:00+09:00"


def test_known_posts_looks_at_one_board_and_at_what_is_gone(store: Store, make_post: MakePost) -> None:
    store.add_posts([make_post(number, 2294) for number in range(1, 601)])
    store.add_posts([make_post(5000, 2298)])
    store.record_failure(2294, 6000, "u", "gone", "deleted")
    store.record_failure(2294, 6001, "u", "unavailable", "503")
    assert store.known_posts(2294, []) == set()
    found = store.known_posts(2294, [*range(1, 700), 5000, 6000, 6001])  # more than one batch
    assert found == {*range(1, 601), 6000}


def test_failures_count_attempts_and_can_be_cleared(store: Store) -> None:
    store.record_failure(2294, None, "list", "drift", "x" * 9000)
    store.record_failure(2294, None, "list", "unavailable", "503")
    store.record_failure(2294, 5, "post", "gone", "")
    by_post = {row["post_id"]: row for row in store.failures()}
    assert (by_post[0]["attempts"], by_post[0]["kind"], by_post[0]["detail"]) == (2, "unavailable", "503")
    assert by_post[5]["attempts"] == 1
    store.clear_failure(2294, None)
    assert [row["post_id"] for row in store.failures()] == [5]
    store.clear_failure(2294, 5)
    assert store.failures() == []


def test_failure_detail_is_cut(store: Store) -> None:
    store.record_failure(2294, 5, "post", "drift", "x" * 9000)
    assert len(store.failures()[0]["detail"]) == 500


def test_progress_is_kept_by_board_with_its_gaps(store: Store) -> None:
    first = Progress(20, 3, 7, (Gap(4, 6, 5), Gap(9, 15, 1)))
    assert store.progress(2294) is None
    store.change_progress(2294, lambda now: Progress(10) if now is None else now)
    store.change_progress(2298, lambda now: Progress(3, gaps=(Gap(1, 3, 1),)))
    store.change_progress(2294, lambda now: first)
    assert (store.progress(2294), store.progress(2298)) == (first, Progress(3, gaps=(Gap(1, 3, 1),)))
    seen: list[Progress | None] = []
    store.change_progress(2294, lambda now: seen.append(now) or Progress(30))  # type: ignore[func-returns-value]
    assert seen == [first]
    assert store.progress(2294) == Progress(30)


WRITER = """
import sys
from datetime import datetime
from pipeline.clock import KST
from pipeline.live.records import Gap, Progress, Feedback, Post
from pipeline.live.store import Store
url, start = sys.argv[1], int(sys.argv[2])
moment = datetime(2026, 11, 22, 12, tzinfo=KST)
with Store(url) as store:
    added = 0
    for i in range(start, start + 40):
        added += store.add_posts([Post(2294, i, None, None, None, "t", "b", "u", moment, moment)])
        store.add_feedback(Feedback("t", 1))
print(added)
"""


def test_processes_and_threads_writing_at_once_lose_nothing(tmp_path: Path, store: Store, make_post: MakePost) -> None:
    url = str(store.engine.url)
    command = [sys.executable, "-c", WRITER, url]
    # Their ids overlap by half: 1-40 and 21-60; a thread here writes 1-60 one by one.
    children = [
        subprocess.Popen([*command, str(start)], cwd=ROOT, stdout=subprocess.PIPE, text=True) for start in (1, 21)
    ]
    with ThreadPoolExecutor(2) as pool:
        added = sum(pool.map(lambda i: store.add_posts([make_post(i, 2294)]), range(1, 61)))
    for child in children:
        said, _ = child.communicate(timeout=60)
        assert child.returncode == 0
        added += int(said)
    assert added == 60  # each post was new for exactly one of the writers
    assert sorted(stored(store)) == [(2294, i) for i in range(1, 61)]
    assert store.count_pending() == (60, 80)


# --- freezing -----------------------------------------------------------------------------------------


def test_a_chunk_is_the_oldest_posts_in_order_of_collection(store: Store, make_post: MakePost) -> None:
    store.add_posts([make_post(number) for number in (9, 3, 7, 1, 5, 8, 2)])
    assert store.assign_chunk(8) is None
    assert store.count_pending() == (7, 0)
    assert store.assign_chunk(3) == 1
    assert store.assign_chunk(3) == 2
    assert store.assign_chunk(3) is None
    assert [row["post_id"] for row in store.posts_of_chunk(1)] == [9, 3, 7]
    assert [row["post_id"] for row in store.posts_of_chunk(2)] == [1, 5, 8]
    assert store.posts_of_chunk(3) == []
    assert store.count_pending() == (1, 0)
    assert store.last_chunk() == 2


def test_chunk_numbers_go_on_after_the_tags(store: Store, make_post: MakePost) -> None:
    store.add_posts([make_post(number) for number in range(1, 7)])
    assert store.last_chunk() == 0
    assert store.assign_chunk(2, after=6) == 7
    assert store.assign_chunk(2, after=6) == 8
    assert store.assign_chunk(2) == 9


def test_two_cutting_at_once_share_no_post(store: Store, make_post: MakePost) -> None:
    store.add_posts([make_post(number) for number in range(1, 21)])
    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(lambda _: store.assign_chunk(5), range(4)))
    assert sorted(number or 0 for number in numbers) == [1, 2, 3, 4]
    found = [row["post_id"] for number in range(1, 5) for row in store.posts_of_chunk(number)]
    assert found == list(range(1, 21))


def test_an_archive_takes_all_pending_feedback_in_order(store: Store) -> None:
    for number in range(5):
        store.add_feedback(Feedback(f"글 {number}", number % 3))
    assert store.assign_archive(6) is None
    assert store.assign_archive(3, after=4) == 5
    assert [row["text"] for row in store.feedback_of_archive(5)] == [f"글 {number}" for number in range(5)]
    store.add_feedback(Feedback("늦은 글", 2))
    assert store.assign_archive(3) is None
    assert store.assign_archive(1) == 6
    assert [row["text"] for row in store.feedback_of_archive(6)] == ["늦은 글"]
    assert store.last_archive() == 6
    assert store.count_pending() == (0, 0)


# --- labelling ----------------------------------------------------------------------------------------


def test_answers_round_trip_and_the_first_one_stands(store: Store) -> None:
    first = Answer(label=2, confidence=0.75, scores=(0.05, 0.2, 0.75), note="")
    none = Answer(label=None, note="context overflow", kind="overflow", lasting=True)
    store.save_answers("gemma+mood-1", [("a" * 64, first), ("b" * 64, none)])
    store.save_answers("gemma+mood-1", [("a" * 64, Answer(label=0)), ("c" * 64, Answer(label=1))])
    store.save_answers("other", [("a" * 64, Answer(label=0))])
    hashes = ["a" * 64, "b" * 64, "c" * 64, "d" * 64]
    assert store.cached_answers(hashes, "gemma+mood-1") == {
        "a" * 64: first,
        "b" * 64: none,
        "c" * 64: Answer(label=1),
    }
    assert store.cached_answers(hashes, "other") == {"a" * 64: Answer(label=0)}
    assert store.cached_answers([], "other") == {}


def test_more_answers_than_a_statement_takes(store: Store) -> None:
    hashes = [f"{number:064d}" for number in range(600)]
    store.save_answers("x", [(text_hash, Answer(label=1)) for text_hash in hashes])
    assert len(store.cached_answers(hashes, "x")) == 600


# --- moods --------------------------------------------------------------------------------------------


def mood(store: Store, post_id: int, board_id: int = 5974) -> tuple[int | None, str | None]:
    rows = [row for row in store.moods(*DAY) if (row["board_id"], row["post_id"]) == (board_id, post_id)]
    assert len(rows) == 1
    return rows[0]["label"], rows[0]["source"]


def test_a_person_beats_the_llm_and_the_llm_the_model(store: Store, make_post: MakePost) -> None:
    store.add_posts([make_post(1), make_post(1, 2294)])
    assert mood(store, 1) == (None, None)
    store.save_predictions("20261122T000000", [Prediction(5974, 1, 2, 0.9)])
    assert mood(store, 1) == (2, "model")
    store.set_post_labels([{"board_id": 5974, "post_id": 1, "label": 1, "confidence": 0.8, "labeler": "x"}])
    assert mood(store, 1) == (1, "llm")
    store.add_feedback(Feedback("글", 0, board_id=5974, post_id=1, source="imported:old"))
    assert mood(store, 1) == (0, "human")  # 부정 is label 0: it must not read as "nothing said"
    assert mood(store, 1, 2294) == (None, None)


def say(store: Store, label: int, client: str, source: str = ANONYMOUS, post_id: int = 1) -> None:
    store.add_feedback(Feedback("글", label, board_id=5974, post_id=post_id, client=client, source=source))


def test_a_persons_last_word_counts_and_typed_texts_change_no_post(store: Store, make_post: MakePost) -> None:
    store.add_posts([make_post(1), make_post(2)])
    for label in (0, 2, 1):
        say(store, label, "a", "imported:old")
    store.add_feedback(Feedback("typed by hand", 0))
    assert mood(store, 1) == (1, "human")
    assert mood(store, 2) == (None, None)
    store.assign_archive(1)
    assert mood(store, 1) == (1, "human")


def test_one_anonymous_opinion_decides_nothing(store: Store, make_post: MakePost) -> None:
    store.add_posts([make_post(1)])
    store.set_post_labels([{"board_id": 5974, "post_id": 1, "label": 2, "confidence": 0.9, "labeler": "x"}])
    for _ in range(28):  # one visitor, however often
        say(store, 0, "troll")
    assert mood(store, 1) == (2, "llm")
    say(store, 0, "another")
    assert mood(store, 1) == (2, "llm")
    assert [row["post_id"] for row in store.posts_not_settled([(5974, 1)])] == [1]
    say(store, 0, "a third")
    assert mood(store, 1) == (0, "human")
    assert store.posts_not_settled([(5974, 1)]) == []


def test_opinions_settle_by_majority_then_by_the_latest(store: Store, make_post: MakePost) -> None:
    store.add_posts([make_post(1)])
    for client in "abcd":
        say(store, 2, client)
    say(store, 0, "late")
    assert mood(store, 1) == (2, "human")
    for client in "ab":  # two change their minds: three to two
        say(store, 0, client)
    assert mood(store, 1) == (0, "human")
    say(store, 2, "e")
    assert mood(store, 1) == (2, "human"), "as many voices, said last"
    say(store, 1, "", "imported:old")
    assert mood(store, 1) == (1, "human"), "a source with a name outweighs visitors"


def test_a_visitor_is_not_asked_again_what_they_have_answered(store: Store, make_post: MakePost) -> None:
    store.add_posts([make_post(1), make_post(2)])
    ids = [(5974, 1), (5974, 2)]
    say(store, 0, "me")
    assert [row["post_id"] for row in store.posts_not_settled(ids, "me")] == [2]
    assert [row["post_id"] for row in store.posts_not_settled(ids, "you")] == [1, 2]


def test_moods_of_a_period_newest_first_and_its_end_excluded(store: Store, make_post: MakePost) -> None:
    start, end = DAY
    moments = (start - timedelta(seconds=1), start, end - timedelta(seconds=1), end)
    store.add_posts([make_post(number, posted_at=moment) for number, moment in enumerate(moments)])
    assert [row["post_id"] for row in store.moods(start, end)] == [2, 1]
    assert [row["post_id"] for row in store.moods(start.astimezone(UTC), end.astimezone(UTC))] == [2, 1]


# --- scoring ------------------------------------------------------------------------------------------


def test_posts_to_score_are_those_of_another_version_newest_first(store: Store, make_post: MakePost) -> None:
    store.add_posts([make_post(number) for number in (1, 2, 3)])
    assert [row["post_id"] for row in store.posts_to_score("v1", 2)] == [3, 2]
    store.save_predictions("v1", [Prediction(5974, 3, 1, 0.5)])
    assert [row["post_id"] for row in store.posts_to_score("v1", 9)] == [2, 1]
    assert [row["post_id"] for row in store.posts_to_score("v2", 9)] == [2, 1, 3]  # first what nobody judged
    store.save_predictions("v2", [Prediction(5974, 3, 0, 0.6)])
    assert mood(store, 3) == (0, "model")  # the newest version's


def test_keywords_are_missing_until_saved(store: Store, make_post: MakePost) -> None:
    store.add_posts([make_post(number) for number in (1, 2, 3)])
    rows = store.posts_without_keywords("v", 2)
    assert [row["title"] for row in rows] == ["제목 3", "제목 2"]
    store.save_keywords("v", [(rows[0]["seq"], "버그 너프"), (rows[1]["seq"], "")])  # none found is an answer as well
    assert [row["title"] for row in store.posts_without_keywords("v", 9)] == ["제목 1"]
    assert {row["post_id"]: row["keywords"] for row in store.moods(*DAY)} == {1: None, 2: "", 3: "버그 너프"}


def test_what_another_version_made_is_made_again_after_what_is_new(store: Store, make_post: MakePost) -> None:
    store.add_posts([make_post(number) for number in range(1, 8)])
    store.save_keywords("b", [(1, "가"), (2, "가")])
    store.save_keywords("c", [(3, "가"), (4, "가")])
    store.save_keywords("a", [(5, "가"), (6, "가")])

    def waiting(limit: int) -> list[int]:
        return [row["seq"] for row in store.posts_without_keywords("b", limit)]

    assert waiting(9) == [7, 4, 3, 6, 5]  # nobody's, then version by version, the newest posts first
    assert [waiting(limit) for limit in (1, 2, 4)] == [[7], [7, 4], [7, 4, 3, 6]]
    assert {row["post_id"]: row["keywords"] for row in store.moods(*DAY)}[4] == "가"  # shown until then
    while rows := store.posts_without_keywords("b", 2):
        store.save_keywords("b", [(row["seq"], "나") for row in rows])
    assert {row["keywords"] for row in store.moods(*DAY)} == {"가", "나"}
    assert len(store.posts_without_keywords("d", 9)) == 7


def test_predictions_of_another_tokenizer_are_made_again(store: Store, make_post: MakePost) -> None:
    store.add_posts([make_post(number) for number in (1, 2, 3)])
    store.save_predictions("v1", [Prediction(5974, number, 1, 0.5) for number in (1, 2)], "v1-old")
    assert [row["post_id"] for row in store.posts_to_score("v1-new", 9)] == [3, 2, 1]
    assert [row["post_id"] for row in store.posts_to_score("v1-old", 9)] == [3]
    store.save_predictions("v1", [Prediction(5974, 2, 0, 0.6)], "v1-new")
    assert [row["post_id"] for row in store.posts_to_score("v1-new", 9)] == [3, 1]
    assert mood(store, 2) == (0, "model")


def test_summary(store: Store, make_post: MakePost) -> None:
    assert store.summary() == {
        "posts": 0,
        "feedback": 0,
        "pending_posts": 0,
        "pending_feedback": 0,
        "newest": None,
        "oldest": None,
    }
    store.add_posts([make_post(number) for number in (1, 2, 3)])
    store.assign_chunk(2)
    store.add_feedback(Feedback("글", 1))
    assert store.summary() == {
        "posts": 3,
        "feedback": 1,
        "pending_posts": 1,
        "pending_feedback": 1,
        "newest": "2026-11-22T12:03:00+09:00",
        "oldest": "2026-11-22T12:01:00+09:00",
    }
