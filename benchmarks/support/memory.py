"""Memory of a running system, by the part that each process plays. Linux: it reads /proc.

A process belongs to the system when it was started with the system's own PREFECT_HOME in its environment.
"""

import os
import signal
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

# What stands in the command line of a part's processes, the first that fits. Flow runs are known by their environment.
_PARTS = (("app.server", "page"), ("flows.up", "up"), ("worker", "worker"), ("server", "server"))


@dataclass(frozen=True, slots=True)
class Process:
    """One process. `part`: page, up, worker, server or other; `run`: the id of the flow run it works for, or ""."""

    pid: int
    part: str
    run: str
    rss: float  # MiB


def processes(home: Path) -> list[Process]:
    """The living processes whose environment names `home` as PREFECT_HOME. Memory that they share counts for each."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
            if f"PREFECT_HOME={home}".encode() not in environment:
                continue
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            status = (entry / "status").read_text()
        except OSError:
            continue  # it has just ended, or is somebody else's
        if "VmRSS:" not in status:
            continue  # ended, but nobody has asked how
        runs = [part.partition(b"=")[2].decode() for part in environment if part.startswith(b"PREFECT__FLOW_RUN_ID=")]
        part = next((part for words, part in _PARTS if words in command), "other")
        rss = int(status.partition("VmRSS:")[2].split()[0]) / 1024
        found.append(Process(int(entry.name), part, runs[0] if runs else "", rss))
    return found


def kill(left: list[Process]) -> None:
    """End processes that should have ended by themselves."""
    for process in left:
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


@dataclass
class Watch:
    """A thread that adds up the memory of each part again and again. A context manager.

    `parts`: (seconds since the start, {part: MiB}) of every look, without flow runs. `peaks`: for every flow run, the
    most that its processes had together, in MiB.
    """

    home: Path
    every: float = 2.0  # seconds
    parts: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    peaks: dict[str, float] = field(default_factory=dict)

    def __enter__(self) -> "Watch":
        self._stop = threading.Event()
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def at(self, seconds: float) -> dict[str, float]:
        """What each part had then: the last look before that time."""
        looks = [parts for moment, parts in self.parts if moment <= seconds]
        return looks[-1] if looks else self.parts[0][1]

    def _look(self) -> None:
        while True:
            parts: dict[str, float] = defaultdict(float)
            runs: dict[str, float] = defaultdict(float)
            for process in processes(self.home):
                if process.run:
                    runs[process.run] += process.rss
                else:
                    parts[process.part] += process.rss
            self.parts.append((time.monotonic() - self._started, dict(parts)))
            for run, rss in runs.items():
                self.peaks[run] = max(self.peaks.get(run, 0.0), rss)
            if self._stop.wait(self.every):
                return
