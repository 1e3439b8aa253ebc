"""Takes out of a store, for good, what the journal and the outbox keep otherwise.

From one that nobody else has open (`alone`) it is gone from the database's files, too: SQLite overwrites it and writes
the file anew, PostgreSQL rewrites its tables. Copies that were made before are not touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Table,
    bindparam,
    create_engine,
    delete,
    func,
    insert,
    make_url,
    select,
    update,
)
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from flexhub.adapters.store import check_url, schema
from flexhub.adapters.store.backup import refuse_others
from flexhub.adapters.store.dialects import SCHEMES
from flexhub.adapters.store.interface import AccountRow, JournalRow, OriginRow
from flexhub.adapters.store.migrate import upgrade
from flexhub.adapters.store.sql import SqlTransaction
from flexhub.adapters.store.whole import Whole
from flexhub.core.errors import ForbiddenError, NotFoundError

MANY: Final = 400


class Erasing(SqlTransaction, Whole):
    """A transaction in which things are taken away; it may read all there is, and remove it."""

    def messages(self, seqs: Sequence[int]) -> list[JournalRow]:
        """Messages with these numbers, in order."""
        column = schema.journal.c
        found: list[JournalRow] = []
        for chunk in _chunks(seqs):
            found += self._every(schema.journal, JournalRow, ("seq",), column.seq.in_(chunk))
        return found

    def replace_messages(self, rows: Sequence[JournalRow]) -> None:
        """Other messages in the places (`seq`) of these."""
        names = JournalRow._fields[:-1]
        place = update(schema.journal).where(schema.journal.c.seq == bindparam("at"))
        place = place.values({name: bindparam(f"new_{name}") for name in names})
        given = [{f"new_{name}": getattr(row, name) for name in names} | {"at": row.seq} for row in rows]
        if given:
            self._connection.execute(place, given)

    def last_received(self) -> datetime | None:
        """When the newest message of the journal was received."""
        newest = select(schema.journal.c.received).order_by(schema.journal.c.seq.desc()).limit(1)
        received: datetime | None = self._connection.execute(newest).scalar_one_or_none()
        return received

    def remove_documents(self, rows: Iterable[tuple[str, str, int]]) -> int:
        """These (kind, id, version) are no longer there, but for those that were written since; how many."""
        column = schema.document.c
        done = 0
        for kind, id_, version in rows:
            same = (column.kind == kind, column.id == id_, column.version == version)
            done += self._connection.execute(delete(schema.document).where(*same)).rowcount
        return done

    def remove_notices(self, seqs: Sequence[int]) -> None:
        """These are no longer there; their numbers are not given out again."""
        self._remove(schema.notice, seqs)

    def remove_sends(self, seqs: Sequence[int]) -> None:
        """These messages for peers are no longer there."""
        self._remove(schema.outbox, seqs)

    def _remove(self, table: Table, seqs: Sequence[int]) -> None:
        for chunk in _chunks(seqs):
            self._connection.execute(delete(table).where(table.c.seq.in_(chunk)))

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

    # What a replay begins with is written beside what it began with so far, and counts once its "ends" are there.

    def begin_origin(self) -> int:
        """A new origin, which does not count yet: its number."""
        highest: int | None = self._connection.execute(select(func.max(schema.origin.c.generation))).scalar()
        generation = (highest or 0) + 1
        self.add_origin(generation, [OriginRow("begun", b"")])
        return generation

    def add_origin(self, generation: int, rows: Iterable[OriginRow]) -> int:
        """More of an origin; how much."""
        done, given = 0, iter(rows)
        while page := [{"generation": generation, "what": r.what, "body": r.body} for r in islice(given, MANY)]:
            self._connection.execute(insert(schema.origin), page)
            done += len(page)
        return done

    def origin_rows(self, generation: int) -> int:
        """How much of an origin there is, the row that it began with included."""
        count = select(func.count()).where(schema.origin.c.generation == generation)
        found: int = self._connection.execute(count).scalar_one()
        return found

    def remove_stale_origin(self, limit: int) -> int:
        """Take so many rows away of origins that count no longer, or never did; how many there were."""
        column = schema.origin.c
        kept = select(func.coalesce(func.max(column.generation), -1)).where(column.what == "ends").scalar_subquery()
        stale = select(column.seq).where(column.generation != kept).limit(limit)
        return self._connection.execute(delete(schema.origin).where(column.seq.in_(stale))).rowcount

    def remove_origin_rows(self, seqs: Sequence[int]) -> None:
        """These rows of an origin are no longer there."""
        self._remove(schema.origin, seqs)


def _chunks(seqs: Sequence[int]) -> Iterator[Sequence[int]]:
    return (seqs[at : at + MANY] for at in range(0, len(seqs), MANY))


@contextmanager
def alone(url: str, *, compact: bool = True) -> Iterator[Erasing]:
    """The store at this address while nobody else has it open; all is done when the block ends, or nothing.

    `compact`: the files are then written anew, so that nothing of what was removed is left in them.

    Raises:
        ForbiddenError: the store is in use.
        NotFoundError: there is none.
        ConfigError: an address of a kind that we don't serve.
    """
    check_url(url)
    if url.startswith("sqlite"):
        yield from _sqlite(url, compact=compact)
    else:
        yield from _postgres(url, compact=compact)


def _sqlite(url: str, *, compact: bool) -> Iterator[Erasing]:
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
                yield Erasing(connection, SCHEMES[url.partition(":")[0]], "")
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")
            if compact:
                connection.exec_driver_sql("VACUUM")
    finally:
        engine.dispose()


def _postgres(url: str, *, compact: bool) -> Iterator[Erasing]:
    upgrade(url)
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
    try:
        with engine.begin() as connection:
            refuse_others(connection, url)
            yield Erasing(connection, SCHEMES[url.partition(":")[0]], "")
        if not compact:
            return
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for table in schema.metadata.sorted_tables:
                connection.exec_driver_sql(f"VACUUM (FULL) {table.name}")
    finally:
        engine.dispose()
