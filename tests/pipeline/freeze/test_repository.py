"""Git and DVC as the learn flow needs them, on a real repository with real DVC."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.freeze.repository import Repository, RepositoryError
from tests.support.project import make_project, run


class Killed(BaseException):
    """Stands for SIGKILL: nobody catches it."""


def append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def change_and_die(repository: Repository, *changes: Callable[[], object]) -> None:
    """Begin a change, do these things, and be killed before the commit."""
    with repository.changing():
        for change in changes:
            change()
        raise Killed


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("versions") / "project")


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A clone for one test, on branch main."""
    run(tmp_path, "git", "clone", "--quiet", str(made), "clone")
    return tmp_path / "clone"


def test_a_clean_checkout_is_ready(root: Path) -> None:
    Repository(root).require_ready()


def test_a_detached_head_is_refused_with_the_way_out(root: Path) -> None:
    run(root, "git", "checkout", "--quiet", "--detach")
    with pytest.raises(RepositoryError, match="git switch main"):
        Repository(root).require_ready()


@pytest.mark.parametrize(
    "name", ["params.yaml", "data/catalog.yaml", "pipeline/learn/train.py", "pipeline/prompts/new.toml"]
)
def test_edits_that_a_model_is_made_from_are_refused_and_named(root: Path, name: str) -> None:
    append(root / name, "# edited\n")
    with pytest.raises(RepositoryError, match=name):
        Repository(root).require_ready()


def test_edits_elsewhere_are_left_alone_and_never_committed(root: Path) -> None:
    (root / "notes.txt").write_text("mine")
    append(root / ".gitignore", "mine\n")
    run(root, "git", "add", ".gitignore")
    repository = Repository(root)
    repository.require_ready()
    with repository.changing():
        append(root / "data/catalog.yaml", "# ours\n")
        repository.record("Freeze chunk 0001", "chunk-0001", "Chunk 0001: 3 posts")
    assert run(root, "git", "show", "--format=", "--name-only", "HEAD").split() == ["data/catalog.yaml"]
    assert "notes.txt" in run(root, "git", "status", "--short")
    assert ".gitignore" in run(root, "git", "status", "--short")
    assert run(root, "git", "tag", "--list", "--format=%(objecttype)", "chunk-0001").strip() == "tag"


def test_a_release_can_be_repeated_after_a_kill_between_commit_and_tag(root: Path) -> None:
    repository = Repository(root)
    with repository.changing():
        append(root / "data/catalog.yaml", "# ours\n")
        repository.record("Freeze chunk 0001", "chunk-0001", "Chunk 0001")
    commit = repository.head()
    run(root, "git", "tag", "--delete", "chunk-0001")
    run(root, "git", "commit", "--quiet", "--allow-empty", "--message", "Somebody's commit on top")
    repository.record("Freeze chunk 0001", "chunk-0001", "Chunk 0001")
    assert run(root, "git", "rev-parse", "chunk-0001^{commit}").strip() == commit


def test_what_a_killed_run_left_behind_is_its_own_work_not_somebodys_edit(root: Path) -> None:
    repository = Repository(root)
    with pytest.raises(Killed):
        change_and_die(repository, lambda: append(root / "data/catalog.yaml", "# ours\n"))
    repository.require_ready()
    append(root / "params.yaml", "# somebody's\n")
    with pytest.raises(RepositoryError, match=r"params\.yaml"):
        repository.require_ready()


def test_half_written_files_and_a_dead_git_lock_of_a_killed_run_are_cleared(root: Path) -> None:
    repository = Repository(root)
    lock = root / ".git/index.lock"
    with pytest.raises(Killed):
        change_and_die(
            repository,
            lambda: (root / "data/catalog.yaml").write_text('version: "2026\nchunks: ['),
            lambda: (root / "dvc.lock").write_text("schema: '2.0'\nstages: {cut@0001: {"),
            lock.touch,
            lambda: os.utime(lock, (time.time() - 120, time.time() - 120)),
        )
    repository.require_ready()
    assert not (root / "dvc.lock").exists()
    assert not (root / ".git/index.lock").exists()
    assert run(root, "git", "status", "--short", "data/catalog.yaml") == ""


def test_numbers_and_untrained_tags(root: Path) -> None:
    repository = Repository(root)
    assert (repository.last_number("chunk"), repository.untrained()) == (0, [])
    for tag in ("chunk-0001", "chunk-0002", "model-20261122T000001", "chunk-0010", "feedback-0001"):
        run(root, "git", "commit", "--quiet", "--allow-empty", "--message", tag)
        run(root, "git", "tag", "--annotate", "--message", tag, tag)
    assert repository.last_number("chunk") == 10
    assert repository.untrained() == ["chunk-0010", "feedback-0001"]
    assert repository.tags("model") == ["model-20261122T000001"]


def test_prune_lock_drops_what_left_the_window_and_nothing_else(root: Path) -> None:
    (root / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n  train:\n    cmd: x\n  label@0001:\n    cmd: y\n  label@0002:\n    cmd: z\n"
    )
    Repository(root).prune_lock(["label@0002"])
    text = (root / "dvc.lock").read_text()
    assert "label@0001" not in text
    assert "label@0002" in text
    assert "train" in text


def test_a_failing_command_says_its_own_words(root: Path) -> None:
    with pytest.raises(RepositoryError, match="no-such-stage"):
        Repository(root).dvc("repro", "no-such-stage")
