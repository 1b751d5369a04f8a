"""How far two neighbours were apart, second by second, from what the reader kept of them.

Pure but for reading its files. Arrival minus place says of each piece of sound when the player's sample 0 would have
sounded by it. A piece may come late, when its player is woken late, and never early; a sound card of its own crystal
would not have waited for the player. So the earliest within SPREAD_NS around a second counts, with the crystal's drift
taken out; the median of the second, which a busy machine moves, can be had beside it. Then the two seconds of sound are
laid over each other, tenth by tenth: the place of the greatest correlation, between samples by a parabola, is the
difference. It names
a sample as surely as a counter in it would, and outlives any codec, for the programme is noise in which no stretch is
like another.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocol.units import NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ
from simulator.demo.evidence import best_place

REACH_SAMPLES: Final = SAMPLE_RATE_HZ // 2
"""Neighbours may be this far apart (500 ms) and still be measured."""
ALIKE_MIN: Final = 0.5
"""Below it two pieces are not the same sound."""
ROUGHLY_ALIKE_MIN: Final = 0.1
"""A second that is stretched by 500 ppm against another is half a millisecond longer and little like it as a whole;
other sound gives a fiftieth."""
PIECE_SAMPLES: Final = SAMPLE_RATE_HZ // 10
NEAR_SAMPLES: Final = SAMPLE_RATE_HZ // 100
"""A piece is looked for 10 ms about where the whole lies."""
SILENT_PEAK: Final = 33
"""-60 dBFS."""
SPREAD_NS: Final = NS_PER_S // 2
"""Arrivals so long before and after a stretch tell its time too."""
DRIFT_OVER_S: Final = 20
"""Seconds between the arrivals by which a player's drift is told: a tenth of a millisecond in them is 5 ppm."""
PIECES_S_MIN: Final = 4
"""Of the 17 or 20 whole pieces that a player writes in a second; with fewer it was not heard in that second."""
_NS_PER_SAMPLE: Final = NS_PER_S / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Some samples, and when the first of them sounded."""

    samples: NDArray[np.int16]
    starts_ns: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One player: samples, and (arrival, samples before) of each piece; by how much its second lasts longer."""

    samples: NDArray[np.int16]
    stamps_ns: NDArray[np.int64]
    firsts: NDArray[np.int64]
    drift: float = 0.0

    @classmethod
    def load(cls, folder: Path, name: str) -> Heard:
        """From the reader's files; a player that never wrote gives no samples."""
        pairs = np.fromfile(folder / f"{name}.arrivals", np.int64).reshape(-1, 2)
        sizes = np.diff(pairs[:, 1], prepend=0)
        # a reader that comes in the middle of a write gets a part of a piece, and the rest when the player runs again
        keep = sizes >= np.median(sizes) if len(sizes) else np.zeros(0, np.bool_)
        samples = np.fromfile(folder / f"{name}.pcm", np.int16)
        stamps_ns, firsts = pairs[keep, 0], pairs[keep, 1]
        return cls(samples=samples, stamps_ns=stamps_ns, firsts=firsts, drift=_drift(stamps_ns, firsts))

    def first_sound_ns(self) -> int | None:
        """When the first sample above the floor came."""
        loud = np.flatnonzero(np.abs(self.samples.astype(np.int32)) > SILENT_PEAK)
        if not len(loud):
            return None
        piece = int(np.searchsorted(self.firsts, loud[0], side="right")) - 1
        return int(self.stamps_ns[piece] + (loud[0] - self.firsts[piece]) * _NS_PER_SAMPLE)

    def window(self, begin_ns: int, length_ns: int, *, reach: int = 0, by_median: bool = False) -> Window | None:
        """The sound of an interval, and `reach` more samples on both sides; None where the player was not heard.

        Silence stands for what lies before its first sample and behind its last one.
        """
        zero_ns = self._zero_ns(begin_ns, length_ns, 0 if by_median else SPREAD_NS, 0.5 if by_median else 0.0)
        if zero_ns is None:
            return None
        at = round((begin_ns - zero_ns) / _NS_PER_SAMPLE)
        end = at + round(length_ns / _NS_PER_SAMPLE)
        if at < 0 or end > len(self.samples):
            return None
        sound = self.samples[max(0, at - reach) : end + reach]
        before, behind = max(0, reach - at), max(0, end + reach - len(self.samples))
        return Window(samples=np.pad(sound, (before, behind)), starts_ns=zero_ns + (at - reach) * _NS_PER_SAMPLE)

    def _zero_ns(self, begin_ns: int, length_ns: int, spread_ns: int, share: float) -> float | None:
        """When sample 0 would have sounded, by a quantile of the arrivals in and around an interval."""
        inside = np.searchsorted(self.stamps_ns, (begin_ns, begin_ns + length_ns))
        if inside[1] - inside[0] < PIECES_S_MIN * length_ns / NS_PER_S:
            return None
        first, last = np.searchsorted(self.stamps_ns, (begin_ns - spread_ns, begin_ns + length_ns + spread_ns))
        stamps_ns = self.stamps_ns[first:last]
        zeros_ns = stamps_ns - self.firsts[first:last] * _NS_PER_SAMPLE
        drifted_ns = self.drift * (stamps_ns - (begin_ns + length_ns / 2))
        return float(np.quantile(zeros_ns - drifted_ns, share))


def _drift(stamps_ns: NDArray[np.int64], firsts: NDArray[np.int64]) -> float:
    """How much longer than a second a player's second lasts: the median over the earliest arrivals of its seconds."""
    zeros_ns = stamps_ns - firsts * _NS_PER_SAMPLE
    seconds = (stamps_ns - stamps_ns[0]) // NS_PER_S if len(stamps_ns) else stamps_ns
    starts = np.flatnonzero(np.diff(seconds, prepend=-1))
    earliest = np.minimum.reduceat(zeros_ns, starts) if len(starts) else zeros_ns
    if len(earliest) <= DRIFT_OVER_S:
        return 0.0
    return float(np.median(earliest[DRIFT_OVER_S:] - earliest[:-DRIFT_OVER_S])) / (DRIFT_OVER_S * NS_PER_S)


def difference_ms(one: Heard, other: Heard, begin_ns: int, length_ns: int, *, by_median: bool = False) -> float | None:
    """How much later the other sounded what the first sounded in an interval; None if they cannot be compared."""
    pattern = one.window(begin_ns, length_ns, by_median=by_median)
    sound = other.window(begin_ns, length_ns, by_median=by_median, reach=REACH_SAMPLES)
    if pattern is None or sound is None or np.abs(pattern.samples).max() < SILENT_PEAK:
        return None
    lag = _lag(sound.samples, pattern.samples)
    return None if lag is None else (sound.starts_ns + lag * _NS_PER_SAMPLE - pattern.starts_ns) / NS_PER_MS


def _lag(sound: NDArray[np.int16], pattern: NDArray[np.int16]) -> float | None:
    """Where a pattern lies in a sound that may run faster or slower: the median over short pieces of it."""
    roughly = best_place(sound, pattern)
    if roughly is None or roughly.likeness < ROUGHLY_ALIKE_MIN:
        return None
    about, found = round(roughly.place), []
    for first in range(0, len(pattern) - PIECE_SAMPLES + 1, PIECE_SAMPLES):
        begin = about + first - NEAR_SAMPLES
        place = best_place(
            sound[max(0, begin) : begin + PIECE_SAMPLES + 2 * NEAR_SAMPLES], pattern[first : first + PIECE_SAMPLES]
        )
        if place is not None and place.likeness >= ALIKE_MIN:
            found.append(place.place + max(0, begin) - first)
    return float(np.median(found)) if len(found) * 2 * PIECE_SAMPLES >= len(pattern) else None
