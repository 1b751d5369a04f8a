"""Resamplers at a rate that varies: CPU, distortion, how exactly the place is known, delay.

Each is given 20 ms blocks whose rate swings by 100 ppm, as the loop that follows a card makes it. The place that
output sample k should show is the sum of the rates so far; a tone of known phase says which place it really shows.
python-soxr and libsamplerate (python `samplerate`) are measured where they are installed; the player does not need
them. The figures stand in docs/decisions/0023-resampler.md. Run: `./scripts/bench resamplers`.
"""

from __future__ import annotations

import importlib
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import print_table
from edge.player.interpolation import HALF
from edge.player.resampler import Cursor, Resampler
from protocol.units import FRAME_SAMPLES, SAMPLE_RATE_HZ, SharedSample

SECONDS: Final = 30
SWING_PPM: Final = 100.0
SWING_S: Final = 5.0
SETTLE_BLOCKS: Final = 50
LOW_HZ: Final = 40.0
"""Half a period is 12 ms: a delay up to that can be read from a phase."""
Step = Callable[[float], NDArray[np.float32]]
"""`step(rate)`: the next piece of output, read at `1 + rate` samples for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one resampler made of one tone.

    Distortion and noise in dB, the place that was shown against the expected one in samples, and how many samples it
    held back at most.
    """

    noise_db: float
    held: float
    places: NDArray[np.float64]


def _tone(frequency_hz: float, first: int, count: int) -> NDArray[np.float32]:
    tone: NDArray[np.float32] = np.sin(2 * np.pi * frequency_hz / SAMPLE_RATE_HZ * np.arange(first, first + count))
    return tone.astype(np.float32)


def ours(frequency_hz: float) -> Step:
    """The player's own."""
    source = _tone(frequency_hz, -HALF - 1, SECONDS * SAMPLE_RATE_HZ + 20 * FRAME_SAMPLES)
    reader = Resampler(lambda first, count: source[first + HALF + 1 :][:count])
    cursor = Cursor(sample=SharedSample(0))

    def step(rate: float) -> NDArray[np.float32]:
        nonlocal cursor
        given = reader.read(cursor, rate, FRAME_SAMPLES)
        cursor = cursor.moved(FRAME_SAMPLES, rate)
        return given

    return step


def soxr(frequency_hz: float) -> Step:
    """The library libsoxr through python-soxr; the two rates say how far the ratio may go."""
    library: Any = importlib.import_module("soxr")
    stream = library.ResampleStream(SAMPLE_RATE_HZ + 48, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ", vr=True)
    source, place = _tone(frequency_hz, 0, SECONDS * SAMPLE_RATE_HZ + 20 * FRAME_SAMPLES), 0

    def step(rate: float) -> NDArray[np.float32]:
        nonlocal place
        stream.set_io_ratio(1.0 + rate, 1.0, 0)
        place += FRAME_SAMPLES
        return np.asarray(stream.resample_chunk(source[place - FRAME_SAMPLES : place]), np.float32)

    return step


def libsamplerate(quality: str) -> Callable[[float], Step]:
    """The library libsamplerate through python-samplerate."""

    def prepare(frequency_hz: float) -> Step:
        library: Any = importlib.import_module("samplerate")
        converter = library.Resampler(quality, channels=1)
        source, place = _tone(frequency_hz, 0, SECONDS * SAMPLE_RATE_HZ + 20 * FRAME_SAMPLES), 0

        def step(rate: float) -> NDArray[np.float32]:
            nonlocal place
            converter.set_ratio(1.0 / (1.0 + rate))
            place += FRAME_SAMPLES
            block = source[place - FRAME_SAMPLES : place]
            return np.asarray(converter.process(block, 1.0 / (1.0 + rate)), np.float32)

        return step

    return prepare


CANDIDATES: Final[tuple[tuple[str, Callable[[float], Step]], ...]] = (
    ("edge.player.resampler", ours),
    ("python-soxr HQ, vr=True", soxr),
    ("samplerate sinc_fastest", libsamplerate("sinc_fastest")),
    ("samplerate sinc_medium", libsamplerate("sinc_medium")),
)


def _rate(block: int) -> float:
    return SWING_PPM * 1e-6 * math.sin(2 * np.pi * block * FRAME_SAMPLES / SAMPLE_RATE_HZ / SWING_S)


def measure(prepare: Callable[[float], Step], frequency_hz: float) -> Measured:
    """Run a tone through; each piece is held against the best sine of the frequency that it should have."""
    step, radians = prepare(frequency_hz), 2 * np.pi * frequency_hz / SAMPLE_RATE_HZ
    expected, energy, error, held, places = 0.0, 0.0, 0.0, 0.0, []
    for block in range(SECONDS * SAMPLE_RATE_HZ // FRAME_SAMPLES):
        piece = step(_rate(block)).astype(np.float64)
        angles = radians * (expected + np.arange(len(piece)) * (1.0 + _rate(block)))
        expected += len(piece) * (1.0 + _rate(block))
        held = max(held, (block + 1) * FRAME_SAMPLES - expected)
        if block < SETTLE_BLOCKS or len(piece) < FRAME_SAMPLES // 2:
            continue
        basis = np.stack([np.sin(angles), np.cos(angles)], axis=1)
        parts = np.linalg.lstsq(basis, piece, rcond=None)[0]
        energy += float(np.sum(np.square(basis @ parts)))
        error += float(np.sum(np.square(piece - basis @ parts)))
        places.append(math.atan2(parts[1], parts[0]) / radians)
    return Measured(noise_db=10 * math.log10(error / energy), held=held, places=np.array(places))


def cpu_us(prepare: Callable[[float], Step]) -> float:
    """CPU time of a block, the best of five runs of a tenth of the blocks: others use the machine too."""
    step, block, best = prepare(1_000.0), 0, math.inf
    for _ in range(5):
        begun = time.process_time_ns()
        for _ in range(SECONDS * 5):
            step(_rate(block))
            block += 1
        best = min(best, (time.process_time_ns() - begun) / (SECONDS * 5) / 1_000)
    return best


def _row(name: str, prepare: Callable[[float], Step]) -> dict[str, str]:
    low, middle, high = (measure(prepare, frequency_hz) for frequency_hz in (LOW_HZ, 1_000.0, 10_000.0))
    delay = float(np.median(low.places))
    wander_us = float(np.ptp(middle.places)) / SAMPLE_RATE_HZ * 1e6
    ahead = HALF if prepare is ours else middle.held
    return {
        "resampler": name,
        "CPU µs per 20 ms": f"{cpu_us(prepare):.1f}",
        "THD+N 1 kHz": f"{middle.noise_db:.0f} dB",
        "THD+N 10 kHz": f"{high.noise_db:.0f} dB",
        "place off by, µs": f"{wander_us:.3f}",
        "shift, samples": f"{delay:.2f}",
        "samples needed ahead": f"{ahead:.0f}",
    }


def main() -> int:
    """Print the table."""
    rows = []
    for name, prepare in CANDIDATES:
        try:
            rows.append(_row(name, prepare))
        except ImportError as error:
            sys.stderr.write(f"{name} is left out: {error}\n")
    print_table(
        f"{SECONDS} s of 20 ms blocks, rate swinging by {SWING_PPM:.0f} ppm in {SWING_S:.0f} s",
        rows,
        note="`place off by`: how far the place that is shown wanders from the sum of the rates.",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
