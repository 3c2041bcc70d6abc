"""The posts of the replay: read from a file, given ids, and put on a timetable.

Files: JSON Lines with board_id, category, title, body (optional: post_id, posted_at, views, recommends, comments;
other keys are ignored), or a table with a header (TSV or CSV), whose rows are texts for one board; gzip of either.
"""

import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pipeline import boards, clock
from pipeline.addresses import LARGEST
from pipeline.errors import UserError
from pipeline.files import DataFileError, read_rows, read_text

# Where numbering begins: near the boards' real numbers of July 2026.
FIRST_IDS = {2294: 457000, 2295: 298000, 2296: 165000, 2297: 312000, 2298: 224000, 5974: 6860000}
SPACING = timedelta(minutes=7)  # between posts that are there at the start and have no time of their own
TITLE_LENGTH = 20  # characters of a bare text that become its title


class PostsFileError(UserError):
    """A file of posts can't be used. The message names the file and the line."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A post as the file has it; None where the file leaves it to the replay."""

    board_id: int
    category: str | None
    title: str
    body: str
    post_id: int | None = None
    posted_at: datetime | None = None
    views: int | None = None
    recommends: int | None = None
    comments: int | None = None


@dataclass(frozen=True, slots=True)
class ReplayPost:
    """A post of the replay: listed from `appears_at` on. A deleted one is listed, but its page is gone."""

    board_id: int
    post_id: int
    category: str | None
    title: str
    body: str
    appears_at: datetime
    posted_at: datetime
    views: int
    recommends: int
    comments: int
    deleted: bool = False


def read_posts(
    paths: Sequence[Path], *, text_column: str | None = None, board_id: int = boards.FREE_BOARD
) -> list[Draft]:
    """The posts of these files, in order; a folder stands for its *.jsonl. Raises PostsFileError."""
    drafts: list[Draft] = []
    for path in paths:
        files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
        if not files:
            raise PostsFileError(f"{path} holds no .jsonl file")
        for file in files:
            try:
                drafts += _texts(file, text_column, board_id) if text_column else _json_lines(file)
            except DataFileError as error:
                raise PostsFileError(str(error)) from None
    return drafts


def _json_lines(path: Path) -> Iterator[Draft]:
    for number, line in enumerate(read_text(path).split("\n"), start=1):  # only there: texts hold other line ends
        if not line.strip():
            continue
        try:
            item: dict[str, Any] = json.loads(line)
            posted_at = item.get("posted_at")
            draft = Draft(
                board_id=int(item["board_id"]),
                category=_text(item.get("category")) or None,
                title=_text(item["title"]),
                body=_text(item["body"]),
                post_id=_count(item, "post_id", least=1),
                posted_at=clock.parse_iso(posted_at) if posted_at else None,
                views=_count(item, "views"),
                recommends=_count(item, "recommends"),
                comments=_count(item, "comments"),
            )
            boards.board(draft.board_id)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise PostsFileError(
                f"{path}, line {number}: not a post with board_id, category, title, body ({error})"
            ) from None
        yield draft


def _text(value: Any) -> str:
    """A text; half of a surrogate pair, which JSON can hold and no page can, becomes U+FFFD."""
    text = "" if value is None else str(value)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _count(item: dict[str, Any], name: str, least: int = 0) -> int | None:
    value = item.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= LARGEST:
        raise ValueError(f"{name} is {value!r}, not a number from {least}")
    return value


def _texts(path: Path, column: str, board_id: int) -> Iterator[Draft]:
    for _, row in read_rows(path, [column]):
        if text := row[column].strip():
            yield Draft(board_id, None, _opening(text), text)


def _opening(text: str) -> str:
    """The first words of a text, about TITLE_LENGTH characters."""
    if len(text) <= TITLE_LENGTH:
        return text
    return text[: TITLE_LENGTH + 1].rpartition(" ")[0] or text[:TITLE_LENGTH]


def schedule(
    drafts: Sequence[Draft],
    *,
    start: datetime,
    initial: int | None = None,
    per_minute: float = 0.0,
    deleted: int = 0,
    seed: int | None = None,
) -> list[ReplayPost]:
    """Put posts on a timetable: the first `initial` (None: all) are there at `start`, `per_minute` more follow.

    `deleted` of them, evenly spread, are listed but gone. `seed` shuffles them first. Ids rise with the order of
    appearance on each board. Raises PostsFileError when only some posts of a board have ids, or two the same.
    """
    order = list(drafts)
    if seed is not None:
        random.Random(seed).shuffle(order)
    there = len(order) if initial is None else min(initial, len(order))
    if per_minute <= 0:
        order = order[:there]
    order = _rising_ids(order)
    among = there or len(order)
    gone = {int((n + 0.5) * among / deleted) for n in range(min(deleted, among))} if deleted else set()
    counts: dict[int, int] = defaultdict(int)
    posts = []
    for n, draft in enumerate(order):
        if n < there:
            appears_at, posted_at = start, draft.posted_at or start - SPACING * (there - n)
        else:
            appears_at = posted_at = start + timedelta(seconds=(n - there + 1) * 60 / per_minute)
        counts[draft.board_id] += 1
        post_id = draft.post_id or FIRST_IDS[draft.board_id] + counts[draft.board_id]
        posts.append(
            ReplayPost(
                board_id=draft.board_id,
                post_id=post_id,
                category=draft.category,
                title=draft.title,
                body=draft.body,
                appears_at=appears_at,
                posted_at=posted_at.replace(microsecond=0),
                # Plausible numbers that are the same in every run; few posts reach ten recommendations.
                views=draft.views if draft.views is not None else 50 + post_id * 7919 % 2950,
                recommends=draft.recommends if draft.recommends is not None else (post_id * 31 % 97) ** 2 // 250,
                comments=draft.comments if draft.comments is not None else post_id * 13 % 17,
                deleted=n in gone,
            )
        )
    return posts


def _rising_ids(order: list[Draft]) -> list[Draft]:
    """The same posts with those of each board ordered by id, where the file has ids."""
    by_board: dict[int, list[Draft]] = defaultdict(list)
    for draft in order:
        by_board[draft.board_id].append(draft)
    queues: dict[int, Iterator[Draft]] = {}
    for board_id, drafts in by_board.items():
        ids = [draft.post_id for draft in drafts if draft.post_id is not None]
        if ids and len(set(ids)) != len(drafts):
            raise PostsFileError(f"board {board_id}: post_id is missing or doubled in some of its posts")
        queues[board_id] = iter(sorted(drafts, key=lambda draft: draft.post_id or 0))
    return [next(queues[draft.board_id]) for draft in order]
