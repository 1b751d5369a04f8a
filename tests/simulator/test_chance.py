"""Chance: streams that do not disturb each other, distributions with the moments they claim."""

from __future__ import annotations

import statistics

import pytest

from simulator.chance import stream_of


def test_a_stream_depends_on_seed_and_name_alone() -> None:
    first = [stream_of(7, "network").random() for _ in range(3)]
    again = stream_of(7, "network")
    assert first[0] == again.random()
    assert stream_of(7, "broker").random() != first[0]
    assert stream_of(8, "network").random() != first[0]


def test_streams_are_the_same_on_every_machine() -> None:
    stream = stream_of(1, "golden")
    assert [stream.within(0, 999_999) for _ in range(4)] == [786981, 572149, 452483, 681053]
    assert [stream.exponential_ns(10**9) for _ in range(3)] == [4618772097, 251747594, 632765498]


def test_exponential_has_mean_and_deviation_one() -> None:
    stream = stream_of(3, "exponential")
    draws = [stream.exponential() for _ in range(40_000)]
    assert statistics.mean(draws) == pytest.approx(1.0, abs=0.02)
    assert statistics.pstdev(draws) == pytest.approx(1.0, abs=0.03)
    assert min(draws) >= 0.0
    share_beyond_two = sum(draw > 2.0 for draw in draws) / len(draws)
    assert share_beyond_two == pytest.approx(0.1353, abs=0.006)


def test_gamma_keeps_its_mean_and_narrows_with_its_shape() -> None:
    stream = stream_of(3, "gamma")
    for shape in (1, 2, 4):
        draws = [stream.gamma_ns(12_000_000, shape) for _ in range(20_000)]
        assert statistics.mean(draws) == pytest.approx(12_000_000, rel=0.03)
        assert statistics.pstdev(draws) == pytest.approx(12_000_000 / shape**0.5, rel=0.05)


def test_happens_keeps_its_probability_and_its_certain_ends() -> None:
    stream = stream_of(3, "happens")
    hits = sum(stream.happens(20_000) for _ in range(50_000))
    assert hits == pytest.approx(1_000, rel=0.15)
    assert not any(stream.happens(0) for _ in range(100))
    assert all(stream.happens(1_000_000) for _ in range(100))


def test_within_reaches_both_ends_and_nothing_else() -> None:
    stream = stream_of(3, "within")
    assert {stream.within(-1, 2) for _ in range(500)} == {-1, 0, 1, 2}
