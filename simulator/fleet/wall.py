"""A simulated world that goes at the pace of the clock on the wall, on an asyncio loop.

Simulated cards, pins and SD cards run on a `World`; here its time is the machine's. Whatever happens from outside
first lets the world come up to now (`catch_up`), and what it caused is waited for (`arm`). It never runs ahead.
"""

from __future__ import annotations

import asyncio
import time

from protocol.units import NS_PER_S
from simulator.world import World


class WallWorld:
    """One world on the running loop."""

    def __init__(self, *, seed: int = 1) -> None:
        self._loop = asyncio.get_running_loop()
        self._offset_ns = time.time_ns() - time.monotonic_ns()
        self._timer: asyncio.TimerHandle | None = None
        self._is_running = False
        self.world = World(seed=seed, start_ns=self._now_ns())

    def catch_up(self) -> None:
        """Let everything happen that is due by now."""
        if self._is_running:
            return
        self._is_running = True
        try:
            self.world.run_until(max(self.world.now_ns, self._now_ns()))
        finally:
            self._is_running = False

    def arm(self) -> None:
        """Wake for the next event."""
        if self._timer is not None:
            self._timer.cancel()
        next_ns = self.world.next_event_ns
        self._timer = None
        if next_ns is not None:
            self._timer = self._loop.call_at((next_ns - self._offset_ns) / NS_PER_S, self._ring)

    def close(self) -> None:
        """Nothing happens any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        self.catch_up()
        self.arm()

    def _now_ns(self) -> int:
        """The wall clock as it stood at the start, carried on by the one that never jumps."""
        return time.monotonic_ns() + self._offset_ns
