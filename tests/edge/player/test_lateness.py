"""Quantiles of lateness over a window: the same as those of a sort, whatever comes, in bounded memory."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.player.lateness import LATENESS_US_MAX, WINDOW_PACKETS, LatenessWindow

QUANTILES = (0.0, 0.5, 0.95, 0.99, 0.999, 1.0)


def of_a_sort(values: list[int], quantile: float) -> float:
    ordered = sorted(max(-LATENESS_US_MAX, min(LATENESS_US_MAX, value)) for value in values)
    return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))] / 1_000


def test_nothing_has_come() -> None:
    assert [LatenessWindow().quantile_ms(each) for each in QUANTILES] == [0.0] * len(QUANTILES)


@given(st.lists(st.integers(-(2**70), 2**70) | st.integers(-1_000_000, 100_000), min_size=1, max_size=200))
def test_the_quantiles_are_those_of_all_that_came(values: list[int]) -> None:
    window = LatenessWindow()
    for value in values:
        window.add(value)
    assert [window.quantile_ms(each) for each in QUANTILES] == [of_a_sort(values, each) for each in QUANTILES]


def test_only_the_last_packets_count() -> None:
    window, chance = LatenessWindow(), random.Random(5)  # noqa: S311 - a seed, no secret
    values = [int(chance.gammavariate(2.0, 30_000)) - 900_000 for _ in range(WINDOW_PACKETS + 700)]
    for value in values:
        window.add(value)
    assert len(window) == WINDOW_PACKETS
    assert [window.quantile_ms(each) for each in QUANTILES] == [
        of_a_sort(values[-WINDOW_PACKETS:], each) for each in QUANTILES
    ]
    window.clear()
    window.add(-7_000)
    assert len(window) == 1
    assert window.quantile_ms(0.999) == pytest.approx(-7.0)
