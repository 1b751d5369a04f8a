"""A pole on its battery and in its weather: what the horns say of it."""

from __future__ import annotations

from protocol.units import NS_PER_S
from simulator.commune import Province, ProvinceSettings
from simulator.pole.climate import HOUR_NS, BatterySettings, CabinetSettings, WeatherKind
from simulator.pole.enclosure import EnclosureSettings
from simulator.pole.node import Pole
from simulator.pole.parts import PoleSettings, ProbeSettings
from simulator.runs.usual import COMMUNE, FLOOD, MEDIA, usual_commune
from simulator.world import DEFAULT_START_NS

FLOOD_SOUND = "media:flood"


def pole_in(enclosure: EnclosureSettings, *, hour: int = 1) -> tuple[Province, Pole]:
    settings = ProvinceSettings(
        controller=usual_commune(poles=1),
        media=MEDIA,
        pole=PoleSettings(probe=ProbeSettings(every_ns=5 * NS_PER_S), enclosure=enclosure),
        start_ns=DEFAULT_START_NS + (hour - 5) * HOUR_NS,
    )
    place = Province(settings, seed=1)
    place.run_for(60)
    return place, place.poles["N0001"]


def on_battery(capacity_mwh: int) -> EnclosureSettings:
    return EnclosureSettings(battery=BatterySettings(capacity_mwh=capacity_mwh))


def is_running(pole: Pole) -> bool:
    return pole.is_on and pole.process is not None and pole.process.link.is_connected


def test_a_battery_keeps_the_pole_alive_and_loud_for_its_capacity_and_not_longer() -> None:
    place, pole = pole_in(on_battery(6_000))
    pole.lose_mains()
    place.press(COMMUNE, FLOOD)
    place.run_for(30)
    assert place.sounding(FLOOD_SOUND) == {"N0001"}
    assert not pole.mains.sense.at(place.world.now_ns)
    place.all_clear()
    place.run_for(50 * 60)  # 6 W for an hour, less what the amplifier took
    assert is_running(pole)
    place.run_for(9 * 60)
    assert not is_running(pole)
    pole.restore_power()
    place.run_for(60)
    assert not is_running(pole)
    pole.regain_mains()
    place.run_for(60)
    assert is_running(pole)


def test_an_amplifier_that_sounds_empties_it_sooner() -> None:
    lasted_s = []
    for sounds in (False, True):
        place, pole = pole_in(on_battery(6_000))
        pole.lose_mains()
        if sounds:
            place.press(COMMUNE, FLOOD)
        begin_ns = place.world.now_ns
        while pole.is_on:
            place.run_for(10)
        lasted_s.append((place.world.now_ns - begin_ns) // NS_PER_S)
    assert abs(lasted_s[0] - 3_600) <= 10
    assert 320 <= lasted_s[1] <= 3_600 // 2


def test_without_a_battery_the_amplifier_is_dead_at_once_and_the_computer_not() -> None:
    place, pole = pole_in(EnclosureSettings())
    pole.lose_mains()
    place.press(COMMUNE, FLOOD)
    place.run_for(30)
    assert pole.is_on
    assert not place.sounding(FLOOD_SOUND)
    pole.regain_mains()
    place.run_for(10)
    assert place.sounding(FLOOD_SOUND) == {"N0001"}


def test_a_pulled_plug_is_dark_whatever_the_battery_holds() -> None:
    place, pole = pole_in(on_battery(100_000))
    pole.cut_power()
    assert not pole.is_on
    pole.lose_mains()
    pole.regain_mains()
    assert not pole.is_on
    pole.lose_mains()
    pole.restore_power()
    place.run_for(60)
    assert pole.process is not None
    assert not pole.mains.sense.at(place.world.now_ns)


def test_a_recharged_battery_lasts_again() -> None:
    place, pole = pole_in(on_battery(1_000))
    pole.lose_mains()
    place.run_for(590)
    assert pole.is_on
    pole.regain_mains()
    place.run_for(400)  # 12 W for 400 s
    pole.lose_mains()
    place.run_for(590)
    assert pole.is_on
    place.run_for(20)
    assert not pole.is_on


def test_a_siren_in_a_heat_wave_cuts_its_amplifier_out_and_it_comes_back_when_cool() -> None:
    cabinet = CabinetSettings(time_constant_s=1_200, cool_mc=68_000)
    place, pole = pole_in(EnclosureSettings(weather=WeatherKind.HEAT, cabinet=cabinet), hour=12)
    place.press(COMMUNE, FLOOD, minutes=60)
    place.run_for(50 * 60)
    assert pole.enclosure.cabinet is not None
    hot = [at_ns for at_ns, is_cool in pole.relay.is_cool.changes() if not is_cool]
    back = [at_ns for at_ns, is_cool in pole.relay.is_cool.changes(hot[0]) if is_cool]
    assert hot
    assert back
    assert not any(each.is_powered for each in pole.ear.sounds if hot[0] < each.begins_ns < back[0])
    assert any(not each.is_powered for each in pole.ear.sounds if each.begins_ns >= hot[0])


def test_the_same_siren_in_a_mild_day_goes_on() -> None:
    place, pole = pole_in(EnclosureSettings(weather=WeatherKind.MILD), hour=12)
    place.press(COMMUNE, FLOOD, minutes=60)
    place.run_for(50 * 60)
    assert pole.relay.is_cool.latest
    assert place.sounding(FLOOD_SOUND) == {"N0001"} or pole.ear.sounds[-1].is_powered
