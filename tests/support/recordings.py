"""Sound for tests: made tones, and the search for a recording in what it was taken from."""

from __future__ import annotations

import ctypes
import importlib
import warnings
import wave
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 48_000
_COARSE = 6
"""Searching at 8 kHz is exact to 125 us and 40 times as quick."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where a piece lies in a whole, and how well it fits: 1 is equal but for gain."""

    at_s: float
    likeness: float


def read_wav(path: Path) -> NDArray[np.float32]:
    """A mono int16 file at 48 kHz, full scale 1."""
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE_HZ)
        return np.asarray(np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32768, np.float32)


def write_wav(path: Path, samples: NDArray[np.float32]) -> Path:
    """Keep samples as mono int16 at 48 kHz."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype(np.int16).tobytes())
    return path


def tone(frequency_hz: float, seconds: float, dbfs: float = -20.0, *, begin: int = 0) -> NDArray[np.float32]:
    """A sine of a given RMS; `begin` is the index of its first sample."""
    index = np.arange(begin, begin + round(seconds * RATE_HZ))
    sine = np.sin(2 * np.pi * frequency_hz * index / RATE_HZ) * np.sqrt(2) * 10 ** (dbfs / 20)
    return np.asarray(sine, np.float32)


def noise(seconds: float, dbfs: float, seed: int = 1) -> NDArray[np.float32]:
    """White noise of a given RMS."""
    made = np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ)) * 10 ** (dbfs / 20)
    return np.asarray(made, np.float32)


def find(piece: NDArray[np.float32], whole: NDArray[np.float32]) -> Found:
    """Search a piece in a whole that is looped for ever, by normalised correlation (FFT)."""
    small, large = _coarse(piece), _coarse(whole)
    large = np.concatenate((large, large[: len(small)]))
    size = 1 << int(len(large) + len(small)).bit_length()
    product = np.fft.irfft(np.fft.rfft(large, size) * np.conj(np.fft.rfft(small, size)), size)
    products = product[: len(large) - len(small) + 1]
    sums = np.concatenate(([0.0], np.cumsum(large.astype(np.float64) ** 2)))
    energies = sums[len(small) :] - sums[: -len(small)]
    likeness = products / np.sqrt(np.maximum(energies, 1e-9) * max(1e-9, float(np.dot(small, small))))
    best = int(np.argmax(likeness))
    return Found(at_s=best * _COARSE / RATE_HZ, likeness=float(likeness[best]))


def decode_opus(frames: Iterable[bytes]) -> NDArray[np.float32]:
    """What libopus makes of frames of 20 ms, mono 48 kHz."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # opuslib 3.0.1 compares integers by `is`
        opus = importlib.import_module("opuslib.api.decoder")
    state, pieces = opus.create_state(RATE_HZ, 1), []
    decode = importlib.import_module("opuslib.api").libopus.opus_decode_float
    try:
        for frame in frames:
            out = (ctypes.c_float * 960)()
            assert decode(state, frame, len(frame), out, 960, 0) == 960
            pieces.append(np.frombuffer(bytes(out), np.float32))
    finally:
        opus.destroy(state)
    return np.concatenate(pieces)


def _coarse(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    whole = samples[: len(samples) // _COARSE * _COARSE].astype(np.float64)
    return np.asarray(whole.reshape(-1, _COARSE).mean(axis=1))
