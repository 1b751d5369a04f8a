"""What a capture and a pin trace prove: when sound began, whether it broke off, how loud, in step, and powered.

Pure functions over `Capture` and pin changes; they know nothing of what the nodes say of themselves.
Sound is what lies above -60 dBFS; a gap is digital silence, which decoded music never holds for long.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocol.units import NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ, SharedNs
from simulator.demo.capture import Capture, Segment
from simulator.demo.disturbance import Disturbance, undisturbed

SOUND_PEAK: Final = 33
"""-60 dBFS of int16."""
BLOCK: Final = 480
"""Ten milliseconds: the grain at which sound is looked for."""
GAP_MS_MIN: Final = 60
"""Shorter digital silence is a packet concealed or a pause between two notes."""
_SILENCE_PEAK: Final = 1
SPREAD_WINDOW: Final = SAMPLE_RATE_HZ
SPREAD_REACH: Final = 4800
"""Neighbours may be this many samples (100 ms) apart and still be measured."""
_CORRELATION_MIN: Final = 0.6
"""Below it two windows are not the same sound, and their lag says nothing."""
_REPEATED_LIKENESS: Final = 0.9
"""A repetition is at least this much as alike as the best place."""
_NS_PER_SAMPLE: Final = NS_PER_S / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True, kw_only=True)
class PinChange:
    """The amplifier's relay as written at the pin: `is_on` from `at_ns`."""

    at_ns: SharedNs
    is_on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Silence where there should be sound."""

    at_ns: SharedNs
    length_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Where a clip was found in a capture, and how alike (0 to 1) it is there."""

    at_ns: SharedNs
    likeness: float


def first_sound_ns(capture: Capture, *, after_ns: SharedNs, before_ns: SharedNs) -> SharedNs | None:
    """When the first sample above the floor came in an interval."""
    for segment, first, last in _clipped(capture, after_ns, before_ns):
        loud = np.flatnonzero(_magnitude(capture.samples[first:last]) >= SOUND_PEAK)
        if len(loud):
            return capture.time_of(first + int(loud[0]), segment)
    return None


def sounding_ms(capture: Capture, *, begin_ns: SharedNs, end_ns: SharedNs) -> int:
    """How long there was sound in an interval, in blocks of 10 ms."""
    blocks = 0
    for _, first, last in _clipped(capture, begin_ns, end_ns):
        blocks += int(np.count_nonzero(_block_peaks(capture.samples[first:last]) >= SOUND_PEAK))
    return blocks * BLOCK * 1000 // SAMPLE_RATE_HZ


def level_dbfs(capture: Capture, *, begin_ns: SharedNs, end_ns: SharedNs) -> float | None:
    """RMS of the sounding blocks of an interval; 0 dBFS is a full-scale square wave. None without sound."""
    energy, count = 0.0, 0
    for _, first, last in _clipped(capture, begin_ns, end_ns):
        part = capture.samples[first:last]
        blocks = part[: len(part) // BLOCK * BLOCK].astype(np.float64).reshape(-1, BLOCK)
        sounding = blocks[np.abs(blocks).max(axis=1) >= SOUND_PEAK] if len(blocks) else blocks
        energy += float((sounding**2).sum())
        count += sounding.size
    return round(10 * math.log10(energy / count / 32768**2), 1) if count else None


def gaps(capture: Capture, *, begin_ns: SharedNs, end_ns: SharedNs) -> list[Gap]:
    """Digital silence or missing sound of GAP_MS_MIN and more in an interval."""
    edges = [begin_ns]
    for segment, first, last in _clipped(capture, begin_ns, end_ns):
        loud = np.flatnonzero(_magnitude(capture.samples[first:last]) > _SILENCE_PEAK)
        if len(loud):
            breaks = np.flatnonzero(np.diff(loud) > GAP_MS_MIN * SAMPLE_RATE_HZ // 1000)
            around = [loud[0], *np.column_stack((loud[breaks], loud[breaks + 1])).ravel(), loud[-1]]
            edges += [capture.time_of(first + int(sample), segment) for sample in around]
    edges.append(end_ns)
    silences = [(edges[index], edges[index + 1]) for index in range(0, len(edges), 2)]
    return [
        Gap(at_ns=begin, length_ms=(end - begin) // NS_PER_MS)
        for begin, end in silences
        if end - begin >= GAP_MS_MIN * NS_PER_MS
    ]


def gaps_undisturbed(
    capture: Capture, *, begin_ns: SharedNs, end_ns: SharedNs, disturbances: Iterable[Disturbance]
) -> list[Gap]:
    """As `gaps`, in those parts of an interval in which the machine cannot have been the cause."""
    stretches = undisturbed(begin_ns, end_ns, disturbances)
    return [gap for begin, end in stretches for gap in gaps(capture, begin_ns=begin, end_ns=end)]


def find_clip(capture: Capture, clip: NDArray[np.int16], *, after_ns: SharedNs, before_ns: SharedNs) -> Match | None:
    """Where a clip first begins in an interval, by normalised correlation; None where nothing was heard.

    Of places that are nearly as alike as the best (a clip that is repeated) the earliest counts.
    """
    found: list[Match] = []
    for segment, first, last in _clipped(capture, after_ns, before_ns):
        likeness = _likeness(capture.samples[first:last], clip)
        if likeness is None:
            continue
        enough = _REPEATED_LIKENESS * float(likeness.max())
        begin = int(np.argmax(likeness >= enough))
        at = begin + int(np.argmax(likeness[begin : begin + SAMPLE_RATE_HZ // 10]))
        found.append(Match(at_ns=capture.time_of(first + at, segment), likeness=round(float(likeness[at]), 3)))
    best = max((match.likeness for match in found), default=0.0)
    return next((match for match in found if match.likeness >= _REPEATED_LIKENESS * best), None)


def best_likeness(sound: NDArray[np.int16], pattern: NDArray[np.int16]) -> float | None:
    """How alike a pattern is to the best place of a longer stretch, 0 to 1; None if it is not longer."""
    likeness = _likeness(sound, pattern)
    return None if likeness is None else round(float(likeness.max()), 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in a longer stretch a pattern is found, between samples, and how alike (0 to 1) it is there."""

    place: float
    likeness: float


def best_place(sound: NDArray[np.int16], pattern: NDArray[np.int16]) -> Place | None:
    """Where a pattern is most alike to a longer stretch; None if that is not longer."""
    likeness = _likeness(sound, pattern)
    return None if likeness is None else Place(place=_peak(likeness), likeness=float(likeness.max()))


def spread_ms(captures: Mapping[str, Capture], *, at_ns: SharedNs) -> float | None:
    """How far apart the nodes sounded around an instant: the latest minus the earliest, in milliseconds.

    None when fewer than two were heard, or when what they played is not the same sound.
    """
    reach_ns = round(SPREAD_REACH * _NS_PER_SAMPLE)
    lags = []
    reference: NDArray[np.int16] | None = None
    for capture in captures.values():
        if reference is None:
            reference = capture.window(at_ns, SPREAD_WINDOW)
            lags.append(0.0)
            continue
        wide = capture.window(SharedNs(at_ns - reach_ns), SPREAD_WINDOW + 2 * SPREAD_REACH)
        found = best_place(wide, reference) if wide is not None else None
        if found is None or found.likeness < _CORRELATION_MIN:
            return None
        lags.append((found.place - SPREAD_REACH) * 1000 / SAMPLE_RATE_HZ)
    if reference is None or len(lags) < 2:  # noqa: PLR2004 - a spread needs two
        return None
    return max(lags) - min(lags)


def powered_intervals(trace: Sequence[PinChange], *, until_ns: SharedNs) -> list[tuple[SharedNs, SharedNs]]:
    """When the amplifier had power, as its pin says."""
    intervals, on_since = [], None
    for change in trace:
        if change.is_on and on_since is None:
            on_since = change.at_ns
        elif not change.is_on and on_since is not None:
            intervals.append((on_since, change.at_ns))
            on_since = None
    if on_since is not None:
        intervals.append((on_since, until_ns))
    return intervals


def transitions(trace: Sequence[PinChange]) -> int:
    """How often the relay clicked; writing the level that it has is no click."""
    levels = [False, *(change.is_on for change in trace)]
    return sum(before != after for before, after in itertools.pairwise(levels))


def unpowered_sound_ms(capture: Capture, trace: Sequence[PinChange], *, tolerance_ns: int, until_ns: SharedNs) -> int:
    """How long sound came while the amplifier had no power; `tolerance_ns` covers the way of a chunk."""
    powered = powered_intervals(trace, until_ns=until_ns)
    total = 0
    for segment in capture.segments():
        samples = capture.samples[segment.first : segment.last]
        for block in np.flatnonzero(_block_peaks(samples) >= SOUND_PEAK):
            at_ns = capture.time_of(segment.first + int(block) * BLOCK, segment)
            if not any(begin - tolerance_ns <= at_ns <= end + tolerance_ns for begin, end in powered):
                total += 1
    return total * BLOCK * 1000 // SAMPLE_RATE_HZ


def _clipped(capture: Capture, begin_ns: SharedNs, end_ns: SharedNs) -> list[tuple[Segment, int, int]]:
    """The parts of the segments that lie in an interval, as sample ranges."""
    parts = []
    for segment in capture.segments():
        first = max(segment.first, capture.sample_at(begin_ns, segment))
        last = min(segment.last, capture.sample_at(end_ns, segment))
        if first < last:
            parts.append((segment, first, last))
    return parts


def _magnitude(samples: NDArray[np.int16]) -> NDArray[np.int32]:
    return np.abs(samples.astype(np.int32))


def _block_peaks(samples: NDArray[np.int16]) -> NDArray[np.int32]:
    whole = _magnitude(samples[: len(samples) // BLOCK * BLOCK]).reshape(-1, BLOCK)
    return whole.max(axis=1) if len(whole) else np.zeros(0, dtype=np.int32)


def _likeness(samples: NDArray[np.int16], pattern: NDArray[np.int16]) -> NDArray[np.float64] | None:
    """Normalised cross-correlation of a pattern at each place of a longer stretch; None if it is not longer."""
    places = len(samples) - len(pattern) + 1
    if places < 1:
        return None
    sound, wanted = samples.astype(np.float64), pattern.astype(np.float64)
    size = 1 << (len(sound) + len(wanted) - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(sound, size) * np.conj(np.fft.rfft(wanted, size)), size)[:places]
    power = np.concatenate(([0.0], np.cumsum(sound**2)))
    energy = power[len(wanted) :] - power[:places]
    scale = np.sqrt(energy * float((wanted**2).sum()))
    # A stretch far below the floor is no likeness of anything, however alike its rounding is.
    quiet = energy < len(wanted) * SOUND_PEAK
    return np.where(quiet, 0.0, product / np.where(scale > 0, scale, 1.0))


def _peak(likeness: NDArray[np.float64]) -> float:
    """Where the greatest value lies, between samples by a parabola through its neighbours."""
    at = int(np.argmax(likeness))
    if not 0 < at < len(likeness) - 1:
        return float(at)
    left, top, right = (float(value) for value in likeness[at - 1 : at + 2])
    curve = left - 2 * top + right
    return at + (0.5 * (left - right) / curve if curve else 0.0)
