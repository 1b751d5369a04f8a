"""The meter against what the EBU publishes, and against another implementation of the same recommendation.

EBU Tech 3341 gives test signals with the figure that a meter must show (its cases are stereo; one channel of them
measures 3.01 LU less); Tech 3342 the same for loudness range.
"""

from __future__ import annotations

import itertools

import numpy as np
import pyloudnorm
import pytest
from numpy.typing import NDArray

from controller.adapters.media.loudness import LoudnessMeter
from controller.media.judgement import Loudness
from tests.support.recordings import noise, tone

RATE = 48_000
ONE_OF_TWO_LU = 3.01


def measured(samples: NDArray[np.float32], block: int = 4_800) -> Loudness:
    meter = LoudnessMeter()
    for begin in range(0, len(samples), block):
        meter.take(samples[begin : begin + block])
    return meter.finish()


def sines(*parts: tuple[float, float], frequency_hz: float = 1_000.0) -> NDArray[np.float32]:
    """Sines of a peak level in dBFS and a length in seconds, one behind the other."""
    return np.concatenate([tone(frequency_hz, seconds, dbfs - 3.0103) for dbfs, seconds in parts])


@pytest.mark.parametrize(
    ("parts", "lufs"),
    [
        pytest.param([(-23, 20)], -23.0, id="case 1"),
        pytest.param([(-33, 20)], -33.0, id="case 2"),
        pytest.param([(-36, 10), (-23, 60), (-36, 10)], -23.0, id="case 3"),
        pytest.param([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23.0, id="case 4"),
        pytest.param([(-26, 20), (-20, 20.1), (-26, 20)], -23.0, id="case 5"),
    ],
)
def test_integrated_loudness_is_that_of_tech_3341(parts: list[tuple[float, float]], lufs: float) -> None:
    assert measured(sines(*parts)).integrated_lufs == pytest.approx(lufs - ONE_OF_TWO_LU, abs=0.1)


@pytest.mark.parametrize(
    ("parts", "lra"),
    [
        pytest.param([(-20, 20), (-30, 20)], 10.0, id="case 1"),
        pytest.param([(-20, 20), (-15, 20)], 5.0, id="case 2"),
        pytest.param([(-40, 20), (-20, 20)], 20.0, id="case 3"),
        pytest.param([(-50, 20), (-35, 20), (-20, 20), (-35, 20), (-50, 20)], 15.0, id="case 4"),
    ],
)
def test_loudness_range_is_that_of_tech_3342(parts: list[tuple[float, float]], lra: float) -> None:
    assert measured(sines(*parts)).range_lu == pytest.approx(lra, abs=1.0)


@pytest.mark.parametrize(
    ("divisor", "degrees", "amplitude", "dbtp"),
    [
        pytest.param(4, 0.0, 0.50, -6.0, id="case 15"),
        pytest.param(4, 45.0, 0.50, -6.0, id="case 16"),
        pytest.param(6, 60.0, 0.50, -6.0, id="case 17"),
        pytest.param(8, 67.5, 0.50, -6.0, id="case 18"),
        pytest.param(4, 45.0, 1.41, 3.0, id="case 19"),
    ],
)
def test_true_peak_is_that_of_tech_3341(divisor: int, degrees: float, amplitude: float, dbtp: float) -> None:
    phases = 2 * np.pi * np.arange(5 * RATE) / divisor + np.deg2rad(degrees)
    faded = np.sin(phases) * amplitude * np.clip(np.arange(5 * RATE) / 480, 0, 1)
    found = measured(faded.astype(np.float32)).true_peak_dbtp
    assert dbtp - 0.4 <= found <= dbtp + 0.2


@pytest.mark.parametrize("offset", [0, 1, 2, 3], ids=["case 20", "case 21", "case 22", "case 23"])
def test_a_true_peak_between_samples_is_found_wherever_they_fall(offset: int) -> None:
    """One period of a quarter of the rate at full scale within a sixth of it at half, thinned from four times the rate.

    The peak lies on a sample or between two of them, where a meter of samples is 2.6 dB short.
    """
    seconds = np.arange(RATE) / (4 * RATE)
    quiet = 0.5 * np.sin(2 * np.pi * RATE / 6 * seconds) * np.clip(seconds / 0.01, 0, 1)
    middle = len(quiet) // 48 * 24
    period = np.sin(2 * np.pi * np.arange(16) / 16)
    fast = np.concatenate([quiet[:middle], period, quiet[middle:]])
    taps = np.arange(-200, 201)
    band = np.sinc(taps * 22_000 / (2 * RATE)) * np.kaiser(len(taps), 8.0)
    thinned = np.convolve(fast, band / band.sum(), "same")[offset::4].astype(np.float32)
    assert -0.4 <= measured(thinned).true_peak_dbtp <= 0.2


@pytest.mark.parametrize("block", [480, 4_800, 48_001])
def test_another_implementation_agrees(block: int) -> None:
    """Bursts of noise, dark and bright, with pauses: gates and weighting count."""
    levels = itertools.cycle([-18.0, -26.0, -60.0, -30.0])
    pieces = [noise(0.7, next(levels), seed) for seed in range(24)]
    pieces[1::3] = [np.convolve(piece, np.ones(24) / 24, "same").astype(np.float32) for piece in pieces[1::3]]
    samples = np.concatenate(pieces)
    oracle = pyloudnorm.Meter(RATE).integrated_loudness(samples.astype(np.float64))
    assert measured(samples, block).integrated_lufs == pytest.approx(oracle, abs=0.1)


def test_pauses_are_counted() -> None:
    meter = LoudnessMeter()
    meter.take(np.concatenate([tone(440, 5.0, -20.0), np.zeros(10 * RATE, np.float32)]))
    found = meter.finish()
    assert meter.quiet_share(found.integrated_lufs) == pytest.approx(2 / 3, abs=0.06)


@pytest.mark.parametrize("seconds", [0.0, 0.1, 2.0])
def test_nothing_measures_as_nothing(seconds: float) -> None:
    found = measured(np.zeros(round(seconds * RATE), np.float32))
    assert (found.integrated_lufs, found.true_peak_dbtp) == (-70.0, -120.0)
