"""Runs a sans-IO node on an asyncio loop: one driver, one timer, the system clock.

A node's deadlines stand on the monotonic clock, so it would not notice that shared time was set; the loop watches for
that and wakes it.

All of it belongs to the loop's thread; other threads use `post_from_thread`. What a node or an effect raises is
a bug: it ends the driver, and `failure` carries it to whoever waits, so that the process ends and is started
anew rather than going on in a state that nobody knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from protocol.adapters.system_clock import read_now
from protocol.driver import Driver
from protocol.node import Node
from protocol.units import NS_PER_S, MonotonicNs, Now

CLOCK_WATCH_S: Final = 10.0
"""How often shared time is compared with the monotonic clock."""
CLOCK_SET_NS: Final = 20_000_000
"""Between two comparisons slewing moves a clock by 5 ms at most (500 ppm); more than this, and it was set."""

EventT = TypeVar("EventT")
EffectT = TypeVar("EffectT")


class LoopDriver(Generic[EventT, EffectT]):
    """A `Driver` on the running loop. `asyncio`'s clock is the monotonic clock, so deadlines are taken as they are."""

    def __init__(
        self,
        *,
        node: Node[EventT, EffectT],
        execute: Callable[[EffectT], None],
        wake_event: EventT,
        read_clock: Callable[[], Now] = read_now,
        clock_watch_s: float = CLOCK_WATCH_S,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._read_clock = read_clock
        self._wake_event = wake_event
        self._timer: asyncio.TimerHandle | None = None
        now = read_clock()
        self._offset_ns = now.shared_ns - now.monotonic_ns
        self._is_time_known = now.is_time_known
        self._clock_watch_s = clock_watch_s
        self._watch = self._loop.call_later(clock_watch_s, self._watch_clock)
        self._is_closed = False
        self.failure: asyncio.Future[None] = self._loop.create_future()
        self._driver: Driver[EventT, EffectT] = Driver(
            node=node, read_clock=read_clock, execute=execute, arm=self._arm, wake_event=wake_event
        )

    def post(self, event: EventT) -> None:
        """Take in an event, on the loop's thread; a failure goes to `failure`."""
        if not self._is_closed:
            self._guarded(lambda: self._driver.post(event))

    def post_from_thread(self, event: EventT) -> None:
        """Take in an event from another thread; after the loop has closed it is dropped."""
        self.call_from_thread(lambda: self.post(event))

    def call_from_thread(self, act: Callable[[], None]) -> None:
        """Have the loop do something after what was posted before; after the loop has closed it is dropped."""
        try:
            self._loop.call_soon_threadsafe(act)
        except RuntimeError:
            self._is_closed = True

    def close(self) -> None:
        """Disarm the timer; events are ignored from here on."""
        self._is_closed = True
        self._arm(None)
        self._watch.cancel()
        self.failure.cancel()

    def _arm(self, deadline_ns: MonotonicNs | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if deadline_ns is not None and not self._is_closed:
            self._timer = self._loop.call_at(deadline_ns / NS_PER_S, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if not self._is_closed:
            self._guarded(self._driver.wake)

    def _watch_clock(self) -> None:
        """Wake the node if shared time was set, or has become known, since it was last looked at."""
        now = self._read_clock()
        has_come, self._is_time_known = now.is_time_known and not self._is_time_known, now.is_time_known
        offset_ns = now.shared_ns - now.monotonic_ns
        was_set = abs(offset_ns - self._offset_ns) > CLOCK_SET_NS
        self._offset_ns = offset_ns
        self._watch = self._loop.call_later(self._clock_watch_s, self._watch_clock)
        if was_set or has_come:
            self.post(self._wake_event)

    def _guarded(self, run: Callable[[], None]) -> None:
        try:
            run()
        except Exception as error:  # noqa: BLE001 - any bug must end the process, not one callback of the loop
            if not self.failure.done():
                self.failure.set_exception(error)
