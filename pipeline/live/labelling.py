"""What labelling asks of the live database: the cache of the LLM's answers, failures, and labels beside the posts."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, literal, or_, select, update

from pipeline import clock
from pipeline.live.database import Database, batches
from pipeline.live.records import Answer, LabelFailure
from pipeline.live.tables import frozen_texts, label_failures, labels, labels_set_aside, posts

ASKED_IN_VAIN = 3  # runs after which a text without a label is not asked again


class Labelling(Database):
    """The labelling side of the live database. Every method is one transaction."""

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


def _stands() -> ColumnElement[bool]:
    """An answer that is not asked for again."""
    return or_(labels.c.label.is_not(None), labels.c.lasting, labels.c.accepted, labels.c.runs >= ASKED_IN_VAIN)
