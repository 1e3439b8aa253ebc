"""Bring a database's tables to the newest shape."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, func, select
from sqlalchemy.exc import DBAPIError

from flexhub.adapters.store import check_url, without_password
from flexhub.core.errors import ConfigError

MIGRATING: Final = 0x666C65786D6967
"""The advisory lock that a process holds while it makes or changes tables."""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


@contextmanager
def _reached(url: str) -> Iterator[Engine]:
    check_url(url)
    engine = create_engine(url)
    try:
        yield engine
    except DBAPIError as error:
        raise ConfigError(
            f"the store cannot be used: {error.orig}", path="store/url", value=without_password(url)
        ) from error
    finally:
        engine.dispose()


def upgrade(url: str, revision: str = "head") -> None:
    """Run the migrations that the database lacks; creates it where there is none.

    Raises:
        ConfigError: there can be no database at this address, or it is none of ours.
    """
    config = _config()
    with _reached(url) as engine, engine.begin() as connection:
        if engine.name == "postgresql":
            encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
            if encoding != "UTF8":
                raise ConfigError(f"the database's encoding is {encoding}; it has to be UTF8", path="store/url")
            # Two hubs may start at once.
            connection.execute(select(func.pg_advisory_xact_lock(MIGRATING)))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def current(url: str) -> tuple[str | None, str | None]:
    """The database's revision (None: empty, or not there), and the newest.

    Raises:
        ConfigError: as `upgrade`.
    """
    here = None
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    with _reached(url) as engine:
        file = engine.url.database
        if engine.name != "sqlite" or (file and Path(file).exists()):  # looking makes no file
            with engine.connect() as connection:
                here = MigrationContext.configure(connection).get_current_revision()
    return here, newest
