"""Frames rendered ahead, between the thread that renders and the one that serves the card.

One writer, one reader. Each owns one index; a reader that finds too little takes silence for the rest and moves
on, and the writer then goes on behind it, so a late render costs a gap and never a delay. Indices are the card's
frame numbers and only grow.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from edge.player.ports import Frames
from protocol.units import SAMPLE_RATE_HZ, SAMPLES_PER_MS

AFTER_GAP_FRAMES: Final = 10 * SAMPLES_PER_MS
"""Fade of what follows a gap."""
_FRAME_BYTES: Final = 2
"""int16, mono."""
FRAMES_MAX: Final = 2 * SAMPLE_RATE_HZ
"""Nobody wants more than two seconds between an order and its effect."""
_RISE: Final = np.linspace(0.0, 1.0, AFTER_GAP_FRAMES, dtype=np.float32).reshape(-1, 1)


def risen(frames: Frames) -> Frames:
    """Frames that follow a gap, which is silence: they begin from silence too, so that they do not click."""
    n = min(len(frames), AFTER_GAP_FRAMES)
    softened: Frames = frames.copy()
    softened[:n] = frames[:n] * _RISE[:n]
    return softened


class Ring:
    """Up to `capacity` frames; `reset` only while nobody reads."""

    def __init__(self, capacity: int) -> None:
        self.capacity: Final = min(capacity, FRAMES_MAX)
        self._bytes = bytearray(self.capacity * _FRAME_BYTES)
        self._samples = np.frombuffer(self._bytes, np.int16)
        self._written = 0
        self._read = 0

    def reset(self) -> None:
        """Begin again at frame 0, empty."""
        self._written = self._read = 0

    @property
    def next_frame(self) -> int:
        """The card's frame number that the next `put` will carry."""
        return max(self._written, self._read)

    @property
    def held(self) -> int:
        """Frames that are ready to be taken."""
        return max(0, self._written - self._read)

    @property
    def free(self) -> int:
        """Frames for which there is room."""
        return self.capacity - self.held

    def put(self, first: int, frames: Frames) -> None:
        """Add frames of which the first has number `first` (a `next_frame`); what has become late is dropped."""
        flat = frames.reshape(-1)
        late = max(0, self._read - first)
        start, flat = (first + late) % self.capacity, flat[late:][: self.free]
        n = min(len(flat), self.capacity - start)
        self._samples[start : start + n] = flat[:n]
        self._samples[: len(flat) - n] = flat[n:]
        self._written = first + late + len(flat)

    def take(self, frames: int) -> tuple[bytes, int]:
        """The next `frames` as bytes, filled up with silence; with how many of them were missing."""
        first, ready = self._read, min(frames, self.held)
        start = first % self.capacity
        n = min(ready, self.capacity - start)
        taken = bytes(self._bytes[start * _FRAME_BYTES : (start + n) * _FRAME_BYTES])
        if n < ready:
            taken += bytes(self._bytes[: (ready - n) * _FRAME_BYTES])
        self._read = first + frames
        if ready < frames:
            taken += bytes((frames - ready) * _FRAME_BYTES)
        return taken, frames - ready
