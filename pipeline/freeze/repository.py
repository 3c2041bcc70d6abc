"""Git and DVC, as the learn flow needs them: is the checkout fit, commit, tag, push, and pick up after a kill.

Commands run as subprocesses (DVC's maintainers call only its command line stable). Only one process may use
this at a time: the learn flow holds an OS file lock. What it commits is `OWN_PATHS`, nothing else, ever.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from pipeline.errors import UserError
from pipeline.files import write_json

OWN_PATHS = ("data/catalog.yaml", "dvc.lock", "models/metrics.json")
# What a model is made by: edits here that are not committed would make a model that no tag can rebuild.
SOURCE_PATHS = ("dvc.yaml", "params.yaml", "pipeline", "data/gold", "data/dictionaries", "data/base/hand_written.jsonl")
_IDENTITY = ("-c", "user.name=Maple Pulse", "-c", "user.email=maple-pulse@localhost")
_STALE_LOCK_S = 30.0


class RepositoryError(UserError):
    """Git or DVC can't do what is needed. The message says what to do about it."""


class Repository:
    """The checkout at `root`: a Git repository with DVC in it."""

    def __init__(self, root: Path = Path()) -> None:
        self.root = root.resolve()

    def git(self, *arguments: str) -> str:
        """Standard output of a git command, stripped. Raises RepositoryError with git's own words."""
        return self._run(["git", *arguments], f"git {arguments[0]}")

    def dvc(self, *arguments: str) -> str:
        """Standard output of a dvc command. Waits for DVC's lock. Raises RepositoryError with DVC's own words."""
        return self._run([sys.executable, "-m", "dvc", "--wait-for-lock", *arguments], f"dvc {arguments[0]}")

    def _run(self, command: Sequence[str], name: str) -> str:
        environment = os.environ | {"GIT_TERMINAL_PROMPT": "0"}
        try:
            done = subprocess.run(  # noqa: S603 - fixed programs, arguments of our own
                command, cwd=self.root, env=environment, capture_output=True, text=True, encoding="utf-8", check=False
            )
        except FileNotFoundError:
            raise RepositoryError(f"{command[0]} is not installed or not on the PATH") from None
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise RepositoryError(f"{name} failed: " + "\n".join(said[-15:]))
        return done.stdout.strip()

    # --- is the checkout fit? ---------------------------------------------------------------------

    def require_ready(self) -> None:
        """Raise RepositoryError on a detached HEAD or uncommitted edits in files that a model is made from.

        Edits elsewhere do not matter. What a killed run of ours left behind does not either: `resume` sees to it.
        """
        if not (self.root / ".dvc").is_dir():
            raise RepositoryError(f"{self.root} is no DVC repository: run from the project's root")
        try:
            self.git("symbolic-ref", "-q", "HEAD")
        except RepositoryError:
            raise RepositoryError(
                "this checkout is on no branch (detached HEAD), so a release would be lost: "
                "`git switch main` first, or `git switch -c NAME` to go on from here"
            ) from None
        self._resume()
        watched = SOURCE_PATHS if self._journal() else (*OWN_PATHS, *SOURCE_PATHS)
        if dirty := self.changed(*watched):
            raise RepositoryError(
                f"uncommitted changes in {', '.join(dirty[:5])}{' …' if len(dirty) > 5 else ''}: "
                "a model made from them could not be rebuilt. Commit them (`git commit`) or put them away "
                "(`git stash`); learning goes on by itself then"
            )

    def changed(self, *paths: str) -> list[str]:
        """Which files under these paths differ from HEAD or are new."""
        lines = self.git("status", "--porcelain", "--untracked-files=all", "-z", "--", *paths).split("\0")
        # `git` strips the output, and the first entry's leading blank with it.
        return [entry.strip().split(" ", 1)[-1].strip() for entry in lines if entry.strip()]

    # --- one change at a time, picked up after a kill ---------------------------------------------

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Note that we are about to change `OWN_PATHS`, until they are committed.

        A run that was killed leaves the note: the next one then knows the uncommitted files for its own work and
        goes on from them, instead of taking them for somebody's edits.
        """
        write_json(self._journal_path(), {"head": self.head()})
        yield
        self._journal_path().unlink(missing_ok=True)

    def head(self) -> str:
        """The commit that is checked out."""
        return self.git("rev-parse", "HEAD")

    def _journal_path(self) -> Path:
        return self.root / self.git("rev-parse", "--git-path", "maple-pulse.json")

    def _journal(self) -> bool:
        """Whether a run of ours died between changing files and committing them."""
        path = self._journal_path()
        try:
            return json.loads(path.read_text(encoding="utf-8"))["head"] == self.head()
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _resume(self) -> None:
        if not self._journal():
            self._journal_path().unlink(missing_ok=True)  # its commit was made: nothing is open
            return
        lock = self.root / self.git("rev-parse", "--git-path", "index.lock")
        if lock.exists() and time.time() - lock.stat().st_mtime > _STALE_LOCK_S:
            lock.unlink(missing_ok=True)  # the dead run's: it was in the middle of its commit
        for name in ("dvc.lock", "data/catalog.yaml"):
            path = self.root / name
            try:
                whole = not path.exists() or isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict)
            except (yaml.YAMLError, UnicodeDecodeError):
                whole = False
            if not whole:  # DVC was killed while it wrote
                path.unlink()
                if self.git("ls-files", "--", name):
                    self.git("checkout", "HEAD", "--", name)

    # --- commit, push, tag ------------------------------------------------------------------------

    def release(self, subject: str, tag: str, message: str) -> None:
        """Commit `OWN_PATHS`, push the data, then make the annotated tag, so that no tag points at nothing.

        Can be repeated after a kill at any point: what is done stays done.
        """
        if self.has_tag(tag):
            return
        present = [name for name in OWN_PATHS if (self.root / name).exists()]
        if self.changed(*present):
            self.git("add", "--", *present)
            self.git(*_IDENTITY, "commit", "--quiet", "--only", "-m", subject, "--", *present)
        self.push()
        commit = self.git("log", "-1", "--format=%H", "--fixed-strings", f"--grep={subject}") or "HEAD"
        self.git(*_IDENTITY, "tag", "--annotate", "-m", message, tag, commit)

    def push(self) -> None:
        """`dvc push` when a remote is configured; nothing otherwise."""
        if self.dvc("remote", "list"):
            self.dvc("push", "--quiet")

    def has_tag(self, tag: str) -> bool:
        """Whether the tag exists."""
        return bool(self.git("tag", "--list", tag))

    def tags(self, kind: str) -> list[str]:
        """Tags of a kind (chunk, feedback, model) that HEAD's history holds, newest first."""
        return self.git("tag", "--list", f"{kind}-*", "--merged", "HEAD", "--sort=-version:refname").splitlines()

    def last_number(self, kind: str) -> int:
        """The highest number among all tags chunk-N or feedback-N, on any branch; 0 when there is none."""
        names = self.git("tag", "--list", f"{kind}-*").splitlines()
        return max((int(name.rsplit("-", 1)[1]) for name in names if name.rsplit("-", 1)[1].isdigit()), default=0)

    def untrained(self) -> list[str]:
        """Tags of chunks and archives that no released model has learned from."""
        models = self.tags("model")
        newer = ("--no-merged", models[0]) if models else ()
        listed = self.git("tag", "--list", "chunk-*", "feedback-*", "--merged", "HEAD", *newer)
        return listed.splitlines()

    def prune_lock(self, kept: Sequence[str]) -> None:
        """Drop `dvc.lock`'s entries of chunks and archives that are not in `kept` (`label@0007` …).

        DVC never removes them; the file would grow for ever (measured: 0.55 KiB a chunk). Those that stay get the
        command that dvc.yaml gives their stage today: it is never run, and another one counts as a change.
        """
        path = self.root / "dvc.lock"
        if not path.exists():
            return
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        declared = yaml.safe_load((self.root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
        stages = document.get("stages", {})
        pruned = {name: entry for name, entry in stages.items() if "@" not in name or name in kept}
        for name, entry in pruned.items():
            stage, at, item = name.partition("@")
            if at and stage in declared:
                pruned[name] = {**entry, "cmd": declared[stage]["do"]["cmd"].replace("${item}", item)}
        if pruned != stages:
            from dvc.utils.serialize import dump_yaml  # the writer that DVC itself uses for this file

            dump_yaml(str(path), {**document, "stages": pruned})
