"""Programmes and bulletins with all their versions, and what was decided on bulletins."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0003"
branch_labels = None
depends_on = None

_KINDS = ("programme", "bulletin")


def upgrade() -> None:
    """Make the tables."""
    for kind in _KINDS:
        op.create_table(
            f"{kind}s",
            sa.Column("id", sa.String(40), primary_key=True),
            sa.Column("area", sa.String(40), nullable=False),
            sa.Column("number", sa.BigInteger, nullable=False),
            sa.Column("is_archived", sa.Boolean, nullable=False),
            sa.Column("ends_at_ms", sa.BigInteger, nullable=True),
        )
        op.create_index(f"{kind}s_by_area", f"{kind}s", ["area"])
        op.create_table(
            f"{kind}_versions",
            sa.Column("id", sa.String(40), sa.ForeignKey(f"{kind}s.id"), primary_key=True),
            sa.Column("number", sa.BigInteger, primary_key=True),
            sa.Column("at_ms", sa.BigInteger, nullable=False),
            sa.Column("who", sa.String(64), nullable=False),
            sa.Column("change", sa.String(16), nullable=False),
            sa.Column("restores", sa.BigInteger, nullable=False),
            sa.Column("is_archived", sa.Boolean, nullable=False),
            sa.Column("body", sa.Text, nullable=False),
        )
    op.create_table(
        "bulletin_decisions",
        sa.Column("id", sa.String(40), sa.ForeignKey("bulletins.id"), primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
    )


def downgrade() -> None:
    """Forget what was written."""
    op.drop_table("bulletin_decisions")
    for kind in _KINDS:
        op.drop_table(f"{kind}_versions")
        op.drop_index(f"{kind}s_by_area", table_name=f"{kind}s")
        op.drop_table(f"{kind}s")
