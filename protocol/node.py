"""The one idea: a node is `handle(event, now) -> effects` and `next_deadline()`.

Everything that can happen is an event, everything it can do is an effect, waiting is a deadline. Nothing
here or in an implementation reads a clock, sleeps, or touches the world; `driver` does so through ports.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from protocol.units import MonotonicNs, Now

EventT_contra = TypeVar("EventT_contra", contravariant=True)
EffectT_co = TypeVar("EffectT_co", covariant=True)


class Node(Protocol[EventT_contra, EffectT_co]):
    """A sans-IO decision maker; the pole's agent and the controller's desk are two."""

    def handle(self, event: EventT_contra, now: Now) -> Sequence[EffectT_co]:
        """Take in one event and say what to do about it, in order."""

    def next_deadline(self) -> MonotonicNs | None:
        """When to send a wake event at the latest; None waits for the next event however long it takes."""
