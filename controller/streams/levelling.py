"""Level: a slow automatic gain and a ceiling, so that stations and files sound equally loud on the pole.

Duty: bring a feed towards a target RMS (`Leveller`), keep every sample below a ceiling (`Limiter`), and measure
the gated RMS of a whole recording (`gated_level_dbfs`). Leaves decoding, buffering and stamping to others.
Level is plain RMS in dBFS (a full-scale square wave is 0): no K-weighting and no true-peak oversampling, so the
figures are not LUFS or dBTP (EBU R 128).

Rules kept: what lies below the gate is never lifted, nor measured; the gain moves slowly and within bounds;
no sample leaves above the ceiling; the delay of the look-ahead is a constant that stamping subtracts.
"""

from __future__ import annotations

import math
from typing import Final, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from protocol.units import FRAME_SAMPLES, SAMPLE_RATE_HZ, SAMPLES_PER_MS

Samples: TypeAlias = NDArray[np.float32]
"""float32[sample], mono at 48 kHz, full scale is 1."""

SILENT_DBFS: Final = -120.0
"""What an empty or all-zero block measures, in place of minus infinity."""
GATE_DBFS: Final = -50.0
"""Absolute gate: quieter blocks are pauses or noise of the line."""
GATE_BELOW_DB: Final = 20.0
"""Relative gate, below the running level: the pauses of speech do not count (EBU Tech 3342 uses 20 LU)."""
MEASURE_S: Final = 3.0
"""Time constant of the running level (the short-term window of EBU Tech 3341)."""
GAIN_DB_MAX: Final = 20.0
GAIN_DB_MIN: Final = -30.0
ATTACK_DB_PER_S: Final = 6.0
"""How fast the gain falls when the feed is too loud."""
RELEASE_DB_PER_S: Final = 1.5
"""How fast it rises when the feed is too quiet: slow enough not to breathe between words."""
HOLD_S: Final = 2.0
"""A pause longer than this lets a lifted gain fall back to 0 dB, so that noise is not lifted."""
CEILING_DBFS: Final = -1.0
LOOKAHEAD_MS: Final = 5
"""The limiter turns down smoothly within this time before a peak."""
LOOKAHEAD_SAMPLES: Final = LOOKAHEAD_MS * SAMPLES_PER_MS
LIMITER_RELEASE_MS: Final = 80.0
_FRAME_S: Final = FRAME_SAMPLES / SAMPLE_RATE_HZ
_PLACES: Final = np.arange(FRAME_SAMPLES, dtype=np.float64)


def level_dbfs(samples: Samples) -> float:
    """RMS of a block in dBFS."""
    if not len(samples):
        return SILENT_DBFS
    return _decibels(float(np.dot(samples, samples)) / len(samples))


def gated_level_dbfs(samples: Samples) -> float:
    """RMS of a recording without its pauses; see `gated_level_of_powers`."""
    return gated_level_of_powers(block_powers(samples))


def block_powers(samples: Samples) -> NDArray[np.float64]:
    """Mean square of each whole block of 20 ms."""
    blocks = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    powers: NDArray[np.float64] = np.einsum("ij,ij->i", blocks, blocks, dtype=np.float64) / FRAME_SAMPLES
    return powers


def gated_level_of_powers(powers: NDArray[np.float64]) -> float:
    """RMS in dBFS over blocks that pass the absolute gate and then the relative gate.

    SILENT_DBFS when nothing passes the absolute gate.
    """
    powers = powers[powers > _power(GATE_DBFS)]
    if not len(powers):
        return SILENT_DBFS
    powers = powers[powers > float(powers.mean()) * _power(-GATE_BELOW_DB)]
    return _decibels(float(powers.mean()))


class Limiter:
    """Keeps every sample at or below the ceiling; delays by LOOKAHEAD_SAMPLES.

    The gain needed by each millisecond is held for the look-ahead, released exponentially, and averaged over
    the look-ahead: a ramp that arrives exactly with the peak.
    """

    def __init__(self, ceiling_dbfs: float = CEILING_DBFS) -> None:
        self._ceiling = np.float32(10.0 ** (ceiling_dbfs / 20.0))
        self._delayed: Samples = np.zeros(LOOKAHEAD_SAMPLES, np.float32)
        self._needed = np.ones(LOOKAHEAD_MS, np.float32)
        self._released = np.ones(LOOKAHEAD_MS, np.float32)
        self._keep = math.exp(-1.0 / LIMITER_RELEASE_MS)
        self._is_open = True

    def process(self, samples: Samples) -> Samples:
        """The next block, a whole number of milliseconds, as it was LOOKAHEAD_SAMPLES ago and limited."""
        joined = np.concatenate((self._delayed, samples))
        self._delayed = joined[len(samples) :]
        heights = np.abs(samples)
        if self._is_open and heights.max() <= self._ceiling:
            return joined[: len(samples)]  # nothing to turn down, nothing still turned down: as nearly always
        peaks = heights.reshape(-1, SAMPLES_PER_MS).max(axis=1)
        needed = np.concatenate((self._needed, np.minimum(1.0, self._ceiling / np.maximum(peaks, 1e-9))))
        held = sliding_window_view(needed, LOOKAHEAD_MS + 1).min(axis=1)
        self._needed = needed[-LOOKAHEAD_MS:]
        if held.min() >= 1.0 and self._released.min() >= 1.0:
            self._is_open = bool(self._needed.min() >= 1.0)
            return joined[: len(samples)]
        self._is_open = False
        released = np.concatenate((self._released, self._release(held)))
        self._released = released[-LOOKAHEAD_MS:]
        nodes = sliding_window_view(released, LOOKAHEAD_MS).mean(axis=1)
        ramp = np.arange(SAMPLES_PER_MS, dtype=np.float32) / SAMPLES_PER_MS
        gain = nodes[:-1, None] + (nodes[1:] - nodes[:-1])[:, None] * ramp
        limited: Samples = (joined[: len(samples)] * gain.reshape(-1)).astype(np.float32)
        return limited

    def _release(self, held: NDArray[np.float32]) -> NDArray[np.float32]:
        value, out = float(self._released[-1]), np.empty(len(held), np.float32)
        for index, needed in enumerate(held.tolist()):
            value = min(needed, 1.0 - (1.0 - value) * self._keep)
            out[index] = value if value < _NEARLY_ONE else 1.0
        return out


_NEARLY_ONE: Final = 0.9999


class Leveller:
    """Brings a feed towards `target_dbfs`, one block of 20 ms at a time, and limits it.

    `delay_samples` is what it adds.
    """

    delay_samples: Final = LOOKAHEAD_SAMPLES

    def __init__(self, target_dbfs: float) -> None:
        self._target_dbfs = target_dbfs
        self._limiter = Limiter()
        self._gain_db = 0.0
        self._power: float | None = None
        self._measured_s = 0.0
        self._paused_s = 0.0

    @property
    def gain_db(self) -> float:
        """The gain now in force."""
        return self._gain_db

    def prime(self, samples: Samples) -> None:
        """Take the first level from what is buffered, so that a feed does not begin too loud or too quiet."""
        measured = gated_level_dbfs(samples)
        if measured > GATE_DBFS:
            self._power = _power(measured)
            self._gain_db = self._wanted_db(measured)

    def process(self, samples: Samples) -> Samples:
        """The next 20 ms, levelled and limited: float32[960], `delay_samples` later."""
        before = self._gain_db
        self._measure(float(np.dot(samples, samples)) / len(samples))
        if before == self._gain_db == 0.0:
            return self._limiter.process(samples)
        from_factor, to_factor = _factor(before), _factor(self._gain_db)
        gain = _PLACES[: len(samples)] * ((to_factor - from_factor) / len(samples)) + from_factor
        return self._limiter.process(samples * gain.astype(np.float32))

    def _measure(self, power: float) -> None:
        gate = _GATE_POWER
        if self._power is not None:
            gate = max(gate, self._power * _BELOW_POWER)
        if power <= gate:
            self._paused_s += _FRAME_S
            if self._paused_s > HOLD_S and self._gain_db > 0.0:
                self._gain_db = max(0.0, self._gain_db - RELEASE_DB_PER_S * _FRAME_S)
            if self._paused_s > HOLD_S:
                self._power = None  # a new level after a long pause is not judged by the old one
                self._measured_s = 0.0
            return
        self._paused_s = 0.0
        self._measured_s = min(MEASURE_S, self._measured_s + _FRAME_S)
        weight = _FRAME_S / self._measured_s
        self._power = power if self._power is None else self._power + weight * (power - self._power)
        step = self._wanted_db(_decibels(self._power)) - self._gain_db
        self._gain_db += max(-ATTACK_DB_PER_S * _FRAME_S, min(RELEASE_DB_PER_S * _FRAME_S, step))

    def _wanted_db(self, measured_dbfs: float) -> float:
        return max(GAIN_DB_MIN, min(GAIN_DB_MAX, self._target_dbfs - measured_dbfs))


def _power(decibels: float) -> float:
    return float(10.0 ** (decibels / 10.0))


def _factor(decibels: float) -> float:
    return float(10.0 ** (decibels / 20.0))


def _decibels(power: float) -> float:
    return 10.0 * math.log10(power) if power > _SILENT_POWER else SILENT_DBFS


_GATE_POWER: Final = _power(GATE_DBFS)
_BELOW_POWER: Final = _power(-GATE_BELOW_DB)
_SILENT_POWER: Final = _power(SILENT_DBFS)
