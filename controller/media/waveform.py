"""A recording's outline: its highest sample in each of so many equal parts, for a page or a terminal; pure."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

POINTS: Final = 800
"""Two to a pixel of a telephone's screen."""
FULL: Final = 255
_BARS: Final = "▁▂▃▄▅▆▇█"


class WaveformMeter:
    """Takes float32[sample] at any rate, in blocks; keeps the peak of each `step` samples."""

    def __init__(self, step: int) -> None:
        self._step = step
        self._peaks: list[NDArray[np.float32]] = []
        self._left: NDArray[np.float32] = np.zeros(0, np.float32)

    def take(self, samples: NDArray[np.float32]) -> None:
        """The next samples."""
        joined = np.concatenate((self._left, np.abs(samples)))
        whole = len(joined) // self._step * self._step
        if whole:
            self._peaks.append(joined[:whole].reshape(-1, self._step).max(axis=1))
        self._left = joined[whole:]

    def points(self) -> bytes:
        """At most POINTS bytes, 0 (silence) to FULL (full scale)."""
        rest = [self._left.max(keepdims=True)] if len(self._left) else []
        peaks = np.concatenate([*self._peaks, *rest]) if self._peaks or rest else np.zeros(0, np.float32)
        if len(peaks) > POINTS:
            edges = np.linspace(0, len(peaks), POINTS, endpoint=False).astype(int)
            peaks = np.maximum.reduceat(peaks, edges)
        return bytes(np.clip(np.ceil(peaks * FULL), 0, FULL).astype(np.uint8))


def bars(points: bytes, width: int) -> str:
    """The outline as one line of a terminal."""
    if not points or width <= 0:
        return ""
    heights = np.frombuffer(points, np.uint8)
    edges = np.linspace(0, len(heights), min(width, len(heights)), endpoint=False).astype(int)
    shown = np.maximum.reduceat(heights, edges)
    return "".join(_BARS[int(each) * (len(_BARS) - 1) // FULL] for each in shown)
