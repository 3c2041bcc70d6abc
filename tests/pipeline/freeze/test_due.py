"""The gate: what is due, and how it says so."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.files import write_json
from pipeline.freeze.due import Due, look
from pipeline.freeze.repository import Repository
from pipeline.layout import CANDIDATE, PRODUCTION
from pipeline.live.records import Feedback, Post
from pipeline.live.store import Store
from pipeline.model.features import FEATURES, VOCABULARY_FILE, Vocabulary

NOTHING = Due(412, 1000, 12, 100, (), (), ())


class Checkout:
    """A real Git repository, with tags as the learn flow makes them."""

    def __init__(self, root: Path) -> None:
        self.repository = Repository(root)
        self._git("init", "--quiet", str(root))
        self.release()

    def _git(self, *arguments: str) -> None:
        identity = ("-c", "user.name=Test", "-c", "user.email=test@localhost")
        subprocess.run(["git", "-C", str(self.repository.root), *identity, *arguments], check=True, capture_output=True)

    def release(self, *tags: str) -> None:
        self._git("commit", "--quiet", "--allow-empty", "-m", "release")
        for tag in tags:
            self._git("tag", "--annotate", "-m", tag, tag)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    (tmp_path / "checkout").mkdir()
    return Checkout(tmp_path / "checkout")


@pytest.fixture
def seen(store: Store, checkout: Checkout) -> Callable[[], Due]:
    """Look with 5 posts and 3 corrections needed."""
    return lambda: look(store, checkout.repository, posts_needed=5, corrections_needed=3)


def test_the_message_when_nothing_is_due() -> None:
    assert str(NOTHING) == "412/1,000 posts, 12/100 corrections"
    assert not NOTHING.anything
    assert str(Due(12_345, 1000, 0, 100, (), (), ())) == "12,345/1,000 posts, 0/100 corrections"


def test_the_message_names_what_was_left_unfinished() -> None:
    due = Due(0, 1000, 0, 100, (7, 8), (3,), ("chunk-0006", "feedback-0002"))
    assert due.anything
    assert str(due) == (
        "0/1,000 posts, 0/100 corrections, unfinished chunks 0007, 0008, unfinished archives 0003, "
        "not learned yet: chunk-0006, feedback-0002"
    )


def test_the_message_tells_old_posts_and_a_killed_run() -> None:
    due = Due(12, 1000, 0, 100, (), (), (), old_posts=400)
    assert (str(due), due.anything) == ("12/1,000 posts, 0/100 corrections, 400/1,000 older posts", False)
    assert Due(12, 1000, 0, 100, (), (), (), old_posts=1000).anything
    due = Due(12, 1000, 0, 100, (), (), (), unfinished=True)
    assert (str(due), due.anything) == ("12/1,000 posts, 0/100 corrections, a killed run to clear up after", True)


@pytest.mark.parametrize(
    "due",
    [
        Due(1000, 1000, 0, 100, (), (), ()),
        Due(0, 1000, 100, 100, (), (), ()),
        Due(0, 1000, 0, 100, (1,), (), ()),
        Due(0, 1000, 0, 100, (), (1,), ()),
        Due(0, 1000, 0, 100, (), (), ("chunk-0001",)),
        Due(0, 1000, 0, 100, (), (), (), outdated=True),
    ],
    ids=["posts", "corrections", "open chunk", "open archive", "untrained", "outdated"],
)
def test_every_kind_of_work_is_due(due: Due) -> None:
    assert due.anything


def test_an_empty_world(seen: Callable[[], Due]) -> None:
    assert seen() == Due(0, 5, 0, 3, (), (), ())


def test_posts_become_due_at_the_number(store: Store, make_post: Callable[..., Post], seen: Callable[[], Due]) -> None:
    store.add_posts([make_post(i) for i in range(4)])
    assert (seen().posts, seen().anything) == (4, False)
    store.add_posts([make_post(4)])
    assert (seen().posts, seen().anything) == (5, True)


def test_corrections_become_due_at_the_number(store: Store, seen: Callable[[], Due]) -> None:
    for _ in range(2):
        store.add_feedback(Feedback("글", 1))
    assert (seen().corrections, seen().anything) == (2, False)
    store.add_feedback(Feedback("글", 1))
    assert (seen().corrections, seen().anything) == (3, True)


def test_what_is_assigned_but_not_tagged_is_open(
    store: Store, make_post: Callable[..., Post], checkout: Checkout, seen: Callable[[], Due]
) -> None:
    store.add_posts([make_post(i) for i in range(6)])
    store.add_feedback(Feedback("글", 1))
    store.assign_chunk(2)
    store.assign_chunk(2)
    store.assign_archive(1)
    assert seen() == Due(2, 5, 0, 3, (1, 2), (1,), ())
    checkout.release("chunk-0001")
    assert (seen().open_chunks, seen().open_archives) == ((2,), (1,))
    checkout.release("chunk-0002", "feedback-0001")
    assert (seen().open_chunks, seen().open_archives) == ((), ())


def test_what_no_model_has_learned_is_due_until_one_has(
    store: Store, checkout: Checkout, seen: Callable[[], Due]
) -> None:
    checkout.release("chunk-0001")
    checkout.release("feedback-0001")
    assert set(seen().untrained) == {"chunk-0001", "feedback-0001"}
    checkout.release("model-20261122T000000")
    assert not seen().anything
    checkout.release("chunk-0002")
    assert seen().untrained == ("chunk-0002",)
    assert str(seen()) == "0/5 posts, 0/3 corrections, not learned yet: chunk-0002"


def test_a_new_database_in_an_old_checkout_is_not_due(
    store: Store, make_post: Callable[..., Post], checkout: Checkout, seen: Callable[[], Due]
) -> None:
    checkout.release("chunk-0012", "feedback-0003", "model-20261122T000000")
    store.add_posts([make_post(1)])
    assert seen() == Due(1, 5, 0, 3, (), (), ())


def test_a_model_that_the_code_cant_read_is_due_to_be_replaced(checkout: Checkout, seen: Callable[[], Due]) -> None:
    vocabulary = Vocabulary("kiwi", 8, 64, ("갓겜",))
    vocabulary.save(checkout.repository.root / PRODUCTION)
    assert not seen().anything
    path = checkout.repository.root / PRODUCTION / VOCABULARY_FILE
    write_json(path, json.loads(path.read_text(encoding="utf-8")) | {"features": FEATURES + 1})
    assert seen().anything
    assert str(seen()).endswith("the model in production is of another features version than this code")
    vocabulary.save(checkout.repository.root / CANDIDATE)
    assert not seen().anything
