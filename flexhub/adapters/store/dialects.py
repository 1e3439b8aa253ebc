"""What differs between the databases that a store may be in."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from flexhub.core.errors import UnavailableError

AT_ONCE: Final = 64
"""Rows per statement, so that few texts of statements are in use."""

PRAGMAS: Final = {
    "journal_mode": "WAL",
    "synchronous": "FULL",
    "foreign_keys": "ON",
    "busy_timeout": "10000",
    "wal_autocheckpoint": "8000",  # pages: a checkpoint holds the writer up, so it comes seldom
    "cache_size": "-32000",  # KiB
}

UNUSABLE: Final = "the store cannot be used just now"

STALLED_S: Final = 10
"""So long a process may leave a transaction lying, or a server be silent; then what it holds is let go."""

LENIENT: Final = f"-c idle_in_transaction_session_timeout={STALLED_S * 1000}"
"""A process that froze, or whose machine is gone, holds up nobody for longer; an address may say otherwise."""

STRICT: Final = r"-c synchronous_commit=on -c timezone=UTC -c default_transaction_isolation=read\ committed"
"""A commit returns once it is on disk, whatever server and address say."""

NETWORK: Final = {
    "connect_timeout": STALLED_S // 2,
    "keepalives_idle": STALLED_S // 2,
    "keepalives_interval": 1,
    "keepalives_count": STALLED_S // 2,
    "tcp_user_timeout": STALLED_S * 1000,
}
"""How soon a server that is gone without a word is noticed (libpq's own names); an address may say otherwise."""

READ_ONLY: Final = "25006"
"""SQLSTATE of a server that only reads: it stands by for another one."""

CHANNEL: Final = "flexhub"
"""Where a commit is announced to other processes (NOTIFY)."""

MAX_PAYLOAD: Final = 7900
"""Bytes of an announcement; PostgreSQL takes fewer than 8000."""

NUMBERING: Final = 0x666C6578687562
"""The advisory lock that who numbers journal and notices holds until its commit."""


class Dialect(Protocol):
    """A kind of database."""

    mark: str
    """How a parameter's place is written."""

    size: str
    """SQL for the bytes that the database takes."""

    shared: bool
    """Whether other processes may write to the same database."""

    def engines(self, url: str) -> tuple[Engine, Engine]:
        """For the one writer, and for readers.

        Their errors tell no parameters, which are what people sent, while errors are logged.
        """

    def claim(self, connection: Connection, conversations: Iterable[str]) -> None:
        """Wait until no other process works on these; they are this transaction's until it ends."""

    def number(self, connection: Connection) -> None:
        """From here to the commit nobody else numbers journal or notices: numbers rise in the order of commits."""

    def announce(self, connection: Connection, text: str) -> None:
        """Tell other processes, once this transaction is committed."""

    def check(self, connection: Connection) -> None:
        """See that what this transaction has written will be found again, before it is committed.

        Raises:
            UnavailableError: it would not.
        """

    def overwriting(self, connection: Connection) -> AbstractContextManager[None]:
        """While this lasts, what is removed is overwritten in the database's pages, where that can be had."""

    def snapshot(self, engine: Engine) -> AbstractContextManager[Connection]:
        """A connection that sees what is there now, and nothing that is committed later."""

    def lost(self, error: DBAPIError) -> bool:
        """Whether the transaction failed because another one was there first; done again it may succeed."""


class Sqlite:
    """One file, one process: a transaction locks out all other writers from its begin."""

    mark = "?"
    size = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    shared = False

    def engines(self, url: str) -> tuple[Engine, Engine]:
        """With a write-ahead log; every commit reaches the disk before it returns (synchronous=FULL)."""
        writer = create_engine(url, hide_parameters=True, connect_args={"cached_statements": 8 * AT_ONCE})
        reader = create_engine(url, hide_parameters=True, isolation_level="AUTOCOMMIT", pool_size=8, max_overflow=8)
        for engine in (writer, reader):
            event.listen(engine, "do_connect", self._exists)
            event.listen(engine, "connect", self._prepare)
        event.listen(writer, "begin", self._begin)
        return _told(writer), _told(reader)

    @staticmethod
    def _exists(_dialect: object, _record: object, arguments: list[Any], _options: dict[str, Any]) -> None:
        # SQLite would make a file that is gone anew, and throw away the log of the old one that lies beside it.
        if not Path(arguments[0]).exists():
            raise UnavailableError(UNUSABLE, value="its file is gone")

    @staticmethod
    def _prepare(connection: sqlite3.Connection, _record: ConnectionPoolEntry) -> None:
        # The driver's own idea of when transactions begin is switched off: `_begin` says so, before the first read.
        connection.isolation_level = None
        _record.info["file"] = _file(connection.execute("PRAGMA database_list").fetchone()[2])
        for name, value in PRAGMAS.items():
            connection.execute(f"PRAGMA {name}={value}")

    @staticmethod
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def claim(self, connection: Connection, conversations: Iterable[str]) -> None:
        """Nobody else writes."""

    def number(self, connection: Connection) -> None:
        """Nobody else writes."""

    def announce(self, connection: Connection, text: str) -> None:
        """Nobody else listens."""

    def check(self, connection: Connection) -> None:
        """A file that was moved away can be written all the same; but nobody would find it after a restart."""
        name, *opened = connection.info["file"]
        if [name, *opened] != list(_file(name)):
            raise UnavailableError(UNUSABLE, value="its file is gone, or is another one")

    @contextmanager
    def overwriting(self, connection: Connection) -> Iterator[None]:
        """With zeros."""
        connection.exec_driver_sql("PRAGMA secure_delete=ON")
        try:
            yield
        finally:
            connection.exec_driver_sql("PRAGMA secure_delete=OFF")

    @contextmanager
    def snapshot(self, engine: Engine) -> Iterator[Connection]:
        """From the first read on; the write-ahead log grows while it is held."""
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            try:
                yield connection
            finally:
                connection.exec_driver_sql("ROLLBACK")

    def lost(self, error: DBAPIError) -> bool:  # noqa: ARG002 - the slot's signature
        """A known message is no race here, but a mistake of ours."""
        return False


class Postgres:
    """A server, and any number of hub processes on it."""

    mark = "%s"
    size = "SELECT pg_database_size(current_database())"
    shared = True
    _RACES: Final = ("40001", "40P01")
    """SQLSTATE: serialization failure, deadlock."""

    def engines(self, url: str) -> tuple[Engine, Engine]:
        """Options of the address go before what is `LENIENT`, and behind what is `STRICT`."""
        given = make_url(url).query
        connect: dict[str, Any] = {name: value for name, value in NETWORK.items() if name not in given}
        connect["options"] = f"{LENIENT} {given.get('options', '')} {STRICT}"
        writer, reader = (
            create_engine(url, hide_parameters=True, pool_pre_ping=True, connect_args=connect, **more)
            for more in ({}, {"isolation_level": "AUTOCOMMIT", "pool_size": 8, "max_overflow": 8})
        )
        return _told(writer), _told(reader)

    def check(self, connection: Connection) -> None:
        """The server sees to it."""

    def claim(self, connection: Connection, conversations: Iterable[str]) -> None:
        """By advisory locks, always in the same order, so that two batches wait for each other but never crosswise."""
        keys = sorted({_key(conversation) for conversation in conversations})
        if keys:
            sql = "SELECT pg_advisory_xact_lock(k) FROM (SELECT unnest(%s::bigint[]) AS k ORDER BY k) AS wanted"
            connection.exec_driver_sql(sql, (keys,))

    def number(self, connection: Connection) -> None:
        """Sequences are counted up outside of transactions: without the lock a reader could see 8 before 7."""
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s::bigint)", (NUMBERING,))

    def announce(self, connection: Connection, text: str) -> None:
        """NOTIFY is part of the transaction."""
        connection.exec_driver_sql("SELECT pg_notify(%s, %s)", (CHANNEL, text))

    @contextmanager
    def overwriting(self, connection: Connection) -> Iterator[None]:  # noqa: ARG002 - the slot's signature
        """Only vacuuming does so, when the server comes to it."""
        yield

    @contextmanager
    def snapshot(self, engine: Engine) -> Iterator[Connection]:
        """As of its first read."""
        with engine.connect() as connection:
            seeing = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with seeing.begin():
                yield seeing

    def lost(self, error: DBAPIError) -> bool:
        """A deadlock, or a row that another one has inserted."""
        state: Any = getattr(error.orig, "sqlstate", None)
        return isinstance(error, IntegrityError) or state in self._RACES


def _key(conversation: str) -> int:
    """A conversation as one of PostgreSQL's 64-bit lock numbers; that two share one only makes them wait."""
    return int.from_bytes(hashlib.blake2b(conversation.encode(), digest_size=8).digest(), "big", signed=True)


def _file(name: str) -> tuple[str, int, int]:
    """A file's name and what tells it from others; zeros where there is none."""
    try:
        found = os.stat(name)  # noqa: PTH116 - at every commit, and pathlib takes longer
    except OSError:
        return name, 0, 0
    return name, found.st_dev, found.st_ino


def _told(engine: Engine) -> Engine:
    """With errors that say when it is the database that cannot."""
    event.listen(engine, "handle_error", _unavailable, retval=True)
    return engine


def _unavailable(context: ExceptionContext) -> UnavailableError | None:
    """A full disk, a server that is gone: what the database cannot do now, rather than what we ask of it wrongly."""
    error = context.sqlalchemy_exception
    if getattr(context.original_exception, "sqlstate", None) == READ_ONLY:
        context.is_disconnect = True  # a new connection may find the server that is written to now
    race = isinstance(error, DBAPIError) and any(d.lost(error) for d in SCHEMES.values())
    if race or not (context.is_disconnect or isinstance(error, OperationalError | InterfaceError)):
        return None
    original: Any = context.original_exception
    if isinstance(original, sqlite3.Error):
        return UnavailableError(UNUSABLE, value=str(original))
    # What it says itself names the server, which is for nobody outside; it is this error's cause, for the log.
    return UnavailableError(UNUSABLE, value=f"no answer of PostgreSQL (SQLSTATE {original.sqlstate or 'unknown'})")


SCHEMES: Final[dict[str, Dialect]] = {"sqlite": Sqlite(), "postgresql+psycopg": Postgres()}
