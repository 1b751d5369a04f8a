"""What is wrong with the node now: named faults that are raised and cleared once each.

A fault is a name and a text. Raising one that is active already, or clearing one that is not, changes
nothing, so a port that fails a hundred times in a minute makes one record. The registry leaves to the
outbox that a change is reported, and to the telemetry that the active names are shown.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from protocol.messages import FaultRecord
from protocol.units import SharedMs

DETAIL_CHARACTERS_MAX: Final = 200
"""The bound of a reason on the wire."""


class Fault(StrEnum):
    """The faults that a node knows of itself."""

    STORE = "store"
    STORE_DAMAGED = "store_damaged"
    DISK_FULL = "disk_full"
    MEDIA = "media"
    SOUND_CARD = "sound_card"
    AMPLIFIER = "amplifier"
    PLAN_ENDED = "plan_ended"
    """The node is assigned and knows the time, and no plan says what is to sound."""
    REPORTS_DROPPED = "reports_dropped"
    CLOCK_UNKNOWN = "clock_unknown"
    SILENCED = "silenced"
    """A signed order keeps the node silent; no damage, but everybody should know."""
    STOP_BUTTON = "stop_button"
    """Somebody pressed the button on the pole, and its time is not up."""
    BUTTON = "button"
    """The button cannot be read, or is stuck."""
    HORN = "horn"
    """The acoustic self-test was bad, or airings were not heard: amplifier, horn or cable, as the record says."""
    TAKEN_OVER = "taken_over"
    """Somebody else connects under this node's name."""
    CUT_OFF = "cut_off"
    """No state but a fact about the run before: power, or the program, went away in the middle of it."""


class Faults:
    """The active faults of one node."""

    def __init__(self) -> None:
        self._active: dict[Fault, str] = {}

    @property
    def active(self) -> tuple[str, ...]:
        """Names of what is wrong now, in a fixed order."""
        return tuple(sorted(fault.value for fault in self._active))

    def is_active(self, fault: Fault) -> bool:
        """Whether a fault stands."""
        return fault in self._active

    def raise_fault(self, fault: Fault, detail: str, at_ms: SharedMs) -> FaultRecord | None:
        """A fault has come; the record to report, or None if it stood already."""
        if fault in self._active:
            return None
        self._active[fault] = detail
        return _record(fault, detail, at_ms, is_active=True)

    def clear(self, fault: Fault, detail: str, at_ms: SharedMs) -> FaultRecord | None:
        """A fault has gone; the record to report, or None if there was none."""
        if self._active.pop(fault, None) is None:
            return None
        return _record(fault, detail, at_ms, is_active=False)


def _record(fault: Fault, detail: str, at_ms: SharedMs, *, is_active: bool) -> FaultRecord:
    return FaultRecord(fault=fault.value, active=is_active, detail=detail[:DETAIL_CHARACTERS_MAX], at_ms=at_ms)
