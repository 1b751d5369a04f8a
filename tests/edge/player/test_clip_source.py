"""Clips on the grid: once, repeated, and when the file breaks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ClipError
from edge.player.clip_source import ClipSource
from protocol.units import SharedSample
from tests.support.sound import ORIGIN, MemoryClip

CLIP = np.linspace(0.1, 0.9, 5_000, dtype=np.float32)


def _source(period: int | None = None, *, breaks_at: int | None = None) -> ClipSource:
    reader = MemoryClip(CLIP, breaks_at=breaks_at)
    return ClipSource(reader=reader, starts_at=SharedSample(ORIGIN), repeat_every_samples=period)


@given(
    period=st.none() | st.integers(100, 12_000),
    first=st.integers(-3_000, 40_000),
    counts=st.lists(st.integers(1, 3_000), min_size=1, max_size=8),
)
def test_every_sample_is_the_clips_own_at_its_place(period: int | None, first: int, counts: list[int]) -> None:
    source = _source(period)
    place = first
    for count in counts:
        out = source.read(SharedSample(ORIGIN + place), count).copy()
        offsets = np.arange(place, place + count)
        inside = offsets >= 0
        if period is not None:
            offsets = np.where(inside, offsets % period, offsets)
        inside &= offsets < len(CLIP)
        expected = np.where(inside, CLIP[np.clip(offsets, 0, len(CLIP) - 1)], 0.0)
        assert np.array_equal(out, expected.astype(np.float32))
        place += count
    assert source.counters.real + source.counters.silent == sum(counts)


def test_a_file_that_breaks_is_silence_from_then_on_and_says_why() -> None:
    source = _source(breaks_at=2_000)
    assert source.read(SharedSample(ORIGIN), 1_000).all()
    assert not source.read(SharedSample(ORIGIN + 1_500), 1_000).any()
    assert source.failure == "the card is worn out"
    assert not source.read(SharedSample(ORIGIN), 500).any()


def test_a_period_that_is_none_is_refused() -> None:
    with pytest.raises(ClipError, match="positive period"):
        _source(0)


def test_closing_lets_go_of_the_file() -> None:
    reader = MemoryClip(CLIP)
    ClipSource(reader=reader, starts_at=SharedSample(ORIGIN)).close()
    assert reader.is_closed
