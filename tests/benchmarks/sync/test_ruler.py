"""The pattern says where it is, to far less than a sample, at any rate; and says nothing where it is broken."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.sync.ruler import (
    FRAMES_A_PERIOD,
    LEVEL,
    PERIOD_SAMPLES,
    TONES_HZ,
    PatternDecoder,
    pattern,
    pattern_frames,
    place_of,
    wrapped,
)
from protocol.units import FRAME_SAMPLES, SAMPLE_RATE_HZ


def heard(first: float, frames: int, rate: float = 1.0) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """A block as a card gives it whose first frame shows the place `first`."""
    places = first + np.arange(frames) * rate
    tones = np.sum([np.cos(2 * np.pi * hz / SAMPLE_RATE_HZ * places) for hz in TONES_HZ], axis=0)
    block: np.ndarray[tuple[int], np.dtype[np.int16]] = np.rint(tones * LEVEL * 32_767).astype(np.int16)
    return block


@settings(max_examples=50)
@given(st.floats(0, 1e7, allow_nan=False), st.sampled_from([480, 960, 1920, 3840]), st.floats(-500e-6, 500e-6))
def test_a_place_is_read_to_a_hundredth_of_a_sample(first: float, frames: int, rate: float) -> None:
    read = place_of(heard(first, frames, 1.0 + rate))
    assert read is not None
    assert abs(wrapped(read - first - (frames - 1) / 2 * (1.0 + rate))) < 0.01


@pytest.mark.parametrize(
    "broken",
    [
        np.zeros(1920, np.int16),
        np.concatenate((heard(0, 960), np.zeros(960, np.int16))),
        np.concatenate((heard(0, 960), heard(3_000, 960))),
        (heard(0, 1920) * np.linspace(0, 1, 1920)).astype(np.int16),
        (heard(0, 1920) // 2).astype(np.int16),
    ],
    ids=["silence", "a gap", "a splice", "a fade", "half the level"],
)
def test_what_is_not_whole_cannot_be_read(broken: np.ndarray[tuple[int], np.dtype[np.int16]]) -> None:
    assert place_of(broken) is None


def test_the_decoder_gives_the_pattern_frame_by_frame_without_a_seam() -> None:
    into, decoder = np.zeros(FRAME_SAMPLES, np.float32), PatternDecoder()
    parts = []
    for frame in pattern_frames():
        decoder.decode(frame, into)
        parts.append(into.copy())
    assert len(parts) == FRAMES_A_PERIOD
    assert np.array_equal(np.concatenate(parts), pattern())
    assert np.max(np.abs(pattern())) < 0.7  # below the limiter
    decoder.conceal(into)
    assert not into.any()


def test_differences_are_the_nearest_ones() -> None:
    assert wrapped(PERIOD_SAMPLES - 1) == -1
    assert wrapped(-PERIOD_SAMPLES / 2 + 1) == -PERIOD_SAMPLES / 2 + 1
