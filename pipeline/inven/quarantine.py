"""Pages that could not be read, kept as they came, so that someone can look and repair the parser.

They hold other people's words and nicknames: the folder never enters Git, and it stays small.
"""

import os
import time
from pathlib import Path

from pipeline.files import write_bytes

MOST_FILES = 200
MOST_BYTES = 64 * 1024 * 1024  # together; a page may have 8 MB


def keep(folder: Path, name: str, content: bytes) -> Path:
    """Write a page as `name`.html in one step and return its path. The oldest beyond MOST_FILES and MOST_BYTES go.

    The same name replaces the older page: a page that is tried again and again takes one place. Files dated ahead by a
    clock that was wrong go first.
    """
    path = folder / f"{name}.html"
    write_bytes(path, content)
    latest = max(time.time(), path.stat().st_mtime)
    with os.scandir(folder) as entries:
        files = [(entry.stat(), entry.path) for entry in entries if entry.name.endswith(".html")]
    files.sort(key=lambda file: file[0].st_mtime if file[0].st_mtime <= latest else 0.0, reverse=True)
    total = 0
    for number, (stat, place) in enumerate(files):
        total += stat.st_size
        if number >= MOST_FILES or (total > MOST_BYTES and number):
            Path(place).unlink(missing_ok=True)
    return path
