"""The outline holds each peak, at its place, whatever the pieces in which samples come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.media.waveform import POINTS, WaveformMeter, bars


def outline(samples: np.ndarray, pieces: list[int], step: int = 10) -> bytes:
    meter, begin = WaveformMeter(step), 0
    for piece in pieces:
        meter.take(samples[begin : begin + piece])
        begin += piece
    meter.take(samples[begin:])
    return meter.points()


@given(length=st.integers(0, 30_000), pieces=st.lists(st.integers(0, 5_000), max_size=8), at=st.floats(0, 0.999))
def test_the_highest_peak_is_there_and_where_it_was(length: int, pieces: list[int], at: float) -> None:
    samples = np.full(length, 0.1, np.float32)
    if length:
        samples[int(at * length)] = -1.0
    found = outline(samples, pieces)
    assert len(found) <= POINTS
    assert found == outline(samples, [])
    if length:
        place = found.index(255)
        assert place / len(found) == pytest.approx(int(at * length) / length, abs=1.1 / len(found) + 10 / length)
        assert set(found) <= {26, 255}


def test_a_terminal_shows_it_in_one_line() -> None:
    assert bars(bytes([0, 255, 128, 0]), 4) == "▁█▄▁"
    assert bars(bytes(800), 60) == "▁" * 60
    assert bars(b"", 60) == ""
    assert bars(bytes([255]), 0) == ""
