"""Whether what was sent to the horn was heard: a microphone's or a tap's samples beside those that were rendered.

Pure and robust where it must be: the delay is searched for (sound path, converters, up to DELAY_MS_MAX), echoes spread
what comes but keep its first wave, and other noise is as good as unrelated. Both signals are whitened in the band of a
horn and correlated; the highest peak beside the usual height of the rest is the evidence of one window (`Look.height`).
One window may be wrong, so an airing is judged by many: enough of them must have their peak at one and the same delay.

The thresholds are those that benchmarks/hearing.py measures: of 360 airings of 20 s before white and pink noise and
another speaker none was called heard, and of 720 that lay 10 and 15 dB below them, with echoes, 5 were missed.

A steady tone (a siren) has no delay that could be told; of it most of what comes must follow what was sent.

Left to others: where samples come from (`adapters.ear`), and that a neighbour's horn plays the same: behind a reference
delay from the self-test only what comes within NEAR_MS of it counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edge.player.level import SILENCE_DBFS, dbfs_of_power
from protocol.messages import Heard, HeardBy
from protocol.units import SAMPLE_RATE_HZ, SAMPLES_PER_MS

RATE_HZ: Final = 8_000
"""A horn gives 300 to 3,400 Hz well, and nothing else counts."""
STEP: Final = SAMPLE_RATE_HZ // RATE_HZ
BAND_HZ: Final = (300.0, 3_400.0)
WINDOW_MS: Final = 2_000
"""Two seconds of speech hold some six words: shorter windows see less far into noise."""
DELAY_MS_MAX: Final = 1_000
"""A second: converters, Bluetooth and 300 metres together stay below it."""
DELAY_MS_MIN: Final = -200
"""What is known of the two converters' clocks may be wrong by so much."""
WHITENING: Final = 0.6
"""Between a plain correlation (0) and phase alone (1): measured to see furthest with speech and music alike."""
HEIGHT_MIN: Final = 7.0
"""A window's peak against the usual height; unrelated noise reaches 5, other speech seldom 9."""
SAME_MS: Final = 25.0
"""Peaks of one path lie together; a wrong one is anywhere in 1.2 s."""
NEAR_MS: Final = 150.0
"""Around the delay of the reference: the next pole is 50 metres off at least, and later by that."""
WINDOWS_MIN: Final = 2
SHARPNESS_MIN: Final = 20.0
"""Speech and music reach 100 and more before themselves, a steady tone 3."""
TONE_LIKENESS_MIN: Final = 0.8
"""Of a steady tone no delay can be told, but that most of what comes is that very tone."""
SHARE_MIN: Final = 0.25
"""Of an airing's windows, so many must agree: pauses and passing lorries may take the rest."""
SENT_DBFS_MIN: Final = -50.0
"""Below it a window holds pauses; it says nothing."""
_TRANSFORM: Final = 32_768
_TAPS: Final = 96
_SEGMENT: Final = 1_024
"""128 ms: echoes within it count as the sound itself."""

Signal = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one window says. `first_sample` on the grid, `sent_dbfs` of what was rendered then.

    `height` is that of the correlation's peak against the usual, `delay_ms` where it lies; `likeness` the share of what
    came that follows what was sent (as a correlation, 0 to 1), `level_dbfs` the level of all that came. `sharpness` is
    the height that what was sent would reach before itself: a siren's tone has no peak that lies anywhere.
    """

    first_sample: int
    sent_dbfs: float
    level_dbfs: float
    height: float
    delay_ms: float
    likeness: float
    sharpness: float = 100.0


def window_of(first_sample: int) -> tuple[int, int]:
    """Which samples of what was sent are needed beside a window of the microphone: the first, and how many."""
    lead, rest = DELAY_MS_MAX * SAMPLES_PER_MS, -DELAY_MS_MIN * SAMPLES_PER_MS
    return first_sample - lead, lead + WINDOW_MS * SAMPLES_PER_MS + rest + _TAPS


def look(sent: NDArray[np.int16], came: NDArray[np.int16], *, first_sample: int) -> Look:
    """Compare a window of the microphone (int16[window]) with what was sent (int16, as `window_of` says)."""
    sent_low, came_low = lowered(sent), lowered(came)
    at = DELAY_MS_MAX * RATE_HZ // 1_000
    body = sent_low[at : at + len(came_low)]
    sent_dbfs, level_dbfs = _dbfs(body), _dbfs(came_low)
    if sent_dbfs < SENT_DBFS_MIN or level_dbfs <= SILENCE_DBFS:
        return Look(
            first_sample=first_sample,
            sent_dbfs=sent_dbfs,
            level_dbfs=level_dbfs,
            height=0.0,
            delay_ms=0.0,
            likeness=0.0,
        )
    height, lag = _peak(sent_low, came_low)
    aligned = sent_low[at - lag : at - lag + len(came_low)]
    return Look(
        first_sample=first_sample,
        sent_dbfs=sent_dbfs,
        level_dbfs=level_dbfs,
        height=height,
        delay_ms=lag * 1_000 / RATE_HZ,
        likeness=_likeness(aligned, came_low),
        sharpness=_peak(sent_low, body)[0],
    )


def judge(looks: Sequence[Look], by: HeardBy, *, near_ms: float | None = None) -> Heard:
    """What an airing's windows say together; near a reference delay only, where there is one."""
    # not even noise of its own: the input is muted or dead, and says nothing about the horn
    telling = [each for each in looks if each.sent_dbfs >= SENT_DBFS_MIN and each.level_dbfs > SILENCE_DBFS]
    if len(telling) < WINDOWS_MIN:
        return Heard(by=by, level_dbfs=_mean_dbfs([each.level_dbfs for each in looks]) if looks else None)
    high = [each for each in telling if each.height >= HEIGHT_MIN]
    if near_ms is not None:
        high = [each for each in high if abs(each.delay_ms - near_ms) <= NEAR_MS]
    together = ([other for other in high if abs(other.delay_ms - each.delay_ms) <= SAME_MS] for each in high)
    tones = [each for each in telling if each.sharpness < SHARPNESS_MIN and each.likeness >= TONE_LIKENESS_MIN]
    agreeing = max((*together, tones), key=len)
    is_heard = len(agreeing) >= max(WINDOWS_MIN, SHARE_MIN * len(telling))
    if not is_heard:
        level_dbfs = _mean_dbfs([each.level_dbfs for each in telling])
        likeness = float(np.median([each.likeness for each in telling]))
        return Heard(by=by, is_heard=False, level_dbfs=level_dbfs, likeness=_rounded(likeness, 3))
    own_dbfs = [each.level_dbfs + 20 * np.log10(max(each.likeness, 1e-3)) for each in agreeing]
    return Heard(
        by=by,
        is_heard=True,
        level_dbfs=_mean_dbfs(own_dbfs),
        likeness=_rounded(float(np.median([each.likeness for each in agreeing])), 3),
        delay_ms=None if agreeing is tones else _rounded(float(np.median([each.delay_ms for each in agreeing])), 1),
    )


def lowered(samples: NDArray[np.int16]) -> Signal:
    """int16 at 48 kHz as float64 at RATE_HZ, full scale 1; its last _TAPS samples are only seen through the filter."""
    if len(samples) < _TAPS:
        return np.zeros(0)
    scaled = samples.astype(np.float64) / 32_768.0
    filtered: Signal = sliding_window_view(scaled, _TAPS)[::STEP] @ _low_pass()
    return filtered


@lru_cache(maxsize=1)
def _low_pass() -> Signal:
    places = np.arange(_TAPS) - (_TAPS - 1) / 2
    cutoff = 3_700.0 / SAMPLE_RATE_HZ
    taps = 2 * cutoff * np.sinc(2 * cutoff * places) * np.hamming(_TAPS)
    return np.asarray(taps / taps.sum())


def _peak(sent: Signal, came: Signal) -> tuple[float, int]:
    """The highest peak of the whitened correlation against the median height, and its lag in samples of RATE_HZ."""
    cross = np.fft.rfft(came, _TRANSFORM) * np.conj(np.fft.rfft(sent, _TRANSFORM))
    frequency = np.fft.rfftfreq(_TRANSFORM, 1 / RATE_HZ)
    magnitude = np.abs(cross)
    is_inside = (frequency >= BAND_HZ[0]) & (frequency <= BAND_HZ[1]) & (magnitude > 0.0)
    cross[~is_inside] = 0.0
    cross[is_inside] /= magnitude[is_inside] ** WHITENING
    correlation = np.abs(np.fft.irfft(cross, _TRANSFORM))
    lags = np.arange(DELAY_MS_MIN * RATE_HZ // 1_000, DELAY_MS_MAX * RATE_HZ // 1_000 + 1)
    heights = correlation[(lags - DELAY_MS_MAX * RATE_HZ // 1_000) % _TRANSFORM]
    best = int(np.argmax(heights))
    usual = float(np.median(heights)) / 0.6745
    return (float(heights[best]) / usual if usual > 0.0 else 0.0), int(lags[best])


def _likeness(sent: Signal, came: Signal) -> float:
    """The share of what came that follows what was sent, whatever the path does to it, as a correlation."""
    count = min(len(sent), len(came))
    window = np.hanning(_SEGMENT)
    one, other = (
        np.fft.rfft(sliding_window_view(each[:count], _SEGMENT)[:: _SEGMENT // 2] * window, axis=1)
        for each in (sent, came)
    )
    frequency = np.fft.rfftfreq(_SEGMENT, 1 / RATE_HZ)
    is_inside = (frequency >= BAND_HZ[0]) & (frequency <= BAND_HZ[1])
    cross = np.abs((other * np.conj(one)).sum(axis=0))[is_inside] ** 2
    sent_power = (np.abs(one) ** 2).sum(axis=0)[is_inside]
    came_power = (np.abs(other) ** 2).sum(axis=0)[is_inside]
    total = float(came_power.sum())
    if total <= 0.0:
        return 0.0
    follows = float((cross / np.maximum(sent_power, 1e-30)).sum()) / total
    chance = 1.0 / len(one)
    return float(np.sqrt(np.clip((follows - chance) / (1.0 - chance), 0.0, 1.0)))


def _dbfs(samples: Signal) -> float:
    return dbfs_of_power(float(np.var(samples))) if len(samples) else SILENCE_DBFS


def _mean_dbfs(levels_dbfs: Sequence[float]) -> float:
    """The level of the mean power."""
    return _rounded(dbfs_of_power(float(np.mean([10 ** (each / 10) for each in levels_dbfs]))), 1)


def _rounded(value: float, digits: int) -> float:
    return round(value, digits)
