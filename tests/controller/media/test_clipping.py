"""Clipping is seen where it is, and not where a recording is merely loud, quiet or coarse."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from controller.media.clipping import BLOCK, ClippingMeter
from tests.support.recordings import noise, tone


def share(samples: NDArray[np.float32], *, is_float: bool = False, step: int = 16 * BLOCK) -> float:
    meter = ClippingMeter(is_float=is_float)
    rows = np.atleast_2d(samples)
    for begin in range(0, rows.shape[1], step):
        meter.take(rows[:, begin : begin + step])
    return meter.share


def speech_like() -> NDArray[np.float32]:
    """Noise below a slow envelope: its loudest moments reach full scale."""
    made = noise(6.0, -15.0)
    made *= (0.2 + 0.8 * np.abs(np.sin(np.arange(len(made)) / 9_000))).astype(np.float32)
    return np.asarray(made / np.abs(made).max(), np.float32)


def test_the_further_it_was_driven_the_more_is_clipped() -> None:
    shares = [share(np.clip(speech_like() * 10 ** (drive / 20), -1, 1)) for drive in (0, 6, 12, 24)]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert shares[-1] > 0.5


@pytest.mark.parametrize("gain", [0.9, 0.3, 0.05])
def test_a_clipped_recording_that_was_turned_down_is_still_clipped(gain: float) -> None:
    clipped = np.clip(speech_like() * 8, -1, 1)
    assert share(clipped * np.float32(gain)) == pytest.approx(share(clipped), abs=0.02)


def test_one_side_is_enough_and_one_polarity() -> None:
    clipped = np.clip(speech_like() * 8, -1.0, 1.0)
    assert share(np.stack([speech_like() * np.float32(0.5), clipped])) > 0.3
    assert share(np.minimum(speech_like() * 0.9, np.float32(0.05))) > 0.3


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param(tone(440, 2.0, -3.1), id="a loud sine"),
        pytest.param(tone(60, 2.0, -3.1), id="a loud low sine"),
        pytest.param(np.round(tone(300, 2.0, -40.0) * 127).astype(np.float32) / 127, id="eight bits, quiet"),
        pytest.param(np.zeros(96_000, np.float32), id="silence"),
        pytest.param(noise(2.0, -65.0), id="hiss"),
        pytest.param(np.zeros(10, np.float32), id="less than a block"),
    ],
)
def test_what_is_not_clipped_is_not_blamed(samples: NDArray[np.float32]) -> None:
    assert share(samples) < 0.1


def test_floats_above_full_scale_only_have_to_be_turned_down() -> None:
    loud = speech_like() * 8
    assert share(loud, is_float=True) == 0.0
    assert share(loud) > 0.3, "from a lossy file such samples are what is left of flat tops"
