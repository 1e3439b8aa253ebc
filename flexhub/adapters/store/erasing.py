"""A store that nobody else has open, to take out of it for good what the journal and the outbox keep otherwise.

What is removed is gone from the database's files, too: SQLite overwrites it and writes the file anew, PostgreSQL
rewrites its tables. Copies that were made before are not touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import ColumnElement, Connection, create_engine, delete, func, insert, make_url, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from flexhub.adapters.store import check_url, schema
from flexhub.adapters.store.backup import refuse_others
from flexhub.adapters.store.dialects import SCHEMES
from flexhub.adapters.store.interface import (
    AccountRow,
    AskRow,
    DocumentRow,
    JournalRow,
    NoticeRow,
    OriginRow,
    SendRow,
    TimerRow,
    TokenRow,
)
from flexhub.adapters.store.migrate import upgrade
from flexhub.adapters.store.schema import UNBOUNDED_END, UNBOUNDED_START
from flexhub.adapters.store.sql import SqlTransaction
from flexhub.core.errors import ForbiddenError, NotFoundError

PAGE: Final = 1000
MANY: Final = 400


class Erasing(SqlTransaction):
    """The one transaction in which things are taken away; it may read all there is, and remove it."""

    def __init__(self, connection: Connection, url: str) -> None:
        super().__init__(connection, SCHEMES[url.partition(":")[0]], "")

    def every_document(self) -> Iterator[DocumentRow]:
        """All documents, as read when this begins."""
        columns = [schema.document.c[name] for name in DocumentRow._fields]
        for row in self._connection.execute(select(*columns).order_by(schema.document.c.kind, schema.document.c.id)):
            found = DocumentRow._make(row)
            yield found._replace(
                starts=None if found.starts == UNBOUNDED_START else found.starts,
                ends=None if found.ends == UNBOUNDED_END else found.ends,
            )

    def every_message(self) -> Iterator[JournalRow]:
        """The journal, page by page; messages behind the one that is looked at may be changed meanwhile."""
        column, after = schema.journal.c, 0
        wanted = select(*(column[name] for name in JournalRow._fields)).order_by(column.seq).limit(PAGE)
        while rows := self._connection.execute(wanted.where(column.seq > after)).all():
            yield from map(JournalRow._make, rows)
            after = rows[-1].seq

    def every_notice(self) -> Iterator[NoticeRow]:
        """The outbox, page by page."""
        column, after = schema.notice.c, 0
        wanted = select(*(column[name] for name in NoticeRow._fields)).order_by(column.seq).limit(PAGE)
        while rows := self._connection.execute(wanted.where(column.seq > after)).all():
            yield from map(NoticeRow._make, rows)
            after = rows[-1].seq

    def every_timer(self) -> list[TimerRow]:
        """All timers."""
        return [TimerRow._make(row) for row in self._connection.execute(select(schema.timer))]

    def every_question(self) -> list[AskRow]:
        """All open questions."""
        return [AskRow._make(row) for row in self._connection.execute(select(schema.ask))]

    def every_send(self) -> list[SendRow]:
        """All messages for peers."""
        columns = [schema.outbox.c[name] for name in SendRow._fields]
        return [SendRow._make(row) for row in self._connection.execute(select(*columns).order_by(schema.outbox.c.seq))]

    def remove_sends(self, seqs: Sequence[int]) -> None:
        """These messages for peers are no longer there."""
        for at in range(0, len(seqs), MANY):
            self._connection.execute(delete(schema.outbox).where(schema.outbox.c.seq.in_(seqs[at : at + MANY])))

    def every_token(self) -> list[TokenRow]:
        """All tokens."""
        return [TokenRow._make(row) for row in self._connection.execute(select(schema.token))]

    def ends(self) -> tuple[int, int]:
        """The highest numbers in journal and outbox."""
        found = (self._connection.execute(select(func.max(t.c.seq))).scalar() for t in (schema.journal, schema.notice))
        journal, notice = (n or 0 for n in found)
        return journal, notice

    def replace_message(self, row: JournalRow) -> None:
        """Another message in the place (`seq`) of one."""
        place = update(schema.journal).where(schema.journal.c.seq == row.seq)
        self._connection.execute(place.values(**row._asdict()))

    def remove_documents(self, keys: Iterable[tuple[str, str]]) -> None:
        """These are no longer there."""
        for kind, id_ in keys:
            column = schema.document.c
            self._connection.execute(delete(schema.document).where(column.kind == kind, column.id == id_))

    def remove_notices(self, seqs: Sequence[int]) -> None:
        """These are no longer there; their numbers are not given out again."""
        for at in range(0, len(seqs), MANY):
            self._connection.execute(delete(schema.notice).where(schema.notice.c.seq.in_(seqs[at : at + MANY])))

    def keep_accounts(self, rows: Sequence[AccountRow]) -> None:
        """Keep these apart, in the place of earlier ones of the same kind and id."""
        column = schema.account.c
        for row in rows:
            self._connection.execute(delete(schema.account).where(column.kind == row.kind, column.id == row.id))
            self._connection.execute(insert(schema.account).values(**row._asdict()))

    def remove_accounts(self, now: datetime) -> int:
        """Forget what need not be kept any longer; how many there were."""
        over: ColumnElement[bool] = schema.account.c.until <= now
        return self._connection.execute(delete(schema.account).where(over)).rowcount

    def replace_origin(self, rows: Iterable[OriginRow]) -> None:
        """What a replay begins with from now on."""
        self._connection.execute(delete(schema.origin))
        for row in rows:
            self._connection.execute(insert(schema.origin).values(what=row.what, body=row.body))


@contextmanager
def alone(url: str) -> Iterator[Erasing]:
    """The store at this address while nobody else has it open; all is done when the block ends, or nothing.

    Raises:
        ForbiddenError: the store is in use.
        NotFoundError: there is none.
        ConfigError: an address of a kind that we don't serve.
    """
    check_url(url)
    if url.startswith("sqlite"):
        yield from _sqlite(url)
    else:
        yield from _postgres(url)


def _sqlite(url: str) -> Iterator[Erasing]:
    file = make_url(url).database or ""
    if not Path(file).is_file():
        raise NotFoundError("there is no store", path=file)
    upgrade(url)
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": 0})
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            try:
                # Leaving write-ahead logging takes the whole file, which any open connection refuses.
                for pragma in ("journal_mode=DELETE", "locking_mode=EXCLUSIVE", "secure_delete=ON", "synchronous=FULL"):
                    connection.exec_driver_sql(f"PRAGMA {pragma}")
                connection.exec_driver_sql("BEGIN EXCLUSIVE")
            except OperationalError as error:
                message = f"the store is in use ({error.orig}); stop the hub first"
                raise ForbiddenError(message, path=file) from error
            try:
                yield Erasing(connection, url)
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql("VACUUM")
    finally:
        engine.dispose()


def _postgres(url: str) -> Iterator[Erasing]:
    upgrade(url)
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
    try:
        with engine.begin() as connection:
            refuse_others(connection, url)
            yield Erasing(connection, url)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for table in schema.metadata.sorted_tables:
                connection.exec_driver_sql(f"VACUUM (FULL) {table.name}")
    finally:
        engine.dispose()
