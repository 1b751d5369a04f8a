"""The physics of batteries and cabinets."""

from __future__ import annotations

import itertools
import math

import pytest

from protocol.units import NS_PER_S
from simulator.pole.climate import (
    HOUR_NS,
    STEP_NS,
    WEATHER,
    Battery,
    BatterySettings,
    Cabinet,
    CabinetSettings,
    Weather,
    WeatherKind,
)

EVEN = Weather(air_mc=(30_000,) * 24, sun_mc=(0,) * 24)


def test_a_battery_lasts_its_capacity_by_what_draws_from_it() -> None:
    battery = Battery(BatterySettings(capacity_mwh=12_000), at_ns=0)
    battery.set_rate(0, -6_000)
    assert battery.empty_at_ns() == 2 * HOUR_NS
    battery.set_rate(HOUR_NS, -60_000)
    assert battery.empty_at_ns() == HOUR_NS + HOUR_NS // 10
    assert not battery.is_empty(HOUR_NS + HOUR_NS // 10 - 1)
    assert battery.is_empty(HOUR_NS + HOUR_NS // 10)


def test_it_is_empty_at_the_instant_that_it_names_and_not_before() -> None:
    battery = Battery(BatterySettings(capacity_mwh=1), at_ns=0)
    battery.set_rate(0, -7)  # does not divide evenly
    empty_at_ns = battery.empty_at_ns()
    assert empty_at_ns is not None
    assert not battery.is_empty(empty_at_ns - 1)
    assert battery.is_empty(empty_at_ns)


def test_it_charges_up_to_full_and_no_further() -> None:
    battery = Battery(BatterySettings(capacity_mwh=12_000), at_ns=0)
    battery.set_rate(0, -12_000)
    battery.set_rate(HOUR_NS // 2, 12_000)
    assert battery.empty_at_ns() is None
    assert battery.charge_mwh(HOUR_NS // 2) == 6_000
    assert battery.charge_mwh(HOUR_NS) == 12_000
    assert battery.charge_mwh(5 * HOUR_NS) == 12_000


def test_a_cabinet_comes_to_two_thirds_of_a_step_of_heat_in_its_time_constant() -> None:
    settings = CabinetSettings(time_constant_s=3_600, heat_mk_per_w=1_000)
    cabinet = Cabinet(EVEN, settings, second_of_day=0)
    for _ in range(60):
        cabinet.step(0, heat_mw=20_000)
    assert cabinet.temperature_mc == pytest.approx(30_000 + 20_000 * (1 - math.exp(-1)), abs=300)
    for _ in range(60 * 12):
        cabinet.step(0, heat_mw=20_000)
    assert cabinet.temperature_mc == pytest.approx(50_000, abs=100)


def test_too_hot_is_said_once_and_cool_again_only_when_it_is_cooler() -> None:
    cabinet = Cabinet(EVEN, CabinetSettings(), second_of_day=0)
    changes = [(n, cabinet.temperature_mc) for n in range(600) if cabinet.step(0, heat_mw=70_000 if n < 300 else 0)]
    (_, hot_mc), (cooled_at, cool_mc) = changes
    assert hot_mc >= 75_000
    assert cool_mc < 65_000
    assert cooled_at > 300


@pytest.mark.parametrize("kind", [WeatherKind.MILD, WeatherKind.HEAT])
def test_a_day_is_coldest_before_sunrise_and_hottest_after_noon(kind: WeatherKind) -> None:
    around = [WEATHER[kind].around(second) for second in range(0, 86_400, 60)]
    assert around.index(min(around)) // 60 == 5
    assert 12 <= around.index(max(around)) // 60 <= 14
    assert max(abs(one - other) for one, other in itertools.pairwise(around)) < 200
    assert WEATHER[kind].around(86_400) == around[0]


def test_a_step_is_short_beside_the_time_constant() -> None:
    assert CabinetSettings().time_constant_s * NS_PER_S > 20 * STEP_NS
