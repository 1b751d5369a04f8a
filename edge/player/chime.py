"""The attention signal before announcements and emergencies, made on the node from sine partials.

Which signal it is follows from the class and the reality of what it announces: a gong for notices, two tones in turn
for a real emergency, three pips for any drill, so that nobody takes one for the other. How long it lasts is said by the
document, hence the content behind it begins on the same sample on every pole. It leaves to `switching` and `voice` when
and how loud it sounds.

Rules kept: a signal is a function of its kind, its length and the sample's index alone, equal on every pole and for
whoever joins in its middle; it begins and ends at zero and ends BREATH before the content, whose first syllable stands
free; its peaks stay below the limiter's knee at any gain up to 8 dB.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.player.ports import ClipReader, Samples
from edge.player.source import Source, SourceCounters
from protocol.messages import BroadcastClass, Reality
from protocol.units import FRAME_SAMPLES, SAMPLE_RATE_HZ, SAMPLES_PER_MS, SharedSample

PEAK: Final = 10.0 ** (-9.0 / 20.0)
"""-9 dBFS: with the densest of the three the RMS of speech that was levelled to -20 dBFS and a little more."""
BREATH_MS: Final = 200
"""Silence between signal and content, as between a gong and an announcer."""
EDGE_MS: Final = 10
"""Rise and fall of each tone: shorter clicks in a horn's driver."""
SIGNALS_KEPT: Final = 8
"""At most 1.9 MB each; a node needs one or two, a simulated province the same ones for all its poles."""


class Chime(StrEnum):
    """The signals."""

    NOTICE = "notice"
    EMERGENCY = "emergency"
    DRILL = "drill"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tone:
    """One note of a signal: fundamental, when, how long; it falls to 1/e in `decay_ms` (None: it holds)."""

    hz: float
    from_ms: int
    duration_ms: int
    decay_ms: int | None = None


NOTICE_TONES: Final = (
    Tone(hz=659.26, from_ms=0, duration_ms=1_100, decay_ms=350),
    Tone(hz=523.25, from_ms=800, duration_ms=1_500, decay_ms=500),
)
"""E5 and C5: the falling third of every station's gong."""
ALARM_TONES: Final = (
    Tone(hz=970.0, from_ms=0, duration_ms=260),
    Tone(hz=800.0, from_ms=260, duration_ms=260),
)
"""Two tones in turn, about twice a second, where horns and ears are strongest; repeated as long as there is room."""
DRILL_TONES: Final = tuple(Tone(hz=1_000.0, from_ms=400 * index, duration_ms=200) for index in range(3))
"""Three pips of one pitch, once, as before the hour on the radio: no siren, however long the signal may last."""
PARTIALS: Final = ((1.0, 1.0), (2.0, 0.35), (3.0, 0.15))
"""Multiples of the fundamental and their sizes: audible on a horn that gives nothing below 300 Hz."""


def chime_of(broadcast_class: BroadcastClass, reality: Reality) -> Chime:
    """Which signal announces a broadcast."""
    if reality is Reality.DRILL:
        return Chime.DRILL
    return Chime.EMERGENCY if broadcast_class is BroadcastClass.EMERGENCY else Chime.NOTICE


@lru_cache(maxsize=SIGNALS_KEPT)
def signal(chime: Chime, duration_ms: int) -> NDArray[np.float32]:
    """float32[n] of the whole signal with its breath, read-only; shorter than its tones it is cut under a fade."""
    out = np.zeros(duration_ms * SAMPLES_PER_MS, np.float64)
    sounding_ms = max(0, duration_ms - BREATH_MS)
    for tone in _tones(chime, sounding_ms):
        length_ms = min(tone.duration_ms, sounding_ms - tone.from_ms)
        if length_ms > 0:
            first = tone.from_ms * SAMPLES_PER_MS
            out[first : first + length_ms * SAMPLES_PER_MS] += _rendered(tone, length_ms)
    largest = float(np.abs(out).max(initial=0.0))
    if largest > 0.0:
        out *= PEAK / largest
    whole = np.asarray(np.round(out * 2**15) / 2**15, np.float32)  # to the card's own steps: no last digit differs
    whole.setflags(write=False)
    return whole


def _tones(chime: Chime, sounding_ms: int) -> tuple[Tone, ...]:
    if chime is Chime.NOTICE:
        return NOTICE_TONES
    if chime is Chime.DRILL:
        return DRILL_TONES
    period_ms = ALARM_TONES[-1].from_ms + ALARM_TONES[-1].duration_ms
    return tuple(
        Tone(hz=tone.hz, from_ms=turn_ms + tone.from_ms, duration_ms=tone.duration_ms)
        for turn_ms in range(0, sounding_ms, period_ms)
        for tone in ALARM_TONES
    )


def _rendered(tone: Tone, length_ms: int) -> NDArray[np.float64]:
    places = np.arange(length_ms * SAMPLES_PER_MS, dtype=np.float64)
    seconds = places / SAMPLE_RATE_HZ
    wave = sum(size * np.sin(2 * np.pi * tone.hz * multiple * seconds) for multiple, size in PARTIALS)
    if tone.decay_ms is not None:
        wave = wave * np.exp(-seconds * 1000 / tone.decay_ms)
    edge = min(EDGE_MS * SAMPLES_PER_MS, len(places) // 2)
    rise = np.sin(np.arange(1, edge + 1) * (np.pi / 2 / (edge + 1)))
    shape = np.ones(len(places))
    shape[:edge] *= rise
    shape[len(places) - edge :] *= rise[::-1]
    return np.asarray(wave * shape, np.float64)


class ChimedClip:
    """A file with its signal before it, as one file (`ClipReader`): each repetition is announced anew."""

    def __init__(self, reader: ClipReader, chime: Chime, chime_ms: int) -> None:
        self._reader = reader
        self._signal = signal(chime, chime_ms)
        self.samples: Final = len(self._signal) + reader.samples

    def read(self, first: int, into: Samples) -> None:
        """See `ClipReader.read`."""
        announced = max(0, min(len(into), len(self._signal) - first))
        into[:announced] = self._signal[first : first + announced]
        if announced < len(into):
            self._reader.read(first + announced - len(self._signal), into[announced:])

    def close(self) -> None:
        """See `ClipReader.close`."""
        self._reader.close()


class ChimedStream:
    """A stream with its signal before it, from `starts_at` on; what it sends meanwhile is not heard."""

    def __init__(self, inner: Source, chime: Chime, chime_ms: int, *, starts_at: SharedSample) -> None:
        self.counters = SourceCounters()
        self._inner = inner
        self._signal = signal(chime, chime_ms)
        self._starts_at = int(starts_at)
        self._out = np.zeros(FRAME_SAMPLES, np.float32)

    def read(self, first: SharedSample, count: int) -> Samples:
        """See `Source.read`."""
        ahead = self._starts_at + len(self._signal) - first
        if ahead <= 0:
            return self._read_inner(first, count)
        if len(self._out) < count:
            self._out = np.zeros(count, np.float32)
        out = self._out[:count]
        announced = min(count, ahead)
        offset = first - self._starts_at
        before = max(0, min(announced, -offset))
        out[:before] = 0.0
        out[before:announced] = self._signal[offset + before : offset + announced]
        self.counters.silent += before
        self.counters.real += announced - before
        if announced < count:
            out[announced:] = self._read_inner(SharedSample(first + announced), count - announced)
        return out

    def _read_inner(self, first: SharedSample, count: int) -> Samples:
        counters, inner = self.counters, self._inner.counters
        real, concealed, silent = inner.real, inner.concealed, inner.silent
        samples = self._inner.read(first, count)
        counters.real += inner.real - real
        counters.concealed += inner.concealed - concealed
        counters.silent += inner.silent - silent
        return samples
