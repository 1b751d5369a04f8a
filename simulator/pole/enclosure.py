"""What keeps one pole's box running, and what it suffers: the grid, a battery if it has one, the weather on it.

Joins the physics of `simulator.pole.climate` to true time: the battery charges while the grid is there and is drained
by what really draws, the relay's contact included; `on_empty` is told when it ends. The amplifier's thermal cut-out
opens when the cabinet is too hot. What a pole does without power is `simulator.pole.node`'s affair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from protocol.units import NS_PER_S
from simulator.pole.box import Mains, Relay
from simulator.pole.climate import STEP_NS, WEATHER, Battery, BatterySettings, Cabinet, CabinetSettings, WeatherKind
from simulator.world import Timer, World


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclosureSettings:
    """`idle_mw`: computer, modem and converter. Of what the amplifier draws a half leaves the box as sound and line."""

    battery: BatterySettings | None = None
    weather: WeatherKind = WeatherKind.NONE
    cabinet: CabinetSettings = field(default_factory=CabinetSettings)
    idle_mw: int = 6_000
    amplifier_mw: int = 60_000
    amplifier_heat_mw: int = 30_000
    utc_offset_s: int = 7 * 3_600


class Enclosure:
    """One box around a computer; the battery and the grid stand before the switch that `is_on` speaks of."""

    def __init__(
        self,
        world: World,
        name: str,
        settings: EnclosureSettings,
        *,
        mains: Mains,
        relay: Relay,
        on_empty: Callable[[], None],
    ) -> None:
        self.settings: Final = settings
        self.has_grid = True
        self.battery = None if settings.battery is None else Battery(settings.battery, at_ns=world.now_ns)
        self.cabinet: Cabinet | None = None
        self._world = world
        self._name = name
        self._mains = mains
        self._relay = relay
        self._on_empty = on_empty
        self._is_on = True
        self._timer: Timer | None = None
        if self.battery is not None:
            relay.on_move = self._reckon
        if settings.weather is not WeatherKind.NONE:
            weather = WEATHER[settings.weather]
            self.cabinet = Cabinet(weather, settings.cabinet, second_of_day=self._second_of_day())
            world.after(STEP_NS, self._warm)

    @property
    def is_fed(self) -> bool:
        """Whether there is anything to run on."""
        return self.has_grid or (self.battery is not None and not self.battery.is_empty(self._world.now_ns))

    def switch_grid(self, *, on: bool) -> None:
        """The grid fails or is back."""
        self.has_grid = on
        self._reckon()

    def switch_computer(self, *, on: bool) -> None:
        """The computer begins or ceases to draw."""
        self._is_on = on
        self._mains.switch(on=on and self.is_fed, sensed=on and self.has_grid)
        self._reckon()

    def _reckon(self) -> None:
        """What the battery gives or takes has changed; a contact on its way counts as there, some ms early."""
        battery, settings = self.battery, self.settings
        if battery is None:
            return
        drawn_mw = settings.idle_mw + (settings.amplifier_mw if self._relay.contact.latest else 0)
        rate_mw = battery.settings.charge_mw if self.has_grid else -drawn_mw if self._is_on else 0
        battery.set_rate(self._world.now_ns, rate_mw)
        self._world.cancel(self._timer)
        empty_at_ns = battery.empty_at_ns()
        self._timer = None if empty_at_ns is None else self._world.at(empty_at_ns, self._ran_empty)

    def _ran_empty(self) -> None:
        self._world.record(self._name, "battery_empty")
        self._on_empty()

    def _warm(self) -> None:
        cabinet, settings, now_ns = self.cabinet, self.settings, self._world.now_ns
        if cabinet is None:
            return
        heat_mw = settings.idle_mw if self._is_on else 0
        heat_mw += settings.amplifier_heat_mw if self._relay.is_powered_at(now_ns) else 0
        if cabinet.step(self._second_of_day(), heat_mw=heat_mw):
            self._relay.is_cool.set(now_ns, not cabinet.is_too_hot)
            kind = "too_hot" if cabinet.is_too_hot else "cool_again"
            self._world.record(self._name, kind, millidegrees=cabinet.temperature_mc)
        self._world.after(STEP_NS, self._warm)

    def _second_of_day(self) -> int:
        return (self._world.now_ns // NS_PER_S + self.settings.utc_offset_s) % 86_400
