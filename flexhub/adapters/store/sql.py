"""The store on SQL; every commit reaches the disk before it returns."""

from __future__ import annotations

import heapq
import logging
import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import msgspec
from sqlalchemy import (
    Connection,
    Executable,
    Row,
    Select,
    bindparam,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.exc import DBAPIError

from flexhub.adapters.store import schema
from flexhub.adapters.store.dialects import AT_ONCE, CHANNEL, MAX_PAYLOAD, SCHEMES, Dialect
from flexhub.adapters.store.interface import (
    AccountRow,
    AskRow,
    AuditRow,
    ConflictError,
    DocumentRow,
    JournalRow,
    NoticeRow,
    OriginRow,
    Query,
    SendRow,
    TimerRow,
    TokenRow,
    Transaction,
)
from flexhub.adapters.store.migrate import upgrade
from flexhub.adapters.store.schema import UNBOUNDED_END, UNBOUNDED_START, instant, micros
from flexhub.adapters.store.whole import Whole

if TYPE_CHECKING:
    from flexhub.adapters.store.erasing import Erasing

log = logging.getLogger(__name__)

LOOKUPS: Final = 400
"""Keys per statement; SQLite takes 32,766 parameters at most, and short lists keep the statement's cache small."""

LISTEN_S: Final = 1.0
"""How long a listener waits at a time; so it notices within that the store is closed."""

_journal_columns: Final = [schema.journal.c[name] for name in JournalRow._fields]
_document_columns: Final = [schema.document.c[name] for name in DocumentRow._fields]
_notice_columns: Final = [schema.notice.c[name] for name in NoticeRow._fields]

_CLEAR_TIMER: Final = "DELETE FROM timer WHERE subject = {mark} AND event = {mark}"
_REMOVE_ASK: Final = delete(schema.ask).where(schema.ask.c.id == bindparam("ask_id"))
_FORGET_SEND: Final = delete(schema.outbox).where(
    schema.outbox.c.peer == bindparam("of_peer"),
    schema.outbox.c.message_id == bindparam("of_id"),
    or_(
        schema.outbox.c.state != "waiting",
        schema.outbox.c.reply_kind == "",  # whether it still waits is nobody's business, and in no journal
        schema.outbox.c.created == bindparam("at"),  # of this transaction: they keep their order
    ),
)
_MARK: Final = "UPDATE outbox SET state = {mark} WHERE peer = {mark} AND message_id = {mark}"
_DOCUMENTS: Final = select(*_document_columns).where(
    schema.document.c.kind == bindparam("of_kind"), schema.document.c.id.in_(bindparam("ids", expanding=True))
)
_TOKENS: Final = select(schema.token).where(schema.token.c.hash.in_(bindparam("hashes", expanding=True)))


class Rows(NamedTuple):
    """A statement that every batch puts many rows through; a row is a tuple in the columns' order.

    It takes up to `AT_ONCE` rows: one call into the database, which leaves the interpreter to the event loop meanwhile
    (with `executemany` the two hand it back and forth for every row), and no parameter objects of SQLAlchemy's, which
    cost as much as the insert itself.
    """

    table: str
    columns: tuple[str, ...]
    behind: str = ""

    def text(self, rows: int, mark: str) -> str:
        """The statement for so many rows."""
        place = f"({', '.join([mark] * len(self.columns))})"
        places = ", ".join([place] * rows)
        return f"INSERT INTO {self.table} ({', '.join(self.columns)}) VALUES {places}{self.behind}"  # noqa: S608 - names of ours


@cache
def _for_rows(into: Rows, rows: int, mark: str) -> str:
    return into.text(rows, mark)


_DOCUMENT: Final = ("kind", "id", "owner", "state", "starts", "ends", "schema_version", "body", "version")
_REPLACE: Final = " ON CONFLICT (kind, id) DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}" for name in _DOCUMENT[2:-1]
)
_ADD_JOURNAL: Final = Rows("journal", JournalRow._fields[:-1])
_ADD_NOTICE: Final = Rows("notice", NoticeRow._fields[:-1])
_PUT_ANYHOW: Final = Rows("document", _DOCUMENT, f"{_REPLACE}, version = document.version + 1")
_PUT_NEXT: Final = Rows(
    "document", _DOCUMENT, f"{_REPLACE}, version = excluded.version WHERE document.version = excluded.version - 1"
)
_LOCKED: Final = " FOR UPDATE OF document"
_ADD_SEND: Final = Rows("outbox", SendRow._fields[:-1], " ON CONFLICT (peer, message_id) DO NOTHING")
_SET_TIMER: Final = Rows("timer", TimerRow._fields, " ON CONFLICT (subject, event) DO UPDATE SET due = excluded.due")

_ADD_AUDIT: Final = Rows("audit", AuditRow._fields[:-1])
_LAST_AUDIT: Final = "SELECT hash FROM audit ORDER BY seq DESC LIMIT 1"

_HOLD: Final = """
    INSERT INTO lease (name, holder, until) VALUES (%(name)s, %(holder)s, {now} + %(length)s)
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
    WHERE lease.holder = excluded.holder OR lease.until < {now}
"""
_LAPSE: Final = "DELETE FROM lease WHERE until < {now}"
_ADOPT: Final = (
    update(schema.ask)
    .where(
        schema.ask.c.holder != bindparam("me"),
        ~select(schema.lease).where(schema.lease.c.holder == schema.ask.c.holder).exists(),
    )
    .values(holder=bindparam("me"))
)
_NOW: Final = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
"""The server's own clock in microseconds: those of several machines may differ."""


_PAIRED: Final = {"document": ("kind", "id"), "journal": ("peer", "message_id"), "timer": ("subject", "event")}
"""Table -> the columns that name a row together."""


@cache
def _by_pairs(table: str, columns: tuple[str, ...], pairs: int, mark: str) -> str:
    """SQL for the rows of a table by so many pairs of keys.

    Not `(a, b) IN (VALUES ...)`, for which SQLite may read the whole table: CROSS JOIN makes it look each pair up.
    """
    first, second = _PAIRED[table]
    wanted = ", ".join(f"{table}.{name}" for name in columns)
    places = ", ".join([f"({mark}, {mark})"] * pairs)
    return (
        f"WITH pair (a, b) AS (VALUES {places}) SELECT {wanted} FROM pair CROSS JOIN {table} "  # noqa: S608 - names of ours
        f"WHERE {table}.{first} = pair.a AND {table}.{second} = pair.b"
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


def _stored(row: DocumentRow, version: int) -> tuple[Any, ...]:
    starts, ends = micros(row.starts or UNBOUNDED_START), micros(row.ends or UNBOUNDED_END)
    return (*row[:4], starts, ends, row.schema_version, row.body, version)


class SqlTransaction:
    """A batch's reads and writes on the writer's connection."""

    def __init__(self, connection: Connection, dialect: Dialect, me: str) -> None:
        self._connection = connection
        self._dialect = dialect
        self._me = me
        self._numbering = False

    def claim(self, conversations: Iterable[str]) -> None:
        """These are this transaction's until it ends."""
        self._dialect.claim(self._connection, conversations)

    def _by_pairs(
        self, table: str, columns: tuple[str, ...], keys: Sequence[tuple[str, str]], behind: str = ""
    ) -> Iterator[Any]:
        for chunk in _chunks(keys):
            sql = _by_pairs(table, columns, len(chunk), self._dialect.mark) + behind
            yield from self._connection.exec_driver_sql(sql, tuple(part for key in chunk for part in key))

    def journalled(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], JournalRow]:
        """Messages known by (peer, message_id)."""
        found = self._by_pairs("journal", JournalRow._fields, keys)
        rows = (JournalRow._make((*row[:6], instant(row[6]), *row[7:])) for row in found)
        return {(row.peer, row.message_id): row for row in rows}

    def documents(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], DocumentRow]:
        """Documents by (kind, id), without those that are not there."""
        found = self._by_pairs("document", DocumentRow._fields, list(keys))
        return {
            (row[0], row[1]): _bounded(DocumentRow._make((*row[:4], instant(row[4]), instant(row[5]), *row[6:])))
            for row in found
        }

    def timers(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], datetime]:
        """When timers are due, by (subject, event)."""
        return {(subject, name): instant(due) for subject, name, due in self._by_pairs("timer", TimerRow._fields, keys)}

    def _rows(self, into: Rows, rows: Sequence[tuple[Any, ...]]) -> int:
        """Put rows; how many are there as said."""
        done = 0
        for at in range(0, len(rows), AT_ONCE):
            chunk = rows[at : at + AT_ONCE]
            sql = _for_rows(into, len(chunk), self._dialect.mark)
            done += self._connection.exec_driver_sql(sql, tuple(chain.from_iterable(chunk))).rowcount
        return done

    def _number(self) -> None:
        if not self._numbering:
            self._dialect.number(self._connection)
            self._numbering = True

    def _many(self, statement: Executable, rows: list[dict[str, Any]]) -> None:
        if rows:
            self._connection.execute(statement, rows)

    def _each(self, sql: str, rows: list[tuple[str, ...]]) -> None:
        """Run a statement that every batch runs for some rows, without parameter objects of SQLAlchemy's."""
        if rows:
            self._connection.exec_driver_sql(sql.format(mark=self._dialect.mark), rows)

    def add_journal(self, rows: Sequence[JournalRow]) -> None:
        """Append messages, in this order."""
        if rows:
            self._number()
        self._rows(_ADD_JOURNAL, [(*row[:6], micros(row.received), row.status, row.answer) for row in rows])

    def put_documents(self, rows: Sequence[DocumentRow]) -> None:
        """Write documents, new or not.

        Raises:
            ConflictError: a row says its version, and another one than that before it is there.
        """
        rows = sorted(rows, key=lambda row: row[:2])  # in this order by everyone, so that nobody waits crosswise
        known = [_stored(row, row.version) for row in rows if row.version]
        there = [row[:2] for row in rows if row.version > 1]
        if self._dialect.shared and len(list(self._by_pairs("document", ("kind",), there, _LOCKED))) < len(there):
            raise ConflictError("a document was removed by another process meanwhile")
        if self._rows(_PUT_NEXT, known) != len(known):
            raise ConflictError("a document was written by another process meanwhile")
        self._rows(_PUT_ANYHOW, [_stored(row, 1) for row in rows if not row.version])

    def unchanged(self, versions: Mapping[tuple[str, str], int]) -> None:
        """Make sure that documents that were read are still of these versions, until the commit.

        Raises:
            ConflictError: one is not.
        """
        if not versions or not self._dialect.shared:
            return  # who is alone has seen the newest
        self._number()  # whoever commits before has done so now, and is seen
        found = self._by_pairs("document", ("kind", "id", "version"), list(versions))
        now = {(kind, id_): version for kind, id_, version in found}
        if any(now.get(key, 0) != version for key, version in versions.items()):
            raise ConflictError("a document that was read has been written by another process meanwhile")

    def add_notices(self, rows: Sequence[NoticeRow]) -> None:
        """Append to the outbox, in this order."""
        if rows:
            self._number()
        self._rows(_ADD_NOTICE, [(*row[:4], micros(row.created)) for row in rows])

    def add_sends(self, rows: Sequence[SendRow]) -> None:
        """Keep messages for peers, in this order; one that is known waits again, behind all others."""
        if not rows:
            return
        self._number()
        values = [(*row[:7], micros(row.created), micros(row.expires), row.state) for row in rows]
        if self._rows(_ADD_SEND, values) < len(rows):
            forget = [{"of_peer": row.peer, "of_id": row.message_id, "at": row.created} for row in rows]
            self._many(_FORGET_SEND, forget)
            self._rows(_ADD_SEND, values)

    def mark_sends(self, states: Mapping[tuple[str, str], str]) -> None:
        """What has become of messages, by (peer, message_id)."""
        self._each(_MARK, [(state, *key) for key, state in states.items()])

    def last_audit(self) -> str | None:
        """The hash of the newest block of the audit log; no other comes between it and this transaction's."""
        self._number()
        found: str | None = self._connection.exec_driver_sql(_LAST_AUDIT).scalar_one_or_none()
        return found

    def add_audit(self, row: AuditRow) -> None:
        """Append a block; it can never be changed or removed."""
        self._rows(_ADD_AUDIT, [(micros(row.at), row.body, row.hash)])

    def announce(self, parties: Iterable[str]) -> None:
        """Once it is committed, other processes hear of these parties, or of everyone where they are too many."""
        if not self._dialect.shared:
            return
        text = msgspec.json.encode((self._me, tuple(parties))).decode()
        if len(text.encode()) > MAX_PAYLOAD:
            text = msgspec.json.encode((self._me, None)).decode()
        self._dialect.announce(self._connection, text)

    def add_asks(self, rows: Sequence[AskRow]) -> None:
        """Keep questions until they are removed."""
        self._many(insert(schema.ask), [row._asdict() for row in rows])

    def remove_asks(self, ids: Sequence[str]) -> None:
        """These questions are answered."""
        self._many(_REMOVE_ASK, [{"ask_id": id_} for id_ in ids])

    def set_timers(self, timers: Mapping[tuple[str, str], datetime | None]) -> None:
        """Set, move or clear timers."""
        self._each(_CLEAR_TIMER, [key for key, due in timers.items() if due is None])
        self._rows(_SET_TIMER, [(*key, micros(due)) for key, due in timers.items() if due is not None])

    def add_token(self, row: TokenRow) -> None:
        """Keep a token's hash."""
        self._many(insert(schema.token), [row._asdict()])

    def remove_tokens(self, party: str) -> int:
        """Forget all tokens of a party."""
        return self._connection.execute(delete(schema.token).where(schema.token.c.party == party)).rowcount


S = TypeVar("S", bound=SqlTransaction)


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
        self._dialect = SCHEMES[url.partition(":")[0]]
        self.shared = self._dialect.shared
        self.engines = self._dialect.engines(url)
        engine, self._reader = self.engines
        self._writer = engine.connect()
        self._turn = threading.Lock()
        self._me = uuid.uuid4().hex
        self._closed = threading.Event()
        self._listener: threading.Thread | None = None

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """A write transaction: durable when the block ends, undone if it raises."""
        with self._begun(SqlTransaction) as transaction:
            yield transaction

    @contextmanager
    def erasing(self) -> Iterator[Erasing]:
        """A write transaction that may also take away; what it removes is overwritten where the database can."""
        from flexhub.adapters.store.erasing import Erasing  # noqa: PLC0415 - it is made of what is here

        with self._begun(Erasing) as transaction, self._dialect.overwriting(self._writer):
            yield transaction

    @contextmanager
    def snapshot(self) -> Iterator[Whole]:
        """All that is stored, as of one commit, however long it is looked at; nobody waits for it."""
        with self._dialect.snapshot(self._reader) as connection:
            yield Whole(connection)

    @contextmanager
    def _begun(self, kind: type[S]) -> Iterator[S]:
        try:
            with self._turn, self._writer.begin():
                yield kind(self._writer, self._dialect, self._me)
                self._dialect.check(self._writer)
        except DBAPIError as error:
            if self._dialect.lost(error):
                raise ConflictError(str(error.orig)) from error
            raise

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

    def all_documents(self, after: tuple[str, str], limit: int, owner: str | None = None) -> list[DocumentRow]:
        """Documents of every kind behind this (kind, id), in order of both; only a party's."""
        place = tuple_(schema.document.c.kind, schema.document.c.id)
        found = select(*_document_columns).where(place > after).order_by(*place.clauses).limit(limit)
        if owner is not None:
            found = found.where(schema.document.c.owner == owner)
        with self._reader.connect() as connection:
            return [_document(row) for row in connection.execute(found)]

    def notices(self, party: str | tuple[str, ...] | None, after: int, limit: int) -> list[NoticeRow]:
        """The outbox of a party, of several or (None) of all behind `after`, in order."""
        column = schema.notice.c
        found = select(*_notice_columns).where(column.seq > after).order_by(column.seq).limit(limit)
        if party is not None:
            found = found.where(column.party == party if isinstance(party, str) else column.party.in_(party))
        with self._reader.connect() as connection:
            return [NoticeRow._make(row) for row in connection.execute(found)]

    def last_notice(self) -> int:
        """The highest seq in the outbox so far."""
        with self._reader.connect() as connection:
            highest: int | None = connection.execute(select(func.max(schema.notice.c.seq))).scalar_one()
        return highest or 0

    def journal(self, after: int, limit: int, peer: str | None = None) -> list[JournalRow]:
        """Messages behind `after`, in order; only a peer's."""
        column = schema.journal.c
        found = select(*_journal_columns).where(column.seq > after).order_by(column.seq).limit(limit)
        if peer is not None:
            found = found.where(column.peer == peer)
        with self._reader.connect() as connection:
            return [JournalRow._make(row) for row in connection.execute(found)]

    def last_received(self) -> datetime | None:
        """When the newest message of the journal was received."""
        newest = select(schema.journal.c.received).order_by(schema.journal.c.seq.desc()).limit(1)
        with self._reader.connect() as connection:
            received: datetime | None = connection.execute(newest).scalar_one_or_none()
        return received

    def size(self) -> int:
        """Bytes that the database takes."""
        with self._reader.connect() as connection:
            taken: int = connection.exec_driver_sql(self._dialect.size).scalar_one()
        return taken

    def sends(self, after: int, limit: int, state: str | None = None) -> list[SendRow]:
        """Messages for peers behind `after`, in order; only those in this state."""
        column = schema.outbox.c
        found = select(*(column[name] for name in SendRow._fields)).where(column.seq > after).order_by(column.seq)
        if state is not None:
            found = found.where(column.state == state)
        with self._reader.connect() as connection:
            return [SendRow._make(row) for row in connection.execute(found.limit(limit))]

    def audit(self, after: int, limit: int) -> list[AuditRow]:
        """Blocks of the audit log behind `after`, in order."""
        column = schema.audit.c
        found = select(*(column[name] for name in AuditRow._fields)).where(column.seq > after).order_by(column.seq)
        with self._reader.connect() as connection:
            return [AuditRow._make(row) for row in connection.execute(found.limit(limit))]

    def accounts(self, party: str) -> list[AccountRow]:
        """What is kept of a party that was erased."""
        column = schema.account.c
        found = select(schema.account).where(column.party == party).order_by(column.kind, column.id)
        with self._reader.connect() as connection:
            return [AccountRow._make(row) for row in connection.execute(found)]

    def origin(self, after: int, limit: int) -> list[OriginRow]:
        """What a replay begins with, behind `after`, in order."""
        column = schema.origin.c
        newest = select(func.max(column.generation)).where(column.what == "ends").scalar_subquery()
        found = select(column.what, column.body, column.seq).where(column.seq > after, column.generation == newest)
        found = found.order_by(column.seq)
        with self._reader.connect() as connection:
            return [OriginRow._make(row) for row in connection.execute(found.limit(limit))]

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

    def hold(self, name: str, holder: str, seconds: float) -> bool:
        """Take a lease, or keep it; alone there is nobody to take it from."""
        if not self.shared:
            return True
        given = {"name": name, "holder": holder, "length": int(seconds * 1e6)}
        with self._reader.connect() as connection:
            return connection.exec_driver_sql(_HOLD.format(now=_NOW), given).rowcount == 1

    def let_go(self, holder: str) -> None:
        """Give all leases of this holder back."""
        with self._reader.connect() as connection:
            connection.execute(delete(schema.lease).where(schema.lease.c.holder == holder))

    def adopt(self, holder: str) -> list[AskRow]:
        """Take over the questions of holders that have no lease (any more); all that are this holder's now."""
        with self.begin():
            if self.shared:
                self._writer.exec_driver_sql(_LAPSE.format(now=_NOW))
            self._writer.execute(_ADOPT, {"me": holder})
        return [row for row in self.asks() if row.holder == holder]

    def listen(self, heard: Callable[[tuple[str, ...] | None], None]) -> None:
        """Call this, in a thread of its own, with the parties of each commit of another process."""
        if not self.shared:
            return
        self._listener = threading.Thread(target=self._listen, args=(heard,), name="store-listen", daemon=True)
        self._listener.start()

    def _listen(self, heard: Callable[[tuple[str, ...] | None], None]) -> None:
        listens = True
        while not self._closed.is_set():
            try:
                with self._reader.connect() as connection:
                    driver: Any = connection.connection.driver_connection
                    connection.detach()  # it will go on listening: not one for the pool
                    connection.exec_driver_sql(f"LISTEN {CHANNEL}")
                    listens = True
                    heard(None)  # what was said before is not heard any more
                    while not self._closed.is_set():
                        for said in driver.notifies(timeout=LISTEN_S):
                            sender, parties = msgspec.json.decode(said.payload, type=tuple[str, tuple[str, ...] | None])
                            if sender != self._me:
                                heard(parties)
            except Exception as error:
                if listens:  # said once, not every second while it lasts
                    log.warning("what other processes commit cannot be heard (%s); trying again", error)
                listens = False
                self._closed.wait(LISTEN_S)

    def tokens_of(self, hashes: Collection[str]) -> list[TokenRow]:
        """Those of the tokens with these hashes that there are, in any order."""
        with self._reader.connect() as connection:
            rows = connection.execute(_TOKENS, {"hashes": list(hashes)}).all()
        return [TokenRow._make(row) for row in rows]

    def tokens(self) -> list[TokenRow]:
        """All tokens, by party, oldest first."""
        columns = schema.token.c
        with self._reader.connect() as connection:
            rows = connection.execute(select(schema.token).order_by(columns.party, columns.created, columns.hash)).all()
        return [TokenRow._make(row) for row in rows]

    def close(self) -> None:
        """Let go of all connections."""
        self._closed.set()
        if self._listener is not None:
            self._listener.join(5 * LISTEN_S)
        with self._turn:
            self._writer.close()
        for engine in self.engines:
            engine.dispose()
