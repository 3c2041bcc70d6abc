"""The note that a run leaves in `.git/` while it changes files, so that the next one knows what a killed run was at.

What such a run had not committed is never needed: all of it is made again from HEAD, the live database and the data
files. The note says which changes may be undone for that, and under which version a model was begun.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from pipeline.files import write_json


@dataclass(slots=True)
class Note:
    """`head` and `branch` as the change began. `failed`: the run ended with an error instead of being killed.

    `ours`: for each file, the SHA-256 of every content that we wrote or were about to write. `begun`: version and
    champion of the model that was begun.
    """

    head: str
    branch: str = ""
    failed: bool = False
    ours: dict[str, list[str]] = field(default_factory=dict)
    begun: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Note | None":
        """The note; None without a readable one."""
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{name.name: found[name.name] for name in fields(cls) if name.name in found})
        except (OSError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Write the note in one step."""
        write_json(path, asdict(self))

    def add(self, name: str, content: bytes) -> None:
        """This content of a file is our own work."""
        self.ours.setdefault(name, []).append(hashlib.sha256(content).hexdigest())

    def may_undo(self, name: str, content: bytes) -> bool:
        """Whether a file that differs from HEAD is our own work, and not an edit that somebody made since.

        A killed run could not say what it was about to write into a file that DVC writes: there it is taken for ours.
        """
        known = self.ours.get(name)
        if known is None:
            return not self.failed
        return hashlib.sha256(content).hexdigest() in known
