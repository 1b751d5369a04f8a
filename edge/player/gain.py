"""How loud a voice is, from sample to sample: its gain, and a change of it that glides.

A volume cap may begin while something sounds (an evening, a lesson); the gain is down where the cap begins and goes up
where it ends, over GLIDE_SAMPLES. A function of the grid sample alone, whatever the pieces in which it is asked for.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocol.units import SAMPLES_PER_MS

GLIDE_MS: Final = 200
"""Longer than any click, shorter than what anybody takes for a fault; within what the studio tells ahead (400 ms)."""
GLIDE_SAMPLES: Final = GLIDE_MS * SAMPLES_PER_MS


class Gain:
    """One voice's, as a factor."""

    def __init__(self, gain_db: float) -> None:
        self._factor = _factor(gain_db)
        self._change: tuple[int, float] | None = None
        """The sample at which a glide begins, and where it leads."""

    def change(self, gain_db: float, at: int, *, position: int) -> None:
        """Be so loud from sample `at` on; what is before `position` has been asked for already.

        Quieter by that sample, louder from it on; where that is past, as soon as the glide allows.
        """
        wanted = _factor(gain_db)
        self._settle(position)
        standing = self.at(position)
        self._factor = float(standing)
        begins = at - GLIDE_SAMPLES if wanted < standing else at
        self._change = (max(begins, position), wanted)

    def at(self, sample: int) -> float:
        """The factor at one sample."""
        factors = self.over(sample, sample + 1)
        return factors if isinstance(factors, float) else float(factors[0])

    def over(self, first: int, end: int) -> float | NDArray[np.float32]:
        """The factors of samples `first` to `end`; one for all where nothing glides."""
        self._settle(first)
        if self._change is None or end <= self._change[0]:
            return self._factor
        begins, wanted = self._change
        place = np.clip((np.arange(first, end, dtype=np.int64) - begins) / GLIDE_SAMPLES, 0.0, 1.0)
        return (self._factor + (wanted - self._factor) * place).astype(np.float32)

    def _settle(self, position: int) -> None:
        """A glide that is over before a position is the gain."""
        if self._change is not None and position >= self._change[0] + GLIDE_SAMPLES:
            self._factor, self._change = self._change[1], None


def _factor(gain_db: float) -> float:
    return float(10.0 ** (gain_db / 20.0))
