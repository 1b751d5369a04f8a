"""The first tables: documents and counters, emergencies, relays, reports, nodes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make what the first version keeps."""
    _make_said()
    _make_heard()


def downgrade() -> None:
    """Nothing is older."""
    tables = ("nodes", "report_heads", "report_gaps", "reports", "relays", "emergencies", "counters", "documents")
    for table in tables:
        op.drop_table(table)


def _make_said() -> None:
    op.create_table(
        "documents",
        sa.Column("topic", sa.String(160), primary_key=True),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("counter", sa.BigInteger, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "counters",
        sa.Column("key_id", sa.String(64), primary_key=True),
        sa.Column("topic", sa.String(160), primary_key=True),
        sa.Column("counter", sa.BigInteger, nullable=False),
    )
    for table, key, length, at in (
        ("emergencies", "id", 64, "raised_at_ms"),
        ("relays", "stream", 16, "starts_at_ms"),
    ):
        op.create_table(
            table,
            sa.Column(key, sa.String(length), primary_key=True),
            sa.Column("state", sa.String(16), nullable=False),
            sa.Column(at, sa.BigInteger, nullable=False),
            sa.Column("body", sa.Text, nullable=False),
        )
        op.create_index(f"ix_{table}_{at}", table, [at])


def _make_heard() -> None:
    op.create_table(
        "reports",
        sa.Column("row", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("node", sa.String(23), nullable=False),
        sa.Column("report_key", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.LargeBinary, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.Column("is_airing", sa.Boolean, nullable=False),
        sa.Column("source_id", sa.String(64), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("received_at_ms", sa.BigInteger, nullable=False),
        sa.Column("is_chained", sa.Boolean, nullable=True),
    )
    op.create_index("reports_by_number", "reports", ["node", "report_key", "number"], unique=True)
    op.create_index("reports_by_time", "reports", ["is_airing", "at_ms"])
    op.create_index("reports_by_source", "reports", ["source_id"])
    op.create_table(
        "report_gaps",
        sa.Column("node", sa.String(23), primary_key=True),
        sa.Column("report_key", sa.String(64), primary_key=True),
        sa.Column("first", sa.BigInteger, primary_key=True),
        sa.Column("last", sa.BigInteger, primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("noticed_at_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "report_heads",
        sa.Column("node", sa.String(23), primary_key=True),
        sa.Column("report_key", sa.String(64), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "nodes",
        sa.Column("node", sa.String(23), primary_key=True),
        sa.Column("last_seen_ms", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("session_epoch", sa.BigInteger, nullable=False),
    )
