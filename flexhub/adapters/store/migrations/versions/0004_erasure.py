"""What is kept of parties that were erased, and where a replay begins after that."""

from __future__ import annotations

import sqlalchemy
from alembic import op
from sqlalchemy import BigInteger, Column, Integer, LargeBinary

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

Seq = BigInteger().with_variant(Integer, "sqlite")
Text = sqlalchemy.Text().with_variant(sqlalchemy.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Two tables, empty until somebody is erased."""
    op.create_table(
        "account",
        Column("kind", Text, primary_key=True),
        Column("id", Text, primary_key=True),
        Column("party", Text, nullable=False),
        Column("until", BigInteger, nullable=False),
        Column("body", LargeBinary, nullable=False),
    )
    op.create_table(
        "origin",
        Column("seq", Seq, primary_key=True, autoincrement=True),
        Column("what", Text, nullable=False),
        Column("body", LargeBinary, nullable=False),
    )


def downgrade() -> None:
    """Without them."""
    op.drop_table("origin")
    op.drop_table("account")
