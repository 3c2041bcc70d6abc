"""One run at a time: by a lock that dies with its process, and says since when it is held."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.lock import LEARN, LOCKS, Busy, held_elsewhere, only_run
from tests.support import ROOT

HOLD = """
import time
from pipeline.lock import only_run
with only_run("learn"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock `learn` in `tmp_path`."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_run_is_told_who_is_at_work_and_since_when(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    with pytest.raises(Busy, match=rf"another learn run .* since \d{{4}}-\d\d-\d\dT.*\+09:00 \(process {holder.pid}\)"):
        only_run(LEARN, tmp_path).__enter__()
    assert held_elsewhere(LEARN, tmp_path)
    with only_run("crawl", tmp_path):
        pass  # each kind has its own


def test_a_killed_run_keeps_no_lock(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait(10)
    assert not held_elsewhere(LEARN, tmp_path)
    with only_run(LEARN, tmp_path):
        assert not held_elsewhere(LEARN, tmp_path)  # it is we who hold it
        with pytest.raises(Busy):
            only_run(LEARN, tmp_path).__enter__()
    with only_run(LEARN, tmp_path):
        pass


def test_without_a_readable_note_it_is_busy_all_the_same(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    (tmp_path / LOCKS / "learn.json").write_text("{")
    with pytest.raises(Busy, match=r"in this checkout; the next one"):
        only_run(LEARN, tmp_path).__enter__()


@pytest.mark.parametrize(
    "command", [("pipeline.release",), ("pipeline.label", "--relabel", "chunk-0001")], ids=["release", "relabel"]
)
def test_commands_that_change_what_the_flow_changes_wait_for_it(
    holder: subprocess.Popen[str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DATABASE_URL": f"sqlite:///{tmp_path}/x.db"}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: another learn run is at work"), done.stderr
    assert time.monotonic() - started < 60
