"""Sound whose every sample is known: what clips and streams give in tests, and a workshop that makes them.

Each clip has a saw of 10 ms on a level of its own; a stream has another. What a horn gave can so be compared with
what should have been, sample by sample.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.errors import ClipError
from edge.player.ports import OpusDecoder, Samples
from protocol.messages import MediaReference
from protocol.units import FRAME_SAMPLES, SAMPLES_PER_MS


def wave_of(level: float, index: NDArray[np.int64]) -> NDArray[np.float32]:
    """The wave of a clip or stream: a saw of 10 ms on a level of its own."""
    return np.asarray(level + 0.05 * (index % 480) / 480, np.float32)


def level_of(sha256: str) -> float:
    """Each clip has its own level, between 0.1 and 0.4."""
    return 0.1 + int(sha256[:4], 16) / 65536 * 0.3


STREAM_LEVEL = 0.5


class WaveReader:
    """A clip whose samples are its wave; `is_broken` makes it unreadable in the middle."""

    def __init__(self, sha256: str, samples: int) -> None:
        self.samples = samples
        self.is_closed = False
        self._level = level_of(sha256)

    def read(self, first: int, into: Samples) -> None:
        if self.is_closed:
            raise ClipError("closed")
        into[:] = wave_of(self._level, np.arange(first, first + len(into)))

    def close(self) -> None:
        self.is_closed = True


class WaveDecoder:
    """Frames say which they are; what is missing sounds very low."""

    def decode(self, frame: bytes, into: Samples) -> None:
        first = int.from_bytes(frame, "big") * FRAME_SAMPLES
        into[:] = wave_of(STREAM_LEVEL, np.arange(first, first + len(into)))

    def conceal(self, into: Samples) -> None:
        into[:] = 0.01

    def reset(self) -> None:
        return


class WaveWorkshop:
    """Clips of known length by their hash; those in `damaged` cannot be opened."""

    def __init__(self) -> None:
        self.clips: dict[str, int] = {}
        self.damaged: set[str] = set()
        self.readers: list[WaveReader] = []

    def new_decoder(self) -> OpusDecoder:
        return WaveDecoder()

    def open_clip(self, sha256: str) -> WaveReader:
        if sha256 in self.damaged or sha256 not in self.clips:
            raise ClipError(f"{sha256} is no sound")
        self.readers.append(WaveReader(sha256, self.clips[sha256]))
        return self.readers[-1]


def clip_wave(clip: MediaReference, started_ms: int, from_ms: int, until_ms: int) -> NDArray[np.int16]:
    """What a clip that began at `started_ms` gives between two instants, as the card gets it."""
    index = np.arange((from_ms - started_ms) * SAMPLES_PER_MS, (until_ms - started_ms) * SAMPLES_PER_MS)
    return as_int16(wave_of(level_of(clip.sha256), index))


def stream_wave(origin_ms: int, from_ms: int, until_ms: int) -> NDArray[np.int16]:
    """As `clip_wave`, of a stream."""
    index = np.arange((from_ms - origin_ms) * SAMPLES_PER_MS, (until_ms - origin_ms) * SAMPLES_PER_MS)
    return as_int16(wave_of(STREAM_LEVEL, index))


def as_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Full scale 1.0 to int16."""
    return np.asarray(np.round(samples * 32767), np.int16)


def differs_by(one: NDArray[np.int16], other: NDArray[np.int16]) -> int:
    """The largest difference of two pieces of sound, in steps of int16."""
    return int(np.abs(one.astype(np.int32) - other.astype(np.int32)).max(initial=0))


TONE_WINDOW_MS = 5
"""Tones of whole multiples of 200 Hz fill it with whole periods, so each is measured beside the others."""


class ToneReader(WaveReader):
    """A clip that is a sine of its own pitch: smooth, so that every click shows, and told from others by it."""

    def __init__(self, hz: int, samples: int) -> None:
        super().__init__("0" * 64, samples)
        self._hz = hz

    def read(self, first: int, into: Samples) -> None:
        if self.is_closed:
            raise ClipError("closed")
        into[:] = tone_of(self._hz, np.arange(first, first + len(into)))


class ToneWorkshop(WaveWorkshop):
    """Clips by their hash as tones; `tones` says of which pitch."""

    def __init__(self, tones: dict[str, int]) -> None:
        super().__init__()
        self.tones = tones

    def open_clip(self, sha256: str) -> ToneReader:
        if sha256 not in self.clips:
            raise ClipError(f"{sha256} is no sound")
        return ToneReader(self.tones[sha256], self.clips[sha256])


TONE_LEVEL = 0.25


def tone_of(hz: int, index: NDArray[np.int64]) -> NDArray[np.float32]:
    """A sine of TONE_LEVEL."""
    return np.asarray(TONE_LEVEL * np.sin(2 * np.pi * hz * (index % 240) / 48_000), np.float32)


def levels_of(hz: int, samples: NDArray[np.int16]) -> list[float]:
    """How loud one tone is in each TONE_WINDOW_MS, in decibels beside its own level; -60 at the least."""
    size = TONE_WINDOW_MS * SAMPLES_PER_MS
    windows = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64) / 32767
    turn = np.exp(-2j * np.pi * hz * np.arange(size) / 48_000)
    found = 2 * np.abs(windows @ turn) / size / TONE_LEVEL
    return [round(float(level), 1) for level in 20 * np.log10(np.maximum(found, 1e-3))]
