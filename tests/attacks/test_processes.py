"""Attacks on a real node, a real broker and a real controller by whoever holds the broker or a key.

One commune for all. What is measured is what came out of the nodes' sound paths, sample by sample, and what their
amplifiers' pins did; what is counted is read from the node's telemetry over MQTT.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from protocol.units import SharedNs
from simulator.demo.disturbance import heard_at
from simulator.demo.evidence import gaps_undisturbed
from tests.support import attacks_in_silence
from tests.support import forgery as forged
from tests.support.attacks import Attack, AttackTable, Row
from tests.support.attacks_in_silence import IN_SILENCE
from tests.support.attacks_on_air import ON_AIR, stream_of
from tests.support.besieged import NODE, RUNNING, VILLAGE, Besieged

pytestmark = pytest.mark.slow

COMMUNE = "xa-binh-minh"
AFTERMATH_S = 2.5
"""An order that was obeyed late would sound by then."""


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Besieged]:
    made = Besieged(tmp_path_factory.mktemp("besieged"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def silence() -> dict[str, Any]:
    """When the silent part began, and the table's rows with the instants at which their attacks did."""
    return {"since_ns": 0, "rows": [], "order": b""}


def test_what_is_genuine_sounds_or_the_rest_would_show_nothing(ground: Besieged, silence: dict[str, Any]) -> None:
    """The controller's own emergency, and one like the forged ones but signed by a good key: both are heard."""
    began_ns = time.time_ns()
    raised = ground.console.start_emergency(area=VILLAGE, clip="flood", minutes=5)
    ground.until(lambda: ground.sounds(NODE), what="the controller's emergency sounds")
    ground.console.all_clear(raised, reason="xong")
    ground.until_silent()
    again_ns = time.time_ns()
    silence["order"] = forged.order(ground)
    ground.intruder.say(forged.emergency_topic(), silence["order"])
    ground.until(lambda: ground.sounds(NODE), what="an order by a good key sounds")
    ground.intruder.say(forged.emergency_topic(), forged.all_clear(ground))
    ground.until_silent()
    for since_ns, until_ns in ((began_ns, again_ns), (again_ns, None)):
        assert ground.foreign_samples(since_ns, until_ns) > 4_800
        assert ground.sounding_samples(since_ns, until_ns) > 4_800
    assert ground.pin_changes(began_ns) == 4
    assert not ground.refused()


@pytest.mark.parametrize("attack", IN_SILENCE, ids=lambda attack: attack.name)
def test_in_silence(ground: Besieged, table: AttackTable, silence: dict[str, Any], attack: Attack) -> None:
    began_ns, before = time.time_ns(), ground.refused()
    silence["since_ns"] = silence["since_ns"] or began_ns
    attack.does(ground)
    ground.until_counted(before, dict(attack.counted))
    row = table.add(attack.name, attack.counted or "not subscribed to", ground.sounding_samples(began_ns))
    silence["rows"].append((began_ns, row))
    assert row.samples == 0


def test_after_a_power_cut_what_was_heard_before_is_a_replay(
    ground: Besieged, table: AttackTable, silence: dict[str, Any]
) -> None:
    began_ns = time.time_ns()
    ground.cut_power(NODE)
    before = ground.refused()
    ground.intruder.say(forged.emergency_topic(), silence["order"])
    attacks_in_silence.replayed(ground)
    ground.until_counted(before, {"replayed": 2})
    row = table.add("replayed after a power cut", {"replayed": 2}, ground.sounding_samples(began_ns))
    silence["rows"].append((began_ns, row))
    assert row.samples == 0


def test_nothing_was_heard_in_all_the_silence(ground: Besieged, silence: dict[str, Any]) -> None:
    ground.during(AFTERMATH_S)
    began_ns: int = silence["since_ns"]
    rows: list[tuple[int, Row]] = silence["rows"]
    ends = [begin for begin, _ in rows[1:]] + [None]
    for (begin, row), end in zip(rows, ends, strict=True):
        row.samples = ground.sounding_samples(begin, end)
    assert not [row for _, row in rows if row.samples]
    assert ground.sounding_samples(began_ns) == 0
    assert ground.pin_changes(began_ns) <= 1, "the process that begins writes its level, off"
    assert not any(ground.is_powered(name) for name in RUNNING)


def relay(ground: Besieged) -> str:
    """A relay of the controller is on air on both nodes."""
    stream = ground.console.start_relay(area=COMMUNE, feed="tone", minutes=10)
    ground.until(lambda: all(ground.sounds(name) for name in RUNNING), what="the relay sounds", seconds=20)
    return stream


def gaps_of_our_own(ground: Besieged, since_ns: int) -> list[Any]:
    """Where a node fell silent and the machine was not the cause."""
    ground.during(0.4)
    begin_ns, end_ns = SharedNs(since_ns), SharedNs(time.time_ns() - 300_000_000)
    disturbances = ground.machine.between(begin_ns, end_ns)
    return [
        gap
        for name in RUNNING
        for gap in gaps_undisturbed(
            ground.listener.capture(name),
            begin_ns=begin_ns,
            end_ns=end_ns,
            disturbances=heard_at(name, disturbances),
        )
    ]


@pytest.fixture(scope="module")
def on_air(ground: Besieged) -> Iterator[str]:
    yield relay(ground)
    ground.console.stop_relays()
    ground.until_silent()


@pytest.mark.parametrize("attack", ON_AIR, ids=lambda attack: attack.name)
def test_on_air(ground: Besieged, table: AttackTable, on_air: str, attack: Attack) -> None:
    began_ns, before = time.time_ns(), ground.refused()
    assert stream_of(ground) == on_air
    attack.does(ground)
    ground.until_counted(before, dict(attack.counted))
    gaps = gaps_of_our_own(ground, began_ns)
    row = table.add(attack.name, attack.counted, ground.foreign_samples(began_ns))
    assert row.samples == 0
    assert gaps == []
    assert ground.intruder.telemetry[NODE]["sounding"]["source_id"] == on_air
    assert ground.pin_changes(began_ns) == 0
