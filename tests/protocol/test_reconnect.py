"""Waiting before another attempt: never in step, never for longer than the bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.reconnect import CEILING_S, STABLE_AFTER_S, TOLD_AGAIN_S, Backoff, Told, herd_window_s

uniform = st.floats(min_value=0, max_value=1, exclude_max=True)


def test_one_trouble_is_told_at_once_and_again_only_now_and_then() -> None:
    told = Told()
    assert told.is_due("away", now_s=0.0)
    assert not told.is_due("away", now_s=TOLD_AGAIN_S - 1)
    assert told.is_due("away", now_s=TOLD_AGAIN_S)
    assert told.is_due("refused", now_s=TOLD_AGAIN_S + 1)
    told.forget()
    assert told.is_due("refused", now_s=TOLD_AGAIN_S + 2)


def test_bounds_double_up_to_the_ceiling_and_stay_there() -> None:
    backoff, bounds_s = Backoff(), []
    for _ in range(40):
        backoff, wait_s = backoff.after_failure(1.0)
        bounds_s.append(wait_s)
    assert bounds_s[:6] == [2, 4, 8, 16, 32, 60]
    assert set(bounds_s[6:]) == {CEILING_S}


@given(uniform, st.integers(0, 10_000))
def test_jitter_is_full(draw: float, failures: int) -> None:
    _, wait_s = Backoff(failures=failures).after_failure(draw)
    assert 0 <= wait_s <= CEILING_S
    assert Backoff(failures=failures).after_failure(0.0)[1] == 0


@given(uniform, st.floats(min_value=0, max_value=600))
def test_the_first_attempt_after_a_good_connection_is_within_the_herd_window(draw: float, window_s: float) -> None:
    backoff, wait_s = Backoff(failures=7).after_loss(draw, lasted_s=STABLE_AFTER_S, herd_window_s=window_s)
    assert 0 <= wait_s <= window_s
    assert backoff == Backoff()


def test_connections_that_do_not_last_are_failures_but_for_the_first() -> None:
    backoff, waits_s = Backoff(), []
    for _ in range(5):
        backoff, wait_s = backoff.after_loss(1.0, lasted_s=0.1, herd_window_s=5)
        waits_s.append(wait_s)
    assert waits_s == [5, 4, 8, 16, 32]


@pytest.mark.parametrize(("nodes", "seconds"), [(0, 5), (3, 5), (700, 7), (4_000, 40), (5_000, 50), (100_000, 50)])
def test_a_fleet_returns_at_a_hundred_a_second_within_a_minute(nodes: int, seconds: int) -> None:
    assert herd_window_s(nodes) == seconds


def test_a_controller_that_waits_for_its_broker_waits_a_few_seconds_at_most() -> None:
    _, wait_s = Backoff(failures=12).after_failure(1.0, ceiling_s=3.0)
    assert wait_s == 3.0
    _, wait_s = Backoff(failures=12).after_loss(1.0, lasted_s=0.0, herd_window_s=0.5, ceiling_s=3.0)
    assert wait_s == 3.0
