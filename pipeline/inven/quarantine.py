"""Pages that could not be read, kept as they came, so that someone can look and repair the parser.

They hold other people's words and nicknames: the folder never enters Git, and it stays small.
"""

import os
import time
from pathlib import Path

from pipeline.files import write_bytes

MOST_FILES = 200


def keep(folder: Path, name: str, content: bytes) -> Path:
    """Write a page as `name`.html in one step and return its path. The oldest files beyond MOST_FILES go.

    The same name replaces the older page: a page that is tried again and again takes one place. Files dated ahead by a
    clock that was wrong go first.
    """
    path = folder / f"{name}.html"
    write_bytes(path, content)
    latest = max(time.time(), path.stat().st_mtime)
    with os.scandir(folder) as entries:
        dated = [(entry.stat().st_mtime, entry.path) for entry in entries if entry.name.endswith(".html")]
    files = sorted((moment if moment <= latest else 0.0, place) for moment, place in dated)
    for _, oldest in files[: max(0, len(files) - MOST_FILES)]:
        Path(oldest).unlink(missing_ok=True)
    return path
