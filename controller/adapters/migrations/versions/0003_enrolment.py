"""Enrolments and revoked certificates."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "enrolments",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("node", sa.String(23), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("changed_at_ms", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("ix_enrolments_node", "enrolments", ["node"])
    op.create_table(
        "revoked_certificates",
        sa.Column("serial", sa.String(40), primary_key=True),
        sa.Column("node", sa.String(23), nullable=False),
        sa.Column("revoked_at_ms", sa.BigInteger, nullable=False),
        sa.Column("not_after_ms", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Forget who was admitted."""
    op.drop_table("revoked_certificates")
    op.drop_table("enrolments")
