"""Git and DVC, as the learn flow needs them: is the checkout fit, commit, tag, push, and pick up after a kill.

Only one process may change anything with this at a time: whoever does holds the lock `learn` (`pipeline.lock`). What it
commits is `OWN_PATHS`, nothing else, ever. Nothing that a killed run had not committed is needed by the next one.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from pipeline import lock
from pipeline.files import write_bytes
from pipeline.freeze import commands, dvc_lock, left_locks
from pipeline.freeze.checkout import Checkout
from pipeline.freeze.commands import RepositoryError as RepositoryError
from pipeline.freeze.note import Note
from pipeline.layout import CATALOG_FILE

log = logging.getLogger(__name__)

OWN_PATHS = ("data/catalog.yaml", "dvc.lock", "models/metrics.json")
# What a model is made by: edits here that are not committed would make a model that no tag can rebuild.
SOURCE_PATHS = ("dvc.yaml", "params.yaml", "pipeline", "data/gold", "data/dictionaries", "data/base/hand_written.jsonl")
SET_ASIDE = Path(".run/set-aside")
_IDENTITY = ("-c", "user.name=Maple Pulse", "-c", "user.email=maple-pulse@localhost")
_OPERATIONS = {"MERGE_HEAD": "merge", "CHERRY_PICK_HEAD": "cherry-pick", "REVERT_HEAD": "revert"}


class Repository(Checkout):
    """The checkout at `root`, changed: one change at a time, each in one commit or not at all."""

    # --- is the checkout fit? ---------------------------------------------------------------------

    def require_ready(self) -> None:
        """Raise RepositoryError on a detached HEAD or uncommitted edits in files that a model is made from.

        Edits elsewhere do not matter. What a dead run of ours left behind does not either: it is cleared away. While
        another process holds the lock `learn` nothing is touched.
        """
        if not (self.root / ".dvc").is_dir():
            raise RepositoryError(f"{self.root} is no DVC repository: run from the project's root")
        if not self.branch():
            raise RepositoryError(
                "this checkout is on no branch (detached HEAD), so a release would be lost: "
                "`git switch main` first, or `git switch -c NAME` to go on from here (what was frozen since then is "
                "frozen and learned from there again, so that no post and no correction is lost)"
            )
        for name, operation in _OPERATIONS.items():
            if self._git_path(name).exists():
                raise RepositoryError(
                    f"a {operation} is under way in this checkout: finish it (`git {operation} --continue`) or "
                    f"`git {operation} --abort`; learning goes on by itself then"
                )
        if lock.held_elsewhere(lock.LEARN, self.root):
            self.require_no_edits(*SOURCE_PATHS)
            return
        self._clear_git_locks()
        self._undo_dead_run()
        self.require_no_edits(*OWN_PATHS, *SOURCE_PATHS)

    def require_no_edits(self, *paths: str) -> None:
        """Raise RepositoryError that names the files under these paths that carry uncommitted edits."""
        if dirty := self.changed(*paths):
            raise RepositoryError(
                f"uncommitted changes in {', '.join(dirty[:5])}{' …' if len(dirty) > 5 else ''}: "
                "a model made from them could not be rebuilt. Commit them (`git commit`) or put them away "
                "(`git stash`); learning goes on by itself then"
            )

    # --- one change at a time, picked up after a kill ---------------------------------------------

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Note that we are about to change `OWN_PATHS`, until they are committed.

        A run that was killed leaves the note: the next one then knows the uncommitted files for its own work and makes
        it anew, instead of taking it for somebody's edits. Raises RepositoryError when there are such edits.
        """
        self._undo_dead_run()
        self.require_no_edits(*OWN_PATHS)
        note = Note(self.head(), self.branch(), begun=self.begun())
        note.write(self._note_path)
        try:
            yield
        except Exception:
            note = self._note() or note
            note.failed = True
            for name in OWN_PATHS:
                if (self.root / name).exists():
                    note.add(name, (self.root / name).read_bytes())
            note.write(self._note_path)
            raise
        self._note_path.unlink(missing_ok=True)

    def write_ahead(self, path: Path, text: str) -> None:
        """Note that this content of a file is our own, before it is written."""
        if note := self._note():
            note.add(path.as_posix(), text.encode())
            note.write(self._note_path)

    def begin(self, version: str, champion: str) -> None:
        """Note under which version, and against which champion, a model was begun."""
        if note := self._note():
            note.begun = {"version": version, "champion": champion}
            note.write(self._note_path)

    def begun(self) -> dict[str, str]:
        """Version and champion of a model that a dead run began on this commit; empty when there is none."""
        note = self._note()
        return note.begun if note and note.head == self.head() else {}

    def unfinished(self) -> bool:
        """Whether a killed run left something to be cleared away or finished."""
        note = self._note()
        return note is not None and not note.failed and not lock.held_elsewhere(lock.LEARN, self.root)

    @cached_property
    def _note_path(self) -> Path:
        return self._git_path("maple-pulse.json")

    def _note(self) -> Note | None:
        return Note.read(self._note_path)

    def _clear_git_locks(self) -> None:
        own = self.root / self.git("rev-parse", "--git-dir")
        common = self.root / self.git("rev-parse", "--git-common-dir")
        left_locks.clear_git_locks(self.root, tuple({own.resolve(), common.resolve()}))

    def _undo_dead_run(self) -> None:
        """Bring `OWN_PATHS` back to HEAD where they are a dead run's work. Somebody's edits stay, and are refused."""
        note = self._note()
        if note is None:
            self._note_path.unlink(missing_ok=True)  # cut off as it was written: nothing had begun
            return
        if busy := next(left_locks.at_work(self.root, "dvc"), None):
            raise RepositoryError(
                f"a dvc is at work in this checkout (process {busy.pid}), after the run that started it has ended: "
                "learning goes on when it is done"
            )
        self._bring_back(note)
        if note.head != self.head():
            note.begun = {}
        if note.begun or self.changed(*OWN_PATHS):  # an edit on top: what is ours is still to be told apart from it
            note.write(self._note_path)
        else:
            self._note_path.unlink(missing_ok=True)

    def _bring_back(self, note: Note, *, keep: bool = True) -> None:
        """Undo our own work in `OWN_PATHS`; `keep`: with a copy where it can't be told for sure that it is ours."""
        for name in self.changed(*OWN_PATHS):
            path = self.root / name
            content = path.read_bytes() if path.exists() else b""
            if not note.may_undo(name, content):
                continue
            if keep and name not in note.ours and content.decode(errors="replace").strip() != self._at_head(name):
                write_bytes(self.root / SET_ASIDE / path.name, content)
                log.warning("%s is as it was committed again; what a killed run left of it is in %s", name, SET_ASIDE)
            path.unlink(missing_ok=True)
            if self.git("ls-tree", "--name-only", "HEAD", "--", name):
                self.git("checkout", "HEAD", "--", name)
            elif self.git("ls-files", "--", name):
                self.git("rm", "--quiet", "--cached", "--", name)

    def _at_head(self, name: str) -> str:
        try:
            return self.git("show", f"HEAD:{name}")
        except RepositoryError:
            return ""

    # --- commit, push, tag ------------------------------------------------------------------------

    def record(self, subject: str, tag: str = "", message: str = "") -> None:
        """Commit `OWN_PATHS` with an annotated tag: the data is pushed first, so that no tag points at nothing.

        The subject says in this branch's history what was done, also where another branch has the tag already. Can be
        repeated after a kill at any point: what is done stays done. When the checkout was switched to another branch
        meanwhile, the commit goes where the change began. Raises RepositoryError, and commits nothing, when the
        catalog is not what was written any more.
        """
        note = self._note()
        branch = note.branch if note else self.branch()
        switched = branch != self.branch()
        if note:
            self._require_unedited(note, subject)
        self._clear_git_locks()
        reference = f"refs/heads/{branch}" if branch else "HEAD"
        parent, commit = self._commit(reference, subject, anyway=switched)
        untagged = bool(tag) and not self.has_tag(tag)
        if commit or untagged:
            self.push()
        # The tag comes first: whatever is in a branch's history then has one.
        if untagged:
            at = commit or self.history().holds(tag) or parent
            self.git(*_IDENTITY, "tag", "--annotate", "--cleanup=verbatim", "-m", message, tag, at)
        while commit:
            try:
                self.git("update-ref", "-m", subject, reference, commit, parent)
                break
            except RepositoryError:
                if parent == self.git("rev-parse", "--verify", reference):
                    raise
                parent, commit = self._commit(reference, subject, anyway=True)  # somebody committed meanwhile
        if switched and note:
            log.warning("'%s' is committed on %s, where it began", subject, branch)
            self._bring_back(note, keep=False)
        elif commit:
            self.git("reset", "--quiet", "--", *self._present())
        if note:
            note.begun = {}
            note.write(self._note_path)

    def _require_unedited(self, note: Note, subject: str) -> None:
        name = CATALOG_FILE.as_posix()
        if name in note.ours and not note.may_undo(name, (self.root / name).read_bytes()):
            raise RepositoryError(
                f"{name} was edited or brought back while '{subject}' was made: nothing is committed. "
                "Commit the edit (`git commit`) or put it away (`git stash`); the next run does it again then"
            )

    def _commit(self, reference: str, subject: str, *, anyway: bool) -> tuple[str, str]:
        """The commit that `reference` is at, and a new one on top with `OWN_PATHS` as they are; no branch has it yet.

        The new one is empty when there is nothing to commit and the history says so already (unless `anyway`). Made
        without the user's index: what else is staged there is theirs.
        """
        parent, index = self.git("rev-parse", "--verify", reference), self._git_path("maple-pulse-index")
        commands.git(self.root, "read-tree", parent, index=index)
        for name in self._present():
            content = self.git("hash-object", "-w", "--", name)
            commands.git(self.root, "update-index", "--add", "--cacheinfo", f"100644,{content},{name}", index=index)
        tree = commands.git(self.root, "write-tree", index=index)
        index.unlink(missing_ok=True)
        same = tree == self.git("rev-parse", f"{parent}^{{tree}}")
        if same and not anyway and self.history().says(subject):
            return parent, ""
        return parent, self.git(*_IDENTITY, "commit-tree", "-p", parent, "-m", subject, tree)

    def _present(self) -> list[str]:
        return [name for name in OWN_PATHS if (self.root / name).exists()]

    # --- what DVC keeps ---------------------------------------------------------------------------

    def enter_never_made(self) -> None:
        """See to it that `dvc pull` finds an entry for every stage, also before there is a model.

        Call it before a chunk or an archive is recorded: at its tag `dvc pull` would fail otherwise.
        """
        pipeline, entries = self.root / dvc_lock.PIPELINE_FILE, self.root / dvc_lock.LOCK_FILE
        recorded = entries.read_text(encoding="utf-8") if entries.exists() else ""
        missing = dvc_lock.never_made(pipeline.read_text(encoding="utf-8"), recorded)
        if not missing:
            return
        for name, outputs in missing.items():
            if any(outputs.values()):  # a person's own file may be there: it is no empty one
                there = all((self.root / path).exists() for path in outputs)
                self.dvc(*(("commit", "--quiet", "--force") if there else ("repro", "--quiet", "--single-item")), name)
        empty = {name: tuple(outputs) for name, outputs in missing.items() if not any(outputs.values())}
        for md5, content in dvc_lock.EMPTY_OBJECTS.items():
            if not self.cached(md5):
                write_bytes(self._cache / "files/md5" / md5[:2] / md5[2:], content)
        dvc_lock.add_never_made(entries, empty)

    def prune_lock(self, kept: list[str]) -> None:
        """Drop `dvc.lock`'s entries of chunks and archives that are not in `kept` (`label@0007` …)."""
        pipeline = (self.root / dvc_lock.PIPELINE_FILE).read_text(encoding="utf-8")
        dvc_lock.prune(self.root / dvc_lock.LOCK_FILE, pipeline, kept)
