"""The tables of counts, as SQLAlchemy sees them; the migration makes them.

`tallies` and `tally_reasons` are counts of items by day and by month (`controller.reporting.outcome`); `node_days` says
for how long a cluster was connected and how its self-tests went; `tally_state` from which stored reports they are made.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, String, Table

from controller.adapters.database_tables import METADATA
from controller.reporting.outcome import COUNTS

PRESENCE: Final = ("up_ms", "down_ms")
"""Of `node_days`: connected, and not connected while the controller listened."""
TESTS: Final = ("tests_passed", "tests_failed", "tests_undecided")

TALLIES: Final = Table(
    "tallies",
    METADATA,
    Column("period", Integer, primary_key=True, autoincrement=False),
    Column("node", String(23), primary_key=True),
    Column("broadcast_class", String(16), primary_key=True),
    Column("source", String(16), primary_key=True),
    Column("reality", String(16), primary_key=True),
    *(Column(name, BigInteger, nullable=False) for name in COUNTS),
    sqlite_with_rowid=False,
)
REASONS: Final = Table(
    "tally_reasons",
    METADATA,
    Column("period", Integer, primary_key=True, autoincrement=False),
    Column("node", String(23), primary_key=True),
    Column("broadcast_class", String(16), primary_key=True),
    Column("source", String(16), primary_key=True),
    Column("reality", String(16), primary_key=True),
    Column("reason", String(40), primary_key=True),
    Column("missed", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
NODE_DAYS: Final = Table(
    "node_days",
    METADATA,
    Column("period", Integer, primary_key=True, autoincrement=False),
    Column("node", String(23), primary_key=True),
    *(Column(name, BigInteger, nullable=False) for name in (*PRESENCE, *TESTS)),
    sqlite_with_rowid=False,
)
STATE: Final = Table(
    "tally_state",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("time_zone", String(64), nullable=False),
    Column("counted_row", BigInteger, nullable=False),
    Column("until_row", BigInteger, nullable=False),
)
