"""What a microphone hears: late by the way, quieter by it, and nothing below the noise."""

from __future__ import annotations

import numpy as np
import pytest

from protocol.units import NS_PER_MS, NS_PER_S
from simulator.commune import Province, ProvinceSettings
from simulator.evidence import pattern
from simulator.evidence.ear import Sound
from simulator.evidence.pattern import Tags
from simulator.pole.microphone import Microphone, Place, travel_ns
from simulator.pole.parts import PoleSettings, SoundMode
from simulator.runs.usual import COMMUNE, FLOOD, MEDIA, usual_commune

BEGIN_NS = 10 * NS_PER_S
LEVELLED = 6_554  # the pattern's loudest sample at -20 dBFS


def sound(*, amplitude: int = LEVELLED, is_powered: bool = True, late_ns: int = 0) -> Sound:
    return Sound(
        source="media:flood",
        begins_ns=BEGIN_NS + late_ns,
        ends_ns=BEGIN_NS + late_ns + NS_PER_S,
        amplitude=amplitude,
        is_powered=is_powered,
        origin_ns=BEGIN_NS + late_ns,
        origin_last_ns=BEGIN_NS + late_ns,
    )


def microphone(sounds: dict[str, list[Sound]], **east_m: int) -> Microphone:
    return Microphone("here", {name: Place(east_mm=m * 1_000) for name, m in {"here": 0, **east_m}.items()}, sounds)


def test_sound_takes_its_time() -> None:
    assert travel_ns(343_000) == NS_PER_S
    (arrival,) = microphone({"far": [sound()]}, far=343).arrivals(0, 60 * NS_PER_S)
    assert arrival.begins_ns == BEGIN_NS + NS_PER_S
    assert arrival.origin_ns == BEGIN_NS + NS_PER_S


def test_it_loses_six_decibels_with_each_doubling_and_sinks_in_the_noise() -> None:
    near, far = microphone({"a": [sound()], "b": [sound()]}, a=100, b=200).arrivals(0, 60 * NS_PER_S)
    assert near.level_db - far.level_db == pytest.approx(6.02, abs=0.01)
    assert not microphone({"a": [sound()]}, a=5_000).arrivals(0, 60 * NS_PER_S)
    assert microphone({"a": [sound(amplitude=32_767)]}, a=3_000).arrivals(0, 60 * NS_PER_S)


def test_an_amplifier_without_power_is_not_heard() -> None:
    assert not microphone({"here": [sound(is_powered=False)]}).arrivals(0, 60 * NS_PER_S)


def test_only_what_arrives_within_the_time_counts() -> None:
    there = microphone({"far": [sound()]}, far=343)
    assert not there.arrivals(BEGIN_NS, BEGIN_NS + NS_PER_S)
    assert there.arrivals(BEGIN_NS + NS_PER_S, BEGIN_NS + NS_PER_S + 1)
    assert not there.arrivals(BEGIN_NS + 2 * NS_PER_S, BEGIN_NS + 3 * NS_PER_S)


def test_its_samples_are_the_horns_late_over_the_noise() -> None:
    tags = Tags()
    tag = tags.tag("media:flood")
    heard = microphone({"far": [sound(amplitude=32_767)]}, far=10).record(BEGIN_NS, 9_600, tags)
    begin = 10 * 48_000 // 343
    before, after = (heard[:begin].astype(float), heard[begin + 10 :].astype(float))
    assert np.abs(after).mean() > 20 * np.abs(before).mean()
    reading = pattern.read(heard, 4_800)
    assert reading is not None
    assert reading.tag == tag
    assert reading.first == pytest.approx(-begin, abs=2)


@pytest.mark.parametrize("late_ms", [0, 40])
def test_an_echo_is_what_is_late_beyond_the_way(late_ms: int) -> None:
    there = microphone({"here": [sound()], "far": [sound(late_ns=late_ms * NS_PER_MS)]}, far=200)
    assert there.echoes_ns(0, 60 * NS_PER_S) == [("far", "media:flood", late_ms * NS_PER_MS)]


def test_neighbours_of_a_province_arrive_within_the_geometric_delay() -> None:
    places = {
        f"N{number:04x}": PoleSettings(sound=SoundMode.FULL, place=Place(east_mm=number * 250_000))
        for number in range(1, 4)
    }
    place = Province(ProvinceSettings(controller=usual_commune(poles=3), media=MEDIA, poles=places), seed=3)
    place.run_for(60)
    begin_ns = place.world.now_ns
    place.press(COMMUNE, FLOOD)
    place.run_for(8)
    for name in place.poles:
        echoes = place.microphone(name).echoes_ns(begin_ns, place.world.now_ns)
        assert {other for other, _, _ in echoes} == set(place.poles) - {name}
        assert max(abs(late_ns) for _, _, late_ns in echoes) < NS_PER_MS
