"""Which process works on a question, and who holds what for how long."""

from __future__ import annotations

import sqlalchemy
from alembic import op
from sqlalchemy import BigInteger, Column

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Text = sqlalchemy.Text().with_variant(sqlalchemy.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Questions get a holder (nobody so far); leases a table."""
    with op.batch_alter_table("ask") as ask:
        ask.add_column(Column("holder", Text, nullable=False, server_default=""))
    with op.batch_alter_table("ask") as ask:
        ask.alter_column("holder", server_default=None)
    op.create_table(
        "lease",
        Column("name", Text, primary_key=True),
        Column("holder", Text, nullable=False),
        Column("until", BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Without them."""
    op.drop_table("lease")
    with op.batch_alter_table("ask") as ask:
        ask.drop_column("holder")
