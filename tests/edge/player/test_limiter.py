"""The limiter: no peak above the ceiling even between samples, nothing changed below, equal in any pieces."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.player.limiter import CEILING, CEILING_DBTP, LOOK_AHEAD, RELEASE_DB_PER_S, Limiter
from edge.player.ports import Samples
from protocol.units import SharedSample

COUNT = 9_600
OVERSAMPLED = 32


class Tape:
    """A source of what was recorded, silent before and after; counts what it was asked for."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self.asked: list[tuple[int, int]] = []

    def read(self, first: SharedSample, count: int) -> Samples:
        self.asked.append((first, count))
        given = np.zeros(count, np.float32)
        low, high = max(0, first), min(len(self._samples), first + count)
        if low < high:
            given[low - first : high - first] = self._samples[low:high]
        return given


def _limited(samples: Samples, *blocks: int) -> Samples:
    limiter, place, parts = Limiter(Tape(samples).read), 0, []
    for block in itertools.cycle(blocks):
        parts.append(limiter.read(SharedSample(place), min(block, len(samples) - place)).copy())
        place += block
        if place >= len(samples):
            return np.concatenate(parts)
    raise AssertionError


def _true_peak_dbtp(samples: Samples) -> float:
    """By Fourier, OVERSAMPLED times finer than the samples: not the limiter's own way."""
    spectrum = np.fft.rfft(samples.astype(np.float64))
    fine = np.zeros(len(samples) * OVERSAMPLED // 2 + 1, np.complex128)
    fine[: len(spectrum)] = spectrum
    wave: NDArray[np.float64] = np.fft.irfft(fine, len(samples) * OVERSAMPLED) * OVERSAMPLED
    return float(20 * np.log10(np.abs(wave).max()))


def _programme(kind: str, level: float, seed: int) -> Samples:
    """A fifth of a second within 20 kHz, at rest at both ends."""
    chance, places = np.random.default_rng(seed), np.arange(COUNT)
    shapes: dict[str, Callable[[], NDArray[np.float64]]] = {
        "noise": lambda: chance.normal(0.0, 0.5, COUNT),
        "low": lambda: np.sin(places * 2 * np.pi * 80 / 48_000),
        "between": lambda: np.sin(places * np.pi / 2 + np.pi / 4),
        "high": lambda: np.sin(places * 2 * np.pi * 18_900 / 48_000 + seed),
        "bursts": lambda: np.where((places // 2_400 + seed) % 2, np.sin(places * 0.07), 0.0),
        "clicks": lambda: np.where(places % 1_900 == 1_500, chance.normal(0.0, 3.0, COUNT), 0.0),
    }
    spectrum = np.fft.rfft(shapes[kind]())
    spectrum[round(20_000 / 48_000 * COUNT) :] = 0.0
    edge = np.minimum(1.0, np.minimum(places, places[::-1]) / 1_000)
    return (np.fft.irfft(spectrum, COUNT) * edge * level).astype(np.float32)


KINDS = ("noise", "low", "between", "high", "bursts", "clicks")
PROGRAMMES = st.builds(_programme, st.sampled_from(KINDS), st.floats(0.3, 4.0), st.integers(0, 1_000))


@given(PROGRAMMES)
@settings(max_examples=25)
def test_no_true_peak_exceeds_the_ceiling_by_a_tenth_of_a_decibel(programme: Samples) -> None:
    assert _true_peak_dbtp(_limited(programme, 960)) <= CEILING_DBTP + 0.1


@given(PROGRAMMES)
@settings(max_examples=25)
def test_what_stays_below_the_ceiling_is_untouched_and_in_its_place(programme: Samples) -> None:
    quiet = programme * np.float32(10 ** ((CEILING_DBTP - 0.05 - _true_peak_dbtp(programme)) / 20))
    assert np.array_equal(_limited(quiet, 960), quiet)


@given(
    PROGRAMMES,
    st.lists(st.integers(1, 3_000), min_size=2, max_size=6).filter(lambda blocks: sum(blocks) > 200 * len(blocks)),
)
@settings(max_examples=20)
def test_equal_input_gives_equal_output_in_any_pieces(programme: Samples, blocks: list[int]) -> None:
    assert np.array_equal(_limited(programme, 960), _limited(programme, *blocks))


@given(PROGRAMMES)
@settings(max_examples=20)
def test_the_gain_moves_without_a_step_and_is_never_above_one(programme: Samples) -> None:
    limited = _limited(programme, 960)
    loud = np.abs(programme) > 0.05
    gain_db = 20 * np.log10(np.abs(limited[loud]) / np.abs(programme[loud]))
    assert gain_db.max() <= 1e-4
    reduction_db = -gain_db.min()
    places = np.flatnonzero(loud)
    slopes = np.abs(np.diff(gain_db)) / np.diff(places)
    assert slopes.max() <= reduction_db * 2.2 / (LOOK_AHEAD / 2) + 1e-3


def test_a_peak_is_forgotten_at_the_speed_of_the_release_and_then_nothing_is_changed() -> None:
    programme = np.full(24_000, 0.25, np.float32)
    programme[2_000:2_010] = 2.0
    limited = _limited(programme, 960)
    gone = 2_010 + 2 * LOOK_AHEAD + int(20 * np.log10(2.6 / CEILING) / RELEASE_DB_PER_S * 48_000)
    assert np.array_equal(limited[gone:], programme[gone:])
    assert np.array_equal(limited[: 2_000 - LOOK_AHEAD - 1], programme[: 2_000 - LOOK_AHEAD - 1])
    after = limited[2_010 + LOOK_AHEAD : gone]
    assert (np.diff(after) >= 0).all()


def test_after_a_leap_it_is_as_if_it_had_listened_before() -> None:
    programme = _programme("noise", 2.5, 3)
    whole, limiter = _limited(programme, 960), Limiter(Tape(programme).read)
    limiter.read(SharedSample(0), 960)
    leapt = limiter.read(SharedSample(2_400), 7_200)
    assert np.abs(leapt).max() <= CEILING * 1.02
    assert np.allclose(leapt[4_800:], whole[7_200:], atol=2e-3)


def test_each_sample_of_the_source_is_asked_for_once_and_little_ahead() -> None:
    tape = Tape(_programme("noise", 2.5, 3))
    limiter = Limiter(tape.read)
    for place in range(0, 9_600, 480):
        limiter.read(SharedSample(place), 480)
    for (first, count), (following, _) in itertools.pairwise(tape.asked):
        assert first + count == following
    assert 9_600 <= sum(tape.asked[-1]) <= 9_600 + 2 * LOOK_AHEAD


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf, 3e38])
def test_a_broken_sample_does_not_break_what_follows(broken: float) -> None:
    programme = _programme("low", 0.5, 1)
    programme[5_000] = broken
    limited = _limited(programme, 960)
    assert np.array_equal(limited[:4_000], programme[:4_000])
    assert np.isfinite(limited).all()
    assert np.abs(limited).max() <= CEILING * 1.02
