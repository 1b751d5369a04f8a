"""Faults of whole machines: each has its effect on the pole, and ends."""

from __future__ import annotations

import pytest

from protocol.units import NS_PER_S
from simulator.clock import BUILD_DATE_NS
from simulator.commune import Province, ProvinceSettings
from simulator.faults.fault_ports import FaultRunner
from simulator.faults.faults import Fault, FaultPlan
from simulator.faults.machine_faults import connect_all
from simulator.pole.parts import BootSettings, PoleSettings, ProbeSettings, Rtc, SoundMode
from simulator.pole.sound_card import SimulatedCard
from simulator.runs.usual import COMMUNE, FLOOD, MEDIA, usual_commune

POLE = "N0001"


def province(pole: PoleSettings | None = None) -> Province:
    settings = ProvinceSettings(controller=usual_commune(poles=1), media=MEDIA, pole=pole or PoleSettings())
    return Province(settings, seed=1)


def suffer(place: Province, kind: str, *, target: str = POLE, **parameters: int) -> None:
    suffer_all(place, Fault(at_ms=0, kind=kind, target=target, parameters=parameters))


def suffer_all(place: Province, *faults: Fault) -> None:
    runner = FaultRunner(place.world)
    connect_all(runner, place)
    runner.schedule(FaultPlan(faults=faults))


def pulled_in(place: Province, seconds: int) -> int:
    process = place.poles[POLE].process
    assert process is not None
    assert isinstance(process.card, SimulatedCard)
    process.card.start()
    place.run_for(1)
    before = process.card.statistics.frames
    place.run_for(seconds)
    return process.card.statistics.frames - before


def test_a_drifting_card_pulls_faster_and_still_does_after_a_restart() -> None:
    place = province(PoleSettings(sound=SoundMode.FULL))
    suffer(place, "card_drift", ppb=200_000)
    place.run_for(1)
    place.poles[POLE].restart_process()
    place.run_for(60)
    assert pulled_in(place, 400) > 400 * 48_000 + 1_920  # 3,840 frames more than a true crystal's, less a block


def seconds_to_sound(place: Province) -> int:
    place.press(COMMUNE, FLOOD)
    for second in range(60):
        place.run_for(1)
        if place.sounding("media:flood"):
            return second
    return 60


def test_a_slow_card_holds_no_emergency_up() -> None:
    place = province(PoleSettings(probe=ProbeSettings(every_ns=NS_PER_S)))
    place.run_for(60)
    suffer(place, "storage_slow", delay_ms=5_000, for_ms=100_000)
    place.run_for(1)
    assert seconds_to_sound(place) <= 2
    place.all_clear()
    place.run_for(110)
    assert place.poles[POLE].disk.delay_ns == 0
    assert seconds_to_sound(place) <= 2


@pytest.mark.parametrize("rtc_is_dead", [0, 1])
def test_a_power_cut_that_the_clock_chip_does_not_outlast_leaves_the_pole_at_its_images_date(rtc_is_dead: int) -> None:
    place = province(PoleSettings(boot=BootSettings(rtc=Rtc.CHIP, ntp_after_ns=60 * NS_PER_S)))
    place.run_for(60)
    suffer(place, "node_power_cut", at_write=0, for_ms=10_000, rtc_is_dead=rtc_is_dead)
    place.run_for(40)
    now = place.poles[POLE].clock.read_now()
    assert now.is_time_known is not bool(rtc_is_dead)
    assert (now.shared_ns < BUILD_DATE_NS + 60 * NS_PER_S) is bool(rtc_is_dead)
    place.run_for(60)
    assert place.poles[POLE].clock.read_now().is_time_known


def test_a_site_that_is_away_takes_broker_controller_and_media_and_brings_all_of_them_back() -> None:
    place = province()
    place.run_for(60)
    name = place.controller.name
    suffer_all(
        place,
        Fault(at_ms=0, kind="site_away", target=name, parameters={"for_ms": 3_600_000}),
        Fault(at_ms=600_000, kind="controller_restart", target=name, parameters={"for_ms": 1_000}),
        Fault(at_ms=600_000, kind="broker_kill", target="broker", parameters={"for_ms": 1_000}),
    )
    for seconds in (1, 1_000):
        place.run_for(seconds)
        assert (place.controller.is_running, place.broker.is_running, place.media_server.is_up) == (False, False, False)
    place.run_for(3_600)
    assert (place.controller.is_running, place.broker.is_running, place.media_server.is_up) == (True, True, True)
    assert [node.state for node in place.controller.status().nodes] == ["ready"]
