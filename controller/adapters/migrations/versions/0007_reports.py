"""Counts of what was aired and missed, by day and month; an item's reports are found by item and node.

The counts of reports that are stored already are made afterwards, while the controller runs.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0005"
branch_labels = None
depends_on = None

_COUNTS = (
    *("items", "aired", "missed", "whole", "timed", "punctual", "delivered", "heard", "unheard"),
    *("audible_ms", "lost_ms"),
)
_OF_NODE = ("up_ms", "down_ms", "tests_passed", "tests_failed", "tests_undecided")


def upgrade() -> None:
    """Make the tables; of the reports that are stored by now none is counted yet."""
    counts = [sa.Column(name, sa.BigInteger, nullable=False) for name in _COUNTS]
    op.create_table("tallies", *_slice(), *_kinds(), *counts, sqlite_with_rowid=False)
    op.create_table(
        "tally_reasons",
        *_slice(),
        *_kinds(),
        sa.Column("reason", sa.String(40), primary_key=True),
        sa.Column("missed", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    of_node = [sa.Column(name, sa.BigInteger, nullable=False) for name in _OF_NODE]
    op.create_table("node_days", *_slice(), *of_node, sqlite_with_rowid=False)
    state = op.create_table(
        "tally_state",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("time_zone", sa.String(64), nullable=False),
        sa.Column("counted_row", sa.BigInteger, nullable=False),
        sa.Column("until_row", sa.BigInteger, nullable=False),
    )
    latest = op.get_bind().execute(sa.text('SELECT max("row") FROM reports')).scalar()
    begun = {"id": 1, "version": 1, "time_zone": "Asia/Ho_Chi_Minh", "counted_row": 0, "until_row": latest or 0}
    op.bulk_insert(state, [begun])
    op.drop_index("reports_by_source", "reports")
    op.create_index("reports_by_source", "reports", ["source_id", "node"])


def downgrade() -> None:
    """Counts can be made anew."""
    op.drop_index("reports_by_source", "reports")
    op.create_index("reports_by_source", "reports", ["source_id"])
    for table in ("tally_state", "node_days", "tally_reasons", "tallies"):
        op.drop_table(table)


def _slice() -> list[sa.Column[Any]]:
    return [
        sa.Column("period", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("node", sa.String(23), primary_key=True),
    ]


def _kinds() -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.String(16), primary_key=True) for name in ("broadcast_class", "source", "reality")]
