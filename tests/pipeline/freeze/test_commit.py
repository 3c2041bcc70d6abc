"""Freezing on real Git, killed at every step, on two branches, with posts of other years. DVC's part is a stand-in."""

import hashlib
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline import files
from pipeline.clock import KST
from pipeline.files import read_csv, write_csv, write_json
from pipeline.freeze.catalog import Catalog
from pipeline.freeze.commit import freeze_archive, freeze_chunk, keep_window, take_labelled
from pipeline.freeze.cut import write_chunk
from pipeline.freeze.due import look
from pipeline.freeze.numbers import assign, open_archives, open_chunks
from pipeline.freeze.repository import OWN_PATHS
from pipeline.hashing import file_hash
from pipeline.layout import ARCHIVE_COLUMNS, CHUNK_COLUMNS, archive_path, labeled_path, raw_path
from pipeline.learn.prepare import check_listed
from pipeline.live.records import Feedback, Post
from pipeline.live.store import Store
from tests.support.project import run
from tests.support.quick_dvc import QuickRepository, quick_project

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=KST)


class Killed(BaseException):
    """Stands for SIGKILL: nobody catches it."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return quick_project(tmp_path / "project")


@pytest.fixture
def store(root: Path) -> Iterator[Store]:
    with Store(f"sqlite:///{root}/data/live/maple.db") as opened:
        yield opened


def label(store: Store, number: int, root: Path) -> None:
    """Write the raw chunk and a whole labelled one."""
    name = f"{number:04d}"
    rows = read_csv(write_chunk(store, name, root), CHUNK_COLUMNS)
    path = labeled_path(name, root)
    write_csv(path, [{**row, "label": 1} for row in rows], (*CHUNK_COLUMNS, "label"))
    sums = {"labeled_sha256": file_hash(path), "raw_sha256": file_hash(raw_path(name, root))}
    write_json(path.with_suffix(".json"), sums)


def collect(store: Store, posted: datetime, count: int = 2) -> int:
    """Collect so many posts and give them a number."""
    first = sum(len(store.posts_of_chunk(number)) for number in store.chunk_numbers())
    times = [posted + timedelta(minutes=first + i) for i in range(count)]
    store.add_posts([Post(1, first + i, None, None, None, "t", "b", "u", time, NOW) for i, time in enumerate(times)])
    number = store.assign_chunk(count, after=store.last_chunk())
    assert number
    return number


def correct(store: Store, repository: QuickRepository) -> int:
    store.add_feedback(Feedback(f"정정 {store.last_archive()} ㅋ", 1))
    number = store.assign_archive(1, after=repository.last_number("feedback"))
    assert number
    return number


def catalog_of(repository: QuickRepository) -> Catalog:
    found = repository.committed_catalog()
    assert found
    return found


def texts(root: Path, catalog: Catalog) -> list[str]:
    return [row["text"] for name in catalog.archives for row in read_csv(archive_path(name, root), ARCHIVE_COLUMNS)]


@contextmanager
def killed_at(step: int, repository: QuickRepository, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Die at this step: before or after any command or written file. What was counted is in the list."""
    counted = [0]

    def count() -> None:
        counted[0] += 1
        if counted[0] > step:
            raise Killed

    def around(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **how: Any) -> Any:
            count()
            result = real(*arguments, **how)
            count()
            return result

        return call

    real_writing = files.writing

    @contextmanager
    def writing(path: Path) -> Iterator[Any]:
        count()
        with real_writing(path) as file:
            yield file
            count()
        count()

    with monkeypatch.context() as patch:
        patch.setattr(repository, "git", around(repository.git))
        patch.setattr(repository, "dvc", around(repository.dvc))
        patch.setattr(files, "writing", writing)
        patch.setattr(Path, "unlink", around(Path.unlink))
        with suppress(Killed):
            yield counted


def finish(repository: QuickRepository, store: Store, window: int) -> None:
    """What the next run of the flow does."""
    repository.require_ready()
    keep_window(repository, window, open_chunks(store, repository))
    for number in open_archives(store, repository):
        freeze_archive(repository, store, number, window)
    for number in open_chunks(store, repository):
        if not take_labelled(repository, store, number):
            label(store, number, repository.root)
        freeze_chunk(repository, number, window)


@pytest.mark.parametrize("kind", ["joining archives", "a chunk of late", "a chunk of old posts"])
def test_a_kill_at_any_step_leaves_what_the_next_run_finishes(
    root: Path, store: Store, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def begin(repository: QuickRepository) -> Callable[[], object]:
        if kind == "joining archives":
            return lambda: freeze_archive(repository, store, repository_number, 2)
        return lambda: freeze_chunk(repository, repository_number, 2)

    first = QuickRepository(root)
    for _ in range(2):
        freeze_archive(first, store, correct(store, first), 2)
        number = collect(store, NOW)
        label(store, number, root)
        freeze_chunk(first, number, 2)
    before = first.head()
    if kind == "joining archives":
        repository_number = correct(store, first)
    else:
        repository_number = collect(store, NOW if kind == "a chunk of late" else NOW - timedelta(days=3000))
        label(store, repository_number, root)
    tag = f"{'feedback' if kind == 'joining archives' else 'chunk'}-{repository_number:04d}"

    step, died = 0, True
    while died:
        repository = QuickRepository(root)
        with killed_at(step, repository, monkeypatch) as counted:
            begin(repository)()
        died = counted[0] > step
        again = QuickRepository(root)
        finish(again, store, 2)
        catalog = catalog_of(again)
        check_listed(catalog, root)
        assert open_archives(store, again) == []
        assert open_chunks(store, again) == []
        assert again.has_tag(tag)
        assert not again.changed(*OWN_PATHS)
        assert not again.unfinished()
        assert texts(root, catalog) == [f"정정 {n} ㅋ" for n in range(store.last_archive())]
        if kind == "joining archives":
            assert catalog.archives == ("0001-0002", "0003")
        else:
            assert catalog.chunks == (("0001", "0002") if "old" in kind else ("0002", "0003"))
        # And back to where it began, for the next step.
        run(root, "git", "reset", "--quiet", "--hard", before)
        run(root, "git", "tag", "--delete", tag)
        (root / "data/archived_feedback/feedback_0001-0002.csv").unlink(missing_ok=True)
        keep_window(QuickRepository(root), 2)
        if kind != "joining archives":
            label(store, repository_number, root)
        step += 13  # a prime, so that the steps are not always of one kind
    assert step > 60


def test_the_commit_of_a_tag_lists_an_old_chunk_that_the_next_one_leaves_out(root: Path, store: Store) -> None:
    """So `git checkout chunk-0003 && dvc pull` brings it, and it trains nothing."""
    repository = QuickRepository(root)
    for posted in (NOW, NOW, NOW - timedelta(days=3000)):
        number = collect(store, posted)
        label(store, number, root)
        freeze_chunk(repository, number, 2)
    assert "0003" in repository.show("chunk-0003", Path("data/catalog.yaml"))
    recorded = repository.recorded("chunk-0003", labeled_path("0003"))
    assert recorded
    assert repository.cached(recorded)
    assert catalog_of(repository).chunks == ("0001", "0002")
    assert repository.recorded("HEAD", labeled_path("0003")) is None
    assert not labeled_path("0003", root).exists()
    assert repository.untrained() == ["chunk-0001", "chunk-0002"]


def test_files_that_are_not_in_the_cache_stay(root: Path, store: Store) -> None:
    repository = QuickRepository(root)
    for _ in range(2):
        number = collect(store, NOW)
        label(store, number, root)
        if number == 1:
            freeze_chunk(repository, number, 1)
            relabelled = labeled_path("0001", root)
            relabelled.write_text(
                relabelled.read_text(encoding="utf-8-sig").replace("1\n", "2\n"), encoding="utf-8-sig"
            )
    freeze_chunk(repository, 2, 1)
    assert relabelled.exists()  # somebody is relabelling it: nowhere else is that kept
    assert not raw_path("0001", root).exists()


def test_what_is_frozen_on_another_branch_is_frozen_here_with_the_same_labels(root: Path, store: Store) -> None:
    repository = QuickRepository(root)
    run(root, "git", "switch", "--quiet", "-c", "feature")
    number = collect(store, NOW)
    label(store, number, root)
    freeze_chunk(repository, number, 2)
    archive = correct(store, repository)
    freeze_archive(repository, store, archive, 2)
    run(root, "git", "switch", "--quiet", "main")
    due = look(store, repository, posts_needed=2, corrections_needed=1)
    assert (due.open_chunks, due.open_archives) == ((1,), (1,))
    tagged = run(root, "git", "rev-parse", "chunk-0001")
    keep_window(repository, 2)
    assert not labeled_path("0001", root).exists()
    assert take_labelled(repository, store, 1)  # from the tag: no LLM is asked
    freeze_chunk(repository, 1, 2)
    freeze_archive(repository, store, 1, 2)
    assert catalog_of(repository).chunks == ("0001",)
    assert run(root, "git", "rev-parse", "chunk-0001") == tagged
    assert repository.untrained() == ["chunk-0001", "feedback-0001"]
    assert not look(store, repository, posts_needed=2, corrections_needed=1).open_chunks


def test_a_roll_back_by_branch_keeps_the_corrections_since_due(root: Path, store: Store) -> None:
    repository = QuickRepository(root)
    for _ in range(3):
        freeze_archive(repository, store, correct(store, repository), 20)
    run(root, "git", "switch", "--quiet", "-c", "rollback", "feedback-0001")
    assert open_archives(store, repository) == [2, 3]
    finish(repository, store, 20)
    fourth = correct(store, repository)
    freeze_archive(repository, store, fourth, 20)
    assert catalog_of(repository).archives == ("0001", "0002", "0003", "0004")
    assert texts(root, catalog_of(repository)) == [f"정정 {n} ㅋ" for n in range(4)]


def foreign(root: Path, tag: str, path: Path, content: bytes = b"theirs") -> None:
    """`git fetch --tags` brings a tag of another machine, with this file recorded."""
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    lock = f"stages:\n  x:\n    outs:\n    - {{path: {path}, md5: {md5}}}\n"

    def git(*arguments: str, given: str = "") -> str:
        command = ["git", "-c", "user.name=T", "-c", "user.email=t@localhost", *arguments]
        done = subprocess.run(command, cwd=root, input=given, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    tree = git("mktree", given=f"100644 blob {git('hash-object', '-w', '--stdin', given=lock)}\tdvc.lock\n")
    git("tag", "--annotate", "-m", "theirs", tag, git("commit-tree", "-m", "theirs", tree))


def test_a_higher_tag_from_elsewhere_skips_nothing_and_its_number_is_taken(root: Path, store: Store) -> None:
    repository = QuickRepository(root)
    assert collect(store, NOW) == 1
    foreign(root, "chunk-0010", raw_path("0010"))
    assert open_chunks(store, repository) == [1]
    store.add_posts([Post(2, i, None, None, None, "t", "b", "u", NOW, NOW) for i in range(2)])
    assign(store, repository, posts_needed=2, corrections_needed=9)
    assert store.chunk_numbers() == [1, 11]


def test_a_number_that_another_machine_has_taken_is_given_up(root: Path, store: Store) -> None:
    repository = QuickRepository(root)
    number, archive = collect(store, NOW), correct(store, repository)
    write_chunk(store, "0001", root)
    foreign(root, f"chunk-{number:04d}", raw_path("0001"))
    foreign(root, f"feedback-{archive:04d}", archive_path("0001"))
    assign(store, repository, posts_needed=2, corrections_needed=1)
    assert (store.chunk_numbers(), store.archive_numbers()) == ([2], [2])
    assert not raw_path("0001", root).exists()
    assign(store, repository, posts_needed=2, corrections_needed=1)  # again: they stay
    assert (store.chunk_numbers(), store.archive_numbers()) == ([2], [2])


def test_the_same_rows_under_other_columns_are_still_ours(root: Path, store: Store) -> None:
    """A chunk that another branch froze before the code wrote a new column."""
    repository = QuickRepository(root)
    collect(store, NOW)
    rows = [{"board_id": row["board_id"], "post_id": row["post_id"]} for row in store.posts_of_chunk(1)]
    write_csv(root / "was.csv", rows, ("board_id", "post_id"))
    content = (root / "was.csv").read_bytes()
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    kept = root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    kept.parent.mkdir(parents=True)
    kept.write_bytes(content)
    foreign(root, "chunk-0001", raw_path("0001"), content)
    assign(store, repository, posts_needed=2, corrections_needed=1)
    assert store.chunk_numbers() == [1]


def test_archives_are_joined_only_with_neighbours(root: Path, store: Store) -> None:
    """`0001-0003` says what it holds; 0002 is another machine's."""
    repository = QuickRepository(root)
    freeze_archive(repository, store, correct(store, repository), 2)
    foreign(root, "feedback-0002", archive_path("0002"))
    for _ in range(3):
        freeze_archive(repository, store, correct(store, repository), 2)
    assert catalog_of(repository).archives == ("0001", "0003-0005")
    assert len(texts(root, catalog_of(repository))) == 4


def test_a_window_of_one_archive(root: Path, store: Store) -> None:
    repository = QuickRepository(root)
    for _ in range(3):
        freeze_archive(repository, store, correct(store, repository), 1)
    assert catalog_of(repository).archives == ("0001-0003",)
    check_listed(catalog_of(repository), root)


def test_a_member_that_is_missing_comes_back_before_it_is_joined(root: Path, store: Store) -> None:
    """As a killed run of an older version left it: it removed the members first."""
    repository = QuickRepository(root)
    for _ in range(2):
        freeze_archive(repository, store, correct(store, repository), 2)
    number = correct(store, repository)
    archive_path("0001", root).unlink()
    freeze_archive(repository, store, number, 2)
    assert len(texts(root, catalog_of(repository))) == 3


def test_half_written_labels_do_not_stand_in_the_way_of_training(root: Path, store: Store) -> None:
    """Killed between the labelled file and its provenance, and then the LLM is down."""
    repository = QuickRepository(root)
    number = collect(store, NOW)
    label(store, number, root)
    labeled_path("0001", root).with_suffix(".json").unlink()
    assert not take_labelled(repository, store, number)
    keep_window(repository, 2, open_chunks(store, repository))
    check_listed(catalog_of(repository), root)
    label(store, number, root)
    keep_window(repository, 2, open_chunks(store, repository))
    assert take_labelled(repository, store, number)  # whole: it is frozen as it is


def test_a_smaller_window_takes_effect_with_the_next_run(root: Path, store: Store) -> None:
    repository = QuickRepository(root)
    for _ in range(4):
        number = collect(store, NOW)
        label(store, number, root)
        freeze_chunk(repository, number, 4)
    keep_window(repository, 2)
    assert catalog_of(repository).chunks == ("0003", "0004")
    check_listed(catalog_of(repository), root)
    head = repository.head()
    keep_window(repository, 2)
    assert repository.head() == head
