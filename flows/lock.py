"""One run at a time, by a lock that a dead process cannot keep.

A deployment's concurrency limit is a convenience: Prefect can give its slot back twice after a crash (measured:
two crawls ran together). The operating system releases a file lock when its process is gone, however it died.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

LOCKS = Path(".run/locks")


class Busy(RuntimeError):
    """Another run of the same flow is at work in this checkout."""


@contextmanager
def only_run(name: str) -> Iterator[None]:
    """Hold the lock `name` for the length of the block. Raises Busy at once when somebody else has it."""
    LOCKS.mkdir(parents=True, exist_ok=True)
    lock = FileLock(LOCKS / f"{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise Busy(f"another {name} run is at work in this checkout; the next one looks again") from None
    try:
        yield
    finally:
        lock.release()
