"""What is due, on SQLite and on PostgreSQL: counted once, also by two at a time and across a crash.

Held against what came back: aired, missed and no word yet are what was due.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass, field

import msgspec
import pytest

from controller.adapters.database import SqlDatabase
from controller.adapters.reporting.expecting import SLICE_NODES, Expecting
from controller.adapters.reporting.tally_store import TallyStore
from controller.areas import Area, AreaTree
from controller.records import EmergencyRecord, EmergencyState, RelayRecord, RelayState
from controller.reporting.periods import Period
from controller.reporting.questions import TallyAnswer, TallyQuestion
from controller.reporting.report import question_of, report_of
from protocol.messages import AiringRecord, AiringState, BroadcastClass, MediaReference, Plan, Reality, SourceKind
from tests.contract.test_tally_contract import stored
from tests.support.controller_desk import DeskWorld
from tests.support.messages import occurrence, plan
from tests.support.pki import DevelopmentKeys

MORNING_MS = 1_795_300_200_000
"""2026-11-22 05:30 in Hà Nội."""
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NOVEMBER = Period(first=dt.date(2026, 11, 1), last=dt.date(2026, 11, 30))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pole:
    title: str
    area: str


@dataclass(slots=True, kw_only=True)
class Place:
    """A site, its desk and its clock in one: two villages below a commune."""

    nodes: dict[str, Pole]
    now_ms: int = MORNING_MS - HOUR_MS
    plans: dict[str, Plan] = field(default_factory=dict)
    controller: str = "controller1"
    time_zone: str = "Asia/Ho_Chi_Minh"
    feeds: dict[str, Pole] = field(default_factory=dict)
    tree: AreaTree = field(
        default_factory=lambda: AreaTree(
            [
                Area(id="xa", title="Xã", level="commune"),
                *(Area(id=f"thon-{each}", title=f"Thôn {each}", level="village", parent="xa") for each in (0, 1)),
            ]
        )
    )

    @property
    def site(self) -> Place:
        return self

    def plan(self, area: str) -> Plan | None:
        return self.plans.get(area)

    def nodes_below(self, area: str) -> tuple[str, ...]:
        return tuple(name for name, pole in self.nodes.items() if pole.area in self.tree.below(area))

    def expecting(self, database: SqlDatabase) -> Expecting:
        return Expecting(database, desk=lambda: self, clock=lambda: self.now_ms)


def place(clusters: int = 2) -> Place:
    nodes = {f"N{each:03}": Pole(title=f"Cột {each}", area=f"thon-{each % 2}") for each in range(clusters)}
    made = Place(nodes=nodes)
    day = [occurrence(f"sang.{each}", MORNING_MS + each * HOUR_MS) for each in range(3)]
    relay = occurrence("vov.0", MORNING_MS + 4 * HOUR_MS, media=None, feed="vov1")
    made.plans["xa"] = standing("xa", *day, relay)
    made.plans["thon-0"] = standing("thon-0", occurrence("thon.0", MORNING_MS + 5 * HOUR_MS))
    return made


def standing(area: str, *items: object) -> Plan:
    covers = {"covers_from_ms": MORNING_MS - DAY_MS, "covers_until_ms": MORNING_MS + 8 * DAY_MS}
    return plan(area, *items, **covers)  # type: ignore[arg-type] # occurrences only


def record(source_id: str, state: AiringState, due_ms: int, **more: object) -> AiringRecord:
    plain = AiringRecord(
        airing=f"{source_id}.{state}",
        source=SourceKind.MEDIA,
        source_id=source_id,
        title="Bản tin",
        broadcast_class=BroadcastClass.ROUTINE,
        reality=Reality.REAL,
        state=state,
        at_ms=due_ms,
        due_at_ms=due_ms,
        reason="on time" if state is AiringState.STARTED else "media_missing",
    )
    return msgspec.structs.replace(plain, **more)


async def asked(database: SqlDatabase, source: str = "") -> TallyAnswer:
    return await TallyStore(database).answer(TallyQuestion(period=NOVEMBER, source=source))


async def unknown(database: SqlDatabase) -> dict[str, int]:
    """Of how many items nothing came, by cluster."""
    found: dict[str, int] = {}
    for row in (await asked(database)).tallies:
        found[row.node] = found.get(row.node, 0) + row.no_word
    return {node: count for node, count in found.items() if count}


async def test_a_cluster_that_dies_is_counted_for_what_it_owes(database: SqlDatabase) -> None:
    """N000 airs and misses; N001 is dead after its first item; a late record takes one from what is not known."""
    world = place()
    expecting = world.expecting(database)
    await expecting.look()
    assert await unknown(database) == {}
    for hours in (0.5, 1.5, 30):
        world.now_ms = MORNING_MS + round(hours * HOUR_MS)
        await expecting.look()
    assert await unknown(database) == {"N000": 5, "N001": 4}
    first, second = MORNING_MS, MORNING_MS + HOUR_MS
    back = [
        stored(record("sang.0", AiringState.STARTED, first), "N000"),
        stored(record("sang.1", AiringState.MISSED, second), "N000"),
        stored(record("sang.0", AiringState.STARTED, first), "N001"),
    ]
    await database.commit(back)
    assert await unknown(database) == {"N000": 3, "N001": 3}
    question = question_of(world, area="xa", period=NOVEMBER)
    answer = await TallyStore(database).answer(question)
    totals = report_of(world, area="xa", question=question, answer=answer, made_at_ms=1).totals
    assert (totals.aired, totals.missed, totals.no_word, totals.expected) == (2, 1, 6, 9)
    by_day = {row.key: row.no_word for row in answer.times if row.no_word}
    assert by_day == {20261122: 6}
    assert {row.source for row in (await asked(database, source="stream")).tallies} == {"stream"}


async def test_a_restart_and_a_second_controller_count_nothing_twice(database: SqlDatabase) -> None:
    world = place(clusters=2 * SLICE_NODES + 10)
    await world.expecting(database).look()
    world.now_ms = MORNING_MS + HOUR_MS // 2
    cut_off = asyncio.create_task(world.expecting(database).look())
    for _ in range(200):  # a slice is stored, and then paused behind
        if await unknown(database):
            break
    cut_off.cancel()
    await asyncio.gather(cut_off, return_exceptions=True)
    assert 0 < len(await unknown(database)) < len(world.nodes)
    await asyncio.gather(*(world.expecting(database).look() for _ in range(2)))
    await world.expecting(database).look()
    assert await unknown(database) == dict.fromkeys(world.nodes, 1)


async def test_a_clock_that_was_set_back_counts_nothing_twice_and_goes_on(database: SqlDatabase) -> None:
    world = place()
    expecting = world.expecting(database)
    await expecting.look()
    for now_ms in (MORNING_MS + HOUR_MS // 2, MORNING_MS, MORNING_MS + HOUR_MS // 2):
        world.now_ms = now_ms
        await expecting.look()
    assert await unknown(database) == {"N000": 1, "N001": 1}
    world.now_ms = MORNING_MS + 400 * DAY_MS
    await expecting.look()
    world.now_ms = MORNING_MS + HOUR_MS // 2
    await world.expecting(database).look()
    world.now_ms += DAY_MS
    before = await unknown(database)
    await world.expecting(database).look()
    assert await unknown(database) == {node: count + {"N000": 4, "N001": 3}[node] for node, count in before.items()}


async def test_a_voice_by_hand_hides_nothing_that_a_plan_had(database: SqlDatabase) -> None:
    """A cluster heard a live voice and then died before its planned relay: one item aired, one is not known."""
    world = place()
    expecting = world.expecting(database)
    await expecting.look()
    at_ms = MORNING_MS + HOUR_MS
    voice = RelayRecord(
        stream="0123456789abcdef",
        area="xa",
        feed="",
        title="Chủ tịch xã",
        broadcast_class=BroadcastClass.ROUTINE,
        state=RelayState.ENDED,
        starts_at_ms=at_ms,
        ends_at_ms=at_ms + 60_000,
        speaker="lan",
    )
    served = msgspec.structs.replace(voice, stream="f" * 16, feed="vov1", occurrence="vov.0", speaker="")
    stream = {"source": SourceKind.STREAM, "audible_ms": 60_000, "reason": "finished"}
    heard = record(voice.stream, AiringState.FINISHED, at_ms, **stream)
    relayed = record(served.stream, AiringState.FINISHED, MORNING_MS + 4 * HOUR_MS, **stream)
    await database.commit([voice, served, stored(heard, "N000"), stored(heard, "N001"), stored(relayed, "N001")])
    world.now_ms = MORNING_MS + 4 * HOUR_MS + 1
    await expecting.look()
    answer = await asked(database, source="stream")
    assert {row.node: row.no_word for row in answer.tallies if row.no_word} == {"N000": 1}
    assert sorted((row.node, row.feed, row.aired, row.audible_ms) for row in answer.feeds) == [
        ("N000", "", 1, 60_000),
        ("N001", "", 1, 60_000),
        ("N001", "vov1", 1, 60_000),
    ]
    await TallyStore(database).begin(time_zone="UTC")
    await TallyStore(database).run()
    again = await asked(database, source="stream")
    assert {row.node: row.no_word for row in again.tallies if row.no_word} == {"N000": 1}
    assert sorted(again.feeds, key=repr) == sorted(answer.feeds, key=repr)


async def test_what_is_on_record_beyond_what_was_due_hides_nothing_of_another_day(database: SqlDatabase) -> None:
    """A pole that did not get the plan of the day before played more of the old one."""
    world = place()
    day_before = MORNING_MS - DAY_MS
    world.plans["xa"] = msgspec.structs.replace(
        world.plans["xa"],
        covers_from_ms=day_before - DAY_MS,
        occurrences=(occurrence("truoc.0", day_before), *world.plans["xa"].occurrences),
    )
    world.now_ms = day_before - HOUR_MS
    expecting = world.expecting(database)
    await expecting.look()
    aired = [record(f"cu.{number}", AiringState.STARTED, day_before) for number in range(3)]
    await database.commit([stored(each, "N000") for each in aired])
    world.now_ms = MORNING_MS + 6 * HOUR_MS
    await expecting.look()
    week = Period(first=dt.date(2026, 11, 16), last=dt.date(2026, 11, 22))
    rows = (await TallyStore(database).answer(TallyQuestion(period=week, nodes=("N000",)))).tallies
    assert sum(row.no_word for row in rows) == 5
    assert sum(row.counts[0] for row in rows) == 3


async def test_the_desk_itself_is_looked_at(database: SqlDatabase, pki: DevelopmentKeys) -> None:
    """The commune's morning: a file and a relay, on three clusters."""
    world = DeskWorld(pki)
    world.begin()
    now_ms: int = world.now.shared_ms
    expecting = Expecting(database, desk=lambda: world.desk, clock=lambda: now_ms)
    await expecting.look()
    now_ms += HOUR_MS
    await expecting.look()
    period = Period(first=dt.date(2025, 1, 1), last=dt.date(2030, 12, 31))
    rows = (await TallyStore(database).answer(TallyQuestion(period=period))).tallies
    assert {(row.node, row.source, row.no_word) for row in rows} == {
        (node, source, 1) for node in ("N001", "N002", "N003") for source in ("media", "stream")
    }


async def test_an_emergency_is_due_where_it_names(database: SqlDatabase) -> None:
    world = place()
    expecting = world.expecting(database)
    await expecting.look()
    flood = EmergencyRecord(
        id="e1",
        area="xa",
        title="Lũ",
        clip_id="flood",
        clip=MediaReference(sha256="a" * 64, size_bytes=1, duration_ms=1),
        reality=Reality.REAL,
        state=EmergencyState.ALL_CLEAR,
        raised_at_ms=MORNING_MS - HOUR_MS + 1,
        play_at_ms=MORNING_MS - HOUR_MS + 400,
        repeat_every_ms=1,
        sounds_until_ms=MORNING_MS,
        expected=("N001",),
    )
    await database.commit([flood])
    world.now_ms = MORNING_MS - 1
    await expecting.look()
    [row] = (await asked(database)).tallies
    assert (row.node, row.broadcast_class, row.source, row.reality, row.no_word) == (
        *("N001", "emergency", "emergency", "real"),
        1,
    )


@pytest.mark.parametrize("areas", [("xa",), ("thon-0", "thon-1")])
async def test_an_area_that_goes_takes_nothing_along(database: SqlDatabase, areas: tuple[str, ...]) -> None:
    world = place()
    expecting = world.expecting(database)
    await expecting.look()
    world.now_ms = MORNING_MS + 6 * HOUR_MS
    world.plans = {area: each for area, each in world.plans.items() if area in areas}
    await expecting.look()
    assert await unknown(database) == ({"N000": 4, "N001": 4} if areas == ("xa",) else {"N000": 1})
