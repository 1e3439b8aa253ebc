"""What is to be sent to peers, and what was."""

from __future__ import annotations

import sqlalchemy
from alembic import op
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, UniqueConstraint

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

Text = sqlalchemy.Text().with_variant(sqlalchemy.Text(collation="C"), "postgresql")
Seq = BigInteger().with_variant(Integer, "sqlite")


def upgrade() -> None:
    """A table, and an index for what still waits."""
    op.create_table(
        "outbox",
        Column("seq", Seq, primary_key=True, autoincrement=True),
        Column("peer", Text, nullable=False),
        Column("message_id", Text, nullable=False),
        Column("conversation", Text, nullable=False),
        Column("path", Text, nullable=False),
        Column("media_type", Text, nullable=False),
        Column("body", LargeBinary, nullable=False),
        Column("reply_kind", Text, nullable=False),
        Column("created", BigInteger, nullable=False),
        Column("expires", BigInteger, nullable=False),
        Column("state", Text, nullable=False),
        UniqueConstraint("peer", "message_id", name="outbox_peer_message_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("outbox_by_state", "outbox", ["state", "seq"])


def downgrade() -> None:
    """Without it."""
    op.drop_table("outbox")
