"""The tables and their migrations say the same."""

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

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
