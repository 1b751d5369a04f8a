"""Reading between samples: the right place at any rate, untouched without one, each sample asked for once."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.player.interpolation import DEGREE, FIXED, HALF, TAPS, BlockFilter, fixed_of, taps_at
from edge.player.ports import Samples
from edge.player.resampler import Cursor, Resampler
from protocol.units import SharedSample
from tests.support.sound import ORIGIN


class Tone:
    """A tone by grid sample that remembers what it was asked for."""

    def __init__(self, frequency_hz: float) -> None:
        self._radians = 2 * np.pi * frequency_hz / 48_000
        self.asked: list[tuple[int, int]] = []

    def at(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """The tone at places counted from ORIGIN."""
        values: NDArray[np.float64] = np.sin(self._radians * places)
        return values

    def read(self, first: SharedSample, count: int) -> Samples:
        self.asked.append((first, count))
        return self.at(np.arange(first - ORIGIN, first - ORIGIN + count, dtype=np.float64)).astype(np.float32)


def _places(cursor: Cursor, rate: float, frames: int) -> NDArray[np.float64]:
    places: NDArray[np.float64] = np.arange(frames, dtype=np.float64) * (1.0 + rate)
    places += cursor.sample - ORIGIN + cursor.fraction
    return places


RATES = st.floats(-5e-4, 5e-4)
PIECES = st.lists(st.tuples(RATES | st.just(0.0), st.integers(1, 5_000)), min_size=1, max_size=12)


@pytest.mark.parametrize(("frequency_hz", "error_max"), [(200.0, 5e-6), (1_000.0, 1e-5), (10_000.0, 4e-5)])
@given(pieces=PIECES, fraction=st.floats(-0.5, 0.5))
@settings(max_examples=25)
def test_each_frame_is_the_sound_at_its_place(
    frequency_hz: float, error_max: float, pieces: list[tuple[float, int]], fraction: float
) -> None:
    tone = Tone(frequency_hz)
    reader, cursor = Resampler(tone.read), Cursor(sample=SharedSample(ORIGIN), fraction=fraction)
    for rate, frames in pieces:
        given_frames = reader.read(cursor, rate, frames)
        assert given_frames.dtype == np.float32
        assert np.abs(given_frames - tone.at(_places(cursor, rate, frames))).max() < error_max
        cursor = cursor.moved(frames, rate)
    for (first, count), (following, _) in itertools.pairwise(tone.asked):
        assert following == first + count, "each sample of the grid is asked for once"


def test_at_a_whole_place_without_a_rate_samples_come_through_bit_by_bit() -> None:
    noise = np.random.default_rng(1).normal(0.0, 0.3, 9_600).astype(np.float32)
    reader = Resampler(lambda first, count: noise[first : first + count])
    heard = [reader.read(Cursor(sample=SharedSample(100 + place)), 0.0, 777) for place in range(0, 7_770, 777)]
    assert np.array_equal(np.concatenate(heard), noise[100:7_870])


def test_a_leap_begins_anew_with_the_neighbours_of_its_first_sample() -> None:
    tone = Tone(1_000.0)
    reader = Resampler(tone.read)
    reader.read(Cursor(sample=SharedSample(ORIGIN)), 0.0, 960)
    for leap in (48_000, -200_000, 3):
        cursor = Cursor(sample=SharedSample(ORIGIN + leap), fraction=0.37)
        assert np.abs(reader.read(cursor, 1e-4, 960) - tone.at(_places(cursor, 1e-4, 960))).max() < 1e-5
    assert reader.has_sound(Cursor(sample=SharedSample(ORIGIN + 963)))
    assert not reader.has_sound(Cursor(sample=SharedSample(ORIGIN + 5_000)))


def test_a_place_adds_up_over_days_without_an_error() -> None:
    cursor = Cursor(sample=SharedSample(ORIGIN))
    for _ in range(10_000):
        cursor = cursor.moved(960, 0.25 / 960)
    assert cursor.sample - ORIGIN + cursor.fraction == pytest.approx(10_000 * 960.25, abs=1e-6)


def test_frames_that_are_not_asked_for_cost_nothing() -> None:
    tone = Tone(100.0)
    assert len(Resampler(tone.read).read(Cursor(sample=SharedSample(ORIGIN)), 0.0, 0)) == 0
    assert not tone.asked


def test_what_is_kept_does_not_grow() -> None:
    tone = Tone(300.0)
    reader, cursor = Resampler(tone.read), Cursor(sample=SharedSample(ORIGIN))
    for _ in range(200):
        reader.read(cursor, 3e-4, 960)
        cursor = cursor.moved(960, 3e-4)
        assert len(reader._tape) <= 3 * (960 + 2 * TAPS + 64)


@given(st.floats(-0.5, 0.5), st.integers(1, 9_000))
@settings(max_examples=30)
def test_the_block_filter_is_the_plain_sum_of_its_taps(fraction: float, count: int) -> None:
    samples = np.random.default_rng(count).normal(0.0, 1.0, count + TAPS)
    taps = np.stack([taps_at(fraction), taps_at(0.0)])
    found = BlockFilter(taps).apply(fixed_of(samples.astype(np.float32)), count)[:, :count] / FIXED**2
    assert np.allclose(found[0], np.correlate(samples, taps[0])[:count], atol=5e-6)
    assert np.allclose(found[1], samples[HALF : HALF + count], atol=1e-6)
    assert taps.shape == (2, TAPS)
    assert DEGREE >= 5
