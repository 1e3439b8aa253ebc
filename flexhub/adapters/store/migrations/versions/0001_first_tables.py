"""First tables."""

from __future__ import annotations

import sqlalchemy
from alembic import op
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, PrimaryKeyConstraint, UniqueConstraint

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Text = sqlalchemy.Text().with_variant(sqlalchemy.Text(collation="C"), "postgresql")
Seq = BigInteger().with_variant(Integer, "sqlite")


def upgrade() -> None:
    """Create all tables."""
    op.create_table(
        "journal",
        Column("seq", Seq, primary_key=True, autoincrement=True),
        Column("peer", Text, nullable=False),
        Column("message_id", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("conversation", Text, nullable=False),
        Column("role", Text, nullable=False),
        Column("body", LargeBinary, nullable=False),
        Column("received", BigInteger, nullable=False),
        Column("status", Integer, nullable=False),
        Column("answer", LargeBinary, nullable=False),
        UniqueConstraint("peer", "message_id", name="journal_peer_message_id"),
    )
    op.create_table(
        "document",
        Column("kind", Text, nullable=False),
        Column("id", Text, nullable=False),
        Column("owner", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("starts", BigInteger, nullable=False),
        Column("ends", BigInteger, nullable=False),
        Column("version", Integer, nullable=False),
        Column("schema_version", Integer, nullable=False),
        Column("body", LargeBinary, nullable=False),
        PrimaryKeyConstraint("kind", "id"),
    )
    op.create_index("document_by_time", "document", ["kind", "starts", "id"])
    op.create_index("document_by_owner", "document", ["kind", "owner", "starts", "id"])
    op.create_index("document_by_state", "document", ["kind", "state", "starts", "id"])
    op.create_table(
        "notice",
        Column("seq", Seq, primary_key=True, autoincrement=True),
        Column("party", Text, nullable=False),
        Column("topic", Text, nullable=False),
        Column("subject", Text, nullable=False),
        Column("body", LargeBinary, nullable=False),
        Column("created", BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("notice_by_party", "notice", ["party", "seq"])
    op.create_table(
        "ask",
        Column("id", Text, primary_key=True),
        Column("slot", Text, nullable=False),
        Column("question", Text, nullable=False),
        Column("subject", Text, nullable=False),
        Column("asked", BigInteger, nullable=False),
    )
    op.create_table(
        "timer",
        Column("subject", Text, nullable=False),
        Column("event", Text, nullable=False),
        Column("due", BigInteger, nullable=False),
        PrimaryKeyConstraint("subject", "event"),
        sqlite_with_rowid=False,
    )
    op.create_index("timer_by_due", "timer", ["due"])
    op.create_table(
        "token",
        Column("hash", Text, primary_key=True),
        Column("party", Text, nullable=False),
        Column("role", Text, nullable=False),
        Column("created", BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Drop all tables, with all that they hold."""
    for table in ("token", "timer", "ask", "notice", "document", "journal"):
        op.drop_table(table)
