"""Locks that a killed git or DVC left: cleared, but never one whose owner lives."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.freeze import left_locks
from pipeline.freeze.commands import RepositoryError
from pipeline.freeze.left_locks import RWLOCK, clear_git_locks, clear_rwlock
from tests.support.project import ENVIRONMENT, run

STALE = ("index.lock", "HEAD.lock", "packed-refs.lock", "refs/heads/main.lock", "refs/tags/chunk-0001.lock")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    run(tmp_path, "git", "init", "--quiet", "--initial-branch", "main", "checkout")
    run(tmp_path / "checkout", "git", "commit", "--quiet", "--allow-empty", "--message", "Begin")
    return tmp_path / "checkout"


@pytest.fixture
def editing(root: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A person's `git commit --all` whose editor is open."""
    (root / "a.txt").write_text("one")
    run(root, "git", "add", "a.txt")
    run(root, "git", "commit", "--quiet", "--message", "One")
    (root / "a.txt").write_text("two")
    editor = tmp_path / "editor"
    editor.write_text(f"#!/bin/sh\ntouch {tmp_path}/open\nsleep 60\n")
    editor.chmod(0o755)
    with subprocess.Popen(
        ["git", "commit", "--all"], cwd=root, env=ENVIRONMENT | {"GIT_EDITOR": str(editor)}, start_new_session=True
    ) as process:
        deadline = time.monotonic() + 20
        while not (tmp_path / "open").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert (root / ".git/index.lock").exists()
        yield process
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def old(path: Path, seconds: float = 3600.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (time.time() - seconds, time.time() - seconds))
    return path


@pytest.mark.parametrize("name", STALE)
def test_a_lock_of_the_dead_is_cleared(root: Path, name: str) -> None:
    lock = old(root / ".git" / name)
    clear_git_locks(root, (root / ".git",))
    assert not lock.exists()
    run(root, "git", "commit", "--quiet", "--allow-empty", "--message", "Two")
    run(root, "git", "tag", "--annotate", "--message", "x", "chunk-0001")


def test_the_lock_of_a_living_git_stays_however_old_it_is(
    root: Path, editing: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(left_locks, "_PATIENCE_S", 1.0)
    lock = old(root / ".git/index.lock")
    with pytest.raises(RepositoryError, match=rf"held by git at work .*process {editing.pid}.*git commit --all"):
        clear_git_locks(root, (root / ".git",))
    assert lock.exists()
    os.killpg(editing.pid, signal.SIGKILL)
    editing.wait(10)
    clear_git_locks(root, (root / ".git",))
    assert not lock.exists()


def test_a_living_git_elsewhere_owns_nothing_here(root: Path, editing: subprocess.Popen[bytes], tmp_path: Path) -> None:
    run(tmp_path, "git", "init", "--quiet", "other")
    lock = old(tmp_path / "other/.git/index.lock")
    clear_git_locks(tmp_path / "other", (tmp_path / "other/.git",))
    assert not lock.exists()
    assert (root / ".git/index.lock").exists()


def test_a_young_lock_without_an_owner_in_sight_is_waited_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner may work in a container, or on another machine of a network drive."""
    monkeypatch.setattr(left_locks, "_YOUNG_S", 1.5)
    lock = root / ".git/index.lock"
    lock.touch()
    started = time.monotonic()
    clear_git_locks(root, (root / ".git",))
    assert not lock.exists()
    assert 1.0 < time.monotonic() - started < 15


def test_a_clock_that_was_set_back_keeps_no_lock_young(root: Path) -> None:
    lock = old(root / ".git/index.lock", seconds=-3 * 365 * 86400)
    clear_git_locks(root, (root / ".git",))
    assert not lock.exists()


# --- DVC ------------------------------------------------------------------------------------------------


def rwlock(root: Path, text: str) -> Path:
    path = root / RWLOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def naming(pid: int) -> str:
    return json.dumps({"write": {"/x/models": {"pid": pid, "cmd": "dvc repro promote"}}, "read": {}})


@pytest.mark.parametrize(
    "text",
    [naming(1), naming(os.getpid()), naming(999_999), "", '{"write": {"/x', "[1]"],
    ids=["lives as something else", "lives as us", "dead", "empty", "cut off", "nonsense"],
)
def test_an_rwlock_is_removed_when_no_dvc_is_at_work(root: Path, text: str) -> None:
    path = rwlock(root, text)
    clear_rwlock(root)
    assert not path.exists()


@pytest.mark.parametrize("text", ["{}", '{"read": {}, "write": {}}'])
def test_an_rwlock_that_names_nobody_is_left_alone(root: Path, text: str) -> None:
    path = rwlock(root, text)
    clear_rwlock(root)
    assert path.exists()


def test_the_rwlock_of_a_living_dvc_stays(root: Path, tmp_path: Path) -> None:
    program = tmp_path / "dvc"  # as `python /usr/bin/dvc pull`
    program.write_text("import time; print('on', flush=True); time.sleep(60)")
    with subprocess.Popen([sys.executable, str(program), "pull"], cwd=root, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        path = rwlock(root, naming(process.pid))
        clear_rwlock(root)
        assert path.exists()
        process.kill()
        process.wait(10)
    clear_rwlock(root)
    assert not path.exists()
