"""The whole system in virtual time: real agents and the real desk, judged by what came out of the horns."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise

import pytest

from controller.adapters.relay.opus_encoder import OpusEncoder
from controller.configuration.config import ItemConfig, ProgrammeConfig
from edge.config import EdgeConfig, TelemetryConfig
from protocol.messages import AiringRecord, AiringState, Reality
from protocol.topics import TopicName, topic
from protocol.units import NS_PER_MS, NS_PER_S
from simulator.clock import ClockSettings
from simulator.commune import Province, ProvinceSettings
from simulator.evidence.ear import Sound
from simulator.pole.parts import BootSettings, PoleSettings, ProbeSettings, Rtc, SoundMode
from simulator.pole.workshop import real_decoder
from simulator.runs.usual import COMMUNE, DRILL, FEED, FLOOD, MEDIA, PROGRAMMES, usual_commune
from simulator.services.controller import ControllerSettings
from simulator.world import DEFAULT_START_NS

LISTENED = PoleSettings(sound=SoundMode.FULL)
ASKED = PoleSettings(probe=ProbeSettings(every_ns=5 * NS_PER_S))
NEWS, ANTHEM, FLOOD_SOUND = "media:news", "media:anthem", "media:flood"
STEP_NS_MAX = NS_PER_MS
"""How far apart poles with good clocks may be: a thousandth of a second is 34 cm of air."""
DAY_S = 86_400


def province(
    *,
    poles: int = 4,
    pole: PoleSettings = ASKED,
    seed: int = 1,
    begins_at_hour: int = 5,
    programmes: tuple[ProgrammeConfig, ...] = PROGRAMMES,
) -> Province:
    settings = ProvinceSettings(
        controller=usual_commune(poles=poles, programmes=programmes),
        media=MEDIA,
        edge=EdgeConfig(node="N0001", telemetry=TelemetryConfig(idle_interval_s=90)),
        pole=pole,
        start_ns=DEFAULT_START_NS + (begins_at_hour - 5) * 3_600 * NS_PER_S,
    )
    return Province(settings, seed=seed)


def on_record(place: Province, name: str | None = None) -> list[AiringRecord]:
    """What the controller has stored of a pole's air, or of all."""
    reports = [each for each in place.controller.database.airings if name in {None, each.node}]
    return [each.record for each in reports if isinstance(each.record, AiringRecord)]


def sounds(place: Province, name: str, source: str) -> list[Sound]:
    """What a pole sounded of a source, oldest first."""
    return [each for each in place.poles[name].ear.sounds if each.source == source]


def names(place: Province) -> set[str]:
    return set(place.poles)


def test_the_plan_sounds_on_its_sample_on_all_poles() -> None:
    place = province(pole=LISTENED)
    due_ns = place.instant("05:30")
    place.run_until(due_ns + 70 * NS_PER_S)
    origins = []
    for name in names(place):
        (anthem,) = sounds(place, name, ANTHEM)
        (news,) = sounds(place, name, NEWS)
        assert anthem.is_powered
        assert abs(anthem.begins_ns - due_ns) < STEP_NS_MAX
        assert anthem.origin_ns is not None
        assert abs(news.begins_ns - due_ns - 60 * NS_PER_S) < 11 * NS_PER_MS  # the items cross over for 10 ms
        origins.append(anthem.origin_ns)
    assert max(origins) - min(origins) < STEP_NS_MAX


def test_a_relay_reaches_every_pole_in_step() -> None:
    place = province(pole=LISTENED, begins_at_hour=6)
    place.run_for(60)
    asked = place.relay(COMMUNE, FEED)
    place.run_for(20)
    source = f"stream:{asked.relay.stream}"
    assert place.sounding(source) == names(place)
    origins = [each.origin_last_ns for name in names(place) for each in sounds(place, name, source)]
    known = [each for each in origins if each is not None]
    assert len(known) == len(origins) == len(place.poles)
    assert max(known) - min(known) < STEP_NS_MAX
    place.stop_relay(asked.relay.stream)
    place.run_for(5)
    assert place.sounding(source) == set()


def test_a_relay_through_the_real_codec_is_heard() -> None:
    settings = ProvinceSettings(
        controller=usual_commune(poles=1),
        media=MEDIA,
        pole=PoleSettings(sound=SoundMode.FULL, new_decoder=real_decoder),
        controller_machine=ControllerSettings(new_encoder=lambda bitrate_bps: OpusEncoder(bitrate_bps).encode),
        start_ns=DEFAULT_START_NS + 3_600 * NS_PER_S,
    )
    place = Province(settings, seed=1)
    place.run_for(10)
    place.relay(COMMUNE, FEED)
    place.run_for(10)
    heard = place.poles["N0001"].ear.current
    assert heard is not None
    assert heard.is_powered
    assert heard.ends_ns - heard.begins_ns > 5 * NS_PER_S
    assert 2_000 < heard.amplitude < 10_000  # the station's tone at -20 dBFS, whole and not clipped


def test_an_emergency_reaches_all_again_and_again_and_then_what_is_due_goes_on() -> None:
    place = province(pole=LISTENED)
    place.run_until(place.instant("05:32"))
    assert place.sounding(NEWS) == names(place)
    pressed_ns = place.world.now_ns
    asked = place.press(COMMUNE, FLOOD)
    place.run_for(30)
    record = asked.emergency
    for name in names(place):
        heard = sounds(place, name, FLOOD_SOUND)
        assert len(heard) == 4  # 8 s of clip each 9 s: three whole, the fourth under way
        assert heard[0].begins_ns - pressed_ns < 600 * NS_PER_MS
        for number, each in enumerate(heard):
            due_ns = (record.play_at_ms + number * record.repeat_every_ms) * NS_PER_MS
            assert each.origin_ns is not None
            assert abs(each.origin_ns - due_ns) < STEP_NS_MAX
            assert each.is_powered
    place.all_clear(record.id)
    place.run_for(5)
    assert place.sounding(NEWS) == names(place)
    due_ns = place.instant("05:31")
    for name in names(place):
        resumed = sounds(place, name, NEWS)[-1]
        assert resumed.origin_ns is not None
        assert abs(resumed.origin_ns - due_ns) < STEP_NS_MAX  # in step with the plan, not where it was left
    (view,) = place.controller.status().emergencies
    assert set(view.finished) == names(place)


def test_a_broker_that_restarts_in_an_emergency_silences_nobody() -> None:
    place = province(pole=LISTENED, begins_at_hour=12)
    place.run_for(60)
    asked = place.press(COMMUNE, FLOOD)
    place.run_for(5)
    record = asked.emergency
    place.broker.stop()
    place.run_for(20)
    assert place.broker.connected == ()
    place.broker.start()
    place.run_for(60)
    assert set(place.broker.connected) == names(place) | {"controller1"}
    for name in names(place):
        begins = [each.begins_ns for each in sounds(place, name, FLOOD_SOUND)]
        assert len(begins) == 10
        gaps = [later - earlier for earlier, later in pairwise(begins)]
        assert all(abs(gap - 9 * NS_PER_S) < STEP_NS_MAX for gap in gaps)
    place.all_clear(record.id)
    place.run_for(10)
    assert place.sounding(FLOOD_SOUND) == set()


@pytest.mark.parametrize("rtc", list(Rtc))
def test_a_pole_that_loses_power_in_an_emergency_comes_back_in_step(rtc: Rtc) -> None:
    place = province(pole=PoleSettings(sound=SoundMode.FULL, boot=BootSettings(rtc=rtc)), begins_at_hour=12)
    place.run_for(60)
    asked = place.press(COMMUNE, FLOOD)
    place.run_for(10)
    place.poles["N0001"].cut_power_for(7 * NS_PER_S)
    place.run_for(3)
    assert place.sounding(FLOOD_SOUND) == {"N0002", "N0003", "N0004"}
    back_ns = place.world.now_ns + 60 * NS_PER_S
    place.run_until(back_ns)
    last = [sounds(place, name, FLOOD_SOUND)[-1].origin_last_ns for name in sorted(names(place))]
    known = [each for each in last if each is not None]
    assert len(known) == len(place.poles)
    assert max(known) - min(known) < 3 * NS_PER_MS  # its clock is as good as its time server's first answer
    record = asked.emergency
    late_ns = (known[0] - record.play_at_ms * NS_PER_MS) % (9 * NS_PER_S)
    assert min(late_ns, 9 * NS_PER_S - late_ns) < 3 * NS_PER_MS


def test_a_week_without_a_controller_goes_by_the_plan() -> None:
    place = province(pole=PoleSettings(probe=ProbeSettings(every_ns=0)))
    place.run_for(600)
    place.controller.kill()
    place.run_for(7 * DAY_S)
    for name in names(place):
        assert len(sounds(place, name, NEWS)) == 7
        assert all(each.is_powered for each in sounds(place, name, NEWS))
    place.controller.start()
    place.run_for(300)
    finished = [each for each in on_record(place, "N0001") if each.state is AiringState.FINISHED]
    assert len(finished) == 28  # four items a day, all on record now
    assert place.poles["N0001"].process is not None
    assert place.poles["N0001"].process.agent.outbox.waiting == 0


def test_what_many_poles_put_on_record_at_one_instant_is_all_stored() -> None:
    place = province(poles=250, pole=PoleSettings(probe=ProbeSettings(every_ns=0)))
    place.run_until(place.instant("05:50"))
    assert place.broker.dropped > 0  # the broker's queue to the controller is too short for all of them
    assert len(on_record(place)) == 4 * len(place.poles)
    assert not place.controller.database.gaps


def test_a_wrong_programme_at_a_quarter_past_three_wakes_nobody() -> None:
    wrong = ProgrammeConfig(
        id="wrong", title="Tiếp âm đặt nhầm giờ", area=COMMUNE, at="03:15", items=(ItemConfig(file="evening.mp3"),)
    )
    place = province(pole=LISTENED, programmes=(*PROGRAMMES, wrong), begins_at_hour=20)
    place.run_until(place.instant("03:40", day=1))
    for pole in place.poles.values():
        assert not [each for each in pole.ear.sounds if each.begins_ns >= place.instant("21:00")]
        assert not pole.relay.contact.changes(place.instant("21:00"))
    refused = [each for each in on_record(place) if each.state is AiringState.REFUSED]
    assert {each.reason for each in refused} == {"quiet_hours"}
    assert len(refused) == len(place.poles)
    place.press(COMMUNE, FLOOD)
    place.run_for(5)
    assert place.sounding(FLOOD_SOUND) == names(place)


def test_a_drill_does_not_wake_at_night_and_sounds_by_day() -> None:
    place = province(begins_at_hour=22)
    place.run_for(60)
    place.press(COMMUNE, DRILL, reality=Reality.DRILL)
    place.run_for(20)
    assert place.sounding("media:drill") == set()
    place.all_clear()
    place.run_until(place.instant("09:00", day=1))
    place.press(COMMUNE, DRILL, reality=Reality.DRILL)
    place.run_for(20)
    assert place.sounding("media:drill") == names(place)


def test_a_replayed_emergency_is_refused() -> None:
    place = province(begins_at_hour=12)
    place.run_for(60)
    place.press(COMMUNE, FLOOD)
    place.run_for(5)
    order = topic(TopicName.EMERGENCY, area=COMMUNE)
    recorded = place.broker.retained(order)
    assert recorded is not None
    place.all_clear()
    place.run_for(20)
    process = place.poles["N0001"].process
    assert process is not None
    before = dict(process.agent._guard.refused)
    place.world.after(0, process.link._on_message, order, recorded)
    place.run_for(20)
    after = process.agent._guard.refused
    assert after.get("replayed", 0) == before.get("replayed", 0) + 1
    assert place.sounding(FLOOD_SOUND) == set()


def test_a_cut_village_plays_its_plan_and_hears_the_emergency_when_it_is_back() -> None:
    place = province()
    place.run_until(place.instant("05:10"))
    place.cut_area("thon-1")
    place.run_until(place.instant("05:32"))
    assert place.sounding(NEWS) == names(place)
    place.press(COMMUNE, FLOOD)
    place.run_for(20)
    village = {pole.name for pole in place.poles_in("thon-1")}
    assert place.sounding(FLOOD_SOUND) == names(place) - village
    place.heal_area("thon-1")
    place.run_for(120)
    assert place.sounding(FLOOD_SOUND) == names(place)
    (view,) = place.controller.status().emergencies
    assert set(view.late) == village


def test_a_clock_that_is_set_is_noticed() -> None:
    place = province(poles=1, pole=PoleSettings(sound=SoundMode.FULL, clock=ClockSettings(is_synchronised=False)))
    place.run_until(place.instant("05:05"))
    pole = place.poles["N0001"]
    pole.step_clock(30 * 60 * NS_PER_S)
    place.run_for(30)
    assert place.sounding(NEWS) == {"N0001"}
    pole.step_clock(-30 * 60 * NS_PER_S)
    place.run_for(30)
    assert place.sounding(NEWS) == set()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    def digest(seed: int) -> str:
        place = province(poles=2, seed=seed, pole=LISTENED)
        place.run_until(place.instant("05:31"))
        place.press(COMMUNE, FLOOD)
        place.poles["N0002"].cut_power_for(NS_PER_S)
        place.run_for(60)
        return place.digest

    assert digest(7) == digest(7)
    assert digest(7) != digest(8)


@pytest.mark.parametrize("sound", list(SoundMode))
def test_hash_seeds_change_nothing(sound: SoundMode) -> None:
    program = (
        "from simulator.commune import Province, ProvinceSettings\n"
        "from simulator.pole.parts import PoleSettings, SoundMode\n"
        "from simulator.runs.usual import COMMUNE, FLOOD, MEDIA, usual_commune\n"
        f"pole = PoleSettings(sound=SoundMode({sound.value!r}))\n"
        "place = Province(ProvinceSettings(controller=usual_commune(poles=3), media=MEDIA, pole=pole), seed=4)\n"
        "place.run_for(30)\n"
        "place.press(COMMUNE, FLOOD)\n"
        "place.run_for(15)\n"
        "place.broker.kill()\n"
        "place.run_for(5)\n"
        "place.broker.start()\n"
        "place.run_for(60)\n"
        "print(place.digest)\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_a_silent_day_costs_next_to_nothing() -> None:
    edge = EdgeConfig(node="N0001")
    settings = ProvinceSettings(controller=usual_commune(poles=1, programmes=()), media=MEDIA, edge=edge, pole=ASKED)
    place = Province(settings, seed=1)
    place.broker.stop()
    place.controller.stop()
    place.run_for(3_600)
    before = place.world.events_run
    place.network.cut("N0001")
    place.run_for(DAY_S)
    attempts = DAY_S / 30  # of connecting, on average
    assert place.world.events_run - before < 6 * attempts
