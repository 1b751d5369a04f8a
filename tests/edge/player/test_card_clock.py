"""The card's clock: right at once, smooth later, and not fooled by jitter."""

from __future__ import annotations

import random

import pytest

from edge.player.card_clock import JUMP_NS, CardClock
from protocol.units import NS_PER_S, MonotonicNs

BLOCK = 1_920


def _truth_ns(frame: int, ppm: float) -> int:
    return 5 * NS_PER_S + round(frame * NS_PER_S / 48_000 * (1 + ppm * 1e-6))


def _run(clock: CardClock, ppm: float, blocks: int, jitter_ns: int, seed: int = 1) -> list[int]:
    """Errors of predictions 200 ms ahead, in ns."""
    chance, errors = random.Random(seed), []  # noqa: S311 - jitter, not a secret
    for block in range(blocks):
        frame = block * BLOCK
        clock.observe(frame, MonotonicNs(_truth_ns(frame, ppm) + chance.randint(-jitter_ns, jitter_ns)))
        ahead = frame + 9_600
        errors.append(abs(clock.heard_at(ahead) - _truth_ns(ahead, ppm)))
    return errors


@pytest.mark.parametrize("ppm", [-100.0, 0.0, 40.0, 100.0])
def test_it_follows_a_crystal_through_jitter_within_a_twentieth_of_a_millisecond(ppm: float) -> None:
    clock = CardClock()
    errors = _run(clock, ppm, 3_000, 200_000)
    assert max(errors[500:]) < 100_000
    assert sum(errors[1_000:]) / len(errors[1_000:]) < 50_000
    assert clock.drift_ppm == pytest.approx(ppm, abs=15.0)
    assert clock.jumps == 0


def test_the_first_word_of_the_card_is_believed_at_once() -> None:
    clock = CardClock()
    assert clock.is_known is False
    clock.observe(100, MonotonicNs(7_000_000))
    assert clock.heard_at(100 + 48) == 8_000_000


def test_a_jump_begins_the_line_anew_and_is_counted() -> None:
    clock = CardClock()
    _run(clock, 0.0, 100, 0)
    frame = 100 * BLOCK
    clock.observe(frame, MonotonicNs(_truth_ns(frame, 0.0) + JUMP_NS + 1_000_000))
    assert clock.jumps == 1
    assert clock.heard_at(frame) == _truth_ns(frame, 0.0) + JUMP_NS + 1_000_000


def test_an_impossible_rate_is_not_learned() -> None:
    clock = CardClock()
    _run(clock, 2_000.0, 2_000, 0)
    assert abs(clock.drift_ppm) <= 500.0
    clock.reset()
    assert clock.drift_ppm == 0.0
