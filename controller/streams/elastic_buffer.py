"""Between a feed's clock and ours: a bounded store of samples that gives exactly one frame per 20 ms.

Duty: absorb bursts (an HLS segment, Icecast's burst on connect) and the drift of the station's clock. Every call of
`pull` stands for 20 ms of shared time; that the calls come at the right time is the stamper's duty.
Rules kept: never runs ahead; a feed that is too slow for longer than the store lasts leaves a gap and starts again from
a filled store; a feed that comes in pieces begins when the store outlasts the wait for the next one; drift is
judged by the *lowest* fill of the last window, which bursts do not disturb, and corrected by one sample per
STRETCH_EVERY frames, interpolated, at most 500 ppm; the store is bounded and skips the oldest samples beyond its bound.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocol.units import FRAME_MS, FRAME_SAMPLES, SAMPLES_PER_MS

TARGET_MS: Final = 500
"""The fill from which a feed begins, and below which its lowest fill must not stay: a second of mobile jitter
is the node's to absorb, this is the station's side."""
SURPLUS_MS: Final = 5_000
"""Lowest fill above which the feed is hurried. What lies between is left as a cushion against stalls."""
CAPACITY_MS: Final = 60_000
"""Bound of the store: three HLS segments of 10 s twice over; 5.8 MB."""
ENOUGH_MS: Final = 20_000
"""Fill from which the reader should wait: the rest stays in the network, where flow control holds it back."""
WINDOW_FRAMES: Final = 30_000 // FRAME_MS
"""30 s: longer than the segments of any HLS feed seen in the field (10 s)."""
STRETCH_EVERY: Final = 3
"""One sample in three frames is 347 ppm; crystals differ by up to 100 ppm (bound of the design: 500 ppm)."""


class ElasticBuffer:
    """The store of one feed; int16 goes in, float32 frames come out."""

    def __init__(self) -> None:
        self._chunks: deque[NDArray[np.int16]] = deque()
        self._offset = 0
        self._fill = 0
        self._is_flowing = False
        self._since_stretch = 0
        self._frames_in_half = 0
        self._lowest_now = 0
        self._lowest_before = 0
        self.stretched_samples = 0
        """Samples added (positive) or taken out (negative) by now to follow the feed's clock."""
        self.pieces_ms = 0.0
        """For how long the feed may rightly send nothing, as the segments of HLS come; 0 for one that flows."""
        self.skipped_samples = 0

    @property
    def fill_ms(self) -> float:
        """How much is stored."""
        return self._fill / SAMPLES_PER_MS

    @property
    def is_filled(self) -> bool:
        """Whether there is enough to begin: the target, beyond what is played while the next piece is awaited."""
        return self.fill_ms >= min(TARGET_MS + self.pieces_ms, ENOUGH_MS)

    @property
    def is_flowing(self) -> bool:
        """Whether the store has been filled to its target and has not run dry since."""
        return self._is_flowing

    @property
    def wants_more(self) -> bool:
        """Whether the reader may go on; below this the bound is never met."""
        return self._fill < ENOUGH_MS * SAMPLES_PER_MS

    def push(self, samples: NDArray[np.int16]) -> None:
        """Store decoded samples; skips the oldest beyond the bound."""
        if len(samples):
            self._chunks.append(samples)
            self._fill += len(samples)
        surplus = self._fill - CAPACITY_MS * SAMPLES_PER_MS
        if surplus > 0:
            self._drop(surplus)
            self.skipped_samples += surplus

    def peek(self) -> NDArray[np.float32]:
        """All that is stored, to be measured before it sounds."""
        if not self._chunks:
            return np.zeros(0, np.float32)
        return _as_float(np.concatenate(list(self._chunks))[self._offset :])

    def clear(self) -> None:
        """Forget what is stored."""
        self._chunks.clear()
        self._offset = self._fill = 0
        self._is_flowing = False

    def pull(self) -> NDArray[np.float32] | None:
        """The next 20 ms (float32[960]), or None while the store fills."""
        if not self._is_flowing:
            if not self.is_filled:
                return None
            self._is_flowing = True
            self._frames_in_half = 0
            self._lowest_now = self._lowest_before = self._fill
        taken = FRAME_SAMPLES + self._correction()
        if self._fill < taken + 1:
            self._is_flowing = False
            return None
        window = self._first(taken + 1)
        self._drop(taken)
        self._note_fill()
        if taken == FRAME_SAMPLES:
            return _as_float(window[:FRAME_SAMPLES])
        self.stretched_samples += FRAME_SAMPLES - taken
        positions = np.arange(FRAME_SAMPLES) * (taken / FRAME_SAMPLES)
        stretched: NDArray[np.float32] = np.interp(positions, np.arange(taken + 1), _as_float(window)).astype(
            np.float32
        )
        return stretched

    def _correction(self) -> int:
        self._since_stretch += 1
        if self._since_stretch < STRETCH_EVERY:
            return 0
        lowest = min(self._lowest_before, self._lowest_now)
        if lowest < TARGET_MS * SAMPLES_PER_MS:
            self._since_stretch = 0
            return -1
        if lowest > SURPLUS_MS * SAMPLES_PER_MS:
            self._since_stretch = 0
            return 1
        return 0

    def _note_fill(self) -> None:
        self._lowest_now = min(self._lowest_now, self._fill)
        self._frames_in_half += 1
        if self._frames_in_half >= WINDOW_FRAMES:
            self._lowest_before, self._lowest_now = self._lowest_now, self._fill
            self._frames_in_half = 0

    def _first(self, count: int) -> NDArray[np.int16]:
        parts, offset, missing = [], self._offset, count
        for chunk in self._chunks:
            part = chunk[offset : offset + missing]
            parts.append(part)
            missing -= len(part)
            offset = 0
            if not missing:
                break
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _drop(self, count: int) -> None:
        self._fill -= count
        self._offset += count
        while self._chunks and self._offset >= len(self._chunks[0]):
            self._offset -= len(self._chunks.popleft())


def _as_float(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    return samples.astype(np.float32) * np.float32(1.0 / 32768.0)
