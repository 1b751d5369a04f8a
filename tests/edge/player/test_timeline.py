"""The cursor: follows in silence, works small differences off slowly, asks for a re-anchoring beyond."""

from __future__ import annotations

import pytest

from edge.player.timeline import REANCHOR_SAMPLES, STRETCH_EVERY_SAMPLES, STRETCHED_FRAMES_MIN, Timeline
from tests.support.sound import ORIGIN, instant


def _in_play(error: int) -> Timeline:
    timeline = Timeline()
    timeline.follow(instant(ORIGIN))
    place = ORIGIN
    for drifted in range(0, error, 100 if error > 0 else -100):
        assert not timeline.must_reanchor(instant(place + drifted))
    assert not timeline.must_reanchor(instant(place + error))
    return timeline


def test_before_the_first_block_nothing_is_known_and_nothing_asked_for() -> None:
    timeline = Timeline()
    assert timeline.cursor is None
    assert not timeline.must_reanchor(instant(ORIGIN))
    timeline.advance(960)
    assert timeline.cursor is None


@pytest.mark.parametrize(("error", "way"), [(300, 1), (-300, -1)])
def test_a_difference_is_worked_off_by_one_sample_at_a_time_within_500_ppm(error: int, way: int) -> None:
    timeline = _in_play(error)
    covered = [timeline.stretch(480) - 480 for _ in range(1_000)]
    assert set(covered) == {0, way}
    assert sum(map(abs, covered)) <= 1_000 * 480 // STRETCH_EVERY_SAMPLES
    assert timeline.stretches == sum(map(abs, covered))


@pytest.mark.parametrize("frames", [1, 2, STRETCHED_FRAMES_MIN - 1])
def test_tiny_blocks_are_left_as_they_are(frames: int) -> None:
    timeline = _in_play(-300)
    assert {timeline.stretch(frames) for _ in range(5_000)} == {frames}


def test_rounding_is_no_difference() -> None:
    timeline = _in_play(1)
    assert {timeline.stretch(4_800) for _ in range(100)} == {4_800}


@pytest.mark.parametrize("way", [1, -1])
def test_what_is_too_far_or_too_sudden_asks_for_a_reanchoring(way: int) -> None:
    timeline = _in_play(way * REANCHOR_SAMPLES)
    assert timeline.must_reanchor(instant(ORIGIN + way * (REANCHOR_SAMPLES + 1)))
    assert _in_play(0).must_reanchor(instant(ORIGIN + way * 300))
    assert timeline.reanchor(instant(ORIGIN + 5_000)) == ORIGIN + 5_000
    assert timeline.reanchors == 1
    assert timeline.error_samples == 0
