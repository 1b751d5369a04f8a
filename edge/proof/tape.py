"""The last seconds of one signal on the grid of shared samples, as they came in, in pieces of any size.

What did not come is silence. One thread writes and reads.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray


class Tape:
    """Up to `capacity` samples (int16) that end with the latest that was written."""

    def __init__(self, capacity: int) -> None:
        self._samples: Final = np.zeros(capacity, np.int16)
        self._end = 0

    @property
    def end(self) -> int:
        """The grid sample behind the last one."""
        return self._end

    def write(self, first: int, samples: NDArray[np.int16]) -> None:
        """Add samples of which the first is `first`: what was there is written over, what lies between is silence."""
        flat, capacity = samples.reshape(-1), len(self._samples)
        if len(flat) > capacity:
            first, flat = first + len(flat) - capacity, flat[-capacity:]
        if abs(first - self._end) >= capacity:
            self._samples[:] = 0
        elif first > self._end:
            for silent in self._parts(self._end, first - self._end):
                silent[:] = 0
        done = 0
        for part in self._parts(first, len(flat)):
            part[:] = flat[done : done + len(part)]
            done += len(part)
        self._end = first + len(flat)

    def read(self, first: int, count: int) -> NDArray[np.int16] | None:
        """`count` samples from `first` on, a copy; None if the last has not come yet, or the first has gone."""
        if first + count > self._end or first < self._end - len(self._samples):
            return None
        return np.concatenate(self._parts(first, count))

    def _parts(self, first: int, count: int) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """Where up to `capacity` samples stand: to the end of the room, and on from its beginning."""
        place = first % len(self._samples)
        beyond = max(0, place + count - len(self._samples))
        return self._samples[place : place + count - beyond], self._samples[:beyond]
