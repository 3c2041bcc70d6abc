"""One run at a time, by a lock that a dead process cannot keep.

A deployment's concurrency limit is a convenience: Prefect can give its slot back twice after a crash (measured:
two crawls ran together). The operating system releases a file lock when its process is gone, however it died.
Whoever drives Git and DVC holds the lock `learn`, from Prefect or from a command line.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline import clock
from pipeline.errors import UserError
from pipeline.files import write_json

LOCKS = Path(".run/locks")
LEARN = "learn"

_held: set[Path] = set()  # by this process


class Busy(UserError):
    """Another run of the same kind is at work in this checkout. The message says since when."""


@contextmanager
def only_run(name: str, root: Path = Path()) -> Iterator[None]:
    """Hold the lock `name` for the length of the block. Raises Busy at once when somebody else has it."""
    folder = root.resolve() / LOCKS
    folder.mkdir(parents=True, exist_ok=True)
    path, holder = folder / f"{name}.lock", folder / f"{name}.json"
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise Busy(
            f"another {name} run is at work in this checkout{_since(holder)}; the next one looks again"
        ) from None
    _held.add(path)
    try:
        write_json(holder, {"pid": os.getpid(), "since": clock.iso(clock.now())})
        yield
    finally:
        _held.discard(path)
        lock.release()


def held_elsewhere(name: str, root: Path = Path()) -> bool:
    """Whether another process (not this one) holds the lock `name`."""
    path = root.resolve() / LOCKS / f"{name}.lock"
    if path in _held or not path.exists():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def _since(holder: Path) -> str:
    try:
        found = json.loads(holder.read_text(encoding="utf-8"))
        return f" since {found['since']} (process {found['pid']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
