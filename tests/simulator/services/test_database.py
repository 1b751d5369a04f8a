"""The simulated database gives what the real one gives, for any changes in any order."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.adapters.database import open_database
from controller.effects import Commit
from controller.events import CommitFailed, Committed
from controller.records import (
    Change,
    CounterUsed,
    EmergencyRecord,
    EmergencyState,
    Kept,
    NodeSeen,
    ReportGap,
    ReportHead,
    StandingDocument,
    StoredReport,
    WithdrawnDocument,
)
from protocol.messages import (
    AiringRecord,
    AiringState,
    BroadcastClass,
    FaultRecord,
    MediaReference,
    Readiness,
    Reality,
    SourceKind,
)
from simulator.services.database import COMMIT_NS, SimulatedCommits, SimulatedDatabase
from simulator.world import World

NUMBERS = st.integers(1, 6)
NODES = st.sampled_from(["N001", "N002"])
KEY = "aa" * 32
NAMES = itertools.count()


def airing(source_id: str) -> AiringRecord:
    return AiringRecord(
        airing=f"{source_id}:1",
        source=SourceKind.EMERGENCY,
        source_id=source_id,
        title="Lũ",
        broadcast_class=BroadcastClass.EMERGENCY,
        reality=Reality.REAL,
        state=AiringState.STARTED,
        at_ms=1,
        reason="on time",
    )


FAULT = FaultRecord(fault="store", active=True, detail="", at_ms=1)


def emergency(number: int, state: EmergencyState) -> EmergencyRecord:
    return EmergencyRecord(
        id=f"e{number}",
        area="xa-1",
        title="Lũ",
        clip_id="flood",
        clip=MediaReference(sha256="ab" * 32, size_bytes=1, duration_ms=1),
        reality=Reality.REAL,
        state=state,
        raised_at_ms=1000 + number,
        play_at_ms=1,
        repeat_every_ms=1,
        sounds_until_ms=1,
        expected=("N001",),
    )


def report(node: str, number: int, record: AiringRecord | FaultRecord) -> StoredReport:
    return StoredReport(
        node=node, report_key=KEY, number=number, sha256=bytes(32), sealed=b"x", record=record, received_at_ms=number
    )


TOPICS = st.sampled_from(["loaxa/1/area/xa-1/plan", "loaxa/1/area/xa-1/emergency"])
CHANGES: st.SearchStrategy[Change] = st.one_of(
    st.builds(
        lambda topic, counter: StandingDocument(
            topic=topic, key_id="k", counter=counter, payload=b"p", expires_at_ms=9
        ),
        TOPICS,
        NUMBERS,
    ),
    st.builds(lambda topic, counter: CounterUsed(key_id="k", topic=topic, counter=counter), TOPICS, NUMBERS),
    st.builds(lambda topic: WithdrawnDocument(topic=topic), TOPICS),
    st.builds(emergency, NUMBERS, st.sampled_from(EmergencyState)),
    st.builds(report, NODES, NUMBERS, st.one_of(st.builds(airing, st.sampled_from(["e1", "e9"])), st.just(FAULT))),
    st.builds(
        lambda node, number: ReportHead(node=node, report_key=KEY, number=number, sha256=bytes(32)), NODES, NUMBERS
    ),
    st.builds(
        lambda node, first: ReportGap(node=node, report_key=KEY, first=first, last=first, kind="gap", noticed_at_ms=1),
        NODES,
        NUMBERS,
    ),
    st.builds(
        lambda node, epoch: NodeSeen(node=node, last_seen_ms=epoch, state=Readiness.READY, session_epoch=epoch),
        NODES,
        NUMBERS,
    ),
)


def comparable(kept: Kept) -> dict[str, list[Any]]:
    return {name: sorted(map(repr, getattr(kept, name))) for name in kept.__dataclass_fields__}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(CHANGES, max_size=25))
async def test_it_loads_what_the_real_one_loads(changes: list[Change], tmp_path: Path) -> None:
    path = tmp_path / f"{next(NAMES)}.sqlite"
    real, simulated = await open_database(f"sqlite:///{path}"), SimulatedDatabase()
    try:
        for change in changes:
            await real.commit([change])
            simulated.commit([change])
        assert comparable(simulated.load()) == comparable(await real.load())
    finally:
        await real.close()


def test_commits_are_answered_in_order_and_what_was_under_way_dies_with_the_process() -> None:
    world, database = World(seed=1), SimulatedDatabase()
    answers: list[Committed | CommitFailed] = []
    commits = SimulatedCommits(world, database, answers.append)
    for number in range(1, 4):
        commits.put(Commit(number=number, changes=(emergency(number, EmergencyState.RAISED),)))
    world.run_for(COMMIT_NS)
    assert answers == [Committed(number=number) for number in (1, 2, 3)]
    database.is_failing = True
    commits.put(Commit(number=4, changes=(emergency(4, EmergencyState.RAISED),)))
    world.run_for(COMMIT_NS)
    assert isinstance(answers[-1], CommitFailed)
    database.is_failing = False
    commits.put(Commit(number=5, changes=(emergency(5, EmergencyState.RAISED),)))
    world.run_for(COMMIT_NS // 2)
    commits.abandon()
    world.run_for(COMMIT_NS)
    assert len(answers) == 4
    assert set(database.emergencies) == {"e1", "e2", "e3"}
