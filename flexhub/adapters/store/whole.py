"""All that is stored, page by page, as one connection sees it: nothing is held in memory but a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Table, func, select, tuple_

from flexhub.adapters.store import schema
from flexhub.adapters.store.interface import (
    AskRow,
    DocumentRow,
    JournalRow,
    NoticeRow,
    OriginRow,
    SendRow,
    TimerRow,
    TokenRow,
)
from flexhub.adapters.store.schema import UNBOUNDED_END, UNBOUNDED_START

PAGE: Final = 1000

R = TypeVar("R", bound=tuple[Any, ...])


class Whole:
    """Reads everything, in order of keys. What is behind the row that is looked at may be changed meanwhile."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def _every(self, table: Table, row: type[R], key: tuple[str, ...], *only: Any) -> Iterator[R]:  # noqa: ANN401 - conditions
        columns = [table.c[name] for name in row._fields]  # type: ignore[attr-defined] # rows are named tuples
        place = tuple_(*(table.c[name] for name in key)) if len(key) > 1 else table.c[key[0]]
        wanted = select(*columns).where(*only).order_by(*(table.c[name] for name in key)).limit(PAGE)
        found = self._connection.execute(wanted).all()
        while found:
            yield from (row(*one) for one in found)
            last = found[-1]._mapping  # noqa: SLF001 - SQLAlchemy's own name for it
            after = tuple(last[table.c[name]] for name in key)
            found = self._connection.execute(wanted.where(place > (after if len(key) > 1 else after[0]))).all()

    def every_document(self, *, owner: str | None = None, kind: str | None = None) -> Iterator[DocumentRow]:
        """Documents by kind and id; only a party's, or of a kind."""
        column = schema.document.c
        only = [c == wanted for c, wanted in ((column.owner, owner), (column.kind, kind)) if wanted is not None]
        for row in self._every(schema.document, DocumentRow, ("kind", "id"), *only):
            yield row._replace(
                starts=None if row.starts == UNBOUNDED_START else row.starts,
                ends=None if row.ends == UNBOUNDED_END else row.ends,
            )

    def ended(self, kind: str, before: datetime) -> Iterator[DocumentRow]:
        """Documents of a kind that were over at this time."""
        found = (schema.document.c.kind == kind, schema.document.c.ends <= before)
        return self._every(schema.document, DocumentRow, ("kind", "id"), *found)

    def document(self, kind: str, id: str) -> DocumentRow | None:  # noqa: A002 - the documents' own word
        """One document."""
        key = (schema.document.c.kind == kind, schema.document.c.id == id)
        return next(self._every(schema.document, DocumentRow, ("kind", "id"), *key), None)

    def every_message(self) -> Iterator[JournalRow]:
        """The journal."""
        return self._every(schema.journal, JournalRow, ("seq",))

    def every_notice(self) -> Iterator[NoticeRow]:
        """The notices."""
        return self._every(schema.notice, NoticeRow, ("seq",))

    def every_timer(self) -> Iterator[TimerRow]:
        """All timers."""
        return self._every(schema.timer, TimerRow, ("subject", "event"))

    def every_question(self) -> Iterator[AskRow]:
        """All open questions."""
        return self._every(schema.ask, AskRow, ("id",))

    def every_send(self, state: str | None = None) -> Iterator[SendRow]:
        """All messages for peers; only those in this state."""
        only = () if state is None else (schema.outbox.c.state == state,)
        return self._every(schema.outbox, SendRow, ("seq",), *only)

    def every_token(self) -> Iterator[TokenRow]:
        """All tokens."""
        return self._every(schema.token, TokenRow, ("hash",))

    def gone(self, generation: int) -> Iterator[OriginRow]:
        """What an origin says is to be removed."""
        column = schema.origin.c
        return self._every(schema.origin, OriginRow, ("seq",), column.generation == generation, column.what == "gone")

    def ends(self) -> tuple[int, int, int]:
        """The highest numbers in journal, notices and outbox."""
        tables = (schema.journal, schema.notice, schema.outbox)
        journal, notice, outbox = (self._connection.execute(select(func.max(t.c.seq))).scalar() or 0 for t in tables)
        return journal, notice, outbox

    def old_messages(self, before: datetime, end: int, after: int, limit: int, but: Sequence[str]) -> list[int]:
        """Numbers of messages received before this time, up to `end`, of other kinds than these."""
        column = schema.journal.c
        old = select(column.seq).where(column.seq > after, column.seq <= end, column.received < before)
        return self._numbers(old.where(column.kind.not_in(but)).order_by(column.seq).limit(limit))

    def old_notices(self, before: datetime, end: int, after: int, limit: int) -> list[int]:
        """Numbers of notices made before this time, up to `end`."""
        column = schema.notice.c
        old = select(column.seq).where(column.seq > after, column.seq <= end, column.created < before)
        return self._numbers(old.order_by(column.seq).limit(limit))

    def old_sends(self, before: datetime, end: int, after: int, limit: int) -> list[int]:
        """Numbers of messages for peers that were made before this time and no longer wait, up to `end`."""
        column = schema.outbox.c
        old = select(column.seq).where(column.seq > after, column.seq <= end, column.created < before)
        return self._numbers(old.where(column.state != "waiting").order_by(column.seq).limit(limit))

    def _numbers(self, wanted: Any) -> list[int]:  # noqa: ANN401 - a select of one column
        return list(self._connection.execute(wanted).scalars())
