"""The live database itself: opening, migrating, transactions. SQLite in WAL mode by default, PostgreSQL by URL.

What is asked of it stands in `pipeline.live.store` and its parts. Whatever goes wrong with the database itself (locked,
full, not there, of a newer version) is a StoreError: one sentence that names it and the way out.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError

from pipeline.errors import UserError

MIGRATIONS = Path(__file__).parent / "migrations"
PATIENCE = 60.0  # seconds that a statement waits for SQLite's lock; a backup of a large file takes some
TRIES = 2  # for the write lock, so often
_BATCH = 500  # rows a statement; SQLite takes at most 32,766 variables

log = logging.getLogger(__name__)


class StoreError(UserError):
    """The database can't be opened or used. The message names its URL and the way out."""


class Database:
    """The live database at `url` (an SQLAlchemy URL). Creates and migrates its tables when opened.

    Raises StoreError when the URL can't be used, and from every method when the database itself gives up: nothing of
    the transaction is stored then, so that it can be tried again.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
            self.is_sqlite = parsed.get_backend_name() == "sqlite"
            if self.is_sqlite and parsed.database and parsed.database != ":memory:":
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            self.engine = create_engine(parsed, pool_pre_ping=not self.is_sqlite)
        except (ArgumentError, NoSuchModuleError):
            raise StoreError(
                f"DATABASE_URL={url!r} is not a database URL, for example sqlite:///data/live/maple.db"
            ) from None
        except ModuleNotFoundError as error:
            raise StoreError(f"DATABASE_URL needs the package {error.name}: `pip install -e .[scale]`") from None
        except OSError as error:
            raise StoreError(f"the folder of DATABASE_URL can't be made: {error}") from None
        self._name = parsed.render_as_string(hide_password=True)
        event.listen(self.engine, "before_cursor_execute", _without_surrogates, retval=True)
        if self.is_sqlite:
            _prepare_sqlite(self.engine)
        try:
            self._migrate()
        except BaseException:
            self.close()
            raise

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
        with self._explained(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that holds SQLite's write lock from its start; commits at the end or rolls back."""
        with self._explained(), self.engine.execution_options(maple_write=True).begin() as connection:
            yield connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say in one sentence what is wrong with the database. A statement that is wrong stays a defect."""
        try:
            yield
        except DatabaseError as error:
            if type(error) in {OperationalError, DatabaseError}:
                raise StoreError(f"the database {self._name} {_trouble(str(error.orig))}") from error
            raise

    def _migrate(self) -> None:
        from alembic import command
        from alembic.config import Config
        from alembic.script import ScriptDirectory

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        scripts = ScriptDirectory.from_config(config)
        head = scripts.get_current_head()
        with self.reading() as connection:
            revision = None
            if inspect(connection).has_table("alembic_version"):
                revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
        if revision == head:
            return
        if revision is not None and revision not in {script.revision for script in scripts.walk_revisions()}:
            raise StoreError(
                f"the database {self._name} is of revision {revision}, and this code knows no later one than {head}:"
                " a newer version has opened it. Bring this checkout up to date (`git pull`), or name another database"
                " in DATABASE_URL."
            )
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
        # The time-out first: even the others may have to wait.
        waiting = f"busy_timeout={PATIENCE * 1000:.0f}"
        for pragma in (waiting, "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            dbapi_connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if not connection.get_execution_options().get("maple_write"):
            connection.exec_driver_sql("BEGIN")
            return
        for left in reversed(range(TRIES)):
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            except OperationalError as error:
                if not left or "locked" not in str(error.orig):
                    raise
                log.warning("%s has been locked by another program for %.0f s; trying again", engine.url, PATIENCE)
            else:
                return


def _trouble(said: str) -> str:
    """What the driver says of a database that can't be used, and the way out, as the end of a sentence."""
    ends = {
        "locked": "is locked by another program, a backup or a database browser with an open edit: let it finish or"
        " close it. Nothing is lost, the next run tries again",
        "is full": "can't be written, the disk is full: make room. Nothing is lost, the next run tries again",
        "readonly": "can't be written: give this user the right to write the file and its folder",
        "unable to open": "can't be opened: check the path in DATABASE_URL and the rights on it",
        "malformed": "is damaged: put a backup in its place (`sqlite3 FILE .recover` saves what can be read)",
        "not a database": "is no database: check the path in DATABASE_URL",
    }
    unknown = "can't be used: check DATABASE_URL, and that what it names is there"
    found = next((end for words, end in ends.items() if words in said), unknown)
    return f"{found} ({' '.join(said.split())[:200]})"


def _without_surrogates(
    connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
) -> tuple[str, Any]:
    """Half a surrogate pair is no text, and no driver takes it: U+FFFD stands in its place."""
    return statement, _whole(parameters)


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    elif isinstance(value, dict):
        return {name: _whole(part) for name, part in value.items()}
    elif isinstance(value, list | tuple):
        return type(value)(map(_whole, value))
    return value
