"""Versions of the tables: an old database that walks the steps ends where a fresh one starts."""

import pytest
from sqlalchemy import create_engine, inspect, text

from toolweft_server.errors import StoreError
from toolweft_server.store import schema


def columns(engine):
    found = inspect(engine)
    return {name: [(c["name"], str(c["type"])) for c in found.get_columns(name)] for name in found.get_table_names()}


def add_colour(connection):
    connection.execute(text("ALTER TABLE shape ADD COLUMN colour TEXT"))


def test_a_fresh_database_has_the_newest_version():
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        schema.migrate(connection)
        assert schema.version_of(connection) == schema.NEWEST
        assert set(columns(engine)) == set(schema.metadata.tables)
    engine.dispose()


def test_an_older_database_walks_only_the_steps_it_lacks():
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        schema.migrate(connection)
        schema.migrate(connection, [*schema.STEPS, add_colour])
        schema.migrate(connection, [*schema.STEPS, add_colour])
        assert schema.version_of(connection) == schema.NEWEST + 1
    assert ("colour", "TEXT") in columns(engine)["shape"]
    engine.dispose()


def test_a_database_of_the_first_version_becomes_what_a_fresh_one_is():
    old, fresh = create_engine("sqlite://"), create_engine("sqlite://")
    with old.begin() as connection:
        later = ["approval", "salt", "request_vector", "call_digest", "together", "interleaved", "trial", "solved"]
        schema.metadata.create_all(connection, tables=[t for n, t in schema.metadata.tables.items() if n not in later])
        connection.execute(schema.schema_version.insert().values(version=1))
        schema.migrate(connection)
    with fresh.begin() as connection:
        schema.migrate(connection)
    assert columns(old) == columns(fresh)
    assert inspect(old).get_pk_constraint("approval") == inspect(fresh).get_pk_constraint("approval")
    old.dispose()
    fresh.dispose()


def test_a_step_that_fails_leaves_the_version_as_it_was(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    with engine.begin() as connection:
        schema.migrate(connection)

    def broken(connection):
        raise StoreError("no")

    with pytest.raises(StoreError, match="no"), engine.begin() as connection:
        schema.migrate(connection, [*schema.STEPS, broken])
    with engine.begin() as connection:
        assert schema.version_of(connection) == schema.NEWEST
    engine.dispose()
