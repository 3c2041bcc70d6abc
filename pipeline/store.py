"""The live database: what is still moving. SQLite in WAL mode by default, PostgreSQL by URL.

Every method is one transaction. Methods that write take SQLite's write lock at their start, so that two
processes wait for each other instead of failing half-way.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    case,
    create_engine,
    delete,
    event,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from pipeline import clock
from pipeline.label.answer import Answer
from pipeline.tables import crawl_failures, crawl_marks, feedback, labels, posts, predictions

MIGRATIONS = Path(__file__).parent / "migrations"
_BATCH = 500  # rows a statement; SQLite takes at most 32,766 variables


class StoreError(RuntimeError):
    """The database can't be opened or used. The message names its URL and the way out."""


@dataclass(frozen=True, slots=True)
class Post:
    """One post as collected. Times are aware; counts are None where the page did not say."""

    board_id: int
    post_id: int
    category: str | None
    job_group: str | None
    job: str | None
    title: str
    body: str
    url: str
    posted_at: datetime
    collected_at: datetime
    views: int | None = None
    recommends: int | None = None
    comments: int | None = None


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a person said about a text: `label` is the person's, `predicted` was the model's."""

    text: str
    label: int
    predicted: int | None = None
    confidence: float | None = None
    model_version: str | None = None
    board_id: int | None = None
    post_id: int | None = None
    client: str | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """The production model's view of one collected post."""

    board_id: int
    post_id: int
    label: int
    confidence: float


class Store:
    """The live database at `url` (an SQLAlchemy URL). Creates and migrates its tables when opened.

    Raises StoreError when the URL can't be used.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise StoreError(
                f"DATABASE_URL={url!r} is not a database URL, for example sqlite:///data/live/maple.db"
            ) from None
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite and parsed.database and parsed.database != ":memory:":
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        self.engine = create_engine(parsed, pool_pre_ping=not self.is_sqlite)
        if self.is_sqlite:
            _prepare_sqlite(self.engine)
        self._migrate()

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection on one consistent state of the database."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that holds SQLite's write lock from its start; commits at the end or rolls back."""
        with self.engine.execution_options(maple_write=True).begin() as connection:
            yield connection

    def _migrate(self) -> None:
        from alembic import command
        from alembic.config import Config
        from alembic.script import ScriptDirectory

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        head = ScriptDirectory.from_config(config).get_current_head()
        with self.reading() as connection:
            migrated = inspect(connection).has_table("alembic_version")
            if migrated and connection.scalar(text("SELECT version_num FROM alembic_version")) == head:
                return
        with self.writing() as connection:  # a second process waits here, then finds nothing to do
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def _insert(self, table: Any) -> Any:
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    # --- collecting -------------------------------------------------------------------------------

    def known_posts(self, board_id: int, post_ids: Sequence[int]) -> set[int]:
        """Which of these post ids of a board are stored, or recorded as gone for good."""
        found: set[int] = set()
        with self.reading() as connection:
            for batch in _batches(post_ids):
                for table, extra in ((posts, ()), (crawl_failures, (crawl_failures.c.kind == "gone",))):
                    query = select(table.c.post_id).where(
                        table.c.board_id == board_id, table.c.post_id.in_(batch), *extra
                    )
                    found.update(connection.scalars(query))
        return found

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

    def crawl_mark(self, board_id: int) -> int | None:
        """The post id up to which a board has been walked completely, or None."""
        with self.reading() as connection:
            return connection.scalar(select(crawl_marks.c.post_id).where(crawl_marks.c.board_id == board_id))

    def set_crawl_mark(self, board_id: int, post_id: int) -> None:
        """Everything of the board up to this id has been walked."""
        moment = clock.iso(clock.now())
        statement = self._insert(crawl_marks).values(board_id=board_id, post_id=post_id, updated_at=moment)
        with self.writing() as connection:
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["board_id"], set_={"post_id": post_id, "updated_at": moment}
                )
            )

    # --- freezing ---------------------------------------------------------------------------------

    def count_pending(self) -> tuple[int, int]:
        """How many posts and how many corrections are not frozen yet."""
        with self.reading() as connection:
            return (
                connection.scalar(select(func.count()).select_from(posts).where(posts.c.chunk.is_(None))) or 0,
                connection.scalar(select(func.count()).select_from(feedback).where(feedback.c.archive.is_(None))) or 0,
            )

    def last_chunk(self) -> int:
        """The number of the newest chunk, 0 when none was cut."""
        with self.reading() as connection:
            return connection.scalar(select(func.max(posts.c.chunk))) or 0

    def last_archive(self) -> int:
        """The number of the newest feedback archive, 0 when there is none."""
        with self.reading() as connection:
            return connection.scalar(select(func.max(feedback.c.archive))) or 0

    def assign_chunk(self, size: int, after: int = 0) -> int | None:
        """Give the oldest `size` pending posts the next chunk number. None when fewer are pending.

        `after` is the highest number known elsewhere (Git tags): a new database goes on counting from there.
        """
        with self.writing() as connection:
            oldest = select(posts.c.seq).where(posts.c.chunk.is_(None)).order_by(posts.c.seq).limit(size)
            pending = connection.scalars(oldest).all()
            if len(pending) < size:
                return None
            number = max(after, connection.scalar(select(func.max(posts.c.chunk))) or 0) + 1
            connection.execute(
                update(posts)
                .where(posts.c.chunk.is_(None), posts.c.seq >= pending[0], posts.c.seq <= pending[-1])
                .values(chunk=number)
            )
            return number

    def posts_of_chunk(self, number: int) -> list[dict[str, Any]]:
        """The rows of a chunk in order of collection."""
        query = select(posts).where(posts.c.chunk == number).order_by(posts.c.seq)
        with self.reading() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

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
        """The answers that this labeler has already given to these texts, by text hash."""
        found = {}
        with self.reading() as connection:
            for batch in _batches(hashes):
                query = select(labels).where(labels.c.text_hash.in_(batch), labels.c.labeler == labeler)
                for row in connection.execute(query).mappings():
                    scores = tuple(json.loads(row["scores"])) if row["scores"] else None
                    found[row["text_hash"]] = Answer(
                        label=row["label"], confidence=row["confidence"], scores=scores, note=row["note"]
                    )
        return found

    def save_answers(self, labeler: str, answers: Sequence[tuple[str, Answer]]) -> None:
        """Keep answers by text hash. The first answer to a text stands: a text is never labelled twice."""
        moment = clock.iso(clock.now())
        with self.writing() as connection:
            for text_hash, answer in answers:
                statement = self._insert(labels).values(
                    text_hash=text_hash,
                    labeler=labeler,
                    label=answer.label,
                    confidence=answer.confidence,
                    scores=json.dumps(answer.scores) if answer.scores else None,
                    note=answer.note,
                    created_at=moment,
                )
                connection.execute(statement.on_conflict_do_nothing())

    def set_post_labels(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the LLM's labels beside the posts: rows of board_id, post_id, label, confidence, labeler."""
        with self.writing() as connection:
            for row in rows:
                connection.execute(
                    update(posts)
                    .where(posts.c.board_id == row["board_id"], posts.c.post_id == row["post_id"])
                    .values(label=row["label"], confidence=row["confidence"], labeler=row["labeler"])
                )

    # --- scoring ----------------------------------------------------------------------------------

    def posts_to_score(self, model_version: str, limit: int) -> list[dict[str, Any]]:
        """Posts that this model version has not scored, newest first, at most `limit`."""
        scored = (predictions.c.board_id == posts.c.board_id) & (predictions.c.post_id == posts.c.post_id)
        query = (
            select(posts.c.board_id, posts.c.post_id, posts.c.title, posts.c.body)
            .outerjoin(predictions, scored)
            .where(predictions.c.model_version.is_(None) | (predictions.c.model_version != model_version))
            .order_by(posts.c.seq.desc())
            .limit(limit)
        )
        with self.reading() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def posts_without_keywords(self, limit: int) -> list[dict[str, Any]]:
        """Posts whose keywords were not extracted yet, newest first, at most `limit`."""
        query = (
            select(posts.c.seq, posts.c.title, posts.c.body)
            .where(posts.c.keywords.is_(None))
            .order_by(posts.c.seq.desc())
            .limit(limit)
        )
        with self.reading() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def save_keywords(self, rows: Sequence[tuple[int, str]]) -> None:
        """Keep the keywords (space-separated) of posts, by `seq`."""
        with self.writing() as connection:
            for seq, keywords in rows:
                connection.execute(update(posts).where(posts.c.seq == seq).values(keywords=keywords))

    def save_predictions(self, model_version: str, rows: Sequence[Prediction]) -> None:
        """Keep the newest prediction of each post."""
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

    # --- people -----------------------------------------------------------------------------------

    def add_feedback(self, item: Feedback) -> int:
        """Store what a person said. Returns the row's id."""
        row = {field.name: getattr(item, field.name) for field in fields(Feedback)}
        with self.writing() as connection:
            result = connection.execute(insert(feedback).values(created_at=clock.iso(clock.now()), **row))
            return int(result.inserted_primary_key[0])  # type: ignore[index]

    # --- reading for the dashboard ----------------------------------------------------------------

    def moods(self, since: datetime, until: datetime) -> list[dict[str, Any]]:
        """Posts of a period with the mood that counts: a person's, else the LLM's, else the model's.

        Rows of board_id, post_id, job_group, job, title, url, posted_at, keywords, label (None when nobody has
        judged it) and source (human, llm, model or None). `until` is exclusive.
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
            .outerjoin(people, people.c.id == latest.c.id)
            .outerjoin(
                predictions,
                (predictions.c.board_id == posts.c.board_id) & (predictions.c.post_id == posts.c.post_id),
            )
            .where(posts.c.posted_at >= clock.iso(since), posts.c.posted_at < clock.iso(until))
            .order_by(posts.c.posted_at.desc())
        )
        with self.reading() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

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


def _batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]


def _prepare_sqlite(engine: Engine) -> None:
    """WAL, waiting instead of failing, and transactions that begin where we say they begin."""

    @event.listens_for(engine, "connect")
    def connect(dbapi_connection: Any, _: Any) -> None:
        dbapi_connection.isolation_level = None  # the driver's own BEGIN comes too late (SQLAlchemy's docs)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=60000", "foreign_keys=ON"):
            dbapi_connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("maple_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
