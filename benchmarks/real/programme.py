"""The programme of a measurement: noise in which every stretch is unlike any other, so that it names its place.

Shaped as speech is (strongest from 200 Hz to 2 kHz, steady at -20 dBFS), so that MP3 and Opus keep it and levelling
has nothing to do. The same for every run.
"""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Final

import numpy as np

from protocol.units import SAMPLE_RATE_HZ

LENGTH_S: Final = 60
"""Then it begins anew; neighbours a minute apart are not looked for."""
_LEVEL: Final = 0.1
_LOW_HZ: Final = 150.0
_KNEE_HZ: Final = 1_500.0
_HIGH_HZ: Final = 8_000.0


def write_programme(path: Path) -> None:
    """Write it as WAV, int16 mono 48 kHz."""
    white = np.random.default_rng(20).standard_normal(LENGTH_S * SAMPLE_RATE_HZ)
    spectrum = np.fft.rfft(white)
    frequencies = np.fft.rfftfreq(len(white), 1 / SAMPLE_RATE_HZ)
    spectrum *= np.where((frequencies > _LOW_HZ) & (frequencies < _HIGH_HZ), 1 / np.hypot(1, frequencies / _KNEE_HZ), 0)
    noise = np.fft.irfft(spectrum, len(white))
    samples = np.clip(noise / noise.std() * _LEVEL, -0.99, 0.99) * 32767
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(samples.astype("<i2").tobytes())
