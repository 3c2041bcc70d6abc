"""What the page asks of the live database: moods of a period, and counts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Subquery, case, func, select, tuple_

from pipeline import clock
from pipeline.live.database import Database
from pipeline.live.records import ANONYMOUS
from pipeline.live.tables import feedback, posts, predictions

VOICES = 3  # sessions that must say the same before anonymous opinions count as people's


def people() -> Subquery:
    """What people have settled of posts: board_id, post_id and label.

    Of each session its latest opinion is one voice; so is that of each source with a name (`imported:old`). A named
    source outweighs any number of anonymous voices; then the majority counts, then what was said last. Anonymous
    opinions settle nothing before three sessions agree: one visitor's click is a hint, not a verdict. An opinion from
    before a post was edited is one of another text.
    """
    named = feedback.c.source != ANONYMOUS
    place = (feedback.c.board_id, feedback.c.post_id)
    newest_first = func.row_number().over(
        partition_by=(*place, feedback.c.source, feedback.c.client), order_by=feedback.c.id.desc()
    )
    voices = (
        select(
            *place, feedback.c.label, feedback.c.id, case((named, 1), else_=0).label("named"), newest_first.label("n")
        )
        .join(posts, (posts.c.board_id == feedback.c.board_id) & (posts.c.post_id == feedback.c.post_id))
        .where(posts.c.edited_at.is_(None) | (feedback.c.created_at >= posts.c.edited_at))
        .subquery()
    )
    counted = (
        select(
            voices.c.board_id,
            voices.c.post_id,
            voices.c.label,
            func.max(voices.c.named).label("named"),
            func.count().label("voices"),
            func.max(voices.c.id).label("last"),
        )
        .where(voices.c.n == 1)
        .group_by(voices.c.board_id, voices.c.post_id, voices.c.label)
        .subquery()
    )
    heaviest_first = func.row_number().over(
        partition_by=(counted.c.board_id, counted.c.post_id),
        order_by=(counted.c.named.desc(), counted.c.voices.desc(), counted.c.last.desc()),
    )
    ranked = select(counted, heaviest_first.label("n")).subquery()
    settled = (ranked.c.n == 1) & ((ranked.c.named == 1) | (ranked.c.voices >= VOICES))
    return select(ranked.c.board_id, ranked.c.post_id, ranked.c.label).where(settled).subquery("people")


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
        """Posts of a period with the mood that counts: people's (`people`), else the LLM's, else the model's.

        Rows of board_id, post_id, job_group, job, title, url, posted_at, keywords, label (None when nobody has
        judged it) and source (human, llm, model or None). `until` is exclusive. Deleted posts are left out; of edited
        ones only opinions of what they say now count.
        """
        said = people()
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
                func.coalesce(said.c.label, posts.c.label, predictions.c.label).label("label"),
                case(
                    (said.c.label.is_not(None), "human"),
                    (posts.c.label.is_not(None), "llm"),
                    (predictions.c.label.is_not(None), "model"),
                ).label("source"),
            )
            .outerjoin(said, (said.c.board_id == posts.c.board_id) & (said.c.post_id == posts.c.post_id))
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

    def posts_not_settled(self, ids: Sequence[tuple[int, int]], client: str = "") -> list[dict[str, Any]]:
        """Of these posts (board, post id) the stored ones that people have not settled (`people`), in the order given.

        Without those that `client` has answered, and those deleted or edited since: their labels are of a text that
        nobody can see any more. Rows of board_id, post_id, title, body, url. At most 200 ids: they go into one query.
        """
        post, answered = tuple_(posts.c.board_id, posts.c.post_id), tuple_(feedback.c.board_id, feedback.c.post_id)
        columns = (posts.c.board_id, posts.c.post_id, posts.c.title, posts.c.body, posts.c.url)
        said = people()
        settled = select(said.c.board_id, said.c.post_id).where(tuple_(said.c.board_id, said.c.post_id).in_(ids))
        own = select(*answered.clauses).where(answered.in_(ids), feedback.c.client == client)
        with self.reading() as connection:
            judged = {tuple(row) for query in (settled, own) for row in connection.execute(query)}
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
