"""The sound of the self-test and what of it came back: a sweep over a horn's band, from which each band's gain follows.

A second of silence in which the noise around is measured, a sweep whose pitch rises evenly (so that all bands have the
same energy and an amplifier shows its distortion late), and a rest for what comes late. The sweep is deconvolved: what
came divided by what was sent is the path from converter to converter, and of that only the time around its peak counts,
so that noise from all the other time falls away.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.player.level import SILENCE_DBFS, dbfs_of_power
from edge.player.ports import Samples
from edge.player.source import SourceCounters
from edge.proof.hearing import BAND_HZ, DELAY_MS_MAX, DELAY_MS_MIN, RATE_HZ, lowered
from protocol.messages import HeardBy
from protocol.units import FRAME_SAMPLES, SAMPLE_RATE_HZ, SAMPLES_PER_MS, SharedSample

LEAD_MS: Final = 1_000
SWEEP_MS: Final = 3_000
REST_MS: Final = 1_200
"""Longer than the longest delay."""
TEST_MS: Final = LEAD_MS + SWEEP_MS + REST_MS
LEVEL_DBFS: Final = -20.0
"""As programmes are: whoever hears it once a day shall not be startled."""
FROM_HZ: Final = 250.0
UNTIL_HZ: Final = 3_600.0
EDGE_MS: Final = 50
BANDS: Final = 8
"""Between 300 and 3,400 Hz, each a little less than half an octave."""
HEIGHT_MIN: Final = 12.0
"""A sweep's peak against the usual height of the path's noise, which reaches 6."""
GATE_BEFORE_MS: Final = 10
GATE_AFTER_MS: Final = 250
"""Around the peak: the horn's own sound and its echoes from the houses near."""
SENT_MIN: Final = 0.9
"""As a correlation: less of the sweep was rendered when something else took the air, or the card had a gap."""
NOISE_GATE_MS: Final = 500
"""Behind the peak: its echoes are over."""
_NO_GAIN: Final = 1e-12
_TRANSFORM: Final = 131_072
_QUIET_SHARE: Final = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepMeasure:
    """What one sensor says of a self-test.

    `height` of the path's peak against its noise; `level_dbfs` of what came of the sweep, `noise_dbfs` of the second
    before it; `bands_db` the path's gain from low to high; `likeness` as in a record.
    """

    by: HeardBy
    height: float
    delay_ms: float
    level_dbfs: float
    noise_dbfs: float
    likeness: float
    bands_db: tuple[float, ...]

    @property
    def is_heard(self) -> bool:
        """Whether the sweep came."""
        return self.height >= HEIGHT_MIN


@lru_cache(maxsize=1)
def sweep() -> Samples:
    """float32[144000]: the sweep alone."""
    count = SWEEP_MS * SAMPLES_PER_MS
    seconds = np.arange(count) / SAMPLE_RATE_HZ
    rate = np.log(UNTIL_HZ / FROM_HZ) / (SWEEP_MS / 1_000)
    phase = 2 * np.pi * FROM_HZ / rate * (np.exp(rate * seconds) - 1)
    edge = EDGE_MS * SAMPLES_PER_MS
    envelope = np.ones(count)
    envelope[:edge] = np.sin(np.linspace(0, np.pi / 2, edge)) ** 2
    envelope[-edge:] = envelope[:edge][::-1]
    out: Samples = (np.sin(phase) * envelope * np.sqrt(2.0) * 10 ** (LEVEL_DBFS / 20)).astype(np.float32)
    return out


class SweepSource:
    """The self-test as a source: silence, the sweep from `LEAD_MS` behind `starts_at` on, silence."""

    def __init__(self, *, starts_at: SharedSample) -> None:
        self.counters = SourceCounters()
        self._sweep_at: Final = int(starts_at) + LEAD_MS * SAMPLES_PER_MS
        self._out = np.zeros(FRAME_SAMPLES, np.float32)

    def read(self, first: SharedSample, count: int) -> Samples:
        """See `Source.read`."""
        if len(self._out) < count:
            self._out = np.zeros(count, np.float32)
        out = self._out[:count]
        out[:] = 0.0
        whole = sweep()
        offset = int(first) - self._sweep_at
        begin, end = max(0, -offset), min(count, len(whole) - offset)
        if begin < end:
            out[begin:end] = whole[offset + begin : offset + end]
        self.counters.real += count
        return out


def sent_share(sent: NDArray[np.int16]) -> float:
    """How much of what was rendered in a test's time (int16[TEST_MS]) is the sweep, as a correlation."""
    whole = sweep().astype(np.float64)
    part = sent.astype(np.float64)
    at = LEAD_MS * SAMPLES_PER_MS
    energy = float(np.sqrt((part * part).sum() * (whole * whole).sum()))
    return float(np.dot(part[at : at + len(whole)], whole)) / energy if energy > 0.0 else 0.0


def measure(sent: NDArray[np.int16], came: NDArray[np.int16], by: HeardBy) -> SweepMeasure:
    """What came in a test's time of what was rendered in it (both int16[TEST_MS])."""
    one, other = lowered(sent), lowered(came)
    spectrum = np.fft.rfft(one, _TRANSFORM)
    power = np.abs(spectrum) ** 2
    frequency = np.fft.rfftfreq(_TRANSFORM, 1 / RATE_HZ)
    is_inside = (frequency >= BAND_HZ[0]) & (frequency <= BAND_HZ[1])
    floor = float(power.max()) * _QUIET_SHARE
    if floor <= 0.0:
        return _nothing(by, _dbfs(other), _dbfs(other))
    path = np.fft.irfft(np.where(is_inside, np.fft.rfft(other, _TRANSFORM) * np.conj(spectrum) / (power + floor), 0))
    lags = np.arange(DELAY_MS_MIN * RATE_HZ // 1_000, DELAY_MS_MAX * RATE_HZ // 1_000 + 1)
    heights = np.abs(path[lags % _TRANSFORM])
    best = int(np.argmax(heights))
    usual = float(np.median(heights)) / 0.6745
    noise_dbfs = _dbfs(other[: LEAD_MS * RATE_HZ // 1_000])
    if usual <= 0.0:
        return _nothing(by, _dbfs(other), noise_dbfs)
    lag = int(lags[best])
    # what another gate of the same length holds is noise, and as much of it is in the one around the peak
    gain = _gated_power(path, lag) - _gated_power(path, lag + NOISE_GATE_MS * RATE_HZ // 1_000)
    swept = SWEEP_MS * RATE_HZ // 1_000
    explained = max(0.0, float((gain * power)[is_inside].sum())) * 2 / _TRANSFORM / swept
    heard = np.fft.rfft(other, _TRANSFORM)[is_inside]
    total = float((np.abs(heard) ** 2).sum()) * 2 / _TRANSFORM / swept
    edges = np.geomspace(*BAND_HZ, BANDS + 1)
    bands = [
        10 * np.log10(max(float(np.mean(gain[(frequency >= low) & (frequency < high)])), _NO_GAIN))
        for low, high in pairwise(edges)
    ]
    return SweepMeasure(
        by=by,
        height=round(float(heights[best]) / usual, 1),
        delay_ms=round(lag * 1_000 / RATE_HZ, 1),
        level_dbfs=round(dbfs_of_power(explained), 1),
        noise_dbfs=round(noise_dbfs, 1),
        likeness=round(float(np.sqrt(min(1.0, explained / total))) if total > 0.0 else 0.0, 3),
        bands_db=tuple(round(float(each), 1) for each in bands),
    )


def _gated_power(path: NDArray[np.float64], lag: int) -> NDArray[np.float64]:
    """|gain|^2 by frequency of the part of a path around a lag."""
    gate = np.zeros(_TRANSFORM)
    around = np.arange(lag - GATE_BEFORE_MS * RATE_HZ // 1_000, lag + GATE_AFTER_MS * RATE_HZ // 1_000) % _TRANSFORM
    gate[around] = path[around]
    return np.asarray(np.abs(np.fft.rfft(gate)) ** 2)


def _nothing(by: HeardBy, level_dbfs: float, noise_dbfs: float) -> SweepMeasure:
    return SweepMeasure(
        by=by,
        height=0.0,
        delay_ms=0.0,
        level_dbfs=level_dbfs,
        noise_dbfs=noise_dbfs,
        likeness=0.0,
        bands_db=(),
    )


def _dbfs(samples: NDArray[np.float64]) -> float:
    return dbfs_of_power(float(np.mean(samples * samples))) if len(samples) else SILENCE_DBFS
