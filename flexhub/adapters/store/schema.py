"""The tables, as they are after the newest migration (a test compares the two)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import sqlalchemy
from sqlalchemy import BigInteger, Column, Dialect, Index, Integer, LargeBinary, MetaData, Table, UniqueConstraint
from sqlalchemy.types import TypeDecorator

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
UNBOUNDED_START: Final = datetime.min.replace(tzinfo=UTC)
UNBOUNDED_END: Final = datetime.max.replace(tzinfo=UTC)


def micros(at: datetime) -> int:
    """Whole microseconds since 1970 UTC."""
    return (at - EPOCH) // MICROSECOND


def instant(at: int) -> datetime:
    """The instant so many microseconds after 1970 UTC."""
    return EPOCH + timedelta(microseconds=at)


class Micros(TypeDecorator[datetime]):
    """An instant, stored as whole microseconds since 1970 UTC: sorts, compares and indexes as what it is."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - its signature
        """Instant to microseconds."""
        return None if value is None else micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - as above
        """Microseconds to instant."""
        return None if value is None else instant(value)


Seq = BigInteger().with_variant(Integer, "sqlite")
"""A number that the database counts up (SQLite does so only for INTEGER)."""

Text = sqlalchemy.Text().with_variant(sqlalchemy.Text(collation="C"), "postgresql")
"""In order of code points, as Python and SQLite have it, whatever language a server sorts words by."""

metadata: Final = MetaData()

journal: Final = Table(
    "journal",
    metadata,
    Column("seq", Seq, primary_key=True, autoincrement=True),
    Column("peer", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("conversation", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("received", Micros, nullable=False),
    Column("status", Integer, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    UniqueConstraint("peer", "message_id", name="journal_peer_message_id"),
)

document: Final = Table(
    "document",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("starts", Micros, nullable=False),
    Column("ends", Micros, nullable=False),
    Column("version", Integer, nullable=False),
    Column("schema_version", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    # Each ends in the order of pages, so that a page is read from where the last one ended.
    Index("document_by_time", "kind", "starts", "id"),
    Index("document_by_owner", "kind", "owner", "starts", "id"),
    Index("document_by_state", "kind", "state", "starts", "id"),
)

notice: Final = Table(
    "notice",
    metadata,
    Column("seq", Seq, primary_key=True, autoincrement=True),
    Column("party", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created", Micros, nullable=False),
    Index("notice_by_party", "party", "seq"),
    sqlite_autoincrement=True,  # a seq is an event id that clients resume from: it is never given out twice
)

ask: Final = Table(
    "ask",
    metadata,
    Column("id", Text, primary_key=True),
    Column("slot", Text, nullable=False),
    Column("question", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("asked", Micros, nullable=False),
    Column("holder", Text, nullable=False),
)

lease: Final = Table(
    "lease",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until", Micros, nullable=False),
)

timer: Final = Table(
    "timer",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("event", Text, primary_key=True),
    Column("due", Micros, nullable=False),
    Index("timer_by_due", "due"),
    sqlite_with_rowid=False,
)

token: Final = Table(
    "token",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("party", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("created", Micros, nullable=False),
)

audit: Final = Table(
    "audit",
    metadata,
    Column("seq", Seq, primary_key=True, autoincrement=True),
    Column("at", Micros, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("hash", Text, nullable=False),
    sqlite_autoincrement=True,
)
"""Triggers refuse to change or remove a row."""

account: Final = Table(
    "account",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("party", Text, nullable=False),
    Column("until", Micros, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
"""What the law of accounts keeps of parties that were erased; nothing of the hub reads it."""

origin: Final = Table(
    "origin",
    metadata,
    Column("seq", Seq, primary_key=True, autoincrement=True),
    Column("what", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("generation", Integer, nullable=False, server_default="0"),
    Index("origin_by_generation", "generation", "seq"),
)
"""What a replay begins with, where the journal before it was erased: the newest generation that has its "ends"."""

outbox: Final = Table(
    "outbox",
    metadata,
    Column("seq", Seq, primary_key=True, autoincrement=True),
    Column("peer", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("conversation", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("reply_kind", Text, nullable=False),
    Column("created", Micros, nullable=False),
    Column("expires", Micros, nullable=False),
    Column("state", Text, nullable=False),
    UniqueConstraint("peer", "message_id", name="outbox_peer_message_id"),
    Index("outbox_by_state", "state", "seq"),
    sqlite_autoincrement=True,
)
