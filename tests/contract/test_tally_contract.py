"""Counts on SQLite and on PostgreSQL: kept with the reports, corrected by late ones, made for old ones afterwards."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import random
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from controller.adapters.database import SqlDatabase, open_database
from controller.adapters.database_upgrade import MIGRATIONS
from controller.adapters.reporting.tally_store import TallyStore
from controller.adapters.reporting.tally_tables import NODE_DAYS, REASONS, TALLIES
from controller.errors import DatabaseError
from controller.records import CounterUsed, EmergencyRecord, EmergencyState, PresenceSpan, ReportGap, StoredReport
from controller.reporting.outcome import COUNTS
from controller.reporting.periods import Period
from controller.reporting.questions import TallyAnswer, TallyQuestion
from protocol.messages import (
    AiringRecord,
    AiringState,
    BroadcastClass,
    MediaReference,
    Reality,
    Record,
    SelfTestRecord,
    SourceKind,
)
from protocol.records import SelfTestVerdict

ZONE = "Asia/Ho_Chi_Minh"
DUE_MS = 1_795_300_200_000
"""2026-11-22 05:30 in Hà Nội."""
DAY_MS = 24 * 3600 * 1000
YEAR = Period(first=dt.date(2026, 1, 1), last=dt.date(2026, 12, 31))
NUMBERS = itertools.count(1)


def stored(record: Record, node: str = "N001", number: int | None = None) -> StoredReport:
    return StoredReport(
        node=node,
        report_key="f" * 64,
        number=number or next(NUMBERS),
        sha256=bytes(32),
        sealed=b"signed",
        record=record,
        received_at_ms=DUE_MS + DAY_MS,
    )


def step(item: int, state: AiringState, day: int = 0, **more: Any) -> AiringRecord:
    at_ms = DUE_MS + day * DAY_MS + (60_000 if state is AiringState.FINISHED else 10)
    plain: dict[str, Any] = {
        "airing": f"morning.{day}.{item}",
        "source": SourceKind.MEDIA,
        "source_id": f"morning.{day}.{item}",
        "title": "Bản tin",
        "broadcast_class": BroadcastClass.ROUTINE,
        "reality": Reality.REAL,
        "state": state,
        "at_ms": at_ms,
        "reason": {"started": "on time", "finished": "finished"}.get(state.value, "media_missing"),
        "due_at_ms": DUE_MS + day * DAY_MS,
        "audible_ms": 60_000 if state is AiringState.FINISHED else 0,
    }
    return AiringRecord(**{**plain, **more})


def history() -> list[StoredReport]:
    """Two clusters over two weeks: aired, missed, both, on the air still, and self-tests."""
    reports = []
    for node, day in itertools.product(("N001", "N002"), range(-12, 1)):
        reports += [stored(step(0, each, day), node) for each in (AiringState.STARTED, AiringState.FINISHED)]
        reports.append(stored(step(1, AiringState.MISSED, day, airing="m"), node))
        if day % 3 == 0:
            reports.append(stored(step(1, AiringState.STARTED, day), node))
        verdict = SelfTestVerdict.PASSED if day % 2 else SelfTestVerdict.HORN
        reports.append(stored(SelfTestRecord(at_ms=DUE_MS + day * DAY_MS, verdict=verdict), node))
    return reports


async def rows_of(database: SqlDatabase) -> dict[str, set[tuple[Any, ...]]]:
    """Everything that is counted; rows that came to nothing left out."""
    found = {}
    async with database.connection() as connection:
        for table in (TALLIES, REASONS, NODE_DAYS):
            keys = len(table.primary_key)
            rows = [tuple(row) for row in await connection.execute(sa.select(table))]
            found[table.name] = {row for row in rows if any(row[keys:])}
    return found


async def sums(store: TallyStore, period: Period = YEAR, **more: Any) -> dict[str, int]:
    """All counts of a period added up."""
    answer = await store.answer(TallyQuestion(period=period, **more))
    totals = [sum(each) for each in zip(*(row.counts for row in answer.tallies), strict=True)] or [0] * len(COUNTS)
    assert sum(row.missed for row in answer.reasons) == totals[COUNTS.index("missed")]
    return {name: each for name, each in zip(COUNTS, totals, strict=True) if each}


async def test_reports_count_as_they_are_stored_and_once(database: SqlDatabase) -> None:
    store, report = TallyStore(database), stored(step(0, AiringState.STARTED))
    await database.commit([report])
    await database.commit([report, report, replace(report, sha256=b"x" * 32)])
    assert await sums(store) == {"items": 1, "aired": 1, "delivered": 1, "timed": 1, "punctual": 1}
    await database.commit([stored(step(0, AiringState.FINISHED)), stored(step(1, AiringState.MISSED))])
    assert await sums(store) == {
        "items": 2,
        "aired": 1,
        "delivered": 1,
        "missed": 1,
        "whole": 1,
        "timed": 1,
        "punctual": 1,
        "audible_ms": 60_000,
    }


async def test_a_commit_that_fails_counts_nothing(database: SqlDatabase) -> None:
    with pytest.raises(DatabaseError):
        await database.commit([stored(step(0, AiringState.STARTED)), CounterUsed(key_id="k", topic="t", counter=2**70)])
    assert await sums(TallyStore(database)) == {}


async def test_a_period_has_what_fell_into_it(database: SqlDatabase) -> None:
    store = TallyStore(database)
    await database.commit([stored(step(0, AiringState.MISSED, day)) for day in range(-60, 1)])
    for first, last, days in (
        ("2026-11-22", "2026-11-22", 1),
        ("2026-10-01", "2026-11-21", 52),
        ("2026-09-23", "2026-11-22", 61),
    ):
        period = Period(first=dt.date.fromisoformat(first), last=dt.date.fromisoformat(last))
        assert (await sums(store, period))["missed"] == days
        times = (await store.answer(TallyQuestion(period=period))).times
        assert sum(row.counts[0] for row in times) == days
        assert {row.key for row in times} <= set(period.series)


async def test_only_what_was_asked_for(database: SqlDatabase) -> None:
    store = TallyStore(database)
    emergency = step(0, AiringState.STARTED, source=SourceKind.EMERGENCY, broadcast_class=BroadcastClass.EMERGENCY)
    await database.commit([stored(emergency, "N002"), stored(step(1, AiringState.STARTED))])
    assert (await sums(store, nodes=("N001",)))["items"] == 1
    assert await sums(store, nodes=()) == {}
    assert (await sums(store, broadcast_class="emergency"))["items"] == 1
    assert await sums(store, broadcast_class="emergency", source="media") == {}


async def test_the_same_reports_in_any_order_and_in_any_commits_count_the_same(url: str) -> None:
    found = []
    for seed in (None, 1, 2):
        database = await open_database(url)
        reports = history()
        if seed is not None:
            random.Random(seed).shuffle(reports)  # noqa: S311 - an order, no secret
        size = 64 if seed is None else 7
        for begin in range(0, len(reports), size):
            await database.commit(reports[begin : begin + size])
        found.append(await rows_of(database))
        await emptied(database)
        await database.close()
    assert found[0] == found[1] == found[2]
    assert len(found[0]["tallies"]) == 2 * (13 + 1)


async def emptied(database: SqlDatabase) -> None:
    async with database.connection() as connection, connection.begin():
        for table in ("reports", "tallies", "tally_reasons", "node_days"):
            await connection.execute(sa.text(f"DELETE FROM {table}"))  # noqa: S608 - names from the line above


async def test_old_reports_are_counted_afterwards_while_new_ones_come(database: SqlDatabase) -> None:
    """What an upgrade does: reports lie there uncounted; slices of them are counted between commits of new ones."""
    store, reports = TallyStore(database), history()
    await database.commit(reports)
    expected = await rows_of(database)
    await emptied(database)
    await database.commit(reports[:80])
    await store.begin(time_zone="UTC")
    await store.begin(time_zone=ZONE)
    assert (await rows_of(database))["tallies"] == set()
    shares = [(await store.answer(TallyQuestion(period=YEAR))).counted_share]
    for report in reports[80:]:
        await database.commit([report])
        shares.append(await store.count_slice(rows_max=7))
    assert shares[0] == 0.0
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert await rows_of(database) == expected


async def test_a_database_of_an_earlier_version_is_counted_after_its_upgrade(url: str) -> None:
    first = await open_database(url)
    await first.commit(history())
    expected = await rows_of(first)
    async with first.connection() as connection:
        await connection.run_sync(downgraded, "0005")
        await connection.commit()
    await first.close()
    second = await open_database(url)
    store = TallyStore(second)
    assert (await store.answer(TallyQuestion(period=YEAR))).counted_share == 0.0
    await asyncio.wait_for(store.run(), 20)
    assert await rows_of(second) == expected
    assert (await store.answer(TallyQuestion(period=YEAR))).counted_share == 1.0
    await second.close()


def downgraded(connection: sa.Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.downgrade(config, revision)


async def test_counting_goes_on_where_it_was_after_a_restart(url: str) -> None:
    first = await open_database(url)
    await first.commit(history())
    expected = await rows_of(first)
    await TallyStore(first).begin(time_zone="UTC")
    await TallyStore(first).begin(time_zone=ZONE)
    await TallyStore(first).count_slice(rows_max=20)
    await first.close()
    second = await open_database(url)
    await asyncio.wait_for(TallyStore(second).run(), 20)
    assert await rows_of(second) == expected
    await TallyStore(second).begin(time_zone=ZONE)
    assert await rows_of(second) == expected
    await second.close()


async def test_an_item_that_is_on_record_without_end_costs_a_bounded_look(database: SqlDatabase) -> None:
    """A relay that breaks off all night: the first steps count, the rest stays as proof."""
    for begin in range(0, 900, 300):
        steps = [step(0, AiringState.STARTED, airing=f"a{number}") for number in range(begin, begin + 300)]
        await database.commit([stored(each) for each in steps])
    finished = [step(0, AiringState.FINISHED, airing=f"a{number}", audible_ms=1) for number in range(3)]
    await database.commit([stored(each) for each in finished])
    assert (await sums(TallyStore(database)))["items"] == 1


async def test_availability_is_what_was_watched(database: SqlDatabase) -> None:
    hour_ms = 3600 * 1000
    midnight_ms = DUE_MS - 5 * hour_ms - hour_ms // 2
    await database.commit(
        [
            PresenceSpan(node="N001", begin_ms=midnight_ms - hour_ms, end_ms=midnight_ms + hour_ms, is_up=True),
            PresenceSpan(node="N001", begin_ms=midnight_ms + hour_ms, end_ms=midnight_ms + 2 * hour_ms, is_up=False),
        ]
    )
    store, day = TallyStore(database), dt.date(2026, 11, 22)
    [node] = (await store.answer(TallyQuestion(period=Period(first=day, last=day)))).nodes
    assert (node.up_ms, node.down_ms) == (hour_ms, hour_ms)
    [node] = (await store.answer(TallyQuestion(period=YEAR))).nodes
    assert (node.up_ms, node.down_ms) == (2 * hour_ms, hour_ms)


async def test_an_emergency_names_who_sounded_and_lost_reports_are_told(database: SqlDatabase) -> None:
    emergency = EmergencyRecord(
        id="e1",
        area="xa",
        title="Lũ",
        clip_id="flood",
        clip=MediaReference(sha256="a" * 64, size_bytes=1, duration_ms=1),
        reality=Reality.REAL,
        state=EmergencyState.ALL_CLEAR,
        raised_at_ms=DUE_MS,
        play_at_ms=DUE_MS,
        repeat_every_ms=1,
        sounds_until_ms=DUE_MS + 1,
        expected=("N001", "N002"),
    )
    sounded = step(0, AiringState.STARTED, source=SourceKind.EMERGENCY, source_id="e1", title='"state":"started"')
    missed = step(0, AiringState.MISSED, source=SourceKind.EMERGENCY, source_id="e1", title='"state":"started"')
    gap = ReportGap(node="N002", report_key="f" * 64, first=5, last=7, kind="gap", noticed_at_ms=DUE_MS)
    await database.commit([emergency, stored(sounded), stored(missed, "N002"), gap, replace(gap, kind="contradiction")])
    store = TallyStore(database)

    async def asked(**more: Any) -> TallyAnswer:
        return await store.answer(TallyQuestion(period=YEAR, **more))

    [answers] = (await asked()).emergencies
    assert (answers.record, answers.sounded) == (emergency, frozenset({"N001"}))
    assert (await asked()).lost_reports == {"N002": 3}
    assert (await asked(nodes=("N003",))).emergencies == []
    assert (await asked(nodes=("N001",))).lost_reports == {}
