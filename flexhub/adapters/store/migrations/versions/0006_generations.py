"""What a replay begins with may be written anew while the hub runs: beside what it began with so far."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Integer

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A number for each of them."""
    op.add_column("origin", Column("generation", Integer, nullable=False, server_default="0"))
    op.create_index("origin_by_generation", "origin", ["generation", "seq"])


def downgrade() -> None:
    """Without it."""
    op.drop_index("origin_by_generation", "origin")
    op.drop_column("origin", "generation")
