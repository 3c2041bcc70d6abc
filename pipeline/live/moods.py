"""What the page asks of the live database: moods of a period, and counts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, FromClause, case, func, select, tuple_

from pipeline import clock
from pipeline.live.database import Database
from pipeline.live.tables import feedback, posts, predictions


class Moods(Database):
    """The reading side of the live database."""

    def count_pending(self) -> tuple[int, int]:
        """How many posts and how many corrections are not frozen yet."""
        with self.reading() as connection:
            return (
                connection.scalar(select(func.count()).select_from(posts).where(posts.c.chunk.is_(None))) or 0,
                connection.scalar(select(func.count()).select_from(feedback).where(feedback.c.archive.is_(None))) or 0,
            )

    def moods(self, since: datetime, until: datetime) -> list[dict[str, Any]]:
        """Posts of a period with the mood that counts: a person's, else the LLM's, else the model's.

        Rows of board_id, post_id, job_group, job, title, url, posted_at, keywords, label (None when nobody has
        judged it) and source (human, llm, model or None). `until` is exclusive. Deleted posts are left out; of edited
        ones only opinions of what they say now count.
        """
        latest = (
            select(feedback.c.board_id, feedback.c.post_id, func.max(feedback.c.id).label("id"))
            .where(feedback.c.post_id.is_not(None))
            .group_by(feedback.c.board_id, feedback.c.post_id)
            .subquery()
        )
        people = feedback.alias("people")
        query = (
            select(
                posts.c.board_id,
                posts.c.post_id,
                posts.c.job_group,
                posts.c.job,
                posts.c.title,
                posts.c.url,
                posts.c.posted_at,
                posts.c.keywords,
                func.coalesce(people.c.label, posts.c.label, predictions.c.label).label("label"),
                case(
                    (people.c.label.is_not(None), "human"),
                    (posts.c.label.is_not(None), "llm"),
                    (predictions.c.label.is_not(None), "model"),
                ).label("source"),
            )
            .outerjoin(latest, (latest.c.board_id == posts.c.board_id) & (latest.c.post_id == posts.c.post_id))
            .outerjoin(people, (people.c.id == latest.c.id) & _of_this_text(people))
            .outerjoin(
                predictions,
                (predictions.c.board_id == posts.c.board_id) & (predictions.c.post_id == posts.c.post_id),
            )
            .where(posts.c.posted_at >= clock.iso(since), posts.c.posted_at < clock.iso(until))
            .where(posts.c.gone_at.is_(None))
            .order_by(posts.c.posted_at.desc())
        )
        with self.reading() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def last_collected_at(self) -> str | None:
        """When the newest stored post was collected (ISO 8601, KST); None before the first."""
        with self.reading() as connection:
            return connection.scalar(select(posts.c.collected_at).order_by(posts.c.seq.desc()).limit(1))

    def posts_nobody_judged(self, ids: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
        """Of these posts (board, post id) the stored ones that no person has judged, in the order given.

        Without those that were deleted or edited since: their labels are of a text that nobody can see any more. Rows
        of board_id, post_id, title, body, url. At most 200 ids: they go into one query.
        """
        post, answered = tuple_(posts.c.board_id, posts.c.post_id), tuple_(feedback.c.board_id, feedback.c.post_id)
        columns = (posts.c.board_id, posts.c.post_id, posts.c.title, posts.c.body, posts.c.url)
        with self.reading() as connection:
            judged = {tuple(row) for row in connection.execute(select(*answered.clauses).where(answered.in_(ids)))}
            same = posts.c.gone_at.is_(None), posts.c.edited_at.is_(None)
            rows = connection.execute(select(*columns).where(post.in_(ids), *same)).mappings()
            found = {(row["board_id"], row["post_id"]): dict(row) for row in rows}
        return [found[key] for key in ids if key in found and key not in judged]

    def summary(self) -> dict[str, Any]:
        """Counts for the page and the gate's message: posts, labelled, pending posts and corrections, newest time."""
        pending_posts, pending_feedback = self.count_pending()
        with self.reading() as connection:
            return {
                "posts": connection.scalar(select(func.count()).select_from(posts)) or 0,
                "feedback": connection.scalar(select(func.count()).select_from(feedback)) or 0,
                "pending_posts": pending_posts,
                "pending_feedback": pending_feedback,
                "newest": connection.scalar(select(func.max(posts.c.posted_at))),
                "oldest": connection.scalar(select(func.min(posts.c.posted_at))),
            }


def _of_this_text(people: FromClause) -> ColumnElement[bool]:
    """An opinion from before a post was edited is one of another text."""
    return posts.c.edited_at.is_(None) | (people.c.created_at >= posts.c.edited_at)
