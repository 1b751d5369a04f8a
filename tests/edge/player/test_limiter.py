"""The limiter: nothing below the knee, never above full scale, no fold."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge.player.limiter import KNEE, as_frames, limit

WAVES = hnp.arrays(np.float32, st.integers(0, 200), elements=st.floats(-40.0, 40.0, width=32))


@given(WAVES)
def test_it_never_exceeds_full_scale_keeps_the_sign_and_the_order(samples: np.ndarray) -> None:
    limited = limit(samples)
    assert (np.abs(limited) <= 1.0).all()
    assert (np.sign(limited) == np.sign(samples)).all()
    order = np.argsort(samples, kind="stable")
    assert (np.diff(limited[order]) >= -1e-6).all()


@given(WAVES)
def test_below_the_knee_it_changes_nothing(samples: np.ndarray) -> None:
    low = np.clip(samples, -KNEE, KNEE).astype(np.float32)
    low[np.abs(low) > KNEE] = 0.0
    assert np.array_equal(limit(low), low)


def test_the_knee_has_no_corner() -> None:
    ramp = np.linspace(KNEE - 0.01, KNEE + 0.01, 2_001, dtype=np.float64).astype(np.float32)
    slope = np.diff(limit(ramp).astype(np.float64)) / np.diff(ramp.astype(np.float64))
    assert abs(slope[1_100:].mean() - 1.0) < 0.05


def test_frames_are_rounded_to_nearest_and_mono() -> None:
    frames = as_frames(np.array([0.0, 1.0, -1.0, 0.5 / 32767, 0.6 / 32767], np.float32))
    assert frames.shape == (5, 1)
    assert frames.dtype == np.int16
    assert frames.reshape(-1).tolist() == [0, 32767, -32767, 0, 1]
