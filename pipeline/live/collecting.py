"""The collecting side of the live database: posts, pages that could not be read, how far boards were walked."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from pipeline import clock
from pipeline.live.changes import Changes, Text, set_gone
from pipeline.live.database import batches
from pipeline.live.records import Comment, Gap, Post, Progress, Visit
from pipeline.live.tables import (
    categories,
    comment_reads,
    comments,
    crawl_failures,
    crawl_gaps,
    crawl_progress,
    crawl_visits,
    posts,
    robots,
)


class Collected(Changes):
    """What the crawler asks of the live database. Every method is one transaction."""

    def known_posts(self, board_id: int, post_ids: Sequence[int], *, gone: bool = True) -> set[int]:
        """Which of these post ids of a board are stored, or (with `gone`) recorded as never to be read."""
        found: set[int] = set()
        with self.reading() as connection:
            for batch in batches(post_ids):
                query = select(posts.c.post_id).where(posts.c.board_id == board_id, posts.c.post_id.in_(batch))
                found.update(connection.scalars(query))
                if gone:
                    table = crawl_failures
                    query = select(table.c.post_id).where(
                        table.c.board_id == board_id,
                        table.c.post_id.in_(batch),
                        table.c.kind.in_(("gone", "excess")),
                    )
                    found.update(connection.scalars(query))
        return found

    def stored_posts(self) -> Iterator[dict[str, Any]]:
        """Every stored post (not comments) in order of collection, row by row: board_id, post_id, category, texts, url.

        One consistent state of the database, however long the caller takes.
        """
        columns = (posts.c.board_id, posts.c.post_id, posts.c.category, posts.c.title, posts.c.body, posts.c.url)
        query = select(*columns).where(posts.c.post_id > 0).order_by(posts.c.seq)  # negative: comments
        with self.reading() as connection:
            for row in connection.execution_options(yield_per=1000).execute(query).mappings():
                yield dict(row)

    def add_posts(self, new: Sequence[Post]) -> int:
        """Store posts in the order given, one transaction. A known (board_id, post_id) is left as it is.

        Returns how many were new.
        """
        names = [field.name for field in fields(Post)]
        added = 0
        with self.writing() as connection:
            for post in new:
                row = {name: getattr(post, name) for name in names}
                row["posted_at"], row["collected_at"] = (
                    clock.iso(post.posted_at),
                    clock.iso(post.collected_at),
                )
                statement = self._insert(posts).values(**row).on_conflict_do_nothing()
                added += connection.execute(statement).rowcount
        return added

    def record_failure(self, board_id: int, post_id: int | None, url: str, kind: str, detail: str) -> None:
        """Remember that a page (post_id None: the board's list) could not be read, and why."""
        moment = clock.iso(clock.now())
        row = {
            "board_id": board_id,
            "post_id": post_id or 0,
            "url": url,
            "kind": kind,
            "detail": detail[:500],
        }
        statement = self._insert(crawl_failures).values(**row, attempts=1, first_at=moment, last_at=moment)
        with self.writing() as connection:
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["board_id", "post_id"],
                    set_={**row, "attempts": crawl_failures.c.attempts + 1, "last_at": moment},
                )
            )

    def failed_attempts(self, board_id: int, post_ids: Sequence[int]) -> dict[int, int]:
        """How often each of these posts (0: the board's list) could not be read; without those that never failed."""
        table = crawl_failures
        found: dict[int, int] = {}
        with self.reading() as connection:
            for batch in batches(post_ids):
                query = select(table.c.post_id, table.c.attempts).where(
                    table.c.board_id == board_id, table.c.post_id.in_(batch)
                )
                found.update((row.post_id, row.attempts) for row in connection.execute(query))
        return found

    def clear_failure(self, board_id: int, post_id: int | None) -> None:
        """Forget a recorded failure: the page has been read."""
        with self.writing() as connection:
            connection.execute(
                delete(crawl_failures).where(
                    crawl_failures.c.board_id == board_id, crawl_failures.c.post_id == (post_id or 0)
                )
            )

    def failures(self) -> list[dict[str, Any]]:
        """Every recorded failure, newest first."""
        query = select(crawl_failures).order_by(crawl_failures.c.last_at.desc())
        with self.reading() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def progress(self, board_id: int) -> Progress | None:
        """How far a board has been walked; None before the first walk."""
        with self.reading() as connection:
            return _progress(connection, board_id)

    def change_progress(self, board_id: int, change: Callable[[Progress | None], Progress]) -> None:
        """Put what `change` makes of a board's progress in its place. It is given what stands there now."""
        with self.writing() as connection:
            new = change(_progress(connection, board_id))
            place = {"high_water": new.high_water, "low_water": new.low_water, "low_page": new.low_page}
            values = {**place, "updated_at": clock.iso(clock.now())}
            statement = self._insert(crawl_progress).values(board_id=board_id, **values)
            connection.execute(statement.on_conflict_do_update(index_elements=["board_id"], set_=values))
            connection.execute(delete(crawl_gaps).where(crawl_gaps.c.board_id == board_id))
            for gap in new.gaps:
                row = {"after": gap.after, "before": gap.before, "page": gap.page}
                connection.execute(insert(crawl_gaps).values(board_id=board_id, **row))

    def new_categories(self, board_id: int, names: Iterable[str]) -> list[str]:
        """Remember labels that the domain's table does not know. Returns those seen for the first time."""
        moment = clock.iso(clock.now())
        new = []
        with self.writing() as connection:
            for name in names:
                row = {"board_id": board_id, "category": name, "first_at": moment}
                statement = self._insert(categories).values(**row).on_conflict_do_nothing()
                if connection.execute(statement).rowcount:
                    new.append(name)
        return new

    # --- visits -----------------------------------------------------------------------------------

    def last_visit(self, board_id: int) -> Visit:
        """A board's last visit; an empty one when there was none."""
        with self.reading() as connection:
            row = connection.execute(select(crawl_visits).where(crawl_visits.c.board_id == board_id)).first()
        return Visit() if row is None else Visit(_moment(row.visited_at), _moment(row.blocked_until))

    def set_visit(self, board_id: int, visit: Visit) -> None:
        """Remember a board's visit in place of the last one."""
        times = {"visited_at": visit.began, "blocked_until": visit.blocked_until}
        values = {name: clock.iso(time) if time else None for name, time in times.items()}
        statement = self._insert(crawl_visits).values(board_id=board_id, **values)
        with self.writing() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["board_id"], set_=values))

    def count_posted(self, board_id: int, since: datetime, until: datetime) -> int:
        """How many stored posts of a board, without comments, were posted in [since, until). Reads an index alone."""
        span = (posts.c.posted_at >= clock.iso(since), posts.c.posted_at < clock.iso(until))
        query = select(func.count()).where(posts.c.board_id == board_id, *span, posts.c.post_id > 0)
        with self.reading() as connection:
            return connection.scalar(query) or 0

    def kept_robots(self, url: str) -> tuple[str, datetime] | None:
        """The robots.txt at this address as it was last read, and when; None without a usable one."""
        with self.reading() as connection:
            row = connection.execute(select(robots).where(robots.c.url == url)).first()
        moment = _moment(row.fetched_at) if row else None
        return (row.text, moment) if row and moment else None

    def keep_robots(self, url: str, text: str, fetched_at: datetime) -> None:
        """Keep a robots.txt for the next runs."""
        values = {"text": text, "fetched_at": clock.iso(fetched_at)}
        statement = self._insert(robots).values(url=url, **values)
        with self.writing() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["url"], set_=values))

    # --- comments ---------------------------------------------------------------------------------

    def comments_listed(self, board_id: int, post_ids: Sequence[int]) -> dict[int, int]:
        """For posts whose comments were read: how many the list had promised then."""
        table = comment_reads
        found: dict[int, int] = {}
        with self.reading() as connection:
            for batch in batches(post_ids):
                query = select(table.c.post_id, table.c.listed).where(
                    table.c.board_id == board_id, table.c.post_id.in_(batch)
                )
                found.update((row.post_id, row.listed) for row in connection.execute(query))
        return found

    def add_comments(
        self, board_id: int, post_id: int, new: Sequence[Comment], listed: int, as_posts: bool = False
    ) -> int:
        """Store a post's comments, one transaction: all that there are now. Returns how many were new.

        `listed`: how many the list promised. Known ones that were edited say what they say now, and those that are not
        there any more do not show (`pipeline.live.changes`). `as_posts`: new ones become posts too, with the negative
        of the comment's row id as post id (it can't meet one of the site's) and group and job of the post above.
        """
        moment = clock.iso(clock.now())
        added = 0
        with self.writing() as connection:
            above = connection.execute(
                select(posts).where(posts.c.board_id == board_id, posts.c.post_id == post_id)
            ).first()
            mine = comments.c.board_id == board_id, comments.c.post_id == post_id
            known = {row.comment_id: row for row in connection.execute(select(comments).where(*mine))}
            for comment in new:
                row = {name: getattr(comment, name) for name in ("comment_id", "parent_id", "text", "recommends")}
                if (old := known.get(comment.comment_id)) is not None:
                    if old.text != comment.text:
                        connection.execute(update(comments).where(comments.c.id == old.id).values(text=comment.text))
                        if above is not None:
                            text = Text(above.category, above.job_group, above.job, comment.text, "")
                            self.change_text(connection, board_id, -old.id, text)
                    continue
                row |= {"board_id": board_id, "post_id": post_id, "collected_at": moment}
                row["posted_at"] = clock.iso(comment.posted_at)
                statement = self._insert(comments).values(**row).on_conflict_do_nothing().returning(comments.c.id)
                number = connection.scalar(statement)
                if number is None:  # it stands twice in the answer
                    continue
                added += 1
                if as_posts and above is not None:
                    shared = {name: getattr(above, name) for name in ("category", "job_group", "job", "url")}
                    own = {"title": comment.text, "body": "", "recommends": comment.recommends}
                    times = {"posted_at": row["posted_at"], "collected_at": moment}
                    values = {"board_id": board_id, "post_id": -number, **shared, **own, **times}
                    connection.execute(self._insert(posts).values(**values).on_conflict_do_nothing())
            there = {comment.comment_id for comment in new}
            if len(new) * 2 >= listed:  # else the answer was none that can be believed
                gone = [-row.id for comment_id, row in known.items() if comment_id not in there]
                set_gone(connection, board_id, gone, moment)
            set_gone(connection, board_id, [-row.id for i, row in known.items() if i in there], None)
            read = {"listed": listed, "read_at": moment}
            statement = self._insert(comment_reads).values(board_id=board_id, post_id=post_id, **read)
            connection.execute(statement.on_conflict_do_update(index_elements=["board_id", "post_id"], set_=read))
        return added


def _progress(connection: Connection, board_id: int) -> Progress | None:
    row = connection.execute(select(crawl_progress).where(crawl_progress.c.board_id == board_id)).first()
    if row is None:
        return None
    query = select(crawl_gaps).where(crawl_gaps.c.board_id == board_id).order_by(crawl_gaps.c.after)
    gaps = tuple(Gap(gap.after, gap.before, gap.page) for gap in connection.execute(query))
    return Progress(row.high_water, row.low_water, row.low_page, gaps)


def _moment(text: str | None) -> datetime | None:
    """A stored time; None for none, and for what is no time."""
    try:
        return clock.parse_iso(text) if text else None
    except ValueError:
        return None
