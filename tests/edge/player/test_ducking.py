"""The gain of a bed: a function of the grid and the spans, without a step, low from the start where it begins low."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.player.ducking import ATTACK_SAMPLES, DUCKED, RELEASE_SAMPLES, Ducking, Span
from edge.player.switching import DUCK_DB
from protocol.units import SharedSample

LENGTH = 120_000


def span(begins: int, ends: int) -> Span:
    return SharedSample(begins), SharedSample(ends)


def gains(ducking: Ducking, first: int, last: int, *, block: int = 960) -> NDArray[np.float64]:
    parts = [np.ones(0)]
    for low in range(first, last, block):
        high = min(low + block, last)
        found, _ = ducking.gains(low, high)
        parts.append(np.ones(high - low) if found is None else found)
    return np.concatenate(parts)


def test_it_falls_within_the_attack_stays_and_rises_within_the_release() -> None:
    ducking = Ducking()
    ducking.use([span(10_000, 50_000)])
    found = gains(ducking, 0, LENGTH)
    assert -18 <= DUCK_DB <= -12
    assert np.all(found[:10_000] == 1.0)
    assert np.all(found[10_000 + ATTACK_SAMPLES : 50_000] == pytest.approx(DUCKED))
    assert np.all(found[50_000 + RELEASE_SAMPLES :] == pytest.approx(1.0))
    assert np.all(np.diff(found[10_000 : 10_000 + ATTACK_SAMPLES]) <= 0)
    assert np.all(np.diff(found[50_000 : 50_000 + RELEASE_SAMPLES]) >= 0)
    assert ducking.gains(LENGTH, LENGTH + 960) == (None, 0)


def test_a_bed_that_begins_below_speech_is_low_from_its_first_sample() -> None:
    ducking = Ducking()
    ducking.use([span(0, 10_000)])
    found = gains(ducking, 5_000, 9_000)
    assert np.all(found == pytest.approx(DUCKED))


def test_it_counts_what_was_spoken_over() -> None:
    ducking = Ducking()
    ducking.use([span(1_000, 2_500), span(3_000, 3_100)])
    counted = [ducking.gains(low, low + 960)[1] for low in range(0, 9_600, 960)]
    assert sum(counted) == 1_600


def test_what_goes_on_and_is_told_again_from_now_on_began_when_it_began() -> None:
    ducking = Ducking()
    ducking.use([span(0, 50_000)])
    gains(ducking, 0, 20_000)
    ducking.use([span(30_000, 50_000)])
    assert np.all(gains(ducking, 20_000, 31_000) == pytest.approx(DUCKED))


spans = st.lists(st.integers(0, LENGTH), min_size=0, max_size=8, unique=True).map(
    lambda edges: [span(one, other) for one, other in zip(sorted(edges)[::2], sorted(edges)[1::2], strict=False)]
)


@given(spans=spans, blocks=st.tuples(st.integers(100, 5_000), st.integers(100, 5_000)))
def test_the_pieces_in_which_it_is_asked_for_change_nothing(spans: list[Span], blocks: tuple[int, int]) -> None:
    found = []
    for block in blocks:
        ducking = Ducking()
        ducking.use(spans)
        found.append(gains(ducking, 0, LENGTH, block=block))
    assert np.abs(found[0] - found[1]).max() < 1e-9


@given(told=st.lists(st.tuples(st.integers(0, 3_000), spans), max_size=12))
def test_whatever_is_told_whenever_it_never_jumps_and_stays_between_low_and_full(
    told: list[tuple[int, list[Span]]],
) -> None:
    ducking, parts, place = Ducking(), [np.ones(1)], 0
    parts.append(gains(ducking, 0, 960))
    place = 960
    for count, spans in told:
        ducking.use(spans)
        parts.append(gains(ducking, place, place + count))
        place += count
    found = np.concatenate(parts)
    assert np.abs(np.diff(found)).max() <= 1.2 * np.pi / 2 * (1.0 - DUCKED) / ATTACK_SAMPLES
    assert found.min() >= DUCKED - 1e-9
    assert found.max() <= 1.0 + 1e-9
