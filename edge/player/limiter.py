"""The last stage on the grid: a true-peak limiter that looks ahead.

Duty: `read(first, count)` gives the grid samples of its source, turned down smoothly where the waveform between the
samples would exceed CEILING. Peaks are measured at four points a sample (ITU-R BS.1770-4, annex 2) and at the vertex
of the parabola through them, by the interpolator that the resampler uses. Programmes are levelled to that ceiling,
so only sums of voices, positive gains and Opus' own overshoot ever reach it.

Rules kept: what stays below the ceiling comes through untouched, at its very sample (what is needed ahead is read
ahead, not waited for); the reduction is counted in whole units and forgotten in finite time, so that equal input
gives equal output on every pole, whatever the pieces in which it is read; a leap begins anew as if it had listened
before.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.player.interpolation import FIXED, HALF, BlockFilter, fixed_of, taps_at
from edge.player.ports import Samples
from edge.player.resampler import GridRead
from protocol.units import SAMPLE_RATE_HZ, SharedSample

CEILING_DBTP: Final = -1.0
"""The true peak to which programmes are levelled (EBU R 128): it leaves converters and amplifiers their overshoot."""
CEILING: Final = 10.0 ** (CEILING_DBTP / 20.0)
LOOK_AHEAD: Final = 72
"""1.5 ms in which sound is turned down before a peak: shorter clicks, longer is heard as a hole."""
RELEASE_DB_PER_S: Final = 90.0
"""One syllable's peak leaves the next one alone, and the periods of a voice are not followed one by one."""
_UNITS_PER_DB: Final = 1 << 16
_RELEASE: Final = round(RELEASE_DB_PER_S * _UNITS_PER_DB / SAMPLE_RATE_HZ)
_MEAN: Final = LOOK_AHEAD // 2 + 1
"""Two running means of this length, one after the other, reach back just as far as the look-ahead."""
_EXPONENT: Final = -math.log(10.0) / 20.0 / (_UNITS_PER_DB * _MEAN * _MEAN)
"""From twice summed units to the exponent of e."""
_NUMBER_MAX: Final = 1e6
"""120 dB above full scale: no voice, but a fault."""
_POINTS: Final = (-0.25, 0.25, 0.5)
_BETWEEN: Final = BlockFilter(np.stack([taps_at(point) for point in _POINTS]))
_NEAR: Final = 0.92 * CEILING
"""The highest point beside a peak at the ceiling is at most an eighth of a sample away: 0.95 of it at 20 kHz."""
_SAFE: Final = float(_NEAR * FIXED / np.abs(_BETWEEN.taps).sum(axis=1).max())
"""While no sample is larger, no point between samples can come near the ceiling."""
_NEEDED: Final = LOOK_AHEAD + HALF + 1
"""Samples of the source that are read beyond the last one that is given."""
_Units = NDArray[np.int64]


class Limiter:
    """One reader of a source. What it gives is not to be changed."""

    def __init__(self, source: GridRead) -> None:
        self._source = source
        self._next: int | None = None
        self._samples: Samples = np.zeros(0, np.float32)
        self._wanted: _Units = np.zeros(LOOK_AHEAD, np.int64)
        self._held: _Units = np.zeros(LOOK_AHEAD, np.int64)
        self._is_idle = True

    def has_sound(self) -> bool:
        """Whether anything but silence was read that is yet to be given."""
        return bool(self._samples.any())

    def read(self, first: SharedSample, count: int) -> Samples:
        """The `count` samples from `first` on (float32[count]); at a leap the source is read from a little before."""
        if first != self._next:
            self._begin(first)
        self._next = first + count
        return self._advance(first, count)

    def _begin(self, first: int) -> None:
        """Listen to what comes before `first`, as a limiter would have that was there."""
        start = first - LOOK_AHEAD
        samples = _sound(self._source(SharedSample(start - HALF - 1), _NEEDED + HALF + 1).copy())
        self._samples = samples[HALF + 1 :]
        self._wanted = _reductions(samples)
        self._held = np.zeros(LOOK_AHEAD, np.int64)
        self._is_idle = not self._wanted.any()
        self._advance(start, LOOK_AHEAD)

    def _advance(self, first: int, count: int) -> Samples:
        """Samples `first` to `first + count`.

        Kept are the samples read beyond, the reductions wanted there, and those that were held before.
        """
        samples = np.concatenate((self._samples, _sound(self._source(SharedSample(first + _NEEDED), count))))
        found = _reductions(samples[LOOK_AHEAD - HALF - 1 :])
        self._samples = samples[count:]
        if self._is_idle and not found.any():
            return samples[:count]
        wanted = np.concatenate((self._wanted, found))
        held = np.concatenate((self._held, _released(_largest_ahead(wanted), int(self._held[-1]))))
        self._wanted, self._held = wanted[count:], held[count:]
        self._is_idle = not (self._held.any() or self._wanted.any())
        # in float64, where processors differ in the last place only, which float32 does not see
        gain = np.exp(_running_sum(_running_sum(held)) * _EXPONENT).astype(np.float32)
        limited: Samples = samples[:count] * gain
        return limited


def _largest(samples: Samples) -> float:
    return max(float(samples.max()), -float(samples.min())) if len(samples) else 0.0


def _sound(samples: Samples) -> Samples:
    """The samples, silent where they are no numbers, which would stay in every mean."""
    if _largest(samples) <= _NUMBER_MAX:
        return samples
    kept: Samples = np.where(np.abs(samples) <= _NUMBER_MAX, samples, np.float32(0.0))
    return kept


def _reductions(samples: Samples) -> _Units:
    """By how much each sample must be turned down, but for HALF + 1 of them at either end, which are its neighbours."""
    count = len(samples) - 2 * (HALF + 1)
    if _largest(samples) <= _SAFE:
        return np.zeros(count, np.int64)
    fixed = fixed_of(samples)
    points = np.empty((count + 2, len(_POINTS) + 1))
    points[:, (0, 2, 3)] = _BETWEEN.apply(fixed, count + 2)[:, : count + 2].T * (1.0 / FIXED)
    points[:, 1] = fixed[HALF : HALF + count + 2]
    return _reductions_at(np.abs(points).reshape(-1) * (1.0 / FIXED), count)


def _reductions_at(sizes: NDArray[np.float64], count: int) -> _Units:
    """The same from the sizes at four points a sample: -1/4, 0, 1/4, 1/2; the last one belongs to the next as well."""
    reductions = np.zeros(count, np.int64)
    near = np.flatnonzero(sizes[1:-1] >= _NEAR) + 1
    if near.size:
        here, before, after = sizes[near], sizes[near - 1], sizes[near + 1]
        bend = 2.0 * here - before - after
        is_peak = (here >= before) & (here >= after) & (bend > 0.0)
        vertex = np.where(is_peak, np.square(after - before) / (8.0 * np.where(is_peak, bend, 1.0)), 0.0)
        peaks = np.zeros((count + 2, len(_POINTS) + 1))
        peaks.reshape(-1)[near] = here + vertex
        largest = np.maximum(peaks[1:-1].max(axis=1), peaks[:-2, -1])
        over = np.flatnonzero(largest > CEILING)
        reductions[over] = np.ceil(20.0 * np.log10(largest[over] * (1.0 / CEILING)) * _UNITS_PER_DB)
    return reductions


def _largest_ahead(wanted: _Units) -> _Units:
    """The largest among each value and the LOOK_AHEAD after it."""
    width = 1
    while width <= LOOK_AHEAD:
        step = min(width, LOOK_AHEAD + 1 - width)
        wanted = np.maximum(wanted[:-step], wanted[step:])
        width += step
    return wanted


def _released(wanted: _Units, before: int) -> _Units:
    """Follow at once upwards and at RELEASE_DB_PER_S downwards, from the value `before` the first on."""
    fallen = np.arange(len(wanted) + 1, dtype=np.int64) * _RELEASE
    risen = np.concatenate((np.array([before], np.int64), wanted))
    released: _Units = np.maximum(np.maximum.accumulate(risen + fallen) - fallen, 0)[1:]
    return released


def _running_sum(values: _Units) -> _Units:
    """Sums over each value and the `_MEAN` - 1 before it; shorter by as many."""
    total = np.concatenate((np.zeros(1, np.int64), np.cumsum(values)))
    summed: _Units = total[_MEAN:] - total[:-_MEAN]
    return summed
