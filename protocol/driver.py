"""Drives a sans-IO node: feeds events, runs effects, keeps one timer armed.

The driver owns no thread and no loop; it is told when something happened. Effects run in order before the
next event is taken; an effect that causes an event at once queues it behind. An effect's failure is the
executor's to turn into an event: whatever it raises is a bug, goes to the caller, and ends the driver, for
after half of an event's effects nobody knows what is true. A process that ends is started anew; one that goes
on in an unknown state may sound what it should not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from protocol.node import Node
from protocol.units import MonotonicNs, Now

EventT = TypeVar("EventT")
EffectT = TypeVar("EffectT")


class Driver(Generic[EventT, EffectT]):
    """One node on its ports.

    `read_clock` reads both clocks; `execute` runs one effect without blocking; `arm` sets the one timer
    (None disarms it) that must call `wake`.
    """

    def __init__(
        self,
        *,
        node: Node[EventT, EffectT],
        read_clock: Callable[[], Now],
        execute: Callable[[EffectT], None],
        arm: Callable[[MonotonicNs | None], None],
        wake_event: EventT,
    ) -> None:
        self._node = node
        self._read_clock = read_clock
        self._execute = execute
        self._arm = arm
        self._wake_event = wake_event
        self._waiting: deque[EventT] = deque()
        self._is_running = False
        self._is_failed = False
        self._armed_at: MonotonicNs | None = None

    def wake(self) -> None:
        """The timer rang."""
        self._armed_at = None
        self.post(self._wake_event)

    def post(self, event: EventT) -> None:
        """Take in an event, run what follows from it, and arm the timer anew.

        Raises what the node or an effect raised; from then on events are ignored.
        """
        if self._is_failed:
            return
        self._waiting.append(event)
        if self._is_running:
            return
        self._is_running = True
        try:
            while self._waiting:
                for effect in self._node.handle(self._waiting.popleft(), self._read_clock()):
                    self._execute(effect)
        except BaseException:
            self._is_failed = True
            self._waiting.clear()
            self._arm(None)
            raise
        finally:
            self._is_running = False
        deadline = self._node.next_deadline()
        if deadline != self._armed_at:
            self._armed_at = deadline
            self._arm(deadline)
