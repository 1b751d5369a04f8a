"""Loudness as RMS below full scale, cheap enough to run on every block.

0 dBFS is a square wave of full scale, so a full-scale sine reads -3.01 dBFS. This is a meter for "does it
sound, and how strongly", not EBU R128: programmes are levelled before they are published.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

import numpy as np

from edge.player.ports import Samples

SILENCE_DBFS: Final = -120.0
"""What digital silence reads: below any converter's noise."""
AUDIBLE_DBFS: Final = -60.0
"""From here on a block counts as heard: a horn at 100 dB then gives 40 dB, which drowns in a village's evening."""
AUDIBLE_POWER: Final = 10.0 ** (AUDIBLE_DBFS / 10.0)
WINDOW_BLOCKS: Final = 50
"""How many blocks the recent level looks back on: about one second of 20 ms blocks."""


def dbfs_of_power(power: float) -> float:
    """Mean square as decibels below full scale, never below SILENCE_DBFS."""
    return max(SILENCE_DBFS, 10.0 * math.log10(power)) if power > 0.0 else SILENCE_DBFS


def energy_of(samples: Samples) -> float:
    """Sum of squares of a block."""
    return float(np.dot(samples, samples))


def is_heard(energy: float, samples: int) -> bool:
    """Whether a block of so many samples with this sum of squares is audible."""
    return energy >= AUDIBLE_POWER * samples


class LevelMeter:
    """Level of the last second, and of everything audible since the start."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, int]] = deque(maxlen=WINDOW_BLOCKS)
        self._audible_energy = 0.0
        self._audible_samples = 0

    def add(self, energy: float, samples: int) -> bool:
        """Take in one block as its sum of squares; says whether the block was audible."""
        self._recent.append((energy, samples))
        if not is_heard(energy, samples):
            return False
        self._audible_energy += energy
        self._audible_samples += samples
        return True

    @property
    def recent_dbfs(self) -> float:
        """Level of the last WINDOW_BLOCKS blocks."""
        samples = sum([count for _, count in self._recent])
        return dbfs_of_power(sum([energy for energy, _ in self._recent]) / samples) if samples else SILENCE_DBFS

    @property
    def audible_dbfs(self) -> float | None:
        """Level of all that was audible; None when nothing was."""
        return dbfs_of_power(self._audible_energy / self._audible_samples) if self._audible_samples else None
