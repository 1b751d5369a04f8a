"""One suite for the database port: on SQLite, and on a real PostgreSQL of its own."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from pathlib import Path

import pytest

from controller.adapters.database import SqlDatabase, open_database
from controller.errors import DatabaseError
from controller.ports import AiringQuestion
from controller.records import (
    CounterUsed,
    EmergencyRecord,
    EmergencyState,
    NodeSeen,
    RelayRecord,
    RelayState,
    ReportGap,
    ReportHead,
    StandingDocument,
    StoredReport,
    WithdrawnDocument,
)
from protocol.messages import (
    LOOSE_FROM,
    AiringState,
    BroadcastClass,
    FaultRecord,
    MediaReference,
    Readiness,
    Reality,
    SourceKind,
)
from tests.support.controller_desk import airing

CLIP = MediaReference(sha256="a" * 64, size_bytes=30_000, duration_ms=4_000)
DOCUMENT = StandingDocument(
    topic="loaxa/1/area/xa/plan", key_id="k", counter=7, payload=b"\x00\xff", expires_at_ms=2**52
)
EMERGENCY = EmergencyRecord(
    id="e1",
    area="xa",
    title="Lũ khẩn cấp",
    clip_id="flood",
    clip=CLIP,
    reality=Reality.REAL,
    state=EmergencyState.RAISED,
    raised_at_ms=1_000,
    play_at_ms=1_450,
    repeat_every_ms=5_000,
    sounds_until_ms=600_000,
    expected=("N001",),
)
RELAY = RelayRecord(
    stream="0" * 16,
    area="xa",
    feed="vov1",
    title="VOV1",
    broadcast_class=BroadcastClass.ROUTINE,
    state=RelayState.ON_AIR,
    starts_at_ms=1_000,
    ends_at_ms=900_000,
)


def report(number: int, *, node: str = "N001", source_id: str = "e1") -> StoredReport:
    return StoredReport(
        node=node,
        report_key="f" * 64,
        number=number,
        sha256=bytes([number % 256]) * 32,
        sealed=b"signed",
        record=airing(source_id, AiringState.STARTED, 1_000 + number % 1_000, source=SourceKind.EMERGENCY),
        received_at_ms=2_000 + number % 1_000,
        is_chained=None if number == 1 else True,
    )


async def test_an_empty_database_has_nothing(database: SqlDatabase) -> None:
    kept = await database.load()
    assert (kept.documents, kept.emergencies, kept.relays, kept.heads, kept.nodes) == ((), (), (), (), ())


async def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    opened = await open_database(f"sqlite:///{tmp_path}/new/controller.sqlite")
    await opened.commit([EMERGENCY])
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").glob("controller.sqlite*")}
    await opened.close()
    assert "controller.sqlite" in modes
    assert {mode for name, mode in modes.items() if not name.endswith(".lock")} == {0o600}


async def test_what_is_kept_comes_back_the_same_after_a_restart(url: str) -> None:
    first = await open_database(url)
    seen = NodeSeen(node="N001", last_seen_ms=5, state=Readiness.READY, session_epoch=2**60)
    head = ReportHead(node="N001", report_key="f" * 64, number=0, sha256=bytes(32))
    await first.commit([DOCUMENT, EMERGENCY, RELAY, seen, head, report(1), report(2)])
    await first.close()
    second = await open_database(url)
    kept = await second.load()
    await second.close()
    assert kept.documents == (DOCUMENT,)
    assert kept.counters == (CounterUsed(key_id="k", topic=DOCUMENT.topic, counter=7),)
    assert (kept.emergencies, kept.relays, kept.nodes, kept.heads) == ((EMERGENCY,), (RELAY,), (seen,), (head,))
    assert kept.reports_beyond_heads == (report(1), report(2)) == kept.emergency_reports


async def test_loose_reports_are_known_again_and_are_no_gap(database: SqlDatabase) -> None:
    head = ReportHead(node="N001", report_key="f" * 64, number=1, sha256=bytes(32))
    loose = report(LOOSE_FROM + 5)
    await database.commit([head, report(1), loose, report(3)])
    assert (await database.load()).reports_beyond_heads == (report(3), loose)


async def test_all_changes_of_a_commit_or_none(database: SqlDatabase) -> None:
    too_long = StandingDocument(topic="t", key_id="k", counter=2**70, payload=b"", expires_at_ms=1)
    with pytest.raises(DatabaseError):
        await database.commit([EMERGENCY, too_long])
    assert (await database.load()).emergencies == ()


async def test_counters_only_rise(database: SqlDatabase) -> None:
    for counter in (5, 9, 7):
        await database.commit([CounterUsed(key_id="k", topic="t", counter=counter)])
    assert (await database.load()).counters == (CounterUsed(key_id="k", topic="t", counter=9),)


async def test_a_withdrawn_document_leaves_its_counter(database: SqlDatabase) -> None:
    await database.commit([DOCUMENT])
    await database.commit([WithdrawnDocument(topic=DOCUMENT.topic)])
    kept = await database.load()
    assert (kept.documents, kept.counters[0].counter) == ((), 7)


async def test_a_stream_that_is_over_leaves_nothing(database: SqlDatabase) -> None:
    topic = f"loaxa/1/area/xa/stream/{RELAY.stream}"
    start = StandingDocument(topic=topic, key_id="k", counter=7, payload=b"", expires_at_ms=1)
    await database.commit([start])
    await database.commit([WithdrawnDocument(topic=topic)])
    kept = await database.load()
    assert (kept.documents, kept.counters) == ((), ())


async def test_a_report_is_stored_once_and_the_first_stays(database: SqlDatabase) -> None:
    other = StoredReport(
        node="N001",
        report_key="f" * 64,
        number=1,
        sha256=b"x" * 32,
        sealed=b"another",
        record=FaultRecord(fault="sound_card", active=True, detail="", at_ms=1),
        received_at_ms=9,
    )
    await database.commit([report(1)])
    await database.commit([report(1), other])
    rows = await database.airings(AiringQuestion())
    assert [row.report for row in rows] == [report(1)]


async def test_airings_come_newest_first_in_pages_and_by_node(database: SqlDatabase) -> None:
    await database.commit([report(number) for number in range(1, 8)])
    await database.commit([report(1, node="N002")])
    first = await database.airings(AiringQuestion(limit=3))
    assert [(row.report.node, row.report.number) for row in first] == [("N002", 1), ("N001", 7), ("N001", 6)]
    second = await database.airings(AiringQuestion(limit=3, before=first[-1].row))
    assert [row.report.number for row in second] == [5, 4, 3]
    assert len(await database.airings(AiringQuestion(node="N002"))) == 1


async def test_reports_covered_by_a_head_are_not_loaded_again(database: SqlDatabase) -> None:
    head = ReportHead(node="N001", report_key="f" * 64, number=2, sha256=bytes(32))
    await database.commit([report(1), report(2), report(3), report(1, node="N002"), head])
    beyond = (await database.load()).reports_beyond_heads
    assert {(each.node, each.number) for each in beyond} == {("N001", 3), ("N002", 1)}


async def test_gaps_are_facts_once(database: SqlDatabase) -> None:
    gap = ReportGap(node="N001", report_key="f" * 64, first=1, last=3, kind="gap", noticed_at_ms=5)
    await database.commit([gap, gap])
    assert await database.gaps() == [gap]


async def test_two_processes_that_start_at_once_make_the_tables_once(url: str) -> None:
    opened = await asyncio.gather(*(open_database(url) for _ in range(4)))
    await opened[0].commit([DOCUMENT])
    assert (await opened[3].load()).documents == (DOCUMENT,)
    for each in opened:
        await each.close()


async def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    await (await open_database(f"sqlite:///{path}")).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(DatabaseError, match="newer version"):
        await open_database(f"sqlite:///{path}")


async def test_commits_are_durable_in_sqlite(tmp_path: Path) -> None:
    opened = await open_database(f"sqlite:///{tmp_path}/c.sqlite")
    async with opened._engine.connect() as connection:
        mode = (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar()
        synchronous = (await connection.exec_driver_sql("PRAGMA synchronous")).scalar()
    await opened.close()
    assert (mode, synchronous) == ("wal", 2)


@pytest.mark.parametrize(
    "address", ["sqlite:////proc/none/c.sqlite", "postgresql://loaxa:secret@127.0.0.1:1/x", "postgresql://["]
)
async def test_a_database_that_cannot_be_opened_is_named_without_its_password(address: str) -> None:
    with pytest.raises(DatabaseError) as refused:
        await open_database(address)
    assert "database" in str(refused.value)
    assert "secret" not in str(refused.value)
