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


def test_a_person_who_edits_after_a_failed_run_is_not_taken_for_it(root: Path) -> None:
    """The failed run's own changes are undone; an edit on top of them is refused, and never committed."""
    repository, path = Repository(root), root / "data/catalog.yaml"

    def failing_run() -> None:
        with repository.changing():
            append(path, "# ours\n")
            raise RepositoryError("dvc repro failed: train")

    with pytest.raises(RepositoryError, match="dvc repro failed"):
        failing_run()
    repository.require_ready()
    assert "# ours" not in path.read_text()

    with pytest.raises(RepositoryError, match="dvc repro failed"):
        failing_run()
    path.write_text(path.read_text().replace("archives: []", 'archives:\n- "0666"'))
    with pytest.raises(RepositoryError, match=r"uncommitted changes in data/catalog\.yaml"):
        repository.require_ready()
    with pytest.raises(RepositoryError, match=r"uncommitted changes in data/catalog\.yaml"), repository.changing():
        pass
    assert "0666" in path.read_text()


def test_an_edit_while_a_run_is_at_work_is_not_committed(root: Path) -> None:
    repository, path = Repository(root), root / "data/catalog.yaml"
    head = repository.head()
    with repository.changing():
        repository.write_ahead(Path("data/catalog.yaml"), "ours\n")
        path.write_text("ours\n")
        append(path, "a person's\n")
        with pytest.raises(RepositoryError, match=r"data/catalog\.yaml was edited"):
            repository.record("Freeze chunk 0001", "chunk-0001", "x")
    assert repository.head() == head
    assert not repository.has_tag("chunk-0001")


def test_a_killed_runs_own_catalog_is_known_from_a_persons(root: Path) -> None:
    repository, path = Repository(root), root / "data/catalog.yaml"
    before = path.read_text()
    with pytest.raises(Killed):
        change_and_die(
            repository,
            lambda: repository.write_ahead(Path("data/catalog.yaml"), "ours\n"),
            lambda: path.write_text("ours\n"),
        )
    append(path, "a person's\n")
    with pytest.raises(RepositoryError, match=r"uncommitted changes in data/catalog\.yaml"):
        repository.require_ready()
    path.write_text("ours\n")
    repository.require_ready()
    assert path.read_text() == before


def test_a_commit_goes_where_its_change_began(root: Path) -> None:
    """A training takes minutes; the user has gone to another branch meanwhile."""
    repository = Repository(root)
    with repository.changing():
        append(root / "data/catalog.yaml", "# ours\n")
        run(root, "git", "switch", "--quiet", "-c", "feature")
        repository.record("Release model 20261127T100000", "model-20261127T100000", "m")
    assert run(root, "git", "branch", "--contains", "model-20261127T100000", "--format=%(refname:short)") == "main\n"
    assert run(root, "git", "log", "-1", "--format=%s", "feature") == "Begin\n"
    assert run(root, "git", "status", "--short") == ""
    run(root, "git", "switch", "--quiet", "main")
    assert "# ours" in (root / "data/catalog.yaml").read_text()
    assert repository.tags("model") == ["model-20261127T100000"]


def test_a_commit_of_somebodys_meanwhile_is_kept(root: Path) -> None:
    repository = Repository(root)
    with repository.changing():
        append(root / "data/catalog.yaml", "# ours\n")
        (root / "notes.txt").write_text("mine")
        run(root, "git", "add", "notes.txt")
        run(root, "git", "commit", "--quiet", "--message", "Mine", "notes.txt")
        repository.record("Freeze chunk 0001", "chunk-0001", "m")
    assert run(root, "git", "log", "-3", "--format=%s").split("\n")[:2] == ["Freeze chunk 0001", "Mine"]


def test_what_is_recorded_again_on_another_branch_has_one_tag(root: Path) -> None:
    repository = Repository(root)
    run(root, "git", "switch", "--quiet", "-c", "feature")
    with repository.changing():
        repository.record("Freeze chunk 0001", "chunk-0001", "m")
    tagged = run(root, "git", "rev-parse", "chunk-0001")
    run(root, "git", "switch", "--quiet", "main")
    assert repository.frozen("chunk") == set()
    with repository.changing():
        repository.record("Freeze chunk 0001", "chunk-0001", "m")
    assert repository.frozen("chunk") == {1}
    assert run(root, "git", "rev-parse", "chunk-0001") == tagged


def test_what_is_frozen_stays_so_after_a_rebase(root: Path, made: Path) -> None:
    repository = Repository(root)
    for subject, tag in (
        ("Freeze chunk 0001", "chunk-0001"),
        ("Release model 20261127T100000", "model-20261127T100000"),
    ):
        with repository.changing():
            append(root / "data/catalog.yaml", f"# {tag}\n")
            repository.record(subject, tag, "m")
    run(root, "git", "rebase", "--quiet", "--force-rebase", "HEAD~2")
    assert repository.tags("chunk") == []  # the tag's commit is another one now
    assert repository.frozen("chunk") == {1}
    assert repository.untrained() == []


@pytest.mark.parametrize(
    "name",
    [
        "pipeline/learn/.train.py.swp",
        "pipeline/learn/train.py~",
        "pipeline/#clock.py#",
        "pipeline/.#clock.py",
        "pipeline/learn/4913",
        "data/gold/.DS_Store",
        "pipeline/learn/train.py.orig",
        "pipeline/.idea/workspace.xml",
    ],
)
def test_what_an_editor_leaves_beside_a_file_is_no_edit(root: Path, name: str) -> None:
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text("x")
    Repository(root).require_ready()
    assert ".dvcignore" not in run(root, "git", "status", "--short")


def test_a_new_module_is_an_edit(root: Path) -> None:
    (root / "pipeline/learn/wider.py").write_text("")
    with pytest.raises(RepositoryError, match=r"pipeline/learn/wider\.py"):
        Repository(root).require_ready()


def test_a_merge_under_way_is_named(root: Path) -> None:
    run(root, "git", "switch", "--quiet", "-c", "feature")
    run(root, "git", "commit", "--quiet", "--allow-empty", "--message", "One")
    run(root, "git", "switch", "--quiet", "main")
    run(root, "git", "commit", "--quiet", "--allow-empty", "--message", "Two")
    run(root, "git", "merge", "--quiet", "--no-commit", "--no-ff", "feature")
    with pytest.raises(RepositoryError, match=r"a merge is under way.*git merge --abort"):
        Repository(root).require_ready()


def test_a_look_while_a_run_is_at_work_touches_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make up --check` beside a training."""
    repository = Repository(root)
    monkeypatch.setattr("pipeline.lock.held_elsewhere", lambda name, root: True)
    with repository.changing():
        append(root / "data/catalog.yaml", "# ours\n")
        Repository(root).require_ready()
        assert not Repository(root).unfinished()
        assert "# ours" in (root / "data/catalog.yaml").read_text()
        append(root / "params.yaml", "# somebody's\n")
        with pytest.raises(RepositoryError, match=r"params\.yaml"):
            Repository(root).require_ready()
        run(root, "git", "checkout", "--quiet", "params.yaml")


def test_a_shallow_clone_takes_what_came_before_for_frozen(root: Path, tmp_path: Path) -> None:
    catalog = root / "data/catalog.yaml"
    catalog.write_text(catalog.read_text().replace("chunks: []", 'chunks:\n- "0007"\n- "0008"'))
    run(root, "git", "commit", "--quiet", "--all", "--message", "x")
    run(tmp_path, "git", "clone", "--quiet", "--depth", "1", f"file://{root}", "shallow")
    assert Repository(tmp_path / "shallow").frozen("chunk") == set(range(1, 9))
    assert Repository(root).frozen("chunk") == {7, 8}


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
