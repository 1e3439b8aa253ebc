"""Bring a database's tables to the newest shape.

Alembic does it, which takes half a second to import: a database that has that shape already is seen without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, create_engine, func, inspect, select
from sqlalchemy.exc import DBAPIError

from flexhub.adapters.store import check_url, without_password
from flexhub.core.errors import ConfigError

MIGRATING: Final = 0x666C65786D6967
"""The advisory lock that a process holds while it makes or changes tables."""

MIGRATIONS: Final = Path(__file__).parent / "migrations"
NEWEST: Final = max(file.name for file in (MIGRATIONS / "versions").glob("[0-9]*.py"))[:4]
"""The revision that the tables have after all migrations, whose files are numbered."""


def _revision(connection: Connection) -> str | None:
    """Where a database is; None: empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none()
    return found


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
    with _reached(url) as engine, engine.begin() as connection:
        if engine.name == "postgresql":
            encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
            if encoding != "UTF8":
                raise ConfigError(f"the database's encoding is {encoding}; it has to be UTF8", path="store/url")
            # Two hubs may start at once.
            connection.execute(select(func.pg_advisory_xact_lock(MIGRATING)))
        if revision == "head" and _revision(connection) == NEWEST:
            return
        from alembic import command  # noqa: PLC0415 - see above
        from alembic.config import Config  # noqa: PLC0415 - see above

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def current(url: str) -> tuple[str | None, str]:
    """The database's revision (None: empty, or not there), and the newest.

    Raises:
        ConfigError: as `upgrade`.
    """
    here = None
    with _reached(url) as engine:
        file = engine.url.database
        if engine.name != "sqlite" or (file and Path(file).exists()):  # looking makes no file
            with engine.connect() as connection:
                here = _revision(connection)
    return here, NEWEST
