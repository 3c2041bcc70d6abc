"""The tables and their migrations say the same."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from pipeline import clock
from pipeline.live.database import MIGRATIONS
from pipeline.live.records import Post, Prediction, Progress
from pipeline.live.store import Store
from pipeline.live.tables import metadata


def test_migrations_lead_to_the_tables(store: Store) -> None:
    with store.reading() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, "target_metadata": metadata}
        )
        assert compare_metadata(context, metadata) == []


def test_partial_indexes_and_sequences_are_migrated_too(store: Store) -> None:
    """What alembic does not compare on SQLite: WHERE of an index, and AUTOINCREMENT (an id is never used twice)."""
    wanted = sa.create_engine("sqlite://")
    metadata.create_all(wanted)
    query = sa.text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE '%alembic%'")

    def shape(connection: sa.Connection) -> dict[str, tuple[str, ...]]:
        rows = connection.execute(query).all()
        return {
            name: (sql.partition(" WHERE ")[2], "AUTOINCREMENT" if "AUTOINCREMENT" in sql else "") for name, sql in rows
        }

    def keys(connection: sa.Connection) -> dict[str, tuple[list[str], list[list[str]]]]:
        inspector = sa.inspect(connection)
        return {
            table: (
                inspector.get_pk_constraint(table)["constrained_columns"],
                [unique["column_names"] for unique in inspector.get_unique_constraints(table)],
            )
            for table in metadata.tables
        }

    with wanted.connect() as fresh, store.reading() as migrated:
        assert keys(migrated) == keys(fresh)
        assert keys(fresh)["posts"] == (["seq"], [["board_id", "post_id"]])
        assert shape(migrated) == shape(fresh)
        assert shape(fresh)["posts_pending"] == ("chunk IS NULL", "")
        assert shape(fresh)["posts"] == ("", "AUTOINCREMENT")
    wanted.dispose()


def test_what_waits_to_be_made_is_found_by_index(store: Store) -> None:
    """Every query of `posts_to_score` and `posts_without_keywords`, as asked: no table is read, nothing sorted."""
    asked: list[tuple[str, Any]] = []

    @sa.event.listens_for(store.engine, "before_cursor_execute")
    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    now = clock.now()
    store.add_posts([Post(2294, n, None, None, None, "제목", "본문", "", now, now) for n in range(1, 5)])
    store.save_keywords("a", [(1, ""), (2, "")])
    store.save_predictions("a", [Prediction(2294, n, 1, 0.5) for n in (1, 2)])
    asked.clear()
    assert len(store.posts_without_keywords("b", 9)) == len(store.posts_to_score("b", 9)) == 4
    queries = [(statement, parameters) for statement, parameters in asked if statement.startswith("SELECT")]
    assert len(queries) == 8
    with store.reading() as connection:
        for statement, parameters in queries:
            plan = [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            assert all("INDEX posts_by_" in step for step in plan), (statement, plan)
            assert not any(step.startswith("SCAN posts") or "TEMP B-TREE" in step for step in plan), (statement, plan)


def test_the_counts_of_the_gate_read_an_index_and_no_row(store: Store) -> None:
    with store.reading() as connection:
        for table, column in (("posts", "chunk"), ("feedback", "archive")):
            plan = connection.execute(
                sa.text(f"EXPLAIN QUERY PLAN SELECT count(*) FROM {table} WHERE {column} IS NULL")
            ).all()
            assert "USING COVERING INDEX" in plan[0][-1]
        plan = connection.execute(
            sa.text("EXPLAIN QUERY PLAN SELECT seq FROM posts WHERE chunk IS NULL ORDER BY seq LIMIT 1000")
        ).all()
        assert len(plan) == 1  # no sorting
        assert "posts_pending" in plan[0][-1] or "posts_by_chunk" in plan[0][-1]


def test_how_far_boards_were_walked_outlives_the_change_of_its_words(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'live.db'}"
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0006")
        connection.execute(
            sa.text(
                "INSERT INTO crawl_marks (board_id, post_id, updated_at, floor, depth) VALUES (2294, 90, 'x', 40, 7),"
                " (5974, 5, 'x', NULL, NULL)"
            )
        )
    engine.dispose()
    with Store(url) as store:
        assert store.progress(2294) == Progress(90, 40, 7)
        assert store.progress(5974) == Progress(5)
