"""Locks that a killed git or DVC left behind: found, and cleared once nobody is alive who may own them.

Git's lock files name no owner, and DVC's `rwlock` names a process number that may live again as something else after
a reboot. So the owner is looked for among the processes that are at work in this checkout.
"""

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from pipeline.freeze.commands import RepositoryError

log = logging.getLogger(__name__)

RWLOCK = Path(".dvc/tmp/rwlock")
_YOUNG_S = 30.0  # an owner that can't be seen from here (another machine or container) gets this long
_PATIENCE_S = 45.0  # how long a lock is waited for


def clear_git_locks(root: Path, folders: tuple[Path, ...]) -> None:
    """Return when no lock of git's is in the way, clearing those of the dead. `folders`: git's own, and the shared one.

    Raises RepositoryError when a living git keeps one, such as `git commit` with its editor open.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while locks := [path for folder in folders for path in _git_locks(folder)]:
        owner = next(at_work(root, "git"), None)
        if owner is None:
            for path in locks:
                if _is_old(path):
                    path.unlink(missing_ok=True)
                    log.warning("removed %s: the git that left it there is gone", path)
        elif time.monotonic() > deadline:
            raise RepositoryError(
                f"{locks[0]} is held by git at work in this checkout ({_said(owner)}): "
                "finish or end it; learning goes on by itself then"
            )
        if any(path.exists() for path in locks):
            time.sleep(0.2)


def clear_rwlock(root: Path) -> None:
    """Remove DVC's `rwlock` when it names somebody, or is broken, and no DVC is at work in this checkout.

    Entries of dead processes beside a living one are DVC's own to clear, and it does.
    """
    path = root / RWLOCK
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(entries, dict) and not any(entries.values()):
            return
    except FileNotFoundError:
        return
    except (OSError, ValueError):
        pass  # emptied or cut off by a kill
    if next(at_work(root, "dvc"), None) is None:
        path.unlink(missing_ok=True)
        log.warning("removed %s: no dvc is at work in this checkout, the one that left it there is gone", path)


def at_work(root: Path, program: str) -> Iterator[psutil.Process]:
    """The living processes of a program (`git` or `dvc`) that work in this checkout, or may do so."""
    root = root.resolve()
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE or not _is(process, program):
                continue
            try:
                here = Path(process.cwd()).is_relative_to(root)
            except psutil.AccessDenied:  # another user's: a lock of ours can only be its own if the checkout is
                here = process.uids().real == root.stat().st_uid
            if here or any(str(root) in part for part in process.cmdline()):
                yield process
        except psutil.Error:
            continue


def _is(process: psutil.Process, program: str) -> bool:
    try:
        command = process.cmdline()
    except psutil.AccessDenied:
        command = []
    names = [process.name(), *(Path(part).name for part in command[:3])]  # `git`, `/usr/bin/dvc`, `python -m dvc`
    return program in names


def _git_locks(folder: Path) -> Iterator[Path]:
    for name in ("index.lock", "HEAD.lock", "packed-refs.lock"):
        if (folder / name).exists():
            yield folder / name
    for kind in ("heads", "tags"):
        yield from (folder / "refs" / kind).rglob("*.lock")


def _is_old(path: Path) -> bool:
    try:
        written = path.stat().st_mtime
    except FileNotFoundError:
        return False
    # `abs`: a clock that was set back must not make it young for ever.
    return written < psutil.boot_time() or abs(time.time() - written) > _YOUNG_S


def _said(process: psutil.Process) -> str:
    since = time.strftime("%H:%M", time.localtime(process.create_time()))
    return f"process {process.pid} since {since}: {' '.join(process.cmdline()[:4])}"
