"""Something like speech and something like music from a seed, as real Opus frames and as what they decode to undamaged.

Voiced harmonics under moving formants with pauses, and struck chords: both have what concealment is good and bad at.
Made anew in each run (a quarter of a second of processor time), so no recording has to be kept.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from edge.adapters.decoder import LibopusDecoder
from edge.player.ports import Samples
from protocol.units import FRAME_SAMPLES, SAMPLE_RATE_HZ
from tests.support.opus import opuslib

FULL_SCALE = 32_767
PEAK = 0.5
FORMANTS = ((500.0, 200.0, 1.3, 150.0, 1.0), (1_500.0, 400.0, 0.9, 250.0, 0.6), (2_500.0, 0.0, 1.0, 300.0, 0.3))
"""Centre, swing (Hz), how often it swings (Hz), width (Hz), weight."""
CHORD_HZ = (220.0, 277.0, 330.0, 440.0, 660.0, 880.0)


def _times(frames: int) -> NDArray[np.float64]:
    return np.arange(frames * FRAME_SAMPLES) / SAMPLE_RATE_HZ


def _levelled(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(sound * (PEAK / np.abs(sound).max()), np.float64)


def speech(frames: int, seed: int) -> NDArray[np.float64]:
    """float64[samples]: a voice that rises and falls, with pauses and some breath."""
    chance, at = np.random.default_rng(seed), _times(frames)
    pitch_hz = 120.0 + 30.0 * np.sin(2 * np.pi * 0.7 * at + chance.uniform(0, 6))
    phase = 2 * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE_HZ
    sound = np.zeros(len(at))
    for harmonic in range(1, 25):
        weight = np.zeros(len(at))
        for centre, swing, often, width, loud in FORMANTS:
            here = centre + swing * np.sin(2 * np.pi * often * at)
            weight += loud * np.exp(-(((harmonic * pitch_hz - here) / width) ** 2))
        sound += weight * np.sin(harmonic * phase + chance.uniform(0, 6))
    sound *= np.clip(np.sin(2 * np.pi * 2.1 * at) + 0.6, 0.0, 1.0)
    return _levelled(sound + 0.02 * chance.normal(0.0, 1.0, len(at)))


def music(frames: int, seed: int) -> NDArray[np.float64]:
    """float64[samples]: a chord that is struck twice a second."""
    chance, at = np.random.default_rng(seed), _times(frames)
    since = (2.0 * at) % 1.0
    decay = np.exp(-2.0 * since) * np.minimum(since / 0.04, 1.0)  # struck softly: a hard stroke is a click of its own
    sound = sum((np.sin(2 * np.pi * hz * at + chance.uniform(0, 6)) for hz in CHORD_HZ), np.zeros(len(at)))
    return _levelled(sound * decay + 0.003 * chance.normal(0.0, 1.0, len(at)))


@functools.cache
def encoded(kind: str, frames: int, seed: int = 1) -> tuple[tuple[bytes, ...], Samples]:
    """So many Opus frames of "speech" or "music", and float32[samples] that they decode to when none is lost."""
    encoder = opuslib.Encoder(SAMPLE_RATE_HZ, 1, "audio")
    encoder.bitrate = 48_000
    sound = {"speech": speech, "music": music}[kind](frames, seed)
    whole = (sound * FULL_SCALE).astype(np.int16).reshape(frames, FRAME_SAMPLES)
    coded = tuple(encoder.encode(part.tobytes(), FRAME_SAMPLES) for part in whole)
    decoder, into, parts = LibopusDecoder(), np.zeros(FRAME_SAMPLES, np.float32), []
    for frame in coded:
        decoder.decode(frame, into)
        parts.append(into.copy())
    return coded, np.concatenate(parts)
