"""The controller's tables, as SQLAlchemy sees them; the migrations make them.

Structs that only the desk reads are kept whole as JSON beside the columns that are searched, so that a new
optional field needs no migration. Signed bytes are kept as they came: they are the proof.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text

METADATA: Final = MetaData()

DOCUMENTS: Final = Table(
    "documents",
    METADATA,
    Column("topic", String(160), primary_key=True),
    Column("key_id", String(64), nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=True),
)
COUNTERS: Final = Table(
    "counters",
    METADATA,
    Column("key_id", String(64), primary_key=True),
    Column("topic", String(160), primary_key=True),
    Column("counter", BigInteger, nullable=False),
)
EMERGENCIES: Final = Table(
    "emergencies",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("raised_at_ms", BigInteger, nullable=False, index=True),
    Column("body", Text, nullable=False),
)
RELAYS: Final = Table(
    "relays",
    METADATA,
    Column("stream", String(16), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("starts_at_ms", BigInteger, nullable=False, index=True),
    Column("body", Text, nullable=False),
)
REPORTS: Final = Table(
    "reports",
    METADATA,
    Column("row", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("node", String(23), nullable=False),
    Column("report_key", String(64), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("record", Text, nullable=False),
    Column("is_airing", Boolean, nullable=False),
    Column("source_id", String(64), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("received_at_ms", BigInteger, nullable=False),
    Column("is_chained", Boolean, nullable=True),
    Index("reports_by_number", "node", "report_key", "number", unique=True),
    Index("reports_by_time", "is_airing", "at_ms"),
    Index("reports_by_source", "source_id"),
)
GAPS: Final = Table(
    "report_gaps",
    METADATA,
    Column("node", String(23), primary_key=True),
    Column("report_key", String(64), primary_key=True),
    Column("first", BigInteger, primary_key=True),
    Column("last", BigInteger, primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("noticed_at_ms", BigInteger, nullable=False),
)
HEADS: Final = Table(
    "report_heads",
    METADATA,
    Column("node", String(23), primary_key=True),
    Column("report_key", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
)
NODES: Final = Table(
    "nodes",
    METADATA,
    Column("node", String(23), primary_key=True),
    Column("last_seen_ms", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("session_epoch", BigInteger, nullable=False),
)
