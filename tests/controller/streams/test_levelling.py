"""Levelling: the target is met slowly, noise is not lifted, the ceiling holds for anything."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from controller.streams.levelling import (
    CEILING_DBFS,
    GAIN_DB_MAX,
    LOOKAHEAD_SAMPLES,
    SILENT_DBFS,
    Leveller,
    Limiter,
    gated_level_dbfs,
    level_dbfs,
)
from tests.support.recordings import noise, tone

CEILING = 10 ** (CEILING_DBFS / 20) * 1.00001
"""The ceiling, and a millionth for float32."""
FRAME = 960


def through(leveller: Leveller, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    return np.concatenate([leveller.process(frame) for frame in frames])


@pytest.mark.parametrize("feed_dbfs", [-45.0 + GAIN_DB_MAX - 12, -32.0, -20.0, -8.0])
def test_a_feed_ends_at_the_target_whatever_its_level(feed_dbfs: float) -> None:
    levelled = through(Leveller(-20.0), noise(20.0, feed_dbfs))
    assert level_dbfs(levelled[-48_000:]) == pytest.approx(-20.0, abs=0.7)


def test_a_primed_feed_begins_at_the_target() -> None:
    feed = noise(2.0, -32.0)
    leveller = Leveller(-20.0)
    leveller.prime(feed[:24_000])
    levelled = through(leveller, feed)
    assert level_dbfs(levelled[LOOKAHEAD_SAMPLES:24_000]) == pytest.approx(-20.0, abs=0.7)


def test_noise_of_a_dead_line_is_not_lifted() -> None:
    levelled = through(Leveller(-20.0), noise(10.0, -56.0))
    assert level_dbfs(levelled[-48_000:]) == pytest.approx(-56.0, abs=0.2)


def test_a_lifted_gain_falls_back_in_a_long_pause() -> None:
    leveller = Leveller(-20.0)
    through(leveller, noise(15.0, -35.0))
    lifted = leveller.gain_db
    through(leveller, noise(1.0, -60.0))
    assert leveller.gain_db == lifted, "a short pause holds the gain"
    through(leveller, noise(20.0, -60.0))
    assert (lifted > 10.0, leveller.gain_db) == (True, 0.0)


def test_the_gain_does_not_breathe_between_words() -> None:
    leveller = Leveller(-20.0)
    spoken = np.concatenate([np.concatenate((noise(0.6, -26.0, seed), noise(0.4, -62.0, seed))) for seed in range(20)])
    through(leveller, spoken)
    before = leveller.gain_db
    through(leveller, noise(0.4, -62.0))
    assert leveller.gain_db == pytest.approx(before, abs=0.01)
    assert before == pytest.approx(6.0, abs=1.0), "the pauses do not count as quiet speech"


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.floats(-40, 30), st.floats(0.0, 1.0))
def test_no_sample_leaves_above_the_ceiling(seed: int, dbfs: float, share: float) -> None:
    random = np.random.default_rng(seed)
    samples = random.standard_normal(FRAME * 12).astype(np.float32) * np.float32(10 ** (dbfs / 20))
    samples *= random.random(len(samples)) < share
    limiter = Limiter()
    limited = np.concatenate([limiter.process(frame) for frame in samples.reshape(-1, FRAME)])
    assert np.abs(limited).max() <= CEILING


def test_what_is_below_the_ceiling_passes_untouched_and_late_by_the_look_ahead() -> None:
    samples = noise(0.4, -24.0)
    limiter = Limiter()
    limited = np.concatenate([limiter.process(frame) for frame in samples.reshape(-1, FRAME)])
    assert np.array_equal(limited[LOOKAHEAD_SAMPLES:], samples[:-LOOKAHEAD_SAMPLES])


def test_a_peak_is_turned_down_smoothly_and_let_go_again() -> None:
    samples = tone(1000, 1.0, -12.0)
    samples[24_000:24_048] *= 8
    limiter = Limiter()
    limited = np.concatenate([limiter.process(frame) for frame in samples.reshape(-1, FRAME)])[LOOKAHEAD_SAMPLES:]
    whole = samples[: len(limited)]
    gains = limited[np.abs(whole) > 0.05] / whole[np.abs(whole) > 0.05]
    assert np.abs(np.diff(gains)).max() < 0.02, "no step in the gain"
    assert gains[-1] == pytest.approx(1.0, abs=0.01)


def test_pauses_do_not_count_in_a_recordings_level() -> None:
    recording = np.concatenate((noise(2.0, -18.0), np.zeros(96_000, np.float32), noise(2.0, -70.0)))
    assert gated_level_dbfs(recording) == pytest.approx(-18.0, abs=0.2)


def test_silence_has_a_finite_level() -> None:
    assert level_dbfs(np.zeros(960, np.float32)) == SILENT_DBFS
    assert gated_level_dbfs(np.zeros(0, np.float32)) == SILENT_DBFS


def test_a_limiter_does_the_same_in_blocks_as_in_one_piece() -> None:
    """Blocks in which there is nothing to turn down are passed on by a short way; peaks lie at their edges, too."""
    samples = noise(4.0, -20.0).copy()
    samples[[0, 959, 960, 48_000, 48_001, 96_959, 150_003]] = (0.95, -1.2, 0.9, 2.0, -2.0, 1.1, 0.892)
    whole, blockwise = Limiter(), Limiter()
    expected = whole.process(samples)
    found = np.concatenate([blockwise.process(block) for block in samples.reshape(-1, FRAME)])
    assert np.allclose(found, expected, atol=1e-6)
    assert np.abs(found).max() <= CEILING
    assert np.abs(found[40_000:47_000] - samples[40_000 - LOOKAHEAD_SAMPLES : 47_000 - LOOKAHEAD_SAMPLES]).max() == 0.0
