"""The live database itself: opening, migrating, transactions. SQLite in WAL mode by default, PostgreSQL by URL.

What is asked of it stands in `pipeline.live.store` and its parts.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from pipeline.errors import UserError

MIGRATIONS = Path(__file__).parent / "migrations"
_BATCH = 500  # rows a statement; SQLite takes at most 32,766 variables


class StoreError(UserError):
    """The database can't be opened or used. The message names its URL and the way out."""


class Database:
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

    def __enter__(self) -> Self:
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


def batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The items in portions that one statement can take."""
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
