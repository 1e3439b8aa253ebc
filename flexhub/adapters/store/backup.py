"""Copies of a store, taken while a hub runs on it, and the way back.

SQLite is copied by its own online backup: one consistent state, and nobody waits. For PostgreSQL its own programs are
called, pg_dump and pg_restore.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from flexhub.adapters.store import check_url, without_password
from flexhub.core.errors import ConfigError, ForbiddenError, InternalError, InvalidError, NotFoundError

PRIVATE: Final = 0o600
"""A copy holds all that the store holds: it is its owner's alone."""

OTHERS: Final = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)


def backup(url: str, to: Path) -> None:
    """Copy the store at this address into a new file, as of one commit; the file is whole or not there.

    Raises:
        ForbiddenError: there is such a file.
        NotFoundError: there is no store.
        InvalidError: the copy is damaged, and so the store is.
        ConfigError: an address of a kind that we don't serve, or a program that isn't installed.
        InternalError: the program failed.
    """
    check_url(url)
    if to.exists():
        raise ForbiddenError("there is such a file, and a copy is never overwritten", path=str(to))
    part = to.with_name(f"{to.name}.part")
    part.unlink(missing_ok=True)
    part.touch(PRIVATE)
    try:
        if url.startswith("sqlite"):
            _copy(_file(url), part, "rw")  # it may have a log beside it, which only who may write can read
        else:
            _call("pg_dump", url, ("--format=custom", "--no-owner", f"--file={part}"))
        _to_disk(part)
        part.rename(to)
        _to_disk(to.parent)
    finally:
        part.unlink(missing_ok=True)


def restore(url: str, source: Path, *, replace: bool = False) -> None:
    """Make a copy the store at this address; one that is replaced stays beside it, as ``.replaced`` (SQLite).

    Raises:
        ForbiddenError: the store is in use, or there is one and it is not to be replaced.
        NotFoundError: there is no such copy.
        InvalidError: the copy is damaged, or none of ours.
        ConfigError, InternalError: as `backup`.
    """
    check_url(url)
    if not source.is_file():
        raise NotFoundError("there is no such copy", path=str(source))
    if not url.startswith("sqlite"):
        _restore_server(url, source, replace=replace)
        return
    file = _file(url)
    part = file.with_name(f"{file.name}.part")
    part.unlink(missing_ok=True)
    part.touch(PRIVATE)
    try:
        _copy(source, part, "ro")
        _to_disk(part)
        if not file.exists():
            part.rename(file)
        elif replace:
            with _alone(file):
                file.replace(file.with_name(f"{file.name}.replaced"))
                part.rename(file)
        else:
            raise ForbiddenError("there is a store already", path=str(file))
        _to_disk(file.parent)
    finally:
        part.unlink(missing_ok=True)


def _file(url: str) -> Path:
    return Path(make_url(url).database or "")


def _copy(source: Path, to: Path, mode: str) -> None:
    """Copy a database of ours, and look at every page of the copy."""
    if not source.is_file():
        raise NotFoundError("there is no store", path=str(source))
    try:
        there_is = f"{source.absolute().as_uri()}?mode={mode}"
        with closing(sqlite3.connect(there_is, uri=True)) as here, closing(sqlite3.connect(to)) as there:
            here.backup(there)
            there.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
            (found,) = there.execute("PRAGMA integrity_check(1)").fetchone()
            if found != "ok":
                raise InvalidError(f"damaged: {found}", path=str(source))
            there.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.DatabaseError as error:
        raise InvalidError(f"not a store of flexhub: {error}", path=str(source)) from error


def refuse_others(connection: Connection, url: str) -> None:
    """See that nobody else is connected to this database of PostgreSQL.

    Raises:
        ForbiddenError: somebody is.
    """
    if connection.execute(OTHERS).scalar_one():
        raise ForbiddenError("the store is in use; stop the hub first", path=without_password(url))


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """While this lasts nobody has the database open, and nobody can open it.

    Leaving write-ahead logging takes the whole file, which any open connection refuses.
    """
    try:
        with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
            connection.execute("BEGIN EXCLUSIVE")
            yield
    except sqlite3.OperationalError as error:
        raise ForbiddenError(f"the store is in use ({error}); stop the hub first", path=str(file)) from error


def _restore_server(url: str, source: Path, *, replace: bool) -> None:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            refuse_others(connection, url)
            full = connection.dialect.has_table(connection, "journal")
    except DBAPIError as error:
        raise ConfigError(f"no database: {error.orig}", path="store/url", value=without_password(url)) from error
    finally:
        engine.dispose()
    if full and not replace:
        raise ForbiddenError("there is a store already", path=without_password(url))
    options = ("--clean", "--if-exists") if full else ()
    _call("pg_restore", url, (*options, "--no-owner", "--single-transaction", str(source)))


def _call(program: str, url: str, arguments: Sequence[str]) -> None:
    """Call one of PostgreSQL's programs; the password goes by the environment, which others cannot see."""
    found = shutil.which(program)
    if found is None:
        raise ConfigError(f"this needs {program}, which comes with PostgreSQL's client", path="store/url")
    address = make_url(url).set(drivername="postgresql")
    environment = dict(os.environ)
    if address.password is not None:
        environment["PGPASSWORD"] = str(address.password)
    target = address.set(password=None).render_as_string()
    done = subprocess.run(  # noqa: S603 - a program of PostgreSQL's, without a shell
        [found, f"--dbname={target}", *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise InternalError(f"{program}: {done.stderr.strip()}")


def _to_disk(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
