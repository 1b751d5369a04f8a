"""The cursor: put down exactly in silence, steered without a dead band in play, re-anchored beyond."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.player.timeline import CORRECTION_PPM_MAX, REANCHOR_NS, SLEW_PPM_PER_S, STEP_NS, Timeline
from protocol.units import NS_PER_S, SharedNs
from tests.support.sound import ORIGIN, instant

BLOCK = 960
BLOCK_S = BLOCK / 48_000
ORIGIN_NS = instant(ORIGIN)


def _at(frame: int, ppm: float, later_ns: float = 0.0) -> SharedNs:
    """When a card whose second is `ppm` longer sounds its frame."""
    return SharedNs(ORIGIN_NS + round(frame * NS_PER_S / 48_000 * (1 + ppm * 1e-6) + later_ns))


def _silence(timeline: Timeline, ppm: float, seconds: float, *, jitter_ns: int = 0, seed: int = 1) -> int:
    """Let it follow a card; returns the card's next frame."""
    chance, frame = random.Random(seed), 0  # noqa: S311 - jitter, not a secret
    for _ in range(round(seconds / BLOCK_S)):
        timeline.follow(_at(frame, ppm, chance.uniform(-jitter_ns, jitter_ns)), BLOCK)
        timeline.advance(BLOCK)
        frame += BLOCK
    return frame


def test_before_the_first_block_nothing_is_known_and_nothing_asked_for() -> None:
    timeline = Timeline()
    assert timeline.cursor is None
    assert not timeline.must_reanchor(instant(ORIGIN), BLOCK)
    timeline.advance(960)
    assert timeline.cursor is None


@given(st.integers(-(10**9), 10**9))
def test_in_silence_the_cursor_is_put_down_to_a_fraction_of_a_sample(later_ns: int) -> None:
    timeline = Timeline()
    cursor = timeline.follow(SharedNs(ORIGIN_NS + later_ns), BLOCK)
    place_ns = (cursor.sample - ORIGIN + cursor.fraction) * NS_PER_S / 48_000
    assert place_ns == pytest.approx(later_ns, abs=25.0)
    assert -0.5 <= cursor.fraction <= 0.5
    assert timeline.error_ns == 0.0


def test_whole_samples_stay_whole_although_instants_are_rounded_to_nanoseconds() -> None:
    timeline = Timeline()
    timeline.follow(instant(ORIGIN), BLOCK)
    for block in range(500):
        assert not timeline.must_reanchor(instant(ORIGIN + block * BLOCK), BLOCK)
        assert timeline.rate == 0.0
        timeline.advance(BLOCK)
    assert timeline.cursor is not None
    assert timeline.cursor.sample == ORIGIN + 500 * BLOCK
    assert timeline.cursor.fraction == 0.0


@pytest.mark.parametrize("ppm", [-100.0, -20.0, 50.0, 100.0])
def test_the_rate_is_learned_in_silence_so_that_play_begins_at_it(ppm: float) -> None:
    timeline = Timeline()
    frame = _silence(timeline, ppm, 20.0, jitter_ns=20_000)
    assert timeline.correction_ppm == pytest.approx(ppm, abs=10.0)
    worst = 0.0
    for _ in range(round(20 / BLOCK_S)):
        assert not timeline.must_reanchor(_at(frame, ppm), BLOCK)
        timeline.advance(BLOCK)
        frame += BLOCK
        worst = max(worst, abs(timeline.error_ns))
    assert worst < 25_000.0
    assert timeline.correction_ppm == pytest.approx(ppm, abs=1.0)


@pytest.mark.parametrize("error_ms", [-20.0, -4.0, -0.2, 0.01, 0.2, 4.0, 20.0])
def test_a_difference_is_worked_off_whole_within_500_ppm_and_without_a_step_of_pitch(error_ms: float) -> None:
    timeline = Timeline()
    timeline.follow(instant(ORIGIN), BLOCK)
    frame, rate, error_ns, fastest = 0, timeline.rate, error_ms * 1e6, 0.0
    steps = max(1, abs(int(error_ms // 4)))
    for block in range(round(90 / BLOCK_S)):
        now_ns = error_ns * min(block + 1, steps) / steps  # more at once would be a jump
        assert not timeline.must_reanchor(_at(frame, 0.0, now_ns), BLOCK)
        fastest = max(fastest, abs(timeline.rate - rate))
        rate = timeline.rate
        assert abs(timeline.correction_ppm) <= CORRECTION_PPM_MAX
        timeline.advance(BLOCK)
        frame += BLOCK
    assert abs(timeline.error_ns) < 100.0
    assert fastest <= SLEW_PPM_PER_S * 1e-6 * BLOCK_S + 1e-8


@pytest.mark.parametrize("way", [1, -1])
def test_what_is_too_far_or_too_sudden_asks_for_a_reanchoring(way: int) -> None:
    timeline = Timeline()
    timeline.follow(instant(ORIGIN), BLOCK)
    for place_ns in range(0, REANCHOR_NS, STEP_NS // 2):
        assert not timeline.must_reanchor(SharedNs(ORIGIN_NS + way * place_ns), BLOCK)
    assert timeline.must_reanchor(SharedNs(ORIGIN_NS + way * (REANCHOR_NS + 1)), BLOCK)
    fresh = Timeline()
    fresh.follow(instant(ORIGIN), BLOCK)
    assert fresh.must_reanchor(SharedNs(ORIGIN_NS + way * (STEP_NS + 1_000)), BLOCK)
    assert fresh.reanchor(instant(ORIGIN + 5_000)).sample == ORIGIN + 5_000
    assert fresh.reanchors == 1
    assert fresh.error_ns == 0.0


def test_gaps_and_leaps_in_silence_teach_no_rate() -> None:
    timeline = Timeline()
    frame = _silence(timeline, 30.0, 30.0)
    for leap in range(1, 50):
        timeline.follow(_at(frame, 30.0, leap * 20_000_000), BLOCK)
        frame += BLOCK
    assert timeline.correction_ppm == pytest.approx(30.0, abs=2.0)


@given(
    moves=st.lists(st.tuples(st.integers(1, 6_000), st.integers(-3_000_000, 3_000_000)), min_size=1, max_size=60),
)
@settings(max_examples=60)
def test_any_sequence_of_blocks_and_clocks_moves_on_within_the_bound(moves: list[tuple[int, int]]) -> None:
    timeline = Timeline()
    before = timeline.follow(instant(ORIGIN), BLOCK)
    timeline.advance(BLOCK)
    frame = BLOCK
    for frames, noise_ns in moves:
        assert abs(timeline.correction_ppm) <= CORRECTION_PPM_MAX
        if timeline.must_reanchor(_at(frame, 0.0, noise_ns), frames):
            before = timeline.reanchor(_at(frame, 0.0, noise_ns))
        timeline.advance(frames)
        frame += frames
        cursor = timeline.cursor
        assert cursor is not None
        moved = cursor.sample - before.sample + cursor.fraction - before.fraction
        assert moved > 0.0
        before = cursor
    for _ in range(round(60 / BLOCK_S)):
        if timeline.must_reanchor(_at(frame, 40.0), BLOCK):
            timeline.reanchor(_at(frame, 40.0))
        timeline.advance(BLOCK)
        frame += BLOCK
    assert abs(timeline.error_ns) < 1_000.0
