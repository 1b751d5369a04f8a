"""The peer's method behaves as it is known to: its clock lags by half its window, its sound follows in small steps."""

from __future__ import annotations

from benchmarks.sync.snapcast import BUFFER_US, CLOCK_SAMPLES, FIRST_QUESTIONS, MedianClock, MedianPlayer
from protocol.units import NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ

FRAMES = 960
CHUNK = 4_800


def test_a_drift_of_50_ppm_is_an_error_of_5_ms() -> None:
    clock = MedianClock()
    for second in range(1_000):
        clock.observe(second * 50_000, second * NS_PER_S)
    assert 999 * 50_000 - clock.offset_ns == 5 * NS_PER_MS - 50_000


def test_it_plays_after_its_first_questions_and_forgets_after_a_minute() -> None:
    clock = MedianClock()
    for question in range(FIRST_QUESTIONS):
        assert not clock.is_known
        clock.observe(7, question * NS_PER_MS)
    assert clock.is_known
    clock.observe(1_000, 62 * NS_PER_S)
    assert clock.offset_ns == 1_000
    assert CLOCK_SAMPLES == 200


def played(seconds: int, *, wrong_by_us: int, lost: frozenset[int] = frozenset()) -> tuple[MedianPlayer, list[int]]:
    """A card and clock without any error but a constant one that begins after five seconds: places less due ones."""
    player, errors = MedianPlayer(), []
    for chunk in range((seconds + 2) * SAMPLE_RATE_HZ // CHUNK):
        if chunk not in lost:
            player.put(chunk * CHUNK, CHUNK)
    for block in range(seconds * 50):
        now_us = BUFFER_US + block * 20_000
        error_us = wrong_by_us if block >= 250 else 0
        pulled = player.pull(FRAMES, server_ns=(now_us + error_us) * 1_000, delay_us=0)
        if pulled.frames == FRAMES:
            errors.append(pulled.place - block * FRAMES)
    return player, errors


def test_without_an_error_nothing_is_corrected() -> None:
    player, errors = played(30, wrong_by_us=0)
    assert set(errors) == {0}
    assert player.restarts == 0


def test_a_millisecond_is_worked_off_within_its_bound_until_it_rests_near_its_dead_band() -> None:
    player, errors = played(60, wrong_by_us=1_000)
    assert player.restarts == 0
    steps = [after - before for before, after in zip(errors, errors[50:], strict=False)]
    assert max(steps) <= 25  # 500 ppm in a second
    assert 40 <= errors[-1] <= 48


def test_eight_milliseconds_are_a_restart() -> None:
    player, errors = played(60, wrong_by_us=8_000)
    assert player.restarts == 1
    assert errors[-1] == 384


def test_lost_chunks_are_silence_and_then_sound_is_in_place_again() -> None:
    player, errors = played(20, wrong_by_us=0, lost=frozenset(range(50, 60)))
    assert player.restarts >= 1
    assert errors[-1] == 0
