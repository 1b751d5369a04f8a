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
