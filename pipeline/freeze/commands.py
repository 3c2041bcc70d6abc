"""Git and DVC as subprocesses (DVC's maintainers call only its command line stable).

Each has a time limit and no terminal. Git runs without the user's hooks, signing and editor: a pass phrase that nobody
types, or a hook that refuses or waits, would stop the loop.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import psutil

from pipeline.errors import UserError

GIT_LIMIT_S = 5 * 60.0
DVC_LIMIT_S = 30 * 60.0
# What moves data over a line, or trains.
LONG_LIMITS_S = {"push": 4 * 3600.0, "pull": 4 * 3600.0, "fetch": 4 * 3600.0, "repro": 8 * 3600.0}

_GIT = [
    "git",
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "commit.gpgSign=false"),
    *("-c", "tag.gpgSign=false"),
    *("-c", "tag.forceSignAnnotated=false"),
    *("-c", "core.editor=true"),  # the program that does nothing, and does it well
    *("-c", "core.fsmonitor=false"),  # may name a hook
    *("-c", "log.showSignature=false"),
    *("-c", "i18n.logOutputEncoding=utf-8"),
]
# Set where we were started from a hook of the user's: they would point our git at another repository or index.
_NOT_OURS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX")


class RepositoryError(UserError):
    """Git or DVC can't do what is needed. The message says what to do about it."""


def git(root: Path, *arguments: str, index: Path | None = None) -> str:
    """Standard output of a git command in `root`, stripped. Raises RepositoryError with git's own words.

    `index`: a file to use in place of the checkout's own index.
    """
    name = next((word for word in arguments if word[0] not in "-" and "=" not in word), "")
    more = {} if index is None else {"GIT_INDEX_FILE": str(index)}
    return _run([*_GIT, *arguments], root, f"git {name}", GIT_LIMIT_S, more)


def dvc(root: Path, *arguments: str) -> str:
    """Standard output of a dvc command in `root`. Waits for DVC's lock. Raises RepositoryError with DVC's own words."""
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", *arguments]
    return _run(command, root, f"dvc {arguments[0]}", LONG_LIMITS_S.get(arguments[0], DVC_LIMIT_S))


def _run(
    command: Sequence[str], root: Path, name: str, limit_s: float, more: Mapping[str, str] = MappingProxyType({})
) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in _NOT_OURS} | {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_EDITOR": "true",
        "GIT_OPTIONAL_LOCKS": "0",  # looking takes no lock that the user's git would have to wait for
        **more,
    }
    try:
        process = subprocess.Popen(  # noqa: S603 - fixed programs, arguments of our own
            command,
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
    except FileNotFoundError:
        raise RepositoryError(f"{command[0]} is not installed or not on the PATH") from None
    with process:
        try:
            output, said = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            _kill(process.pid)
            raise RepositoryError(
                f"{name} did not end within {limit_s / 60:.0f} minutes and was stopped: look whether a network drive, "
                "a remote or another program holds it up; the next run tries again"
            ) from None
        except BaseException:
            _kill(process.pid)
            raise
    if process.returncode:
        lines = (said.strip() or output.strip()).splitlines()
        raise RepositoryError(f"{name} failed: " + "\n".join(lines[-15:]))
    return output.strip()


def _kill(pid: int) -> None:
    """End a process and everything that it has started: DVC's stages would go on without it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        family = [*parent.children(recursive=True), parent]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=10)
