"""The store: what labelling, freezing, scoring and people ask of the live database, and put into it.

Every method is one transaction. Methods that write take SQLite's write lock at their start, so that two
processes wait for each other instead of failing half-way.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, delete, func, insert, literal, or_, select, update

from pipeline import clock
from pipeline.live.collecting import Collected
from pipeline.live.database import batches
from pipeline.live.moods import Moods
from pipeline.live.records import Answer, Feedback, LabelFailure, Prediction
from pipeline.live.tables import feedback, frozen_texts, label_failures, labels, labels_set_aside, posts, predictions

ASKED_IN_VAIN = 3  # runs after which a text without a label is not asked again
_FROZEN = ("job_group", "job", "title", "body")
_OLD_AFTER = timedelta(days=30)  # how far a post may lie behind the newest ones and still count as of late


class Store(Collected, Moods):
    """The live database at `url` (an SQLAlchemy URL). Creates and migrates its tables when opened.

    Collecting stands in `collecting`, reading for the page in `moods`. Raises StoreError when the URL can't be used.
    """

    # --- freezing ---------------------------------------------------------------------------------

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

    # --- labelling --------------------------------------------------------------------------------

    def cached_answers(self, hashes: Sequence[str], labeler: str) -> dict[str, Answer]:
        """The answers that stand of those that this labeler has given to these texts, by text hash.

        A text without a label is missing as long as it is worth asking again (`save_answers`).
        """
        found = {}
        with self.reading() as connection:
            for batch in batches(hashes):
                query = select(labels).where(labels.c.text_hash.in_(batch), labels.c.labeler == labeler, _stands())
                for row in connection.execute(query).mappings():
                    found[row["text_hash"]] = Answer(
                        label=row["label"],
                        confidence=row["confidence"],
                        scores=tuple(json.loads(row["scores"])) if row["scores"] else None,
                        note=row["note"],
                        kind=row["kind"],
                        lasting=row["label"] is None,
                    )
        return found

    def count_answers(self) -> int:
        """How many answers of any labeler are kept."""
        with self.reading() as connection:
            return connection.scalar(select(func.count()).select_from(labels)) or 0

    def save_answers(self, labeler: str, answers: Sequence[tuple[str, Answer]]) -> None:
        """Keep answers by text hash. The first label of a text stands: a text is never labelled twice.

        A text without a label is asked again by later runs, unless that lasts, or `ASKED_IN_VAIN` runs have tried.
        """
        moment = clock.iso(clock.now())
        with self.writing() as connection:
            for text_hash, answer in answers:
                values = {
                    "label": answer.label,
                    "confidence": answer.confidence,
                    "scores": json.dumps(answer.scores) if answer.scores else None,
                    "note": answer.note,
                    "created_at": moment,
                    "kind": str(answer.kind),
                    "lasting": answer.lasting,
                }
                statement = self._insert(labels).values(text_hash=text_hash, labeler=labeler, **values)
                connection.execute(
                    statement.on_conflict_do_update(
                        index_elements=["text_hash", "labeler"],
                        set_=values | {"runs": labels.c.runs + 1},
                        where=~_stands(),
                    )
                )

    def accept_answers(self, hashes: Sequence[str], labeler: str) -> None:
        """Mark answers as those of a chunk that was written: they are not set aside later."""
        with self.writing() as connection:
            for batch in batches(hashes):
                mine = labels.c.text_hash.in_(batch), labels.c.labeler == labeler
                connection.execute(update(labels).where(*mine).values(accepted=True))

    def set_answers_aside(self, hashes: Sequence[str], labeler: str, reason: str, *, unlabelled: bool = False) -> int:
        """Move answers to where they are kept and never used; the texts will be asked anew. Returns how many.

        Of a written chunk's answers none is moved, or (with `unlabelled`) of any chunk's those without a label.
        """
        moment = clock.iso(clock.now())
        columns = [column.name for column in labels_set_aside.c if column.name in labels.c]
        moved = 0
        with self.writing() as connection:
            for batch in batches(hashes):
                mine = (
                    labels.c.text_hash.in_(batch),
                    labels.c.labeler == labeler,
                    labels.c.label.is_(None) if unlabelled else ~labels.c.accepted,
                )
                kept = select(*(labels.c[name] for name in columns), literal(reason), literal(moment)).where(*mine)
                connection.execute(insert(labels_set_aside).from_select([*columns, "reason", "set_aside_at"], kept))
                moved += connection.execute(delete(labels).where(*mine)).rowcount
        return moved

    def label_failure(self, chunk: int) -> LabelFailure | None:
        """What the last attempt to label this chunk came to, if it failed."""
        with self.reading() as connection:
            row = connection.execute(select(label_failures).where(label_failures.c.chunk == chunk)).mappings().first()
        return LabelFailure(**{**row, "failed_at": clock.parse_iso(row["failed_at"])}) if row else None

    def save_label_failure(self, failure: LabelFailure) -> None:
        """Keep the latest failure of a chunk."""
        values = {name: getattr(failure, name) for name in ("setup", "failures", "kind", "reason")}
        values["failed_at"] = clock.iso(failure.failed_at)
        statement = self._insert(label_failures).values(chunk=failure.chunk, **values)
        with self.writing() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["chunk"], set_=values))

    def clear_label_failure(self, chunk: int) -> None:
        """The chunk is labelled."""
        with self.writing() as connection:
            connection.execute(delete(label_failures).where(label_failures.c.chunk == chunk))

    def set_post_labels(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the LLM's labels beside the posts: rows of board_id, post_id, label, confidence, labeler.

        Not beside a post that has been edited since it was cut: the label is that of another text.
        """
        with self.writing() as connection:
            for row in rows:
                mine = posts.c.board_id == row["board_id"], posts.c.post_id == row["post_id"]
                key = frozen_texts.c.board_id == row["board_id"], frozen_texts.c.post_id == row["post_id"]
                edited = select(frozen_texts.c.post_id).where(*key).exists()
                connection.execute(
                    update(posts)
                    .where(*mine, ~edited)
                    .values(label=row["label"], confidence=row["confidence"], labeler=row["labeler"])
                )

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


def _stands() -> ColumnElement[bool]:
    """An answer that is not asked for again."""
    return or_(labels.c.label.is_not(None), labels.c.lasting, labels.c.accepted, labels.c.runs >= ASKED_IN_VAIN)


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
