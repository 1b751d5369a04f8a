"""A pole's hardware in virtual time: its crystal, its lines, the moments in which its program does not run.

Both systems run on these, so whatever they differ in is theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from benchmarks.sync.cases import SWAY_S, Disturbance, Kind, PoleModel, Side
from benchmarks.sync.line import Line, Outage
from protocol.units import NS_PER_MS, NS_PER_S
from simulator.clock import ClockSettings, NodeClock
from simulator.world import World

_PPB: Final = 1_000
SWAY_STEP_NS: Final = 10 * NS_PER_S
CHIP_ERROR_NS: Final = 3 * NS_PER_S
"""How wrong a clock chip was when the machine started: what its system clock then says is of no use for playing."""
GNSS_STATED_NS: Final = NS_PER_MS
"""What a clock that a receiver keeps says of its own error."""


class Machine:
    """`left` or `right`; disturbances are counted from `starts_ns`."""

    def __init__(
        self, world: World, side: Side, model: PoleModel, disturbances: tuple[Disturbance, ...], starts_ns: int
    ) -> None:
        self.model: Final = model
        self.world: Final = world
        self.name: Final = side.value
        own = [each for each in disturbances if each.is_of(side)]
        self.clock: Final = NodeClock(
            world,
            self.name,
            ClockSettings(drift_ppb=round(model.machine_ppm * _PPB), offset_ns=CHIP_ERROR_NS, is_synchronised=False),
        )
        self._outages: Final = tuple(
            Outage(kind=each.kind, begins_ns=_instant(each.at_s, starts_ns), ends_ns=_end(each, starts_ns))
            for each in own
            if each.kind in {Kind.STALL, Kind.CUT}
        )
        self._busy_until_ns = 0
        for each in own:
            if each.kind is Kind.SET:
                world.at(_instant(each.at_s, starts_ns), self.clock.step, round(each.by_ms * NS_PER_MS))
            if each.kind is Kind.BUSY:
                world.at(_instant(each.at_s, starts_ns), self._be_busy, _end(each, starts_ns))
        if model.gnss_error_ns is not None:
            self.clock.synchronise(error_ns=model.gnss_error_ns, stated_error_ns=GNSS_STATED_NS)
        if model.sway_ppm:
            self._sway()
        self.on_busy: Callable[[int], object] | None = None
        """Called with how long (ns) the program does not run."""

    def line(self, purpose: str) -> Line:
        """A connection of its own over this machine's link."""
        return Line(self.world, f"{self.name} {purpose}", self.model.link, self._outages)

    def cuts(self) -> tuple[tuple[int, int], ...]:
        """From when to when (true) its connections are broken."""
        return tuple((each.begins_ns, each.ends_ns) for each in self._outages if each.kind is Kind.CUT)

    def when_free(self, action: Callable[..., object], *arguments: object) -> None:
        """Run `action` now, or when the program runs again."""
        if self.world.now_ns < self._busy_until_ns:
            self.world.at(self._busy_until_ns, self.when_free, action, *arguments)
        else:
            action(*arguments)

    def _be_busy(self, until_ns: int) -> None:
        self._busy_until_ns = until_ns
        if self.on_busy is not None:
            self.on_busy(until_ns - self.world.now_ns)

    def _sway(self) -> None:
        turn = (self.world.now_ns - self.world.start_ns) / NS_PER_S / SWAY_S
        sway_ppm = self.model.sway_ppm * math.sin(2 * math.pi * turn)
        self.clock.set_drift(round((self.model.machine_ppm + sway_ppm) * _PPB))
        self.world.after(SWAY_STEP_NS, self._sway)


def _instant(at_s: float, starts_ns: int) -> int:
    return starts_ns + round(at_s * NS_PER_S)


def _end(each: Disturbance, starts_ns: int) -> int:
    return _instant(each.at_s + each.lasts_s, starts_ns)
