"""Counts on the controller's database: brought up to date with reports that came before them, and asked for.

Rules kept: counting old reports never holds up new ones (a slice at a time, each its own transaction, with a pause
behind it) and goes on where it was after a restart; a period is read by its months and days, never by scanning what
lies outside; counts that were made by another rule or for another time zone are made anew from the stored reports.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from controller.adapters.database import SqlDatabase
from controller.adapters.database_tables import EMERGENCIES, GAPS, REPORTS
from controller.adapters.reporting.counting import TallyState, count_rows, held_state, insert_of, stored_row
from controller.adapters.reporting.expecting import no_word
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
from controller.errors import DatabaseError
from controller.records import EmergencyRecord
from controller.reporting.outcome import COUNTS
from controller.reporting.questions import (
    EmergencyAnswers,
    FeedRow,
    NodeRow,
    ReasonRow,
    TallyAnswer,
    TallyQuestion,
    TallyRow,
    TimeRow,
)
from protocol.messages import Reality

log = logging.getLogger("controller")

RULE_VERSION: Final = 2
"""Rises when the same reports would be counted otherwise (`controller.reporting.outcome`): all is counted anew then."""
SLICE_ROWS: Final = 500
"""Old reports that are counted in one transaction: some 50 ms, after which a waiting emergency is stored."""
PAUSE_S: Final = 0.05
RETRY_S: Final = 30.0
"""After a database that did not answer."""
NODES_AT_ONCE: Final = 500
"""Nodes that one question names: their rows are read in some 20 ms, and other events have their turn in between."""
EMERGENCIES_MAX: Final = 60
"""Emergencies and drills that a report names, the latest ones."""
EMERGENCIES_LOOKED_AT_MAX: Final = 1_200
"""Among so many of a period those of a place are looked for."""
_TOLD_EVERY: Final = 0.1
_OF_NODE: Final = (*PRESENCE, *TESTS)
_KINDS: Final = ("node", "broadcast_class", "source", "reality")
_NOTHING: Final = (0,) * len(COUNTS)


class TallyStore:
    """`controller.reporting.questions.Tallies` on the connection pool of the controller's database."""

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    async def begin(self, *, time_zone: str) -> None:
        """Keep counts for these local days; what was counted by another rule or zone is forgotten. DatabaseError."""
        async with self._database.connection() as connection, connection.begin():
            state = await held_state(connection)
            if (state.version, state.time_zone) == (RULE_VERSION, time_zone):
                return
            for table in (TALLIES, REASONS, FEEDS):
                await connection.execute(sa.delete(table))
            await connection.execute(sa.update(EXPECTED).values(unplanned=0))
            await connection.execute(sa.update(NODE_DAYS).values(dict.fromkeys(TESTS, 0)))
            latest = (await connection.execute(sa.select(sa.func.max(REPORTS.c.row)))).scalar() or 0
            anew = {"version": RULE_VERSION, "time_zone": time_zone, "counted_row": 0, "until_row": latest}
            await connection.execute(sa.update(STATE).values(anew))

    async def run(self) -> None:
        """Count old reports until none is left; for a task of its own, goes on where it was cut off."""
        told = 0.0
        while True:
            try:
                share = await self.count_slice()
            except DatabaseError as error:
                log.warning("old reports are not counted yet, tried again in %.0f s: %s", RETRY_S, error)
                await asyncio.sleep(RETRY_S)
                continue
            if told and share >= 1.0:
                log.info("old reports are counted")
            if share >= 1.0:
                return
            if share - told >= _TOLD_EVERY or not told:
                told = max(share, _TOLD_EVERY / 100)
                log.info("counting old reports for the statistics: %.0f %%", 100 * share)
            await asyncio.sleep(PAUSE_S)

    async def count_slice(self, rows_max: int = SLICE_ROWS) -> float:
        """Count the next old reports; gives the share that is counted."""
        async with self._database.connection() as connection, connection.begin():
            state = await held_state(connection)
            if state.counted_row >= state.until_row:
                return 1.0
            columns = REPORTS.c
            wanted = (
                sa.select(columns.row, columns.node, columns.received_at_ms, columns.record)
                .where(columns.row > state.counted_row, columns.row <= state.until_row)
                .order_by(columns.row)
                .limit(rows_max)
            )
            rows = [stored_row(dict(row)) for row in (await connection.execute(wanted)).mappings()]
            await count_rows(connection, insert_of(connection), rows, state)
            at = rows[-1].row if len(rows) == rows_max else state.until_row
            await connection.execute(sa.update(STATE).values(counted_row=at))
            return at / state.until_row

    async def answer(self, question: TallyQuestion) -> TallyAnswer:
        """The sums of a period; raises DatabaseError."""
        kinds = {name: getattr(question, name) for name in ("broadcast_class", "source") if getattr(question, name)}
        async with self._database.connection() as connection:
            state = await _state(connection)
            sums = await _sums(connection, question, TALLIES, _KINDS, COUNTS, kinds)
            reasons = await _sums(connection, question, REASONS, (*_KINDS, "reason"), ("missed",), kinds)
            nodes = await _sums(connection, question, NODE_DAYS, ("node",), _OF_NODE, {})
            series = await _sums(
                connection, question, TALLIES, ("period", "reality"), COUNTS, kinds, question.period.series
            )
            feeds = await _sums(connection, question, FEEDS, ("node", "feed", "reality"), OF_FEEDS, {})
            silent = await _no_word(connection, question, _KINDS, kinds, question.period.keys)
            silent_at = await _no_word(connection, question, ("period", "reality"), kinds, question.period.series)
            from_ms, until_ms = question.period.bounds_ms(state.time_zone)
            return TallyAnswer(
                tallies=[
                    TallyRow(**{name: row[name] for name in _KINDS}, counts=tuple([int(row[name]) for name in COUNTS]))
                    for row in sums
                    if row["items"]
                ]
                + [TallyRow(**row, counts=_NOTHING) for row in silent],
                reasons=[ReasonRow(**{**row, "missed": int(row["missed"])}) for row in reasons if row["missed"]],
                nodes=[NodeRow(node=row["node"], **_whole(row, _OF_NODE)) for row in nodes],
                emergencies=await _emergencies(connection, question, from_ms, until_ms),
                lost_reports=await _lost(connection, question, from_ms, until_ms),
                times=[
                    TimeRow(key=row["period"], counts=tuple([int(row[name]) for name in COUNTS]))
                    for row in series
                    if row["reality"] != Reality.DRILL
                ]
                + [
                    TimeRow(key=row["period"], counts=_NOTHING, no_word=row["no_word"])
                    for row in silent_at
                    if row["reality"] != Reality.DRILL
                ],
                feeds=[
                    FeedRow(node=row["node"], feed=row["feed"], reality=row["reality"], **_whole(row, OF_FEEDS))
                    for row in feeds
                    if row["items"]
                ],
                counted_share=min(1.0, state.counted_row / state.until_row) if state.until_row else 1.0,
            )


async def start_counting(stack: contextlib.AsyncExitStack, database: SqlDatabase, *, time_zone: str) -> None:
    """Keep counts for these local days; what is not counted yet is counted meanwhile, until the stack ends."""
    store = TallyStore(database)
    await store.begin(time_zone=time_zone)
    counting = asyncio.create_task(store.run(), name="counting")

    async def stop() -> None:
        counting.cancel()
        await asyncio.gather(counting, return_exceptions=True)

    stack.push_async_callback(stop)


async def _state(connection: AsyncConnection) -> TallyState:
    row = dict((await connection.execute(sa.select(STATE))).mappings().one())
    return TallyState(**{name: value for name, value in row.items() if name != "id"})


async def _sums(
    connection: AsyncConnection,
    question: TallyQuestion,
    table: sa.Table,
    keys: Sequence[str],
    names: Sequence[str],
    kinds: dict[str, str],
    periods: Sequence[int] | None = None,
) -> list[dict[str, Any]]:
    """Sums over the period's months and days, a row for each combination of keys (and for each part of the nodes)."""
    columns = table.c
    sums = [sa.func.sum(columns[name]).label(name) for name in names]
    wanted = (
        sa.select(*(columns[name] for name in keys), *sums)
        .where(
            columns.period.in_(question.period.keys if periods is None else periods),
            *(columns[name] == value for name, value in kinds.items()),
        )
        .group_by(*(columns[name] for name in keys))
    )
    found: list[dict[str, Any]] = []
    for nodes in _in_parts(question.nodes):
        asked = wanted if nodes is None else wanted.where(columns.node.in_(nodes))
        found += [dict(row) for row in (await connection.execute(asked)).mappings()]
    return found


async def _no_word(
    connection: AsyncConnection,
    question: TallyQuestion,
    keys: Sequence[str],
    kinds: dict[str, str],
    periods: Sequence[int],
) -> list[dict[str, Any]]:
    """What was due and is not on record, as `_sums` has what is."""
    found: list[dict[str, Any]] = []
    for nodes in _in_parts(question.nodes):
        found += await no_word(connection, keys, periods, nodes, kinds)
    return [{**row, "no_word": int(row["no_word"])} for row in found]


def _whole(row: dict[str, Any], names: Sequence[str]) -> dict[str, int]:
    """Sums as whole numbers: PostgreSQL answers with decimals."""
    return {name: int(row[name]) for name in names}


async def _emergencies(
    connection: AsyncConnection, question: TallyQuestion, from_ms: int, until_ms: int
) -> list[EmergencyAnswers]:
    """The latest emergencies of the period that meant one of the nodes, the latest first."""
    at = EMERGENCIES.c.raised_at_ms
    wanted = sa.select(EMERGENCIES.c.body).where(at >= from_ms, at < until_ms).order_by(at.desc())
    asked = None if question.nodes is None else frozenset(question.nodes)
    meant: list[EmergencyRecord] = []
    for (body,) in await connection.execute(wanted.limit(EMERGENCIES_LOOKED_AT_MAX)):
        record = msgspec.json.decode(body, type=EmergencyRecord)
        if asked is None or asked & set(record.expected):
            meant.append(record)
        if len(meant) == EMERGENCIES_MAX:
            break
    sounded: dict[str, set[str]] = defaultdict(set)
    columns = REPORTS.c
    for record in meant:
        answers = sa.select(columns.node).where(
            columns.source_id == record.id,
            columns.is_airing.is_(True),
            columns.record.like('%"state":"started"%') | columns.record.like('%"state":"finished"%'),
        )
        sounded[record.id] = set((await connection.execute(answers.distinct())).scalars())
    return [EmergencyAnswers(record=each, sounded=frozenset(sounded[each.id])) for each in meant]


async def _lost(connection: AsyncConnection, question: TallyQuestion, from_ms: int, until_ms: int) -> dict[str, int]:
    """How many reports of each node are known never to have come."""
    columns = GAPS.c
    lost: dict[str, int] = defaultdict(int)
    wanted = sa.select(columns.node, columns.first, columns.last).where(
        columns.kind == "gap", columns.noticed_at_ms >= from_ms, columns.noticed_at_ms < until_ms
    )
    asked = None if question.nodes is None else frozenset(question.nodes)
    for node, first, last in await connection.execute(wanted):
        if asked is None or node in asked:
            lost[node] += last - first + 1
    return dict(lost)


def _in_parts(nodes: Sequence[str] | None) -> Iterator[Iterable[str] | None]:
    if nodes is None:
        yield None
        return
    for begin in range(0, len(nodes), NODES_AT_ONCE):
        yield nodes[begin : begin + NODES_AT_ONCE]
