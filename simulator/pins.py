"""An amplifier's pin with physics: a level, a history, a line that can break.

`history` is the truth for checkers: each change of the pin with the true instant of it. A broken line keeps the
level that it had and cannot be driven, as a relay board whose driver has died.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from edge.errors import GpioError
from simulator.world import World

CHANGES_REMEMBERED_MAX: Final = 100_000
"""A node switches some twenty times a day; this is more than any scenario."""


class SimulatedPin:
    """The port `AmplifierPin` on one simulated machine."""

    def __init__(self, world: World) -> None:
        self.history: deque[tuple[int, bool]] = deque(maxlen=CHANGES_REMEMBERED_MAX)
        self.is_broken = False
        self._world = world
        self._is_on = False
        self.history.append((world.now_ns, False))

    @property
    def is_on(self) -> bool:
        """The level as the relay feels it."""
        return self._is_on

    def drive(self, *, on: bool) -> None:
        """See `AmplifierPin.drive`."""
        if self.is_broken:
            raise GpioError("the pin's line is broken")
        if on != self._is_on:
            self._is_on = on
            self.history.append((self._world.now_ns, on))

    def close(self) -> None:
        """See `AmplifierPin.close`."""
        self.drive(on=False)

    def was_on(self, true_ns: int) -> bool:
        """The level at an instant that has passed."""
        level = False
        for at_ns, is_on in self.history:
            if at_ns > true_ns:
                break
            level = is_on
        return level
