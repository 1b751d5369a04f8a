"""The one idea: a node is `handle(event, now) -> effects` and `next_deadline()`.

Everything that can happen is an event, everything it can do is an effect, waiting is a deadline. Nothing
here or in an implementation reads a clock, sleeps, or touches the world; `driver` does so through ports.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from protocol.units import MonotonicNs, Now

EventT = TypeVar("EventT", contravariant=True)
EffectT = TypeVar("EffectT", covariant=True)


class Node(Protocol[EventT, EffectT]):
    """A sans-IO decision maker; the pole's agent and the controller's desk are two."""

    def handle(self, event: EventT, now: Now) -> Sequence[EffectT]:
        """Take in one event and say what to do about it, in order."""

    def next_deadline(self) -> MonotonicNs | None:
        """When to send a wake event at the latest; None waits for the next event however long it takes."""
