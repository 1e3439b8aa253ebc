"""The store on SQL: SQLite with write-ahead log; every commit reaches the disk before it returns (synchronous=FULL)."""

from __future__ import annotations

import heapq
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from itertools import chain, islice
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Dialect,
    Executable,
    Insert,
    Row,
    Select,
    Table,
    bindparam,
    create_engine,
    delete,
    event,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from flexhub.adapters.store import schema
from flexhub.adapters.store.interface import (
    AskRow,
    DocumentRow,
    JournalRow,
    NoticeRow,
    Query,
    TimerRow,
    TokenRow,
    Transaction,
)
from flexhub.adapters.store.migrate import upgrade
from flexhub.adapters.store.schema import UNBOUNDED_END, UNBOUNDED_START, instant, micros

PRAGMAS: Final = {
    "journal_mode": "WAL",
    "synchronous": "FULL",
    "foreign_keys": "ON",
    "busy_timeout": "10000",
    "wal_autocheckpoint": "8000",  # pages: a checkpoint holds the writer up, so it comes seldom
    "cache_size": "-32000",  # KiB
}
AT_ONCE: Final = 64
"""Rows per statement, so that few texts of statements are in use."""

LOOKUPS: Final = 400
"""Keys per statement; SQLite takes 32,766 parameters at most, and short lists keep the statement's cache small."""

_journal_columns: Final = [schema.journal.c[name] for name in JournalRow._fields]
_document_columns: Final = [schema.document.c[name] for name in DocumentRow._fields]
_notice_columns: Final = [schema.notice.c[name] for name in NoticeRow._fields]

_put = upsert(schema.document)
_PUT_DOCUMENT: Final = _put.on_conflict_do_update(
    index_elements=["kind", "id"],
    set_={name: _put.excluded[name] for name in ("owner", "state", "starts", "ends", "schema_version", "body")}
    | {"version": schema.document.c.version + literal_column("1")},
)
_set = upsert(schema.timer)
_SET_TIMER: Final = _set.on_conflict_do_update(index_elements=["subject", "event"], set_={"due": _set.excluded.due})
_CLEAR_TIMER: Final = delete(schema.timer).where(
    schema.timer.c.subject == bindparam("of_subject"), schema.timer.c.event == bindparam("of_event")
)
_REMOVE_ASK: Final = delete(schema.ask).where(schema.ask.c.id == bindparam("ask_id"))
_DOCUMENTS: Final = select(*_document_columns).where(
    schema.document.c.kind == bindparam("of_kind"), schema.document.c.id.in_(bindparam("ids", expanding=True))
)


class Texts:
    """The statements that every batch puts many rows through, compiled once; rows are tuples in the tables' order.

    A statement takes up to `AT_ONCE` rows: one call into SQLite, which leaves the interpreter to the event loop
    meanwhile (with `executemany` the two hand it back and forth for every row), and no parameter objects of
    SQLAlchemy's, which cost as much as the insert itself.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self.add_journal = self._text(insert(schema.journal), JournalRow._fields[:-1])
        self.put_document = self._text(_PUT_DOCUMENT, DocumentRow._fields)
        self.add_notice = self._text(insert(schema.notice), NoticeRow._fields[:-1])
        self.set_timer = self._text(_SET_TIMER, TimerRow._fields)

    def _text(self, statement: Insert, columns: Sequence[str]) -> tuple[str, str, str]:
        """What stands before the row's places, the places, and what stands behind."""
        text = str(statement.compile(dialect=self._dialect, column_keys=list(columns)))
        places = f"({', '.join('?' * len(columns))})"
        before, _, after = text.partition(places)
        return before, places, after


@cache
def _for_rows(text: tuple[str, str, str], rows: int) -> str:
    before, places, after = text
    return f"{before}{', '.join([places] * rows)}{after}"


_PAIRED: Final = {"document": ("kind", "id"), "journal": ("peer", "message_id"), "timer": ("subject", "event")}
"""Table -> the columns that name a row together."""


def _by_pairs(table: Table, columns: Sequence[str], first: str, second: str, pairs: int) -> str:
    """SQL for the rows of a table by so many pairs of keys.

    Not `(a, b) IN (VALUES ...)`, for which SQLite may read the whole table: CROSS JOIN makes it look each pair up.
    """
    wanted = ", ".join(f"{table.name}.{name}" for name in columns)
    places = ", ".join(["(?, ?)"] * pairs)
    return (
        f"WITH pair (a, b) AS (VALUES {places}) SELECT {wanted} FROM pair CROSS JOIN {table.name} "  # noqa: S608 - names of ours
        f"WHERE {table.name}.{first} = pair.a AND {table.name}.{second} = pair.b"
    )


def _chunks(keys: Iterable[Any]) -> Iterator[list[Any]]:
    listed = list(keys)
    return (listed[at : at + LOOKUPS] for at in range(0, len(listed), LOOKUPS))


def _document(row: Row[Any]) -> DocumentRow:
    return _bounded(DocumentRow._make(row))


def _bounded(found: DocumentRow) -> DocumentRow:
    return found._replace(
        starts=None if found.starts == UNBOUNDED_START else found.starts,
        ends=None if found.ends == UNBOUNDED_END else found.ends,
    )


class SqlTransaction:
    """A batch's reads and writes on the writer's connection."""

    def __init__(self, connection: Connection, texts: Texts) -> None:
        self._connection = connection
        self._texts = texts

    def _by_pairs(self, table: Table, columns: Sequence[str], keys: Sequence[tuple[str, str]]) -> Iterator[Any]:
        for chunk in _chunks(keys):
            sql = _by_pairs(table, columns, *_PAIRED[table.name], len(chunk))
            yield from self._connection.exec_driver_sql(sql, tuple(part for key in chunk for part in key))

    def journalled(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], JournalRow]:
        """Messages known by (peer, message_id)."""
        found = self._by_pairs(schema.journal, JournalRow._fields, keys)
        rows = (JournalRow._make((*row[:6], instant(row[6]), *row[7:])) for row in found)
        return {(row.peer, row.message_id): row for row in rows}

    def documents(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], DocumentRow]:
        """Documents by (kind, id), without those that are not there."""
        found = self._by_pairs(schema.document, DocumentRow._fields, list(keys))
        return {
            (row[0], row[1]): _bounded(DocumentRow._make((*row[:4], instant(row[4]), instant(row[5]), *row[6:])))
            for row in found
        }

    def timers(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], datetime]:
        """When timers are due, by (subject, event)."""
        return {
            (subject, name): instant(due) for subject, name, due in self._by_pairs(schema.timer, TimerRow._fields, keys)
        }

    def _rows(self, text: tuple[str, str, str], rows: Sequence[tuple[Any, ...]]) -> None:
        for at in range(0, len(rows), AT_ONCE):
            chunk = rows[at : at + AT_ONCE]
            self._connection.exec_driver_sql(_for_rows(text, len(chunk)), tuple(chain.from_iterable(chunk)))

    def _many(self, statement: Executable, rows: list[dict[str, Any]]) -> None:
        if rows:
            self._connection.execute(statement, rows)

    def add_journal(self, rows: Sequence[JournalRow]) -> None:
        """Append messages, in this order."""
        self._rows(self._texts.add_journal, [(*row[:6], micros(row.received), row.status, row.answer) for row in rows])

    def put_documents(self, rows: Sequence[DocumentRow]) -> None:
        """Write documents, new or not."""
        self._rows(
            self._texts.put_document,
            [
                (
                    *row[:4],
                    micros(row.starts or UNBOUNDED_START),
                    micros(row.ends or UNBOUNDED_END),
                    1,
                    row.schema_version,
                    row.body,
                )
                for row in rows
            ],
        )

    def add_notices(self, rows: Sequence[NoticeRow]) -> None:
        """Append to the outbox, in this order."""
        self._rows(self._texts.add_notice, [(*row[:4], micros(row.created)) for row in rows])

    def add_asks(self, rows: Sequence[AskRow]) -> None:
        """Keep questions until they are removed."""
        self._many(insert(schema.ask), [row._asdict() for row in rows])

    def remove_asks(self, ids: Sequence[str]) -> None:
        """These questions are answered."""
        self._many(_REMOVE_ASK, [{"ask_id": id_} for id_ in ids])

    def set_timers(self, timers: Mapping[tuple[str, str], datetime | None]) -> None:
        """Set, move or clear timers."""
        self._many(
            _CLEAR_TIMER,
            [{"of_subject": subject, "of_event": name} for (subject, name), due in timers.items() if due is None],
        )
        self._rows(self._texts.set_timer, [(*key, micros(due)) for key, due in timers.items() if due is not None])

    def add_token(self, row: TokenRow) -> None:
        """Keep a token's hash."""
        self._many(insert(schema.token), [row._asdict()])

    def remove_tokens(self, party: str) -> int:
        """Forget all tokens of a party."""
        return self._connection.execute(delete(schema.token).where(schema.token.c.party == party)).rowcount


def _page(query: Query) -> Select[Any]:
    columns = schema.document.c
    found = select(*_document_columns).where(columns.kind == query.kind)
    if query.owner is not None:
        found = found.where(columns.owner == query.owner)
    if query.states is not None:
        found = found.where(columns.state.in_(query.states))
    if query.overlapping is not None:
        since, until = query.overlapping
        found = found.where(columns.starts < until, or_(columns.ends > since, columns.starts >= since))
    if query.after is not None:
        place = tuple_(columns.starts, columns.id)
        starts = literal(query.after.starts or UNBOUNDED_START, schema.Micros)
        found = found.where(place > tuple_(starts, literal(query.after.id)))
    return found.order_by(columns.starts, columns.id).limit(query.limit)


def _parts(query: Query) -> list[Query]:
    """Queries that an index leads straight to: of all owners, one for each state."""
    if query.owner is not None or query.states is None:
        return [query]
    return [query._replace(states=(state,)) for state in sorted(set(query.states))]


class SqlStore:
    """A store in a database that SQLAlchemy reaches; its tables are brought up to date when it is opened.

    Args:
        url: as SQLAlchemy writes them, ``sqlite:///folder/hub.db``.
    """

    def __init__(self, url: str) -> None:
        upgrade(url)
        self._reader = create_engine(url, isolation_level="AUTOCOMMIT", pool_size=8, max_overflow=8)
        event.listen(self._reader, "connect", _prepare)
        engine = create_engine(url, connect_args={"cached_statements": 8 * AT_ONCE})
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
        self._writer = engine.connect()
        self.engines = (engine, self._reader)
        self._texts = Texts(engine.dialect)
        self._turn = threading.Lock()

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """A write transaction: durable when the block ends, undone if it raises."""
        with self._turn, self._writer.begin():
            yield SqlTransaction(self._writer, self._texts)

    def document(self, kind: str, id: str) -> DocumentRow | None:  # noqa: A002 - the documents' own word
        """One document."""
        with self._reader.connect() as connection:
            row = connection.execute(_DOCUMENTS, {"of_kind": kind, "ids": [id]}).one_or_none()
        return None if row is None else _document(row)

    def documents(self, query: Query) -> list[DocumentRow]:
        """A page of documents, in order."""
        with self._reader.connect() as connection:
            parts = [connection.execute(_page(part)).all() for part in _parts(query)]
        rows = heapq.merge(*parts, key=lambda row: (row.starts, row.id))
        return [_document(row) for row in islice(rows, query.limit)]

    def notices(self, party: str | None, after: int, limit: int) -> list[NoticeRow]:
        """The outbox of a party behind `after`, in order."""
        column = schema.notice.c
        found = select(*_notice_columns).where(column.seq > after).order_by(column.seq).limit(limit)
        if party is not None:
            found = found.where(column.party == party)
        with self._reader.connect() as connection:
            return [NoticeRow._make(row) for row in connection.execute(found)]

    def last_notice(self) -> int:
        """The highest seq in the outbox so far."""
        with self._reader.connect() as connection:
            highest: int | None = connection.execute(select(func.max(schema.notice.c.seq))).scalar_one()
        return highest or 0

    def journal(self, after: int, limit: int) -> list[JournalRow]:
        """Messages behind `after`, in order."""
        column = schema.journal.c
        found = select(*_journal_columns).where(column.seq > after).order_by(column.seq).limit(limit)
        with self._reader.connect() as connection:
            return [JournalRow._make(row) for row in connection.execute(found)]

    def asks(self) -> list[AskRow]:
        """Questions without an answer, oldest first."""
        found = select(schema.ask).order_by(schema.ask.c.asked, schema.ask.c.id)
        with self._reader.connect() as connection:
            return [AskRow._make(row) for row in connection.execute(found)]

    def due_timers(self, until: datetime, limit: int) -> list[TimerRow]:
        """Timers due at `until` or before."""
        column = schema.timer.c
        found = select(schema.timer).where(column.due <= until).order_by(column.due, column.subject, column.event)
        with self._reader.connect() as connection:
            return [TimerRow._make(row) for row in connection.execute(found.limit(limit))]

    def next_due(self) -> datetime | None:
        """When the next timer is due."""
        with self._reader.connect() as connection:
            due: datetime | None = connection.execute(select(func.min(schema.timer.c.due))).scalar_one()
        return due

    def token(self, hash: str) -> TokenRow | None:  # noqa: A002 - what it is
        """Whose token this is."""
        with self._reader.connect() as connection:
            row = connection.execute(select(schema.token).where(schema.token.c.hash == hash)).one_or_none()
        return None if row is None else TokenRow._make(row)

    def tokens(self) -> list[TokenRow]:
        """All tokens, by party, oldest first."""
        columns = schema.token.c
        with self._reader.connect() as connection:
            rows = connection.execute(select(schema.token).order_by(columns.party, columns.created, columns.hash)).all()
        return [TokenRow._make(row) for row in rows]

    def close(self) -> None:
        """Let go of all connections."""
        with self._turn:
            self._writer.close()
        for engine in self.engines:
            engine.dispose()


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    # The driver's own idea of when transactions begin is switched off: `_begin` says so, before the first read.
    connection.isolation_level = None
    for name, value in PRAGMAS.items():
        connection.execute(f"PRAGMA {name}={value}")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
