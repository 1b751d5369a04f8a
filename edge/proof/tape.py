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
            self._samples[np.arange(self._end, first) % capacity] = 0
        self._samples[np.arange(first, first + len(flat)) % capacity] = flat
        self._end = first + len(flat)

    def read(self, first: int, count: int) -> NDArray[np.int16] | None:
        """`count` samples from `first` on; None if the last of them has not come yet, or the first has gone."""
        if first + count > self._end or first < self._end - len(self._samples):
            return None
        return self._samples[np.arange(first, first + count) % len(self._samples)]
