"""The migrations end where the tables begin, and SQLite is set to lose nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect

from flexhub.adapters.store import without_password
from flexhub.adapters.store.migrate import MIGRATIONS, NEWEST, current, upgrade
from flexhub.adapters.store.schema import metadata
from flexhub.adapters.store.sql import SqlStore
from flexhub.core.errors import ConfigError
from tests.postgres import Cluster


def test_the_migrations_make_the_tables_of_the_schema(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    upgrade(url)
    with create_engine(url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        for table in metadata.sorted_tables:
            indexes = {index["name"]: index["column_names"] for index in inspect(connection).get_indexes(table.name)}
            assert indexes == {index.name: [column.name for column in index.columns] for index in table.indexes}


def test_the_newest_revision_is_the_one_that_alembic_ends_at() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == NEWEST


def test_upgrading_again_changes_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    before, newest = current(url)
    assert before is None
    upgrade(url)
    upgrade(url)
    assert current(url) == (newest, newest)


def test_postgres_is_brought_to_the_same_tables_and_writes_through(postgres: Cluster) -> None:
    url = postgres.database()
    before, newest = current(url)
    assert before is None
    store = SqlStore(url)
    assert current(url) == (newest, newest)
    with store.engines[0].connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    store.close()


def test_postgres_is_set_to_lose_nothing_beside_what_the_address_says(postgres: Cluster) -> None:
    store = SqlStore(f"{postgres.database()}?connect_timeout=7&options=-c%20work_mem%3D5MB")
    for engine in store.engines:
        with engine.connect() as connection:
            found = {
                name: connection.exec_driver_sql(f"SHOW {name}").scalar_one()
                for name in ("synchronous_commit", "default_transaction_isolation", "work_mem")
            }
            driver: Any = connection.connection.driver_connection
            assert driver.info.get_parameters()["connect_timeout"] == "7"
        assert found == {
            "synchronous_commit": "on",
            "default_transaction_isolation": "read committed",
            "work_mem": "5MB",
        }
    store.close()


def test_a_password_is_not_told() -> None:
    url = "postgresql+psycopg://me:secret@127.0.0.1:1/none"
    with pytest.raises(ConfigError) as caught:
        upgrade(url)
    assert "secret" not in f"{caught.value} {caught.value.value}"
    assert without_password(url) == "postgresql+psycopg://me:***@127.0.0.1:1/none"


def test_sqlite_writes_through(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'a.db'}")
    for engine in store.engines:
        with engine.connect() as connection:
            found = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
        assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10000}
    store.close()
