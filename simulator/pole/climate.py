"""What the weather does to a box, and what its battery holds: pure physics in whole numbers, the same on every machine.

A cabinet warms towards the air around it, the sun on it and the heat of what runs inside, with one time constant. A
battery is an amount of energy between empty and full, with a rate. Neither knows what follows from it: a pole asks
(`simulator.pole.node`). Temperatures are thousandths of a degree, power is milliwatts, energy picojoules (mW x ns).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from protocol.units import NS_PER_S

HOURS: Final = 24
COLDEST_HOUR: Final = 5
HOTTEST_HOUR: Final = 14
HOUR_NS: Final = 3_600 * NS_PER_S
PJ_PER_MWH: Final = HOUR_NS
"""A milliwatt for an hour."""
STEP_NS: Final = 60 * NS_PER_S
"""How often a cabinet is worked out; its time constant is half an hour and more."""


class WeatherKind(StrEnum):
    """No weather at all (nothing is worked out), a usual day in the delta, or a heat wave."""

    NONE = "none"
    MILD = "mild"
    HEAT = "heat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """The air in the shade and the sun's warming of a grey steel box, hour by hour; linear between."""

    air_mc: tuple[int, ...]
    sun_mc: tuple[int, ...]

    def around(self, second_of_day: int) -> int:
        """What an idle, empty box would come to at this time of day."""
        hour, rest_s = divmod(second_of_day % (HOURS * 3_600), 3_600)
        after = (hour + 1) % HOURS
        now_mc, then_mc = self.air_mc[hour] + self.sun_mc[hour], self.air_mc[after] + self.sun_mc[after]
        return now_mc + (then_mc - now_mc) * rest_s // 3_600


def _day(coldest_mc: int, hottest_mc: int) -> tuple[int, ...]:
    """Coldest before sunrise, hottest in the early afternoon."""
    rise, span = HOTTEST_HOUR - COLDEST_HOUR, hottest_mc - coldest_mc
    return tuple(
        coldest_mc + span * (hour - COLDEST_HOUR) // rise
        if COLDEST_HOUR <= hour <= HOTTEST_HOUR
        else hottest_mc - span * ((hour - HOTTEST_HOUR) % HOURS) // (HOURS - rise)
        for hour in range(HOURS)
    )


def _sun(most_mc: int) -> tuple[int, ...]:
    """From six to six, most at noon."""
    return tuple(max(0, most_mc * (6 - abs(hour - 12)) // 6) for hour in range(HOURS))


WEATHER: Final[dict[WeatherKind, Weather]] = {
    WeatherKind.MILD: Weather(air_mc=_day(22_000, 31_000), sun_mc=_sun(12_000)),
    WeatherKind.HEAT: Weather(air_mc=_day(29_000, 42_000), sun_mc=_sun(22_000)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CabinetSettings:
    """`heat_mk_per_w`: warming by each watt inside; the amplifier cuts out at `hot_mc` and is back at `cool_mc`."""

    time_constant_s: int = 2_700
    heat_mk_per_w: int = 800
    hot_mc: int = 75_000
    cool_mc: int = 65_000


class Cabinet:
    """One box; `step` it every STEP_NS."""

    def __init__(self, weather: Weather, settings: CabinetSettings, *, second_of_day: int) -> None:
        self.temperature_mc = weather.around(second_of_day)
        self.is_too_hot = False
        self._weather = weather
        self._settings = settings

    def step(self, second_of_day: int, *, heat_mw: int) -> bool:
        """A step has passed with this much heat inside; returns whether it became too hot, or cool enough again."""
        settings = self._settings
        towards_mc = self._weather.around(second_of_day) + heat_mw * settings.heat_mk_per_w // 1_000
        step_s = STEP_NS // NS_PER_S
        self.temperature_mc += (towards_mc - self.temperature_mc) * step_s // settings.time_constant_s
        was_too_hot = self.is_too_hot
        bound_mc = settings.cool_mc if was_too_hot else settings.hot_mc
        self.is_too_hot = self.temperature_mc >= bound_mc
        return self.is_too_hot is not was_too_hot


@dataclass(frozen=True, slots=True, kw_only=True)
class BatterySettings:
    """`charge_mw` is what the charger puts in while the grid is there."""

    capacity_mwh: int
    charge_mw: int = 12_000


class Battery:
    """Energy over true time; what draws or charges says so when it changes."""

    def __init__(self, settings: BatterySettings, *, at_ns: int) -> None:
        self.settings: Final = settings
        self._full_pj = settings.capacity_mwh * PJ_PER_MWH
        self._energy_pj = self._full_pj
        self._at_ns = at_ns
        self._rate_mw = 0

    def set_rate(self, at_ns: int, rate_mw: int) -> None:
        """From here on it is charged (positive) or drained (negative)."""
        self._energy_pj = self._energy_at(at_ns)
        self._at_ns, self._rate_mw = at_ns, rate_mw

    def charge_mwh(self, at_ns: int) -> int:
        """What it holds at an instant, at or after the last change."""
        return self._energy_at(at_ns) // PJ_PER_MWH

    def is_empty(self, at_ns: int) -> bool:
        """Whether nothing is left."""
        return not self._energy_at(at_ns)

    def empty_at_ns(self) -> int | None:
        """When it will be empty at this rate; None when it is not being drained."""
        return None if self._rate_mw >= 0 else self._at_ns - (-self._energy_pj // -self._rate_mw)

    def _energy_at(self, at_ns: int) -> int:
        return min(self._full_pj, max(0, self._energy_pj + self._rate_mw * (at_ns - self._at_ns)))
