"""Reads the grid of shared samples at any place and at a rate a little off one.

Duty: output frame k is the sound at the place `cursor + k * (1 + rate)` of the grid, computed from the samples
around that place (`interpolation`); the place is known exactly and nothing is remembered but samples. Which place
and which rate is `timeline`'s business.

Rules kept: at a whole place and rate 0 the samples come through untouched; reads that go on where the last one
ended ask the source for each grid sample once; a leap begins anew there, and its first samples have their
neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from edge.player.interpolation import COEFFICIENTS, DEGREE, FIXED, HALF, BlockFilter, fixed_of
from edge.player.ports import Samples
from protocol.units import FRAME_SAMPLES, SharedSample

GridRead = Callable[[SharedSample, int], Samples]
"""`read(first, count)`: the samples of the grid from `first` on (float32[count]), the reader's until the next call."""
_INTERPOLATOR: Final = BlockFilter(COEFFICIENTS)
_ROOM_FIRST: Final = 2 * FRAME_SAMPLES


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """A place on the grid: a whole sample and a fraction from -0.5 up to 0.5."""

    sample: SharedSample
    fraction: float = 0.0

    def moved(self, frames: int, rate: float) -> Cursor:
        """The place after `frames` output frames."""
        beyond = self.fraction + frames * rate
        whole = round(beyond)
        return Cursor(sample=SharedSample(self.sample + frames + whole), fraction=beyond - whole)


class Resampler:
    """One reader of the grid."""

    def __init__(self, source: GridRead) -> None:
        self._source = source
        self._tape = np.zeros(_ROOM_FIRST, np.float32)
        self._first = 0
        self._end = 0

    def has_sound(self, cursor: Cursor) -> bool:
        """Whether anything but silence was read that takes part in what sounds from `cursor` on."""
        start = max(0, cursor.sample - HALF - self._first)
        return bool(self._tape[start : self._end - self._first].any())

    def read(self, cursor: Cursor, rate: float, frames: int) -> Samples:
        """`frames` frames (float32[frames], the caller's own) from `cursor` on."""
        if not frames:
            return np.zeros(0, np.float32)
        last = cursor.moved(frames - 1, rate)
        self._hold(cursor.sample - HALF, last.sample + HALF + 1)
        if rate == 0.0 and cursor.fraction == 0.0:
            return self._tape[HALF : HALF + frames].copy()
        if cursor.sample + frames - 1 == last.sample:
            return self._piece(HALF, cursor.fraction, rate, frames)
        return self._pieces(cursor, rate, frames)

    def _pieces(self, cursor: Cursor, rate: float, frames: int) -> Samples:
        """The fraction leaves its half sample: each piece belongs to other neighbours."""
        parts: list[Samples] = []
        done = 0
        while done < frames:
            place = cursor.moved(done, rate)
            left = (0.5 - place.fraction if rate > 0.0 else -0.5 - place.fraction) / rate
            n = min(frames - done, int(left) + 1)
            offset = HALF + place.sample - cursor.sample
            parts.append(self._piece(offset, place.fraction, rate, n))
            done += n
        return np.concatenate(parts)

    def _piece(self, offset: int, fraction: float, rate: float, frames: int) -> Samples:
        """Frames whose fractions stay within a half, the first around `offset` in the tape (Horner's rule)."""
        around = fixed_of(self._tape[offset - HALF : offset + frames + HALF])
        powers = _INTERPOLATOR.apply(around, frames)[:, :frames]
        fractions = fraction + rate * np.arange(frames)
        values = powers[DEGREE] * fractions
        for power in range(DEGREE - 1, 0, -1):
            values += powers[power]
            values *= fractions
        values += powers[0]
        values *= 1.0 / (FIXED * FIXED)
        rounded: Samples = values.astype(np.float32)
        return rounded

    def _hold(self, first: int, end: int) -> None:
        """Have the samples `first` to `end` at the beginning of the tape; what is there already is not asked for."""
        kept = self._end - first if self._first <= first <= self._end else 0
        count = end - first
        room = max(count, kept)
        tape = self._tape if len(self._tape) >= room else np.zeros(2 * room, np.float32)
        if kept:
            start = first - self._first
            tape[:kept] = self._tape[start : start + kept]
        self._tape, self._first, self._end = tape, first, max(first + kept, end)
        if count > kept:
            tape[kept:count] = self._source(SharedSample(first + kept), count - kept)
