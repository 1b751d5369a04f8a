"""What was due on each cluster, and the sound of streams by station.

Both begin with this version: what was due before is not known any more, and reports that are stored already are counted
anew by station while the controller runs.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    kinds = [sa.Column(name, sa.String(16), primary_key=True) for name in ("broadcast_class", "source", "reality")]
    op.create_table("expected_items", *_place(), *kinds, *_counts("planned", "unplanned"), sqlite_with_rowid=False)
    op.create_table(
        "expected_state",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        *_counts("until_ms", "to_ms"),
        sa.Column("node", sa.String(23), nullable=False),
    )
    op.create_table(
        "tally_feeds",
        *_place(),
        sa.Column("feed", sa.String(64), primary_key=True),
        sa.Column("reality", sa.String(16), primary_key=True),
        *_counts("items", "aired", "audible_ms"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Forget both."""
    for table in ("tally_feeds", "expected_state", "expected_items"):
        op.drop_table(table)


def _place() -> list[sa.Column[Any]]:
    return [
        sa.Column("period", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("node", sa.String(23), primary_key=True),
    ]


def _counts(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names]
