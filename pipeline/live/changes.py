"""Posts that change after they were collected: edited ones show what they say now, deleted ones do not show any more.

What a chunk has frozen stays as it was, so that its file can be written again with the same bytes: the first text of a
post that was edited after it was cut is kept apart (`frozen_texts`). Everything that was derived from the old text is
made anew: keywords and the model's mood by the next scoring, while the LLM's label and people's opinions of the old
text no longer count for what is shown. A deleted post keeps its place in its chunk, too; only the page leaves it out.
One that is seen again shows again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, Row, delete, literal, select, tuple_, update

from pipeline import clock
from pipeline.live.database import Database, batches
from pipeline.live.tables import comments, crawl_visits, frozen_texts, posts, predictions

WIDEST = 20  # ids between two neighbours of a list that may all be of deleted posts; more are left to a reading


@dataclass(frozen=True, slots=True)
class Noticed:
    """What a list page says of stored posts: those with another title than it had, and how many are missing."""

    retitled: frozenset[int] = frozenset()
    gone: int = 0


@dataclass(frozen=True, slots=True)
class Text:
    """What a post says: its category, the job that it is about, title and body."""

    category: str | None
    job_group: str | None
    job: str | None
    title: str
    body: str


class Changes(Database):
    """What the crawler notes of posts that it has stored before. Every method is one transaction."""

    def note_listed(self, board_id: int, shown: Sequence[tuple[int, str | None]], *, whole: bool) -> Noticed:
        """Compare a list page with what is stored: post ids and titles in its order (None: not comparable).

        Posts between two neighbours of a `whole` page (no row of it unread) that it does not show are deleted; those
        that it shows are not.
        """
        ids = [post_id for post_id, _ in shown]
        if any(above <= below for above, below in pairwise(ids)):
            return Noticed()  # not in order: nothing stands between neighbours
        titles = dict(shown)
        narrow = [(above, below) for above, below in pairwise(ids) if above - below <= WIDEST] if whole else []
        between = [post_id for above, below in narrow for post_id in range(below + 1, above)]
        columns = (posts.c.post_id, posts.c.listed_title, posts.c.gone_at)
        stored: dict[int, Row[Any]] = {}
        with self.reading() as connection:
            for batch in batches([*ids, *between]):
                query = select(*columns).where(posts.c.board_id == board_id, posts.c.post_id.in_(batch))
                stored |= {row.post_id: row for row in connection.execute(query)}
        first = {i: titles[i] for i in ids if i in stored and titles[i] and stored[i].listed_title is None}
        back = [i for i in ids if i in stored and stored[i].gone_at]
        gone = [i for i in between if i in stored and not stored[i].gone_at]
        if first or back or gone:
            with self.writing() as connection:
                for post_id, title in first.items():
                    mine = posts.c.board_id == board_id, posts.c.post_id == post_id
                    connection.execute(update(posts).where(*mine).values(listed_title=title))
                set_gone(connection, board_id, back, None)
                set_gone(connection, board_id, gone, clock.iso(clock.now()))
        retitled = [i for i in ids if i in stored and titles[i] and stored[i].listed_title not in (None, titles[i])]
        return Noticed(frozenset(retitled), len(gone))

    def texts(self, board_id: int, post_ids: Sequence[int]) -> dict[int, Text]:
        """What stored posts say, by post id."""
        found: dict[int, Text] = {}
        columns = [posts.c[name] for name in ("category", "job_group", "job", "title", "body")]
        with self.reading() as connection:
            for batch in batches(post_ids):
                query = select(posts.c.post_id, *columns).where(
                    posts.c.board_id == board_id, posts.c.post_id.in_(batch)
                )
                found |= {row.post_id: Text(*row[1:]) for row in connection.execute(query)}
        return found

    def note_read(self, board_id: int, post_id: int, text: Text, listed_title: str | None) -> bool:
        """A stored post was read again and says this. True when it had said something else."""
        with self.writing() as connection:
            set_gone(connection, board_id, [post_id], None)
            if listed_title is not None:
                mine = posts.c.board_id == board_id, posts.c.post_id == post_id
                connection.execute(update(posts).where(*mine).values(listed_title=listed_title))
            return self.change_text(connection, board_id, post_id, text)

    def note_gone(self, board_id: int, post_ids: Sequence[int]) -> None:
        """Stored posts were found deleted, and with them the comments that count as posts."""
        with self.writing() as connection:
            set_gone(connection, board_id, post_ids, clock.iso(clock.now()))

    def posts_to_reread(
        self, board_id: int, after: tuple[datetime, int], until: datetime, limit: int
    ) -> list[tuple[datetime, int, datetime]]:
        """Posts posted after `after` (time and post id) until `until`: posted, post id, collected; the oldest first."""
        place = tuple_(posts.c.posted_at, posts.c.post_id)
        query = (
            select(posts.c.posted_at, posts.c.post_id, posts.c.collected_at)
            .where(
                posts.c.board_id == board_id,
                posts.c.post_id > 0,
                place > tuple_(literal(clock.iso(after[0])), literal(after[1])),
                posts.c.posted_at <= clock.iso(until),
            )
            .order_by(posts.c.posted_at, posts.c.post_id)
            .limit(limit)
        )
        with self.reading() as connection:
            rows = connection.execute(query).all()
        return [(clock.parse_iso(row[0]), row[1], clock.parse_iso(row[2])) for row in rows]

    def reread_place(self, board_id: int) -> tuple[datetime, int] | None:
        """Up to which post (time and id) posts have been read again; None before the first."""
        columns = (crawl_visits.c.reread_time, crawl_visits.c.reread_post)
        with self.reading() as connection:
            row = connection.execute(select(*columns).where(crawl_visits.c.board_id == board_id)).first()
        return (clock.parse_iso(row[0]), row[1]) if row and row[0] else None

    def set_reread_place(self, board_id: int, place: tuple[datetime, int]) -> None:
        """Posts up to this one (time and id) have been read again."""
        values = {"reread_time": clock.iso(place[0]), "reread_post": place[1]}
        statement = self._insert(crawl_visits).values(board_id=board_id, **values)
        with self.writing() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["board_id"], set_=values))

    def change_text(self, connection: Connection, board_id: int, post_id: int, text: Text) -> bool:
        """Put another text in the place of a stored post's. True when it is another one."""
        mine = posts.c.board_id == board_id, posts.c.post_id == post_id
        old = connection.execute(select(posts).where(*mine)).mappings().first()
        if old is None or (old["title"], old["body"]) == (text.title, text.body):
            return False
        if old["chunk"] is not None:
            kept = {name: old[name] for name in ("board_id", "post_id", "job_group", "job", "title", "body")}
            connection.execute(self._insert(frozen_texts).values(**kept).on_conflict_do_nothing())  # the first stays
        values: Mapping[str, Any] = {
            **{name: getattr(text, name) for name in Text.__slots__},
            "edited_at": clock.iso(clock.now()),
            **dict.fromkeys(("keywords", "keywords_version", "scored_by", "label", "confidence", "labeler")),
        }
        connection.execute(update(posts).where(*mine).values(**values))
        connection.execute(
            delete(predictions).where(predictions.c.board_id == board_id, predictions.c.post_id == post_id)
        )
        return True


def set_gone(connection: Connection, board_id: int, post_ids: Sequence[int], moment: str | None) -> None:
    """Mark posts, and the comments below them that count as posts, as deleted at a moment, or as there (None)."""
    differs = posts.c.gone_at.is_not(None) if moment is None else posts.c.gone_at.is_(None)
    for batch in batches(post_ids):
        below = select(-comments.c.id).where(comments.c.board_id == board_id, comments.c.post_id.in_(batch))
        them = posts.c.post_id.in_(batch) | posts.c.post_id.in_(below)
        connection.execute(update(posts).where(posts.c.board_id == board_id, them, differs).values(gone_at=moment))
