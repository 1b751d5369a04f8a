"""Sound from which its own place on the grid can be read, to far less than a sample: three tones.

Their frequencies have 5 Hz as the common divisor, so together they repeat only after 200 ms; the phases of a block say
where on the grid its middle lies within that. A reading needs all three at their full level: blocks with a fade, a gap
or a splice in them are told apart. The resolution (a few nanoseconds) is tested in tests/benchmarks.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.player.ports import Samples
from protocol.units import FRAME_SAMPLES, SAMPLE_RATE_HZ

TONES_HZ: Final = (1_000, 1_400, 1_805)
PERIOD_SAMPLES: Final = 9_600
LEVEL: Final = 0.2
"""Of each tone: together they stay below the limiter."""
FULL_SHARE: Final = 0.05
"""How far a tone's level may be from its own in a block that can be read."""
FRAMES_A_PERIOD: Final = PERIOD_SAMPLES // FRAME_SAMPLES
_FULL_SCALE: Final = 32_767


def pattern() -> Samples:
    """One period (float32[9600])."""
    places = np.arange(PERIOD_SAMPLES)
    tones = sum(np.cos(2 * np.pi * hz / SAMPLE_RATE_HZ * places) for hz in TONES_HZ)
    return (LEVEL * np.asarray(tones)).astype(np.float32)


class PatternDecoder:
    """Stands for libopus where the codec is not what is measured: a frame's one byte says which part it is."""

    def __init__(self) -> None:
        self._parts: Final = pattern().reshape(FRAMES_A_PERIOD, FRAME_SAMPLES)

    def decode(self, frame: bytes, into: Samples) -> None:
        """See `OpusDecoder.decode`."""
        into[:] = self._parts[frame[0]]

    def conceal(self, into: Samples) -> None:
        """A loss is to be heard as one."""
        into.fill(0.0)

    def reset(self) -> None:
        """Nothing is carried from frame to frame."""


def pattern_frames() -> tuple[bytes, ...]:
    """What PatternDecoder decodes: the frames of one period."""
    return tuple(bytes([number]) for number in range(FRAMES_A_PERIOD))


def place_of(samples: NDArray[np.int16]) -> float | None:
    """Grid place, modulo PERIOD_SAMPLES, of the middle of a block (int16[n]); None where it cannot be read."""
    levels = _probes(len(samples)) @ (samples / (_FULL_SCALE * LEVEL))
    if np.any(np.abs(np.abs(levels) - 1.0) > FULL_SHARE):
        return None
    turns = np.angle(levels) / (2 * np.pi)
    beats = np.diff(turns)
    place = _refined(0.0, float(beats[1] - beats[0]), TONES_HZ[2] - 2 * TONES_HZ[1] + TONES_HZ[0])
    place = _refined(place, float(beats[0]), TONES_HZ[1] - TONES_HZ[0])
    return _refined(place, float(turns[0]), TONES_HZ[0]) % PERIOD_SAMPLES


def wrapped(samples: float) -> float:
    """A difference of places as the nearest one: within half a period."""
    return (samples + PERIOD_SAMPLES / 2) % PERIOD_SAMPLES - PERIOD_SAMPLES / 2


def _refined(place: float, turns: float, hz: int) -> float:
    """The place nearest to `place` at which a tone of `hz` has turned by `turns` (modulo one)."""
    period = SAMPLE_RATE_HZ / hz
    return place + ((turns - place / period + 0.5) % 1.0 - 0.5) * period


@lru_cache(maxsize=8)
def _probes(count: int) -> NDArray[np.complex128]:
    """complex[tone, sample]: windowed so that no tone leaks into another's; a full tone gives 1."""
    places = np.arange(count) - (count - 1) / 2
    window = np.hanning(count + 2)[1:-1]
    window *= 2.0 / window.sum()
    return np.array([window * np.exp(-2j * np.pi * hz / SAMPLE_RATE_HZ * places) for hz in TONES_HZ])
