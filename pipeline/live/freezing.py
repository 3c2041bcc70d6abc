"""What freezing asks of the live database: which posts and corrections go into which chunk and archive."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Column, Connection, func, select, update

from pipeline import clock
from pipeline.live.database import Database, batches
from pipeline.live.tables import feedback, frozen_texts, posts

_FROZEN = ("job_group", "job", "title", "body")
_OLD_AFTER = timedelta(days=30)  # how far a post may lie behind the newest ones and still count as of late


class Freezing(Database):
    """The freezing side of the live database. Every method is one transaction."""

    def last_chunk(self) -> int:
        """The number of the newest chunk, 0 when none was cut."""
        with self.reading() as connection:
            return connection.scalar(select(func.max(posts.c.chunk))) or 0

    def last_archive(self) -> int:
        """The number of the newest feedback archive, 0 when there is none."""
        with self.reading() as connection:
            return connection.scalar(select(func.max(feedback.c.archive))) or 0

    def chunk_numbers(self) -> list[int]:
        """The numbers that posts carry, ascending. One index look-up a number, however many posts are stored."""
        return self._numbers(posts.c.chunk)

    def archive_numbers(self) -> list[int]:
        """The numbers that feedback carries, ascending."""
        return self._numbers(feedback.c.archive)

    def _numbers(self, column: Column[Any]) -> list[int]:
        first = select(func.min(column).label("number")).where(column.is_not(None)).cte(recursive=True)
        following = select(func.min(column)).where(column > first.c.number).scalar_subquery()
        numbers = first.union_all(select(following).where(first.c.number.is_not(None)))
        with self.reading() as connection:
            return [number for number in connection.scalars(select(numbers.c.number)) if number is not None]

    def count_waiting(self, size: int) -> tuple[int, int]:
        """Pending posts of late, and pending old ones (`assign_chunk`)."""
        with self.reading() as connection:
            pending = select(func.count()).select_from(posts).where(posts.c.chunk.is_(None))
            count = connection.scalar(pending) or 0
            bound = _old_before(connection, size)
            old = (connection.scalar(pending.where(posts.c.posted_at < bound)) or 0) if bound else 0
        return count - old, old

    def assign_chunk(self, size: int, after: int = 0) -> int | None:
        """Give the first `size` pending posts, by order of collection, the next chunk number. None: too few wait.

        Old posts (posted more than 30 days before the newest `size` stored ones) fill chunks of their own, so that a
        backfill that runs beside the crawl does not thin out the newest posts. The few that are left when it has ended
        ride along, less than half a chunk at a time.

        `after` is the highest number known elsewhere (Git tags): a new database goes on counting from there.
        """
        with self.writing() as connection:
            chosen = _next_chunk(connection, size)
            if not chosen:
                return None
            number = max(after, connection.scalar(select(func.max(posts.c.chunk))) or 0) + 1
            for batch in batches(chosen):
                connection.execute(update(posts).where(posts.c.seq.in_(batch)).values(chunk=number))
            return number

    def renumber_chunk(self, number: int, new: int) -> None:
        """Give the posts of a chunk another number: theirs was taken elsewhere, and nothing is frozen under it."""
        with self.writing() as connection:
            connection.execute(update(posts).where(posts.c.chunk == number).values(chunk=new))

    def renumber_archive(self, number: int, new: int) -> None:
        """The same for an archive of corrections."""
        with self.writing() as connection:
            connection.execute(update(feedback).where(feedback.c.archive == number).values(archive=new))

    def posted_times(self, number: int) -> list[str]:
        """When the posts of a chunk were posted, ascending (ISO 8601, KST)."""
        with self.reading() as connection:
            query = select(posts.c.posted_at).where(posts.c.chunk == number).order_by(posts.c.posted_at)
            return list(connection.scalars(query))

    def is_labelled(self, number: int) -> bool:
        """Whether the labels of a chunk stand beside its posts: written just before it is frozen here."""
        with self.reading() as connection:
            query = select(posts.c.seq).where(posts.c.chunk == number, posts.c.labeler.is_not(None)).limit(1)
            return connection.scalar(query) is not None

    def posts_of_chunk(self, number: int) -> list[dict[str, Any]]:
        """The rows of a chunk in order of collection, with the texts that they had when it was cut."""
        same = (frozen_texts.c.board_id == posts.c.board_id) & (frozen_texts.c.post_id == posts.c.post_id)
        own = (frozen_texts.c[name].label(f"frozen_{name}") for name in _FROZEN)
        query = select(posts, *own).outerjoin(frozen_texts, same).where(posts.c.chunk == number).order_by(posts.c.seq)
        rows = []
        with self.reading() as connection:
            for found in connection.execute(query).mappings():
                row = dict(found)
                frozen = {name: row.pop(f"frozen_{name}") for name in _FROZEN}
                rows.append(row if frozen["title"] is None else row | frozen)
        return rows

    def assign_archive(self, size: int, after: int = 0) -> int | None:
        """Give all pending feedback the next archive number. None when fewer than `size` are pending.

        `after` is the highest number known elsewhere (Git tags).
        """
        with self.writing() as connection:
            pending = connection.scalars(select(feedback.c.id).where(feedback.c.archive.is_(None))).all()
            if len(pending) < size:
                return None
            number = max(after, connection.scalar(select(func.max(feedback.c.archive))) or 0) + 1
            connection.execute(update(feedback).where(feedback.c.archive.is_(None)).values(archive=number))
            return number

    def feedback_of_archive(self, number: int) -> list[dict[str, Any]]:
        """The rows of a feedback archive in order of arrival."""
        query = select(feedback).where(feedback.c.archive == number).order_by(feedback.c.id)
        with self.reading() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]


def _old_before(connection: Connection, size: int) -> str | None:
    """Posts of before this time are old; None while fewer than `size` are stored.

    Measured against the newest stored posts, not against a clock; `size` of them, so that a few wrong dates in the
    future make nothing old.
    """
    newest = select(posts.c.posted_at).order_by(posts.c.posted_at.desc()).offset(size - 1).limit(1)
    found = connection.scalar(newest)
    return clock.iso(clock.parse_iso(found) - _OLD_AFTER) if found else None


def _next_chunk(connection: Connection, size: int) -> Sequence[int]:
    """The `seq` of the posts that the next chunk takes; empty when too few wait."""
    pending = select(posts.c.seq).where(posts.c.chunk.is_(None)).order_by(posts.c.seq).limit(size)
    bound = _old_before(connection, size)
    if bound is None:
        chosen = connection.scalars(pending).all()
        return chosen if len(chosen) == size else []
    recent = connection.scalars(pending.where(posts.c.posted_at >= bound)).all()
    old = connection.scalars(pending.where(posts.c.posted_at < bound)).all()
    if len(old) == size:
        return recent if len(recent) == size else old
    if len(recent) < size:
        return []
    # Nothing old came while a whole chunk of new posts did: the backfill is over.
    left = [seq for seq in old if seq < recent[0]][: (size - 1) // 2]
    return [*left, *recent[: size - len(left)]]
