"""Git and DVC as subprocesses: bounded in time, and without what the user's settings would have them do."""

import os
import time
from pathlib import Path

import psutil
import pytest

from pipeline.freeze import commands
from pipeline.freeze.commands import RepositoryError, git
from tests.support.project import run


def program(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    run(tmp_path, "git", "init", "--quiet", "--initial-branch", "main", "checkout")
    return tmp_path / "checkout"


def test_a_command_that_hangs_is_ended_with_all_that_it_started(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "git", "sleep 300 & echo $! > child; sleep 300")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(commands, "GIT_LIMIT_S", 1.0)
    started = time.monotonic()
    with pytest.raises(RepositoryError, match=r"git status did not end within .* and was stopped"):
        git(root, "status")
    assert time.monotonic() - started < 20
    child = int((root / "child").read_text())
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_the_users_hooks_signing_and_editor_play_no_part(root: Path, tmp_path: Path) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("pre-commit", "commit-msg", "post-commit", "reference-transaction", "prepare-commit-msg"):
        program(hooks, name, f"echo {name} >> {tmp_path}/ran; exit 1")
    editor = program(tmp_path, "editor", f"echo editor >> {tmp_path}/ran; exit 1")
    for name, value in (
        ("core.hooksPath", str(hooks)),
        ("core.editor", str(editor)),
        ("commit.gpgSign", "true"),
        ("tag.gpgSign", "true"),
        ("tag.forceSignAnnotated", "true"),
        ("user.signingKey", "ABCDEF12"),
        ("log.showSignature", "true"),
        ("core.fsmonitor", str(program(tmp_path, "monitor", f"echo monitor >> {tmp_path}/ran"))),
    ):
        run(root, "git", "config", name, value)
    identity = ("-c", "user.name=T", "-c", "user.email=t@localhost")
    git(root, *identity, "commit", "--allow-empty", "-m", "One")
    git(root, *identity, "tag", "--annotate", "-m", "one", "one")
    git(root, "status", "--porcelain")
    assert git(root, "log", "--format=%s %G?") == "One N"
    assert not (tmp_path / "ran").exists()


def test_started_from_a_hook_of_another_repository_it_works_here_all_the_same(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, "git", "init", "--quiet", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "other/.git/index"))
    assert git(root, "rev-parse", "--show-toplevel") == str(root)


def test_nothing_is_asked_at_a_terminal(root: Path) -> None:
    with pytest.raises(RepositoryError, match="git hash-object failed"):
        git(root, "hash-object", "--stdin", "--stdin-paths")
    assert git(root, "hash-object", "--stdin") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"  # of nothing


def test_a_program_that_is_not_there(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RepositoryError, match="git is not installed"):
        git(root, "status")


def test_its_own_words_are_in_the_error(root: Path) -> None:
    with pytest.raises(RepositoryError, match=r"git switch failed: fatal: invalid reference: no-such-branch"):
        git(root, "switch", "no-such-branch")
