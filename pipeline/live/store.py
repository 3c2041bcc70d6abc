"""The store: all that is asked of the live database, and here what scoring and people put into it.

Every method is one transaction. Methods that write take SQLite's write lock at their start, so that two
processes wait for each other instead of failing half-way.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, func, insert, select, update

from pipeline import clock
from pipeline.live.collecting import Collected
from pipeline.live.freezing import Freezing
from pipeline.live.labelling import Labelling
from pipeline.live.moods import Moods
from pipeline.live.records import Feedback, Prediction
from pipeline.live.tables import feedback, posts, predictions


class Store(Collected, Freezing, Labelling, Moods):
    """The live database at `url` (an SQLAlchemy URL). Creates and migrates its tables when opened.

    What the steps of the loop ask stands in `collecting`, `freezing` and `labelling`, what the page asks in `moods`.
    Raises StoreError when the URL can't be used.
    """

    # --- scoring ----------------------------------------------------------------------------------

    def posts_to_score(self, scorer: str, limit: int) -> list[dict[str, Any]]:
        """Posts without a prediction by this scorer (model and tokenizer), at most `limit`: the new ones first.

        Rows of board_id, post_id, title, body. Reads an index, however many posts there are.
        """
        columns = (posts.c.board_id, posts.c.post_id, posts.c.title, posts.c.body)
        with self.reading() as connection:
            return _made_by_others(connection, posts.c.scored_by, scorer, columns, limit)

    def posts_without_keywords(self, version: str, limit: int) -> list[dict[str, Any]]:
        """Posts without keywords by this version, at most `limit`: the new ones first. Rows of seq, title, body."""
        columns = (posts.c.seq, posts.c.title, posts.c.body)
        with self.reading() as connection:
            return _made_by_others(connection, posts.c.keywords_version, version, columns, limit)

    def save_keywords(self, version: str, rows: Sequence[tuple[int, str]]) -> None:
        """Keep the keywords (space-separated) of posts, by `seq`, and what made them (at most 16 characters)."""
        with self.writing() as connection:
            for seq, keywords in rows:
                values = {"keywords": keywords, "keywords_version": version}
                connection.execute(update(posts).where(posts.c.seq == seq).values(**values))

    def save_predictions(self, model_version: str, rows: Sequence[Prediction], scorer: str | None = None) -> None:
        """Keep the newest prediction of each post, and what made it (at most 40 characters; default: the model)."""
        moment = clock.iso(clock.now())
        with self.writing() as connection:
            for row in rows:
                values = {
                    "model_version": model_version,
                    "label": row.label,
                    "confidence": row.confidence,
                    "predicted_at": moment,
                }
                statement = self._insert(predictions).values(board_id=row.board_id, post_id=row.post_id, **values)
                connection.execute(statement.on_conflict_do_update(index_elements=["board_id", "post_id"], set_=values))
                post = (posts.c.board_id == row.board_id) & (posts.c.post_id == row.post_id)
                connection.execute(update(posts).where(post).values(scored_by=scorer or model_version))

    # --- people -----------------------------------------------------------------------------------

    def add_feedback(self, item: Feedback) -> int:
        """Store what a person said. Returns the row's id."""
        with self.writing() as connection:
            result = connection.execute(insert(feedback).values(**_feedback_row(item)))
            return int(result.inserted_primary_key[0])  # type: ignore[index]

    def add_missing_feedback(self, source: str, items: Sequence[Feedback]) -> int:
        """Store those corrections of a source that are not there yet, in the order given. Returns how many.

        Of equal ones (text and label) the n-th is there when the source has n of them: a list that has grown adds what
        is new, a list that is the same adds nothing.
        """
        query = select(feedback.c.text, feedback.c.label).where(feedback.c.source == source)
        with self.writing() as connection:
            there = Counter((row.text, row.label) for row in connection.execute(query))
            added = 0
            for item in items:
                if there[item.text, item.label] > 0:
                    there[item.text, item.label] -= 1
                else:
                    connection.execute(insert(feedback).values(**_feedback_row(replace(item, source=source))))
                    added += 1
            return added

    def stored_feedback(self) -> Iterator[dict[str, Any]]:
        """Every correction in order of arrival, row by row. One consistent state, however long the caller takes."""
        with self.reading() as connection:
            rows = connection.execution_options(yield_per=1000).execute(select(feedback).order_by(feedback.c.id))
            for row in rows.mappings():
                yield dict(row)


def _made_by_others(
    connection: Connection, column: Column[Any], version: str, columns: Sequence[Column[Any]], limit: int
) -> list[dict[str, Any]]:
    """Posts whose `column` is another version or none, newest first: those with none, then version by version.

    Each step is one look into an index of (column, seq); there are few versions.
    """

    def newest(where: ColumnElement[bool], count: int) -> list[dict[str, Any]]:
        query = select(*columns).where(where).order_by(posts.c.seq.desc()).limit(count)
        return [dict(row) for row in connection.execute(query).mappings()]

    found = newest(column.is_(None), limit)
    other = connection.scalar(select(func.max(column)))
    while other is not None and len(found) < limit:
        if other != version:
            found += newest(column == other, limit - len(found))
        other = connection.scalar(select(func.max(column)).where(column < other))
    return found


def _feedback_row(item: Feedback) -> dict[str, Any]:
    return {"created_at": clock.iso(clock.now())} | {name.name: getattr(item, name.name) for name in fields(Feedback)}
