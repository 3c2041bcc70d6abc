"""A checkout as it is: Git's history and tags of it, files that differ from HEAD, and what DVC keeps for it."""

import logging
import shutil
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from pathspec import GitIgnoreSpec

from pipeline.files import DataFileError
from pipeline.freeze import commands, dvc_lock, left_locks
from pipeline.freeze.catalog import Catalog, parse_catalog
from pipeline.freeze.commands import RepositoryError
from pipeline.freeze.history import Commit, History
from pipeline.layout import CATALOG_FILE

log = logging.getLogger(__name__)


class Checkout:
    """The checkout at `root`: a Git repository with DVC in it. Nothing here commits."""

    def __init__(self, root: Path = Path()) -> None:
        self.root = root.resolve()
        self._read: tuple[str, list[Commit]] = ("", [])  # the commits that a commit reaches never change

    def git(self, *arguments: str) -> str:
        """Standard output of a git command, stripped. Raises RepositoryError with git's own words."""
        return commands.git(self.root, *arguments)

    def dvc(self, *arguments: str) -> str:
        """Standard output of a dvc command. Waits for DVC's lock. Raises RepositoryError with DVC's own words."""
        left_locks.clear_rwlock(self.root)
        return commands.dvc(self.root, *arguments)

    # --- what is checked out ----------------------------------------------------------------------

    def head(self) -> str:
        """The commit that is checked out."""
        return self.git("rev-parse", "HEAD")

    def branch(self) -> str:
        """The branch that is checked out; empty on a detached HEAD."""
        return self.git("branch", "--show-current")

    def changed(self, *paths: str) -> list[str]:
        """Which files under these paths differ from HEAD or are new, without those that DVC ignores as well.

        `.dvcignore` names what editors and file managers leave beside a file: no model is made from it.
        """
        output = self.git("status", "--porcelain", "--no-renames", "--untracked-files=all", "-z", "--", *paths)
        # `git` strips the output, and the first entry's leading blank with it.
        entries = [entry.strip().split(" ", 1) for entry in output.split("\0") if entry.strip()]
        return [name.strip() for state, name in entries if state != "??" or not self._ignored.match_file(name.strip())]

    @cached_property
    def _ignored(self) -> GitIgnoreSpec:
        path = self.root / ".dvcignore"
        return GitIgnoreSpec.from_lines(path.read_text(encoding="utf-8").splitlines() if path.exists() else ())

    def show(self, revision: str, path: Path) -> str:
        """A file of a commit or tag. Raises RepositoryError when it has none."""
        return self.git("show", f"{revision}:{path.as_posix()}") + "\n"

    def _git_path(self, name: str) -> Path:
        return self.root / self.git("rev-parse", "--git-path", name)

    # --- what this branch has frozen and learned --------------------------------------------------

    def history(self) -> History:
        """The commits that HEAD reaches and all tags of ours, as they are now."""
        try:
            head = self.git("rev-parse", "--quiet", "--verify", "HEAD")
        except RepositoryError:
            head = ""  # a repository without a commit
        if head != self._read[0]:
            lines = self.git("log", "--topo-order", "--format=%H%x09%P%x09%s%x09", head).split("\n") if head else []
            fields = (line.split("\t", 2) for line in lines)
            self._read = (head, [Commit(id_, tuple(above.split()), subject.strip()) for id_, above, subject in fields])
        patterns = [f"refs/tags/{kind}-*" for kind in ("chunk", "feedback", "model")]
        form = "--format=%(refname:lstrip=2)%09%(objectname)%09%(*objectname)"
        tags = [line.split("\t") for line in self.git("for-each-ref", form, *patterns).splitlines()]
        return History(self._read[1], {name: (target[1:] or target)[0] for name, *target in tags if target})

    def frozen(self, kind: str) -> set[int]:
        """The numbers of the chunks (`chunk`) or archives (`feedback`) that this branch has frozen."""
        numbers = self.history().numbers(kind)
        if catalog := self.committed_catalog():
            numbers |= catalog.numbers(kind)
            if numbers and self._is_shallow:
                numbers |= set(range(1, min(numbers)))  # frozen before the clone's history begins
        return numbers

    @cached_property
    def _is_shallow(self) -> bool:
        return self.git("rev-parse", "--is-shallow-repository") == "true"

    def committed_catalog(self) -> Catalog | None:
        """The catalog at HEAD; None where HEAD has no valid one."""
        try:
            return parse_catalog(self.show("HEAD", CATALOG_FILE), CATALOG_FILE)
        except (RepositoryError, DataFileError):
            return None

    def has_tag(self, tag: str) -> bool:
        """Whether the tag exists, on any branch."""
        return bool(self.git("tag", "--list", tag))

    def tags(self, kind: str) -> list[str]:
        """Tags of a kind (chunk, feedback, model) that HEAD's history holds, newest first by history."""
        return self.history().tagged(kind)

    def last_number(self, kind: str) -> int:
        """The highest number of a kind (chunk, feedback) that is taken anywhere: here or on another branch; or 0."""
        return max(self.history().highest(kind), *self.frozen(kind), 0)

    def untrained(self) -> list[str]:
        """Names of chunks and archives of this branch that its newest model has not learned from."""
        return self.history().unlearned()

    # --- what DVC keeps ---------------------------------------------------------------------------

    def cached(self, md5: str) -> Path | None:
        """Where DVC's cache has the content of this MD5; None when it does not."""
        path = self._cache / "files/md5" / md5[:2] / md5[2:]
        return path if path.exists() else None

    def recorded(self, revision: str, path: Path) -> str | None:
        """The MD5 that a commit or tag records for a file; None when it records none."""
        try:
            return dvc_lock.output_hash(self.show(revision, dvc_lock.LOCK_FILE), path)
        except RepositoryError:
            return None

    @cached_property
    def _cache(self) -> Path:
        return self.root / self.dvc("cache", "dir")

    def take(self, path: Path, revision: str) -> bool:
        """Bring a data file back as a commit or tag records it, from DVC's cache or its remote. False: it has none."""
        if self._take_cached(path, revision):
            return True
        if self.recorded(revision, path) is None:
            return False
        target = str(self.root / path)
        try:
            self.dvc("get", "--quiet", "--force", ".", path.as_posix(), "--rev", revision, "--out", target)
        except RepositoryError as error:
            log.warning("%s of %s is not to be had: %s", path, revision, error)
            return False
        return True

    def take_all(self, missing: Mapping[Path, str]) -> None:
        """Bring files back as HEAD records them, given with their stages, as far as they are to be had."""
        stages = {stage for path, stage in missing.items() if not self._take_cached(path, "HEAD")}
        if stages and self.dvc("remote", "list"):
            try:
                self.dvc("pull", "--quiet", *sorted(stages))
            except RepositoryError as error:
                log.warning("not everything that is listed is to be had: %s", error)

    def _take_cached(self, path: Path, revision: str) -> bool:
        md5 = self.recorded(revision, path)
        kept = self.cached(md5) if md5 else None
        if kept is None:
            return False
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.tmp")
        shutil.copyfile(kept, temporary)
        temporary.replace(target)
        return True

    def push(self, *more: str) -> None:
        """`dvc push` when a remote is configured; nothing otherwise."""
        if self.dvc("remote", "list"):
            self.dvc("push", "--quiet", *more)
