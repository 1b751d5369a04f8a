"""Notices that the node's clock was set, and whether anything was refused before because of its time.

A pole that boots without a clock chip, or whose clock somebody set wrong, refuses documents as not yet valid or
expired. The broker sends what it retains once; so when the clock is right again, the node must ask for everything
anew, or a standing emergency would stay unheard until the next reconnect; and what a wrong clock took for over must
be looked for again. What is valid is the guard's decision. What is due far ahead is looked at a little earlier, for a
clock may be slewed meanwhile (`before_slewing`).
"""

from __future__ import annotations

from typing import Final

from protocol.errors import RefusalReason
from protocol.units import NS_PER_MS, NS_PER_S, MonotonicNs, Now

JUMP_NS: Final = NS_PER_S
"""Less is drift or slewing, which no document's validity is so close to that a second chance would matter."""
CLOCK_CHECK_MS: Final = 10_000
"""What is due later than this is looked at again before: until then the shared clock may have been slewed."""
SLEW_PARTS: Final = 1_000
"""A clock is slewed by 500 ppm at most (adjtimex): half of one part in so many."""
_FOR_ITS_TIME: Final = frozenset({RefusalReason.NOT_YET_VALID, RefusalReason.EXPIRED})


class ClockWatch:
    """One node's; `look` is asked at every event."""

    def __init__(self) -> None:
        self._offset_ns: int | None = None
        self._has_refused = False

    def refused(self, reason: RefusalReason) -> None:
        """A message was refused."""
        if reason in _FOR_ITS_TIME:
            self._has_refused = True

    def look(self, now: Now) -> bool:
        """Whether the clock was set, or has come, since the last look."""
        if not now.is_time_known:
            self._offset_ns = None
            return False
        before_ns, self._offset_ns = self._offset_ns, now.shared_ns - now.monotonic_ns
        return before_ns is None or abs(self._offset_ns - before_ns) >= JUMP_NS

    def take_refused(self) -> bool:
        """Whether something was refused for its time since this was last asked."""
        has_refused, self._has_refused = self._has_refused, False
        return has_refused


def before_slewing(due_at: MonotonicNs | None, now: Now) -> MonotonicNs | None:
    """When to look again at what is due at an instant of shared time, as it was known now."""
    if due_at is None or due_at - now.monotonic_ns <= CLOCK_CHECK_MS * NS_PER_MS:
        return due_at
    return MonotonicNs(due_at - (due_at - now.monotonic_ns) // SLEW_PARTS)


def earliest(*waits: MonotonicNs | None) -> MonotonicNs | None:
    """The first of some deadlines; None when there is none."""
    return min([wait for wait in waits if wait is not None], default=None)
