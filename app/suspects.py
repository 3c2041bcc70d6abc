"""Posts whose label looks wrong, for visitors to review: what `pipeline.evaluate` flagged and people have not settled.

Only posts: a correction is what another visitor typed, and base texts have no page to read them on. Of a post its
title is shown, with a link; the whole text stays on the server, where a correction of it is stored.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.files import DataFileError, read_csv
from pipeline.labels import parse_label
from pipeline.layout import SUSPECTS_FILE
from pipeline.live.store import Store
from pipeline.text import join_post

log = logging.getLogger(__name__)

_COLUMNS = ("source", "board_id", "post_id", "label", "suggested")
_LOOKED_AT = 200  # suspects of the file, the most suspicious; so many ids fit into one query
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Suspect:
    """A post whose label looks wrong. `text` is what the model learned from and is not shown."""

    board_id: int
    post_id: int
    title: str
    url: str
    text: str
    label: int
    suggested: int

    @property
    def key(self) -> str:
        """Names the post in the page's list."""
        return f"{self.board_id}:{self.post_id}"


class Suspects:
    """The list over a live database. It is read anew when the file changes, and after every correction."""

    def __init__(self, store: Store, path: Path = SUSPECTS_FILE) -> None:
        self._store, self._path = store, path

    def read(self, client: str = "") -> list[Suspect]:
        """At most 20, the most suspicious first, without those that the visitor `client` (a hash) has answered.

        Empty when there is no file yet or it can't be read (logged).
        """
        flagged = self._flagged()
        if not flagged:
            return []
        return [
            Suspect(
                row["board_id"],
                row["post_id"],
                row["title"],
                row["url"],
                join_post(row["title"], row["body"]),
                *flagged[row["board_id"], row["post_id"]],
            )
            for row in self._store.posts_not_settled(list(flagged), client)[:SHOWN]
        ]

    def _flagged(self) -> dict[tuple[int, int], tuple[int, int]]:
        """Label and suggested label by board and post id, in the file's order."""
        if not self._path.exists():  # no model was evaluated yet, or DVC is just replacing the folder
            return {}
        try:
            return _parse(read_csv(self._path, _COLUMNS))
        except (DataFileError, OSError, ValueError):
            log.exception("the list of suspicious labels can't be read")
            return {}


def _parse(rows: Sequence[dict[str, str]]) -> dict[tuple[int, int], tuple[int, int]]:
    return {
        (int(row["board_id"]), int(row["post_id"])): (parse_label(row["label"]), parse_label(row["suggested"]))
        for row in [row for row in rows if row["source"].startswith("chunk-") and row["post_id"]][:_LOOKED_AT]
    }
