"""Keeps count of what was due on each cluster, and says of how much of it nothing has come back.

What is due is decided by `controller.reporting.expected`; here it is worked out every few minutes for the time since
the last look, and stored. Rules kept: each stretch of time is counted once, also across a restart or with a second
process beside (who counted how far stands in the same transaction); clusters are stored in slices, for each is a write,
and an emergency may wait behind it; a clock that was set back counts nothing twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import zoneinfo
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from controller.adapters.database import SqlDatabase
from controller.adapters.database_tables import EMERGENCIES
from controller.adapters.reporting.counting import add_counts, insert_of
from controller.adapters.reporting.tally_tables import EXPECTED, EXPECTED_STATE, TALLIES
from controller.errors import DatabaseError
from controller.records import EmergencyRecord
from controller.reporting.expected import Due, Standing, due_of_emergencies, due_on
from controller.reporting.periods import month_of_day
from controller.reporting.report import Places
from protocol.messages import Plan

log = logging.getLogger("controller")

LOOK_EVERY_S: Final = 600.0
"""An occurrence that has begun is in a report after this time at the latest."""
SLICE_NODES: Final = 250
"""Clusters in one transaction: some 1,000 rows, 10 ms of the database."""
PAUSE_S: Final = 0.05
AREAS_AT_ONCE: Final = 64
"""Areas between which others have their turn: a plan that is new is read, in about a millisecond."""
CLOCK_STEP_MS_MAX: Final = 3_600_000
"""A clock that was set back by more was wrong before: counting goes on from now."""


class Planned(Protocol):
    """What is looked at: `controller.dispatch.Desk`."""

    @property
    def site(self) -> Places:
        """The places and clusters."""

    def plan(self, area: str) -> Plan | None:
        """The plan that stands for an area."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """Counted is all until an instant, and of the time from there to another the clusters up to this one."""

    until_ms: int
    to_ms: int
    node: str = ""


class Expecting:
    """One controller's count of what is due."""

    def __init__(self, database: SqlDatabase, *, desk: Callable[[], Planned], clock: Callable[[], int]) -> None:
        self._database = database
        self._desk = desk
        self._clock = clock
        self._standing = Standing()
        self._round: tuple[tuple[int, int], dict[str, Due]] = (0, 0), {}
        """What is due between two instants, until all of it is stored."""

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except DatabaseError as error:
                log.warning("what is due is not counted yet, tried again in %.0f s: %s", LOOK_EVERY_S, error)
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Count what has begun since the last look; raises DatabaseError."""
        mark = await self._mark()
        if mark is None:
            return
        due = await self._due(mark.until_ms, mark.to_ms)
        names = sorted(name for name in due if name > mark.node)
        for begin in range(0, len(names), SLICE_NODES):
            part = names[begin : begin + SLICE_NODES]
            after = _Mark(until_ms=mark.until_ms, to_ms=mark.to_ms, node=part[-1])
            if not await self._store(mark, after, {name: due[name] for name in part}):
                return
            mark = after
            await asyncio.sleep(PAUSE_S)
        await self._store(mark, _Mark(until_ms=mark.to_ms, to_ms=mark.to_ms), {})

    async def _mark(self) -> _Mark | None:
        """The time that is to be counted, by its mark; None where there is none."""
        now_ms = self._clock()
        async with self._database.connection() as connection, connection.begin():
            row = (await connection.execute(sa.select(EXPECTED_STATE))).mappings().one_or_none()
            if row is None:
                first = {"id": 1, "until_ms": now_ms, "to_ms": now_ms, "node": ""}
                insert: Any = insert_of(connection)(EXPECTED_STATE).values(**first)
                await connection.execute(insert.on_conflict_do_nothing())
                return None
            known = _Mark(until_ms=row["until_ms"], to_ms=row["to_ms"], node=row["node"])
            if known.to_ms > known.until_ms:
                return known
            if now_ms < known.until_ms - CLOCK_STEP_MS_MAX:
                log.warning("the clock was set back: what is due is counted from now on")
                await _moved(connection, known, _Mark(until_ms=now_ms, to_ms=now_ms))
            wanted = _Mark(until_ms=known.until_ms, to_ms=now_ms)
            return wanted if now_ms > known.until_ms and await _moved(connection, known, wanted) else None

    async def _due(self, after_ms: int, until_ms: int) -> dict[str, Due]:
        """What was due on whom."""
        if self._round[0] == (after_ms, until_ms):
            return self._round[1]
        desk = self._desk()
        site = desk.site
        zone = zoneinfo.ZoneInfo(site.time_zone)
        areas = [area.id for area in site.tree.areas]
        self._standing.keep_only(areas)
        by_area = {}
        for number, area in enumerate(areas):
            plan = desk.plan(area) if area in desk.site.tree else None
            due = self._standing.due(area, plan, after_ms=after_ms, until_ms=until_ms, zone=zone)
            if due:
                by_area[area] = due
            if number % AREAS_AT_ONCE == 0:
                await asyncio.sleep(0)
        named = due_of_emergencies(await self._emergencies(after_ms, until_ms), zone)
        chain = site.tree.chain
        found = {name: due_on(chain(node.area), by_area, named.get(name)) for name, node in site.nodes.items()}
        self._round = (after_ms, until_ms), {name: due for name, due in found.items() if due}
        return self._round[1]

    async def _emergencies(self, after_ms: int, until_ms: int) -> list[EmergencyRecord]:
        at = EMERGENCIES.c.raised_at_ms
        wanted = sa.select(EMERGENCIES.c.body).where(at > after_ms, at <= until_ms)
        async with self._database.connection() as connection:
            bodies = (await connection.execute(wanted)).scalars().all()
        return [msgspec.json.decode(body, type=EmergencyRecord) for body in bodies]

    async def _store(self, before: _Mark, after: _Mark, due: Mapping[str, Due]) -> bool:
        """Keep a slice and how far it reaches; False where another process has counted meanwhile."""
        changed: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0])
        for node, kinds in due.items():
            for kind, count in kinds.items():
                for period in (kind.day, month_of_day(kind.day)):
                    changed[period, node, kind.broadcast_class, kind.source, kind.reality][0] += count
        async with self._database.connection() as connection, connection.begin():
            if not await _moved(connection, before, after):
                return False
            await add_counts(connection, insert_of(connection), EXPECTED, ("planned",), changed)
        return True


async def no_word(
    connection: AsyncConnection,
    keys: Sequence[str],
    periods: Iterable[int],
    nodes: Iterable[str] | None,
    kinds: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Of how many items that were due nothing is on record, a row for each combination of keys.

    Held against each other day by day or month by month, as the periods are: what is on record beyond what was due in
    one hides nothing in another.
    """
    due, items = EXPECTED.c, TALLIES.c
    missing = due.planned + due.unplanned - sa.func.coalesce(items["items"], 0)
    same = sa.and_(*(due[column.name] == items[column.name] for column in EXPECTED.primary_key))
    asked = [due.period.in_(list(periods)), missing > 0, *(due[name] == value for name, value in kinds.items())]
    if nodes is not None:
        asked.append(due.node.in_(list(nodes)))
    wanted = (
        sa.select(*(due[name] for name in keys), sa.func.sum(missing).label("no_word"))
        .select_from(EXPECTED.outerjoin(TALLIES, same))
        .where(*asked)
        .group_by(*(due[name] for name in keys))
    )
    return [dict(row) for row in (await connection.execute(wanted)).mappings()]


@contextlib.asynccontextmanager
async def expecting(
    database: SqlDatabase, *, desk: Callable[[], Planned], clock: Callable[[], int]
) -> AsyncIterator[None]:
    """Count until left."""
    counting = asyncio.create_task(Expecting(database, desk=desk, clock=clock).run(), name="expecting")
    try:
        yield
    finally:
        counting.cancel()
        await asyncio.gather(counting, return_exceptions=True)


async def _moved(connection: AsyncConnection, before: _Mark, after: _Mark) -> bool:
    """Move the mark; False where it does not stand there any more."""
    columns = EXPECTED_STATE.c
    here = (columns.until_ms == before.until_ms, columns.to_ms == before.to_ms, columns.node == before.node)
    values = {"until_ms": after.until_ms, "to_ms": after.to_ms, "node": after.node}
    done = await connection.execute(sa.update(EXPECTED_STATE).where(*here).values(values))
    return bool(done.rowcount)
