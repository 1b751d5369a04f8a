"""The level meter."""

from __future__ import annotations

import numpy as np
import pytest

from edge.player.level import SILENCE_DBFS, LevelMeter, dbfs_of_power, energy_of
from tests.support.sound import wave


def test_a_full_scale_square_is_0_and_a_sine_of_half_is_minus_9_dbfs() -> None:
    assert dbfs_of_power(1.0) == 0.0
    meter = LevelMeter()
    assert meter.add(energy_of(wave(0, 960)), 960)
    assert meter.recent_dbfs == pytest.approx(-9.03, abs=0.01)


def test_silence_does_not_pull_the_level_of_what_was_audible_down() -> None:
    meter = LevelMeter()
    for _ in range(5):
        meter.add(energy_of(wave(0, 960)), 960)
    before = meter.audible_dbfs
    for _ in range(100):
        assert not meter.add(0.0, 960)
    assert meter.audible_dbfs == before
    assert meter.recent_dbfs == SILENCE_DBFS


def test_nothing_heard_has_no_level_and_blocks_count_by_their_length() -> None:
    meter = LevelMeter()
    assert meter.audible_dbfs is None
    assert meter.recent_dbfs == SILENCE_DBFS
    meter.add(energy_of(np.full(960, 0.1, np.float32)), 960)
    meter.add(energy_of(np.full(96, 1.0, np.float32)), 96)
    assert meter.audible_dbfs == pytest.approx(10 * np.log10((960 * 0.01 + 96) / 1056), abs=1e-3)
