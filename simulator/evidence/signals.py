"""Hears which attention signal a piece of sound is: by its tones, as a person does, at any loudness and anywhere in it.

A piece of a self-test's sweep is told by its pitch and by how fast that rises.

It knows the pitches that the product states (`edge.player.chime`) and fits them and their partials to the samples; what
is left over tells whether it was that signal. Four milliseconds are enough.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.player.chime import ALARM_TONES, DRILL_TONES, NOTICE_TONES, PARTIALS, Chime
from edge.proof.sweep import FROM_HZ, SWEEP_MS, UNTIL_HZ
from protocol.units import SAMPLE_RATE_HZ

LIKENESS_MIN: Final = 0.9
"""Part of the power that the tones must explain; fades of two tones into one another leave less."""
SAMPLES_MIN: Final = 180
"""Anything shorter is a piece of some sine."""
_PITCHES: Final[dict[Chime, tuple[tuple[float, ...], ...]]] = {
    Chime.NOTICE: (tuple(tone.hz for tone in NOTICE_TONES),),
    Chime.EMERGENCY: tuple((tone.hz,) for tone in ALARM_TONES),
    Chime.DRILL: ((DRILL_TONES[0].hz,),),
}
"""What sounds together: the strokes of a gong, each tone of the others by itself."""
SELF_TEST: Final = "self-test"
"""The sweep of a self-test, which no document names."""
_PREFIX: Final = "chime:"
_SWEEP_MIN: Final = 0.97
"""As `LIKENESS_MIN`, for one tone without partials, which a sweep is at each instant."""
_RISE: Final = float(np.log(UNTIL_HZ / FROM_HZ)) / (SWEEP_MS / 1_000)
"""Its pitch grows by this part of itself in a second."""
_SPECTRUM: Final = 8_192
"""A bin of 6 Hz, between which the peak is looked for."""


def source_of(chime: Chime) -> str:
    """How a signal is called as a source of sound."""
    return _PREFIX + chime.value


def signal_in(samples: NDArray[np.int16]) -> str | None:
    """The source of the signal or of the sweep that int16[n] is a piece of; None for other sound."""
    sound = samples.astype(np.float64)
    power = float(sound @ sound)
    if not power or len(samples) < SAMPLES_MIN:
        return None
    best = (LIKENESS_MIN, "")
    for chime, chords in _PITCHES.items():
        for chord in chords:
            along = _basis(chord, len(sound)).T @ sound
            best = max(best, (float(along @ along) / power, source_of(chime)))
    swept = _swept_share(sound) / power
    return SELF_TEST if swept > max(_SWEEP_MIN, best[0]) else best[1] or None


def _swept_share(sound: NDArray[np.float64]) -> float:
    """The power of what a sweep of the pitch that is found here explains."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), _SPECTRUM))
    peak = int(spectrum[1:-1].argmax()) + 1
    low, top, high = np.log(spectrum[peak - 1 : peak + 2] + 1e-9)
    bend = low - 2 * top + high
    hz = (peak + (0.5 * float((low - high) / bend) if bend else 0.0)) * SAMPLE_RATE_HZ / _SPECTRUM
    if not FROM_HZ * 0.9 <= hz <= UNTIL_HZ * 1.1:
        return 0.0
    seconds = (np.arange(len(sound)) - len(sound) / 2) / SAMPLE_RATE_HZ
    phase = 2 * np.pi * hz / _RISE * np.expm1(_RISE * seconds)
    along = np.linalg.qr(np.stack((np.sin(phase), np.cos(phase)), axis=1))[0].T @ sound
    return float(along @ along)


@lru_cache(maxsize=32)
def _basis(chord: tuple[float, ...], count: int) -> NDArray[np.float64]:
    """Orthonormal float64[count, tones]: every partial of every pitch, at any phase."""
    seconds = np.arange(count) / SAMPLE_RATE_HZ
    turns = [2 * np.pi * hz * multiple * seconds for hz in chord for multiple, _ in PARTIALS]
    waves = np.stack([wave for turn in turns for wave in (np.sin(turn), np.cos(turn))], axis=1)
    basis: NDArray[np.float64] = np.linalg.qr(waves)[0]
    return basis
