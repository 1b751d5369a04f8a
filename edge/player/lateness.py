"""How late the packets of a stream come: quantiles of arrival minus play time over the last packets.

Duty: keep a window of the last WINDOW_PACKETS values, sorted as they come, so that a quantile is one look-up and a
status costs nothing to speak of: a packet costs one search and one short move in memory instead (decision 0024 has
the figures). What follows from the quantiles is the controller's decision (`controller.streams.group_delay`).

Rules kept: negative is time to spare; a value beyond LATENESS_US_MAX counts as that much, so memory is bounded
whatever the packets say; an epoch is judged by itself, for its sender may have chosen another delay.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from collections import deque
from typing import Final

from protocol.units import US_PER_MS

WINDOW_PACKETS: Final = 3_000
"""Five minutes of 100 ms packets, one of 20 ms: the 99.9th percentile is the third from the top, not an accident."""
LATENESS_US_MAX: Final = 60_000_000
"""A minute: later than that a packet tells nothing more about a network."""


class LatenessWindow:
    """The last values, in the order in which they came and in their own."""

    def __init__(self) -> None:
        self._came: deque[int] = deque()
        self._sorted = array("i")

    def __len__(self) -> int:
        return len(self._came)

    def add(self, lateness_us: int) -> None:
        """A packet came `lateness_us` after its play time (negative: before)."""
        value = max(-LATENESS_US_MAX, min(LATENESS_US_MAX, lateness_us))
        if len(self._came) == WINDOW_PACKETS:
            del self._sorted[bisect_left(self._sorted, self._came.popleft())]
        self._came.append(value)
        insort(self._sorted, value)

    def clear(self) -> None:
        """Another epoch begins."""
        self._came.clear()
        del self._sorted[:]

    def quantile_ms(self, quantile: float) -> float:
        """The value that this part of the packets (0 to 1) does not exceed, by nearest rank; 0 while there is none."""
        count = len(self._sorted)
        if not count:
            return 0.0
        return self._sorted[min(count - 1, int(quantile * count))] / US_PER_MS
