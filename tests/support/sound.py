"""Sound for tests: a wave that says where on the grid it belongs, codecs and sources that carry it.

`wave(grid)` is a 200 Hz sine by grid sample, smooth enough that any cut or shift shows as a step or a difference.
The fake codec's frames carry their grid place as text; what it decodes is the wave there, and what it conceals goes
on smoothly, as Opus does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.errors import ClipError, DecoderError
from edge.player.ports import Samples
from edge.player.source import SourceCounters
from protocol.stream import AudioPacket
from protocol.units import FRAME_SAMPLES, SharedNs, SharedSample, shared_ns_of_sample

PERIOD_SAMPLES = 240
AMPLITUDE = 0.5
STEP_MAX = 2 * np.pi / PERIOD_SAMPLES * AMPLITUDE
"""Largest difference of two neighbouring samples of the wave."""
STREAM = "5e" * 8
ORIGIN = 1_767_564_000_000 * 48
"""A grid sample in the year 2026; the numbers of real life need 47 bits."""


def wave(first: int, count: int) -> Samples:
    """float32[count] of the wave from grid sample `first` on."""
    places = (np.arange(first, first + count, dtype=np.int64)) % PERIOD_SAMPLES
    samples: Samples = (AMPLITUDE * np.sin(places * (2 * np.pi / PERIOD_SAMPLES))).astype(np.float32)
    return samples


def steps(samples: NDArray[np.float32]) -> float:
    """The largest step in a waveform, counted from silence before it."""
    return float(np.abs(np.diff(samples, prepend=np.float32(0.0))).max()) if len(samples) else 0.0


class WaveDecoder:
    """Decodes frames made by `wave_frame`; refuses everything else."""

    def __init__(self) -> None:
        self._next = 0
        self.concealed = 0
        self.resets = 0

    def decode(self, frame: bytes, into: Samples) -> None:
        if not frame.startswith(b"@"):
            raise DecoderError("not a frame of the wave")
        start = int(frame[1:])
        into[:] = wave(start, FRAME_SAMPLES)
        self._next = start + FRAME_SAMPLES

    def conceal(self, into: Samples) -> None:
        self.concealed += 1
        into[:] = wave(self._next, FRAME_SAMPLES)
        self._next += FRAME_SAMPLES

    def reset(self) -> None:
        self.resets += 1


def wave_frame(start: int) -> bytes:
    """A frame that sounds from grid sample `start` on."""
    return b"@%d" % start


def wave_packet(
    sequence: int, *, origin: int = ORIGIN, epoch: int = 1, frames: int = 5, first_sample: int | None = None
) -> AudioPacket:
    """A packet of an epoch that began at grid sample `origin`, full of the wave."""
    first = sequence * frames * FRAME_SAMPLES if first_sample is None else first_sample
    return AudioPacket(
        stream=STREAM,
        epoch=epoch,
        sequence=sequence,
        first_sample=first,
        play_at_ns=shared_ns_of_sample(SharedSample(origin + first)),
        frames=tuple(wave_frame(origin + first + index * FRAME_SAMPLES) for index in range(frames)),
    )


def instant(sample: int) -> SharedNs:
    """The shared instant of a grid sample."""
    return shared_ns_of_sample(SharedSample(sample))


class WaveSource:
    """The wave itself as a source: what it gives is right only if it is asked for the right place."""

    def __init__(self, amplitude: float = 1.0) -> None:
        self.counters = SourceCounters()
        self._amplitude = np.float32(amplitude)

    def read(self, first: SharedSample, count: int) -> Samples:
        self.counters.real += count
        samples: Samples = wave(first, count) * self._amplitude
        return samples


class ConstantSource:
    """The same value for ever; shows gains and fades as they are."""

    def __init__(self, value: float = 0.5) -> None:
        self.counters = SourceCounters()
        self._value = value

    def read(self, first: SharedSample, count: int) -> Samples:
        assert first >= 0
        self.counters.real += count
        return np.full(count, self._value, np.float32)


class MemoryClip:
    """A clip reader on an array, which may break at a sample."""

    def __init__(self, samples: NDArray[np.float32], *, breaks_at: int | None = None) -> None:
        self._samples = samples
        self._breaks_at = breaks_at
        self.is_closed = False

    @property
    def samples(self) -> int:
        return len(self._samples)

    def read(self, first: int, into: Samples) -> None:
        assert first >= 0
        assert first + len(into) <= len(self._samples), "a source must stay within the file"
        if self._breaks_at is not None and first + len(into) > self._breaks_at:
            raise ClipError("the card is worn out")
        into[:] = self._samples[first : first + len(into)]

    def close(self) -> None:
        self.is_closed = True
