"""The box around a node's computer: amplifier relay with its contact, mains, door, button.

A line keeps its levels with the true times of their changes, so a checker may ask for any past instant. A relay's
contact follows its coil late and bounces, or hangs; the amplifier sounds only while the contact is closed and the
mains are there, whatever the node believes. Bounce needs no event: its changes are written down when they are caused
and taken back when the coil is driven again before.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edge.errors import GpioError
from protocol.units import NS_PER_MS
from simulator.world import World

CHANGES_KEPT: Final = 4_096
"""Changes remembered of one line: a month of a busy relay with its bounces."""


class Line:
    """The level of one wire over true time."""

    __slots__ = ("_levels", "_times")

    def __init__(self, *, at_ns: int, level: bool) -> None:
        self._times = [at_ns]
        self._levels = [level]

    def set(self, at_ns: int, level: bool) -> bool:
        """From `at_ns` on it has this level, whatever was to come after that; returns whether that is a change."""
        times, levels = self._times, self._levels
        while len(times) > 1 and times[-1] >= at_ns:
            times.pop()
            levels.pop()
        if levels[-1] is level:
            return False
        times.append(at_ns)
        levels.append(level)
        if len(times) > CHANGES_KEPT:
            del times[: CHANGES_KEPT // 2], levels[: CHANGES_KEPT // 2]
        return True

    @property
    def latest(self) -> bool:
        """Its level after every change that is on its way."""
        return self._levels[-1]

    def at(self, true_ns: int) -> bool:
        """Its level at an instant; before the oldest change that is remembered, the oldest level."""
        return self._levels[max(0, bisect_right(self._times, true_ns) - 1)]

    def changes(self, since_ns: int = 0) -> list[tuple[int, bool]]:
        """Every remembered change from an instant on, oldest first."""
        first = bisect_right(self._times, since_ns - 1)
        return list(zip(self._times[first:], self._levels[first:], strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings:
    """A small power relay (Songle SRD): operate and release times of its datasheet, bounces as they are measured."""

    operate_ns: int = 7 * NS_PER_MS
    release_ns: int = 4 * NS_PER_MS
    bounces: int = 2
    bounce_ns: int = 400_000


class Mains:
    """The supply of one box; `sense` is what its optocoupler tells the computer, half a period later."""

    SENSE_NS: Final = 10 * NS_PER_MS

    def __init__(self, world: World) -> None:
        self._world = world
        self.supply = Line(at_ns=world.now_ns, level=True)
        self.sense = Line(at_ns=world.now_ns, level=True)

    @property
    def is_on(self) -> bool:
        """Whether there is power now."""
        return self.supply.at(self._world.now_ns)

    def switch(self, *, on: bool, sensed: bool | None = None) -> None:
        """The power fails or returns; `sensed` is the grid alone, where a battery feeds the box."""
        now_ns = self._world.now_ns
        self.supply.set(now_ns, on)
        self.sense.set(now_ns + self.SENSE_NS, on if sensed is None else sensed)


class Relay:
    """The amplifier's relay behind the port `AmplifierPin`, with its contact, and the mains that it switches."""

    def __init__(self, world: World, name: str, mains: Mains, settings: RelaySettings | None = None) -> None:
        self.commanded = Line(at_ns=world.now_ns, level=False)
        self.contact = Line(at_ns=world.now_ns, level=False)
        self.is_cool = Line(at_ns=world.now_ns, level=True)
        """The amplifier's thermal cut-out."""
        self.horn = Line(at_ns=world.now_ns, level=True)
        """Whether the horn and its wire are whole."""
        self.on_move: Callable[[], None] | None = None
        """Called when the contact has moved or is about to."""
        self._world = world
        self._name = name
        self._mains = mains
        self._settings = settings or RelaySettings()
        self._stuck: bool | None = None
        self._is_broken = False

    def drive(self, *, on: bool) -> None:
        """See `AmplifierPin.drive`."""
        if self._is_broken:
            raise GpioError(f"pin 17 of {self._name} cannot be driven: input/output error")
        if self.commanded.set(self._world.now_ns, on):
            self._move(on=on)

    def close(self) -> None:
        """See `AmplifierPin.close`; a broken pin stays as it is."""
        if not self._is_broken:
            self.drive(on=False)

    def release(self) -> None:
        """The computer has no power: the coil is not held, whatever state the pin was in."""
        if self.commanded.set(self._world.now_ns, False):
            self._move(on=False)

    def stick(self, level: bool | None) -> None:
        """The contact hangs: welded (True), open (False), or free again (None)."""
        self._stuck = level
        now_ns = self._world.now_ns
        self.contact.set(now_ns, self.commanded.at(now_ns) if level is None else level)
        self._world.record(self._name, "relay_stuck", level=level)
        self._tell()

    def break_pin(self, *, is_broken: bool = True) -> None:
        """The pin cannot be driven any more, or can again."""
        self._is_broken = is_broken
        self._world.record(self._name, "pin_broken", is_broken=is_broken)

    def is_powered_at(self, true_ns: int) -> bool:
        """Whether the amplifier really had power at an instant."""
        return self.contact.at(true_ns) and self._mains.supply.at(true_ns) and self.is_cool.at(true_ns)

    def is_heard_at(self, true_ns: int) -> bool:
        """Whether what the card gives really reached the air at an instant."""
        return self.horn.at(true_ns) and self.is_powered_at(true_ns)

    def _move(self, *, on: bool) -> None:
        self._world.record(self._name, "relay", on=on)
        if self._stuck is not None:
            return
        settings = self._settings
        at_ns = self._world.now_ns + (settings.operate_ns if on else settings.release_ns)
        self.contact.set(at_ns, on)
        for _ in range(settings.bounces if on else 0):
            self.contact.set(at_ns + settings.bounce_ns, False)
            at_ns += 2 * settings.bounce_ns
            self.contact.set(at_ns, True)
        self._tell()

    def _tell(self) -> None:
        if self.on_move is not None:
            self.on_move()


class InputLine:
    """A door contact or a push button: a level that bounces when it changes, and a program that is told."""

    def __init__(self, world: World, *, level: bool = False, bounces: int = 3, bounce_ns: int = 900_000) -> None:
        self.line = Line(at_ns=world.now_ns, level=level)
        self.on_change: Callable[[bool], None] | None = None
        self._world = world
        self._bounces = bounces
        self._bounce_ns = bounce_ns

    @property
    def level(self) -> bool:
        """What a program reads now."""
        return self.line.at(self._world.now_ns)

    def set(self, level: bool) -> None:
        """Somebody opens the door or presses the button."""
        at_ns = self._world.now_ns
        for step in range(2 * self._bounces + 1):
            shown = level if step % 2 == 0 else not level
            self.line.set(at_ns, shown)
            if self.on_change is not None:
                self._world.at(at_ns, self._tell, shown)
            at_ns += self._bounce_ns

    def _tell(self, level: bool) -> None:
        if self.on_change is not None and self.level is level:
            self.on_change(level)
