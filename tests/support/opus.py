"""Real Opus frames for tests of what decodes them."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

with warnings.catch_warnings():
    warnings.simplefilter("ignore", SyntaxWarning)  # opuslib 3.0.1 compares integers by `is`
    opuslib: Any = importlib.import_module("opuslib")

TONE_HZ = 440
TONE_AMPLITUDE = 10_000


def tone(samples: int) -> NDArray[np.int16]:
    """int16[samples] of a 440 Hz sine."""
    places = np.arange(samples) * (2 * np.pi * TONE_HZ / 48_000)
    wave: NDArray[np.int16] = (TONE_AMPLITUDE * np.sin(places)).astype(np.int16)
    return wave


def tone_frames(count: int, *, samples: int = 960, channels: int = 1) -> list[bytes]:
    """So many frames of a steady tone, of `samples` each, at 64 kbit/s."""
    encoder = opuslib.Encoder(48_000, channels, "audio")
    encoder.bitrate = 64_000
    whole = np.repeat(tone(count * samples), channels)
    size = samples * channels
    return [encoder.encode(whole[place : place + size].tobytes(), samples) for place in range(0, len(whole), size)]
