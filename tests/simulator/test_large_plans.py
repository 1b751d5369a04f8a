"""A plan that no message holds, from real desk to real agent: by hash, over a line that dies, past a power cut."""

from __future__ import annotations

from controller.configuration.config import ItemConfig, ProgrammeConfig
from edge.config import EdgeConfig, TelemetryConfig
from protocol.messages import AiringRecord, AiringState
from protocol.topics import TopicName, topic
from protocol.units import NS_PER_S
from simulator.commune import Province, ProvinceSettings
from simulator.pole.parts import PoleSettings
from simulator.runs.usual import COMMUNE, MEDIA, usual_commune
from simulator.world import DEFAULT_START_NS

COUNT = 20
"""Items of a minute each morning: eight days of them are more than a message holds."""


def province() -> Province:
    morning = ProgrammeConfig(
        id="morning",
        title="Chương trình sáng",
        area=COMMUNE,
        at="05:40:00",
        items=tuple(ItemConfig(file="anthem.mp3", title=f"Mục {number}") for number in range(COUNT)),
    )
    settings = ProvinceSettings(
        controller=usual_commune(poles=2, programmes=(morning,)),
        media=MEDIA,
        edge=EdgeConfig(node="N0001", telemetry=TelemetryConfig(idle_interval_s=90)),
        pole=PoleSettings(),
        start_ns=DEFAULT_START_NS,
    )
    return Province(settings, seed=1)


def started(place: Province, name: str) -> set[str]:
    reports = [each for each in place.controller.database.airings if each.node == name]
    records = [each.record for each in reports if isinstance(each.record, AiringRecord)]
    return {record.source_id for record in records if record.state is AiringState.STARTED}


def test_a_large_plan_plays_on_every_pole_also_after_a_power_cut_without_any_network() -> None:
    place = province()
    due_ns = place.instant("05:40")
    place.run_until(due_ns - 600 * NS_PER_S)
    stands = place.controller.database.documents[topic(TopicName.PLAN, area=COMMUNE)]
    assert stands.body is not None
    assert len(stands.payload) < 1_000
    first, second = sorted(place.poles)
    place.surroundings.media_server.is_up = False
    place.poles[second].cut_power()
    place.run_until(due_ns - 500 * NS_PER_S)
    place.poles[second].restore_power()
    place.run_until(due_ns + 250 * NS_PER_S)
    for name in (first, second):
        assert len(started(place, name)) == 5, name
