"""Keeps the counts in step with the stored reports, inside the transaction that stores them.

What an item counts for is decided by `controller.reporting.outcome`; here its records are looked up and the difference
is added. Rules kept: a report and what it counts for are kept together or not at all; whoever counts holds the row of
`tally_state`, so that two processes never count one item at once; a row of `reports` is counted when it stands at or
before `counted_row`, or beyond `until_row` (it came after the counting of old ones had begun).
"""

from __future__ import annotations

import zoneinfo
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from controller.adapters.database_tables import RELAYS, REPORTS
from controller.adapters.reporting.tally_tables import (
    EXPECTED,
    FEEDS,
    NODE_DAYS,
    OF_FEEDS,
    PRESENCE,
    REASONS,
    STATE,
    TALLIES,
    TESTS,
)
from controller.records import PresenceSpan, RelayRecord
from controller.reporting.outcome import COUNTS, STEPS_MAX, Noted, day_of, difference, outcome_of
from controller.reporting.periods import month_of_day, split_by_day
from protocol.messages import AiringRecord, SourceKind
from protocol.records import Record, SelfTestRecord, SelfTestVerdict

Insert = Callable[[sa.Table], Any]
"""The dialect's own INSERT, which knows ON CONFLICT."""
_ITEMS_AT_ONCE: Final = 200
"""Items that one question names: two variables each, far below SQLite's 32,766."""
_PASSED: Final = {SelfTestVerdict.PASSED}
_FAILED: Final = {
    *(SelfTestVerdict.WEAK, SelfTestVerdict.CHANGED, SelfTestVerdict.SILENT),
    *(SelfTestVerdict.AMPLIFIER, SelfTestVerdict.HORN, SelfTestVerdict.SHORT),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TallyState:
    """From which rows the counts are made, and whose days they are."""

    version: int
    time_zone: str
    counted_row: int
    until_row: int

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        """Whose days."""
        return zoneinfo.ZoneInfo(self.time_zone)

    def is_counted(self, row: int) -> bool:
        """Whether a row of reports is in the counts."""
        return row <= self.counted_row or row > self.until_row


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRow:
    """One stored report, as far as it counts."""

    row: int
    node: str
    received_at_ms: int
    record: Record


async def held_state(connection: AsyncConnection) -> TallyState:
    """The state, held until the transaction ends."""
    touch = sa.update(STATE).values(version=STATE.c.version).returning(*STATE.c)
    row = dict((await connection.execute(touch)).mappings().one())
    return TallyState(**{name: value for name, value in row.items() if name != "id"})


async def count_stored(connection: AsyncConnection, insert: Insert, rows: Sequence[StoredRow]) -> None:
    """Reports that this transaction has just stored."""
    if any(isinstance(each.record, AiringRecord | SelfTestRecord) for each in rows):
        state = await held_state(connection)
        await count_rows(connection, insert, [each for each in rows if state.is_counted(each.row)], state)


async def count_rows(connection: AsyncConnection, insert: Insert, rows: Sequence[StoredRow], state: TallyState) -> None:
    """Take rows into the counts that were not in them."""
    new = {each.row for each in rows}
    items = {(each.node, each.record.source_id) for each in rows if isinstance(each.record, AiringRecord)}
    changed: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0] * len(COUNTS))
    missed: dict[tuple[Any, ...], int] = defaultdict(int)
    unplanned: dict[tuple[Any, ...], int] = defaultdict(int)
    of_feeds: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0] * len(OF_FEEDS))
    streams = await _streams_of(connection, rows)
    for (node, source_id), noted in (await _records_of(connection, sorted(items), state, new)).items():
        before = outcome_of([each for row, each in noted if row not in new][:STEPS_MAX], state.zone)
        after = outcome_of([each for _, each in noted[:STEPS_MAX]], state.zone)
        for place, reason, counts in difference(before, after):
            for period in (place.day, month_of_day(place.day)):
                key = (period, node, place.broadcast_class, place.source, place.reality)
                changed[key] = [a + b for a, b in zip(changed[key], counts, strict=True)]
                if reason:
                    missed[(*key, reason)] += counts[COUNTS.index("missed")]
                stream = streams.get(source_id) if place.source == SourceKind.STREAM else None
                if stream is not None:
                    at = (period, node, stream.feed, place.reality)
                    more = (counts[COUNTS.index(name)] for name in OF_FEEDS)
                    of_feeds[at] = [a + b for a, b in zip(of_feeds[at], more, strict=True)]
                    if stream.occurrence is None:  # nobody else knows that it was due
                        unplanned[key] += counts[COUNTS.index("items")]
    await add_counts(connection, insert, TALLIES, COUNTS, _not_nothing(changed))
    await add_counts(connection, insert, REASONS, ("missed",), {key: [each] for key, each in missed.items() if each})
    await add_counts(connection, insert, FEEDS, OF_FEEDS, _not_nothing(of_feeds))
    await add_counts(
        connection, insert, EXPECTED, ("unplanned",), {key: [each] for key, each in unplanned.items() if each}
    )
    await _count_tests(connection, insert, rows, state.zone)


async def count_presence(connection: AsyncConnection, insert: Insert, spans: Iterable[PresenceSpan]) -> None:
    """For how long clusters were connected, or not."""
    listed = list(spans)
    if not listed:
        return
    zone = (await held_state(connection)).zone
    changed: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0])
    for span in listed:
        for day, ms in split_by_day(span.begin_ms, span.end_ms, zone):
            for period in (day, month_of_day(day)):
                changed[period, span.node][0 if span.is_up else 1] += ms
    await add_counts(connection, insert, NODE_DAYS, PRESENCE, changed)


def insert_of(connection: AsyncConnection) -> Insert:
    """The INSERT of the database that is connected."""
    return sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert


def stored_row(row: Mapping[str, Any]) -> StoredRow:
    """A row of `reports` as it counts."""
    record: Record = msgspec.json.decode(row["record"], type=Record)
    return StoredRow(row=row["row"], node=row["node"], received_at_ms=row["received_at_ms"], record=record)


async def _count_tests(
    connection: AsyncConnection, insert: Insert, rows: Sequence[StoredRow], zone: zoneinfo.ZoneInfo
) -> None:
    changed: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0] * len(TESTS))
    for each in rows:
        record = each.record
        if isinstance(record, SelfTestRecord) and record.verdict is not SelfTestVerdict.REFERENCE_TAKEN:
            error_ms = record.clock_error_ms
            day = day_of(record.at_ms, clock_error_ms=error_ms, received_at_ms=each.received_at_ms, zone=zone)
            kind = 0 if record.verdict in _PASSED else 1 if record.verdict in _FAILED else 2
            for period in (day, month_of_day(day)):
                changed[period, each.node][kind] += 1
    await add_counts(connection, insert, NODE_DAYS, TESTS, changed)


def _not_nothing(changed: Mapping[tuple[Any, ...], Sequence[int]]) -> dict[tuple[Any, ...], Sequence[int]]:
    return {key: each for key, each in changed.items() if any(each)}


async def _streams_of(connection: AsyncConnection, rows: Sequence[StoredRow]) -> dict[str, RelayRecord]:
    """The streams that some reports are about: a node names them by their ids only."""
    records = (each.record for each in rows)
    names = {each.source_id for each in records if isinstance(each, AiringRecord) and each.source is SourceKind.STREAM}
    if not names:
        return {}
    wanted = sa.select(RELAYS.c.stream, RELAYS.c.body).where(RELAYS.c.stream.in_(names))
    found = await connection.execute(wanted)
    return {stream: msgspec.json.decode(body, type=RelayRecord) for stream, body in found}


async def _records_of(
    connection: AsyncConnection, items: Sequence[tuple[str, str]], state: TallyState, new: set[int]
) -> dict[tuple[str, str], list[tuple[int, Noted]]]:
    """All records of some items that are counted or about to be, in the order in which they came."""
    found: dict[tuple[str, str], list[tuple[int, Noted]]] = defaultdict(list)
    columns = REPORTS.c
    for begin in range(0, len(items), _ITEMS_AT_ONCE):
        part = items[begin : begin + _ITEMS_AT_ONCE]
        place = sa.func.row_number().over(partition_by=(columns.source_id, columns.node), order_by=columns.row)
        # each item by an index of its own: SQLite scans all reports for a list of pairs
        of_item = sa.or_(*((columns.source_id == source) & (columns.node == node) for node, source in part))
        ranked = sa.select(columns.row, place.label("place")).where(of_item).subquery()
        wanted = (
            sa.select(columns.row, columns.node, columns.source_id, columns.received_at_ms, columns.record)
            .join(ranked, ranked.c.row == columns.row)
            .where(ranked.c.place <= 2 * STEPS_MAX, columns.is_airing.is_(True))
            .order_by(columns.row)
        )
        for row in (await connection.execute(wanted)).mappings():
            if state.is_counted(row["row"]) or row["row"] in new:
                record = msgspec.json.decode(row["record"], type=AiringRecord)
                noted = Noted(record=record, received_at_ms=row["received_at_ms"])
                found[row["node"], row["source_id"]].append((row["row"], noted))
    return found


async def add_counts(
    connection: AsyncConnection,
    insert: Insert,
    table: sa.Table,
    names: Sequence[str],
    changed: Mapping[tuple[Any, ...], Sequence[int]],
) -> None:
    """Add to what is there; what is not there begins with 0."""
    if not changed:
        return
    keys = [column.name for column in table.primary_key]
    zeros = {column.name: 0 for column in table.columns if column.name not in keys}
    rows = [
        {**zeros, **dict(zip(keys, key, strict=True)), **dict(zip(names, changed[key], strict=True))}
        for key in sorted(changed)  # in one order, so that no two writers wait for each other
    ]
    statement = insert(table)
    statement = statement.on_conflict_do_update(
        index_elements=keys, set_={name: table.c[name] + statement.excluded[name] for name in names}
    )
    await connection.execute(statement, rows)
