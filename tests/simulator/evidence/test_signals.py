"""Attention signals are told by their tones: each as what it is, at any loudness, and nothing else as one."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from edge.player.chime import Chime, signal
from edge.proof.sweep import sweep
from simulator.evidence import pattern
from simulator.evidence.signals import SAMPLES_MIN, SELF_TEST, signal_in, source_of


@pytest.mark.parametrize("chime", list(Chime))
@pytest.mark.parametrize("gain", [1.0, 0.02])
@pytest.mark.parametrize("count", [191, 960])
def test_each_signal_is_heard_as_what_it_is(chime: Chime, gain: float, count: int) -> None:
    samples = np.round(signal(chime, 3_000) * gain * 32_767).astype(np.int16)
    pieces = [samples[at : at + count] for at in range(0, len(samples) - count, count)]
    told = Counter(signal_in(piece) for piece in pieces if np.abs(piece.astype(np.int32)).max() > 50)
    assert set(told) <= {source_of(chime), None}
    assert told[None] <= 0.25 * told.total()


def test_programmes_silence_and_scraps_are_no_signal() -> None:
    sound = np.empty(960, np.float32)
    for tag in range(40):
        pattern.fill(tag, tag * 4_567, sound)
        samples = np.round(sound * 32_767).astype(np.int16)
        assert signal_in(samples) is None
        assert signal_in(samples[:191]) is None
    assert signal_in(np.zeros(960, np.int16)) is None
    assert signal_in(np.round(signal(Chime.DRILL, 500) * 32_767).astype(np.int16)[500 : 499 + SAMPLES_MIN]) is None


@pytest.mark.parametrize("gain", [1.0, 0.05])
@pytest.mark.parametrize("count", [480, 960])
def test_a_self_test_is_told_from_a_signal_all_along_its_sweep(gain: float, count: int) -> None:
    samples = np.round(sweep() * gain * 32_767).astype(np.int16)
    pieces = [samples[at : at + count] for at in range(0, len(samples) - count, count)]
    told = Counter(signal_in(piece) for piece in pieces)
    assert set(told) <= {SELF_TEST, None}
    assert told[None] <= 0.05 * told.total()
