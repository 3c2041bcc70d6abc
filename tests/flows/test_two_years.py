"""Two years of clocks, branches and kills: random sequences of what happens to a checkout, on real Git and SQLite.

The learn flow is the real one, without Prefect's server; DVC and the LLM are stand-ins. `MAPLE_EXAMPLES=200` runs
longer; the seed is fixed.
"""

import asyncio
import hashlib
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

import flows.learn
from pipeline import clock, files
from pipeline.clock import KST
from pipeline.files import csv_bytes, read_csv, write_csv, write_json
from pipeline.freeze.archive import archive_rows
from pipeline.freeze.catalog import parse_catalog
from pipeline.freeze.due import look
from pipeline.freeze.repository import OWN_PATHS, RepositoryError
from pipeline.freeze.window import median
from pipeline.hashing import content_hash, file_hash
from pipeline.label.records import LabelReport, LabelServerError
from pipeline.layout import (
    ARCHIVE_COLUMNS,
    CATALOG_FILE,
    CHUNK_COLUMNS,
    NO_CHAMPION,
    archive_path,
    labeled_path,
    raw_path,
)
from pipeline.live.records import Feedback, Post
from pipeline.live.store import Store
from tests.support.project import ENVIRONMENT
from tests.support.quick_dvc import QuickRepository, quick_project

SIZE, ARCHIVE, WINDOW = 3, 2, 2
BRANCHES = ("main", "feature", "rollback")


class Killed(BaseException):
    """Stands for SIGKILL: nobody catches it."""


class Checkout:
    """One machine: a checkout, a live database, a clock, an LLM, and steps at which it may be killed."""

    def __init__(self, template: Path, root: Path) -> None:
        shutil.copytree(template, root)
        self.root = root
        self.store = Store(f"sqlite:///{root}/data/live/maple.db")
        self.trained: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        self.answers: dict[str, int] = {}
        self.asked: list[str] = []
        self.now = datetime(2026, 11, 22, 12, 0, tzinfo=KST)
        self.posts = self.texts = self.foreign = 0
        self.steps_left: int | None = None

    def git(self, *arguments: str, check: bool = True, given: str = "") -> str:
        """What a person does: output of a git command of theirs."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.root,
            env=ENVIRONMENT,
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip()

    def step(self) -> None:
        """One of the places where a kill may come."""
        if self.steps_left is not None:
            self.steps_left -= 1
            if self.steps_left < 0:
                raise Killed

    def crawl(self, count: int, posted: datetime) -> None:
        """Collect posts."""
        new = range(self.posts, self.posts + count)
        self.posts += count
        self.store.add_posts(
            [
                Post(2294, i, None, None, None, f"제목 {i}", "본문", "u", posted + timedelta(seconds=i), self.now)
                for i in new
            ]
        )

    async def label(self, store: Store, number: int, llm: bool) -> LabelReport:
        """The label stage: each text is asked once and kept."""
        name, labels = f"{number:04d}", []
        rows = read_csv(raw_path(name, self.root), CHUNK_COLUMNS)
        for row in rows:
            key = content_hash(row["title"])
            if key not in self.answers:
                if not llm:
                    raise LabelServerError("nobody answers")
                self.step()
                self.asked.append(key)
                self.answers[key] = len(self.asked) % 3
            labels.append(self.answers[key])
        path = labeled_path(name, self.root)
        more = {"sentiment": "", "confidence": "", "labeler": "t:0", "prompt": "t", "note": ""}
        table = [{**row, "label": label, **more} for row, label in zip(rows, labels, strict=True)]
        write_csv(path, table, (*CHUNK_COLUMNS, "label", *more))
        raw = file_hash(raw_path(name, self.root))
        write_json(path.with_suffix(".json"), {"labeled_sha256": file_hash(path), "raw_sha256": raw})
        return LabelReport(name, "t:0", "t", "text", len(rows), len(rows), 1.0, len(rows), {}, {}, ())

    def learn(self, *, llm: bool = True, kill_after: int | None = None) -> str:
        """One run of the learn flow. Returns its message; empty when it was killed or refused."""
        repository = QuickRepository(self.root)
        repository.trained = self.trained
        self.steps_left = kill_after
        with self._patched(repository, llm):
            try:
                return str(asyncio.run(flows.learn._learn(self.store, repository, "test")).message)
            except (Killed, RepositoryError, LabelServerError) as stopped:
                return "" if isinstance(stopped, Killed | LabelServerError) else f"refused: {stopped}"
            finally:
                self.steps_left = None

    @contextmanager
    def _patched(self, repository: QuickRepository, llm: bool) -> Any:
        def counted(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **how: Any) -> Any:
                self.step()
                result = real(*arguments, **how)
                self.step()
                return result

            return call

        @contextmanager
        def writing(path: Path) -> Any:
            self.step()
            with real_writing(path) as file:
                yield file
                self.step()
            self.step()

        async def nothing(**_: Any) -> None: ...

        async def label(store: Store, number: int) -> LabelReport:
            return await self.label(store, number, llm)

        real_writing = files.writing
        learn = flows.learn
        with ExitStack() as stack:
            stack.enter_context(mock.patch.object(repository, "git", counted(repository.git)))
            stack.enter_context(mock.patch.object(repository, "dvc", counted(repository.dvc)))
            stack.enter_context(mock.patch.object(files, "writing", writing))
            stack.enter_context(mock.patch.object(clock, "now", return_value=self.now))
            for name, value in (
                ("get_run_logger", lambda: logging.getLogger("test")),
                ("acreate_markdown_artifact", nothing),
                ("score_new", lambda store, batch: ""),
                ("_tell", lambda *_, **__: None),
                ("label", label),
                ("archive_feedback", learn.archive_feedback.fn),
                ("freeze", learn.freeze.fn),
                ("train_and_release", learn.train_and_release.fn),
            ):
                stack.enter_context(mock.patch.object(learn, name, value))
            here = Path.cwd()
            stack.callback(os.chdir, here)
            os.chdir(self.root)
            yield

    # --- what must hold at the end ----------------------------------------------------------------

    def settle(self, branch: str) -> QuickRepository:
        """Go to a branch and let the flow run until nothing is due."""
        self.git("switch", "--quiet", "--discard-changes", branch)
        for _ in range(60):
            message = self.learn()
            assert not message.startswith("refused"), message
            repository = QuickRepository(self.root)
            if not look(self.store, repository, posts_needed=SIZE, corrections_needed=ARCHIVE).anything:
                return repository
        raise AssertionError(f"something waits for ever on {branch}: {message}")

    def check(self, branch: str) -> None:
        """Every post is in exactly one chunk of the branch, every chunk is learned once, nothing is left over."""
        repository = self.settle(branch)
        history, catalog = repository.history(), repository.committed_catalog()
        assert catalog is not None
        numbers = self.store.chunk_numbers()
        assert set(numbers) == {n for n in repository.frozen("chunk") if n in numbers} == set(numbers)
        seen: list[tuple[str, str]] = []
        for number in numbers:
            name = f"{number:04d}"
            rows = csv_bytes(self.store.posts_of_chunk(number), CHUNK_COLUMNS)
            commit = history.holds(f"chunk-{name}")
            assert commit, f"chunk {name} is not in {branch}"
            assert repository.recorded(commit, raw_path(name)) == _md5(rows)
            labelled = repository.recorded(commit, labeled_path(name))
            kept = repository.cached(str(labelled))
            assert kept, f"the labels of chunk {name} are lost"
            found = read_csv(kept, CHUNK_COLUMNS)
            assert [row["title"] for row in found] == [row["title"] for row in self.store.posts_of_chunk(number)]
            seen += [(row["board_id"], row["post_id"]) for row in found]
            assert repository.has_tag(f"chunk-{name}")
            assert repository.recorded(f"chunk-{name}", raw_path(name)) == _md5(rows)
        assert len(seen) == len(set(seen))
        recent, old = self.store.count_waiting(SIZE)
        assert recent < SIZE
        assert old < SIZE
        assert len(seen) + recent + old == self.posts

        times = {f"{number:04d}": median(self.store.posted_times(number)) or "" for number in numbers}
        newest = sorted(times, key=lambda name: (times[name], int(name)))[-WINDOW:]
        assert list(catalog.chunks) == newest, "the newest posts train"
        assert not repository.untrained()
        if newest or catalog.archives:
            learned = self.trained[catalog.version]
            assert learned == (catalog.chunks, catalog.archives)
        releases = [c for c in history.commits.values() if c.subject.startswith("Release model")]
        frozen = [c for c in history.commits.values() if c.subject.startswith("Freeze")]
        assert len(releases) <= len(frozen), "something was trained on twice"

        archives = self.store.archive_numbers()
        corrections = [row for number in archives for row in self.store.feedback_of_archive(number)]
        paths = [archive_path(name, self.root) for name in catalog.archives]
        archived = [row for path in paths for row in read_csv(path, ARCHIVE_COLUMNS)]
        assert sorted(row["text"] for row in archived) == sorted(row["text"] for row in corrections)
        for number in archives:
            name = f"{number:04d}"
            written = csv_bytes(archive_rows(self.store, name), ARCHIVE_COLUMNS)
            assert repository.recorded(f"feedback-{name}", archive_path(name)) in (_md5(written), None)
            assert repository.has_tag(f"feedback-{name}")

        assert len(self.asked) == len(set(self.asked)), "a text was labelled twice"
        assert not repository.changed(*OWN_PATHS)
        assert not (self.root / ".git/maple-pulse.json").exists()
        for release in releases:  # no model is compared with one that was never released
            champion = parse_catalog(repository.show(release.id, CATALOG_FILE), CATALOG_FILE).champion
            assert champion == NO_CHAMPION or f"model-{champion}" in history.tags


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class TwoYears(RuleBasedStateMachine):
    """What people, machines and clocks do to a checkout."""

    template: Path

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.machine = Checkout(self.template, Path(self.folder.name) / "project")

    @rule(count=st.integers(1, 7), hours=st.integers(0, 30))
    def crawl(self, count: int, hours: int) -> None:
        self.machine.now += timedelta(hours=hours)
        self.machine.crawl(count, self.machine.now)

    @rule(count=st.integers(1, 8), years=st.integers(1, 7))
    def backfill(self, count: int, years: int) -> None:
        self.machine.crawl(count, datetime(2026 - years, 6, 1, tzinfo=KST))

    @rule(count=st.integers(1, 3))
    def correct(self, count: int) -> None:
        for _ in range(count):
            self.machine.texts += 1
            self.machine.store.add_feedback(Feedback(f"정정 {self.machine.texts}", 1))

    @rule(llm=st.booleans())
    def learn(self, llm: bool) -> None:
        self.machine.learn(llm=llm)

    @rule(steps=st.integers(0, 400))
    def learn_and_be_killed(self, steps: int) -> None:
        self.machine.learn(kill_after=steps)

    @rule(name=st.sampled_from(BRANCHES), back=st.integers(0, 3))
    def switch(self, name: str, back: int) -> None:
        git = self.machine.git
        if not git("branch", "--list", name):
            git("branch", name, git("rev-parse", "--quiet", "--verify", f"HEAD~{back}", check=False) or "HEAD")
        git("switch", "--quiet", name, check=False)  # git itself may refuse, because of what a killed run left

    @rule()
    def rewrite(self) -> None:
        """As `git pull --rebase` does it: the newest commit becomes another one, its tag stays behind."""
        self.machine.git("commit", "--quiet", "--amend", "--only", "--allow-empty", "--no-edit", "--date=now")

    @rule(ahead=st.integers(1, 3), kind=st.sampled_from(("chunk", "feedback")))
    def fetch_tags(self, ahead: int, kind: str) -> None:
        """Another machine's tags: a higher number, or one that is assigned here and not frozen yet."""
        git = self.machine.git
        tags = [int(tag.rsplit("-", 1)[1]) for tag in git("tag", "--list", f"{kind}-*").split()]
        number = max([0, *tags]) + ahead
        self.machine.foreign += 1
        path = raw_path(f"{number:04d}") if kind == "chunk" else archive_path(f"{number:04d}")
        lock = f"stages:\n  x:\n    outs:\n    - path: {path}\n      md5: {_md5(str(self.machine.foreign).encode())}\n"
        blob = git("hash-object", "-w", "--stdin", given=lock)
        tree = git("mktree", given=f"100644 blob {blob}\tdvc.lock\n")
        foreign = git("commit-tree", "-m", f"Freeze {kind} {number:04d}", tree)
        git("tag", "--annotate", "-m", "from another machine", f"{kind}-{number:04d}", foreign)

    @rule(days=st.integers(-4000, 4000))
    def clock_jump(self, days: int) -> None:
        self.machine.now = datetime(2026, 11, 22, 12, 0, tzinfo=KST) + timedelta(days=days)

    @rule()
    def commit(self) -> None:
        self.machine.git("commit", "--quiet", "--allow-empty", "--only", "--message", "Somebody's commit")

    def teardown(self) -> None:
        try:
            machine = self.machine
            branches = machine.git("branch", "--format=%(refname:short)").split()
            for branch in branches:
                machine.check(branch)
            machine.store.close()
        finally:
            self.folder.cleanup()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_years(tmp_path: Path) -> None:
    class Here(TwoYears):
        template = quick_project(
            tmp_path / "template", cut={"size": SIZE}, archive={"size": ARCHIVE}, catalog={"window": WINDOW}
        )

    examples = int(os.environ.get("MAPLE_EXAMPLES", "6"))
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=examples,
            stateful_step_count=int(os.environ.get("MAPLE_STEPS", "25")),
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
