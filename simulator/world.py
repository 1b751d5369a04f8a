"""True time, one heap of events, one seeded generator, one log: what everything simulated stands on.

True time is counted in nanoseconds since 1970 (UTC) and only this file moves it. Events of one instant run in
the order in which they were scheduled, so nothing depends on addresses or hash seeds. What a machine believes
the time to be is `clock`'s affair; nothing simulated reads true time to decide anything.

Speed is a duty here: a thousand poles for a week are millions of events. An event is a plain list
`[true_ns, sequence, action, arguments]`, which the heap compares without leaving C; a cancelled one stays in
the heap with its action gone until it is popped or until such corpses are half of the heap.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, BinaryIO, Final, TypeAlias

from simulator.chance import Chance, stream_of
from simulator.evidence.event_log import EventLog, Fact

Timer: TypeAlias = list[Any]
"""A scheduled event; opaque outside this file: keep it to cancel it."""

EVENTS_PER_INSTANT_MAX: Final = 1_000_000
"""More events than this at one instant mean two parts that wake each other for ever (a whole province in lock-step
makes some ten events a node at once)."""
_CORPSES_MIN: Final = 4_096
"""Cancelled events that are never worth a clean-up: fewer than this cost less than rebuilding the heap."""
_ACTION: Final = 2

DEFAULT_START_NS: Final = 1_767_564_000_000_000_000
"""2026-01-05 05:00 in Vietnam, a Monday, half an hour before the usual first airing."""


class SimulationStuckError(Exception):
    """True time cannot advance: a bug in what is simulated or in its fakes."""


class World:
    """A deterministic world; the same seed and the same calls give the same log, byte for byte."""

    def __init__(self, *, seed: int, start_ns: int = DEFAULT_START_NS, sink: BinaryIO | None = None) -> None:
        self.seed: Final = seed
        self.start_ns: Final = start_ns
        self.now_ns = start_ns
        self.events_run = 0
        self.log = EventLog(sink=sink)
        self._heap: list[Timer] = []
        self._sequence = 0
        self._corpses = 0
        self._at_this_instant = 0
        self._streams: dict[str, Chance] = {}

    def chance(self, name: str) -> Chance:
        """The named stream of random numbers; the same name is the same, continued stream."""
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = stream_of(self.seed, name)
        return stream

    def at(self, true_ns: int, action: Callable[..., object], *arguments: object) -> Timer:
        """Run `action(*arguments)` at an instant; raises ValueError for one that has passed."""
        if true_ns < self.now_ns:
            message = f"an event {self.now_ns - true_ns} ns ago cannot be scheduled: what computed it is behind"
            raise ValueError(message)
        self._sequence = sequence = self._sequence + 1
        timer: Timer = [true_ns, sequence, action, arguments]
        heapq.heappush(self._heap, timer)
        return timer

    def after(self, delay_ns: int, action: Callable[..., object], *arguments: object) -> Timer:
        """Run `action(*arguments)` after a delay that is not negative."""
        return self.at(self.now_ns + delay_ns, action, *arguments)

    def cancel(self, timer: Timer | None) -> None:
        """Make sure that an event does not run any more; one that ran, or None, is left as it is."""
        if timer is None or timer[_ACTION] is None:
            return
        timer[_ACTION] = None
        timer[3] = ()
        self._corpses += 1
        if self._corpses > _CORPSES_MIN and self._corpses * 2 > len(self._heap):
            self._heap[:] = [entry for entry in self._heap if entry[_ACTION] is not None]
            heapq.heapify(self._heap)
            self._corpses = 0

    def run_until(self, true_ns: int) -> None:
        """Run every event up to and including an instant, and stand there.

        Raises SimulationStuckError when events at one instant do not end. Whatever an event raises leaves
        the world at that event, to be looked at.
        """
        heap = self._heap
        pop = heapq.heappop
        while heap and heap[0][0] <= true_ns:
            at_ns, _, action, arguments = timer = pop(heap)
            if action is None:
                self._corpses -= 1
                continue
            timer[_ACTION] = None
            timer[3] = ()  # the arguments may hold the timer: a cycle would burden the garbage collector
            if at_ns != self.now_ns:
                self.now_ns = at_ns
                self._at_this_instant = 0
            self._at_this_instant += 1
            if self._at_this_instant > EVENTS_PER_INSTANT_MAX:
                self._refuse_to_spin(action)
            self.events_run += 1
            action(*arguments)
        self.now_ns = max(self.now_ns, true_ns)

    def run_for(self, duration_ns: int) -> None:
        """Run for a while of true time."""
        self.run_until(self.now_ns + duration_ns)

    @property
    def next_event_ns(self) -> int | None:
        """When the next event is due; None when nothing will ever happen again."""
        heap = self._heap
        while heap and heap[0][_ACTION] is None:
            heapq.heappop(heap)
            self._corpses -= 1
        return heap[0][0] if heap else None

    @property
    def waiting(self) -> int:
        """How many events are still to run."""
        return len(self._heap) - self._corpses

    def record(self, subject: str, kind: str, /, **facts: Fact) -> None:
        """Write a line about this instant."""
        self.log.write(self.now_ns, subject, kind, **facts)

    def _refuse_to_spin(self, action: Callable[..., object]) -> None:
        name = getattr(action, "__qualname__", repr(action))
        message = (
            f"more than {EVENTS_PER_INSTANT_MAX} events at true time {self.now_ns} ns, the last one {name}: "
            "something wakes itself without letting time pass"
        )
        raise SimulationStuckError(message)
