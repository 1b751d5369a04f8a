"""The tables of counts, as SQLAlchemy sees them; the migration makes them.

`tallies` and `tally_reasons` are counts of items by day and by month (`controller.reporting.outcome`), `tally_feeds`
those of streams by station; `node_days` says for how long a cluster was connected and how its self-tests went;
`tally_state` from which stored reports they are made. `expected_items` is what was due on each cluster
(`controller.reporting.expected`), `expected_state` until when that is counted.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Column, Integer, String, Table

from controller.adapters.database_tables import METADATA
from controller.reporting.outcome import COUNTS

PRESENCE: Final = ("up_ms", "down_ms")
"""Of `node_days`: connected, and not connected while the controller listened."""
TESTS: Final = ("tests_passed", "tests_failed", "tests_undecided")

OF_FEEDS: Final = ("items", "aired", "audible_ms")
"""What is counted of a station's streams, as COUNTS has it."""
EXPECTED_OF: Final = ("planned", "unplanned")
"""Of `expected_items`: by plans and emergencies; by streams that no plan has, of which only the records tell."""


def _place() -> list[Column[Any]]:
    """When, as a day or a month, and on which cluster."""
    return [
        Column("period", Integer, primary_key=True, autoincrement=False),
        Column("node", String(23), primary_key=True),
    ]


def _kind() -> list[Column[Any]]:
    return [Column(name, String(16), primary_key=True) for name in ("broadcast_class", "source", "reality")]


def _counts(names: tuple[str, ...]) -> list[Column[Any]]:
    return [Column(name, BigInteger, nullable=False) for name in names]


TALLIES: Final = Table("tallies", METADATA, *_place(), *_kind(), *_counts(COUNTS), sqlite_with_rowid=False)
REASONS: Final = Table(
    "tally_reasons",
    METADATA,
    *_place(),
    *_kind(),
    Column("reason", String(40), primary_key=True),
    *_counts(("missed",)),
    sqlite_with_rowid=False,
)
FEEDS: Final = Table(
    "tally_feeds",
    METADATA,
    *_place(),
    Column("feed", String(64), primary_key=True),
    Column("reality", String(16), primary_key=True),
    *_counts(OF_FEEDS),
    sqlite_with_rowid=False,
)
EXPECTED: Final = Table("expected_items", METADATA, *_place(), *_kind(), *_counts(EXPECTED_OF), sqlite_with_rowid=False)
NODE_DAYS: Final = Table("node_days", METADATA, *_place(), *_counts((*PRESENCE, *TESTS)), sqlite_with_rowid=False)
STATE: Final = Table(
    "tally_state",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("time_zone", String(64), nullable=False),
    Column("counted_row", BigInteger, nullable=False),
    Column("until_row", BigInteger, nullable=False),
)
EXPECTED_STATE: Final = Table(
    "expected_state",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("until_ms", BigInteger, nullable=False),
    Column("to_ms", BigInteger, nullable=False),
    Column("node", String(23), nullable=False),
)
