"""The clock's filter: quick, honest about its error, and moved by nothing but a clock that was really set."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.clock_filter import (
    DRIFT_PPB_MAX,
    STEP_BURSTS,
    WINDOW_BURSTS,
    ClockEstimate,
    ClockFilter,
    Verdict,
    measurement_of,
)
from protocol.clock_sync import TimeSample
from protocol.units import NS_PER_MS, NS_PER_S, MonotonicNs
from tests.support.time_ways import FOUR_G, WAYS, WIFI, WIRED, Traveller, Way

EVERY_NS = 10 * NS_PER_S
HOUR_NS = 3_600 * NS_PER_S
seeds = st.integers(0, 2**32)
crystals = st.integers(-int(DRIFT_PPB_MAX), int(DRIFT_PPB_MAX))
signs = st.sampled_from((-1, 1))


def estimate_of(known: ClockFilter, at: MonotonicNs) -> ClockEstimate:
    estimate = known.estimate(at)
    assert estimate is not None
    return estimate


def error_ns(known: ClockFilter, node: Traveller) -> int:
    return estimate_of(known, node.raw_ns).offset_ns - node.true_offset_ns


def learn(known: ClockFilter, node: Traveller, bursts: int, *, every_ns: int = EVERY_NS) -> list[Verdict]:
    verdicts = []
    for _ in range(bursts):
        verdicts.append(known.add(node.burst()))
        node.wait(every_ns)
    return verdicts


def settled(way: Way, *, ppb: int = 30_000, seed: int = 1, bursts: int = 25) -> tuple[ClockFilter, Traveller]:
    known, node = ClockFilter(), Traveller(way, ppb=ppb, seed=seed)
    learn(known, node, bursts)
    return known, node


@given(way=st.sampled_from(sorted(WAYS)), ppb=crystals, seed=seeds)
@settings(max_examples=25)
def test_the_true_error_is_within_the_stated_one(way: str, ppb: int, seed: int) -> None:
    known, node = ClockFilter(), Traveller(WAYS[way], ppb=ppb, seed=seed)
    for _ in range(30):
        known.add(node.burst(4))
        for _ in range(3):
            estimate = estimate_of(known, node.raw_ns)
            assert abs(estimate.offset_ns - node.true_offset_ns) <= estimate.error_ns
            node.wait(EVERY_NS // 3)


@pytest.mark.parametrize(
    ("way", "apart_ns_max"), [(WIRED, 100_000), (WIFI, 200_000), (FOUR_G, NS_PER_MS)], ids=("wired", "wifi", "4g")
)
def test_two_neighbours_agree(way: Way, apart_ns_max: int) -> None:
    """p95 over ten pairs with crystals 100 ppm apart, after five minutes."""
    apart_ns = []
    for seed in range(10):
        pair = [settled(way, ppb=ppb, seed=2 * seed + (ppb > 0), bursts=30) for ppb in (50_000, -50_000)]
        for _ in range(20):
            errors = []
            for known, node in pair:
                learn(known, node, 1)
                errors.append(error_ns(known, node))
            apart_ns.append(abs(errors[0] - errors[1]))
    assert sorted(apart_ns)[int(0.95 * len(apart_ns))] <= apart_ns_max


def test_the_first_burst_gives_a_time_that_is_wrong_by_half_a_round_trip_at_most() -> None:
    known, node = ClockFilter(), Traveller(FOUR_G, ppb=50_000, seed=4)
    assert known.estimate(node.raw_ns) is None
    assert known.add(node.burst()) is Verdict.FIRST
    estimate = estimate_of(known, node.raw_ns)
    assert abs(error_ns(known, node)) <= estimate.error_ns <= 40 * NS_PER_MS


@given(ppb=crystals, seed=seeds, hours=st.integers(1, 72))
@settings(max_examples=20)
def test_hours_of_silence_make_it_unsure_and_no_worse(ppb: int, seed: int, hours: int) -> None:
    known, node = settled(WIRED, ppb=ppb, seed=seed, bursts=8)
    before = estimate_of(known, node.raw_ns)
    node.wait(hours * HOUR_NS)
    later = estimate_of(known, node.raw_ns)
    assert later.error_ns > before.error_ns
    assert later.noise_ns > before.noise_ns
    assert abs(error_ns(known, node)) <= later.error_ns
    verdicts = learn(known, node, STEP_BURSTS)
    assert not {Verdict.CONTRADICTORY, Verdict.EMPTY, Verdict.FIRST} & set(verdicts)
    assert abs(error_ns(known, node)) <= 200_000
    assert estimate_of(known, node.raw_ns).error_ns <= NS_PER_MS


@given(sign=signs, away_ms=st.integers(5, 10**8), seed=seeds)
@settings(max_examples=20)
def test_one_burst_that_does_not_fit_moves_nothing_whichever_way_it_errs(sign: int, away_ms: int, seed: int) -> None:
    known, node = settled(WIRED, seed=seed, bursts=10)
    track = known.track
    node.shift_ns = sign * away_ms * NS_PER_MS
    assert known.add(node.burst()) is Verdict.OUTLIER
    assert (known.track, known.has_suspicion) == (track, True)
    node.shift_ns = 0
    assert known.add(node.burst()) is Verdict.TAKEN
    assert not known.has_suspicion
    assert abs(error_ns(known, node)) <= 100_000


@given(sign=signs, by_ms=st.sampled_from((40, 1_000, 86_400_000)), way=st.sampled_from(("wired", "4g")), seed=seeds)
@settings(max_examples=20)
def test_a_clock_that_was_set_is_followed_after_some_bursts_that_agree(
    sign: int, by_ms: int, way: str, seed: int
) -> None:
    known, node = settled(WAYS[way], seed=seed)
    drift_ppb = estimate_of(known, node.raw_ns).drift_ppb
    node.shift_ns = sign * by_ms * NS_PER_MS
    verdicts = learn(known, node, STEP_BURSTS)
    assert verdicts == [Verdict.OUTLIER] * (STEP_BURSTS - 1) + [Verdict.STEPPED]
    estimate = estimate_of(known, node.raw_ns)
    assert abs(error_ns(known, node)) <= estimate.error_ns <= 40 * NS_PER_MS
    assert abs(estimate.drift_ppb - drift_ppb) <= 30_000, "the crystal was not set"


def test_bursts_that_do_not_fit_each_other_either_decide_nothing() -> None:
    known, node = settled(WIRED)
    for turn in range(12):
        node.shift_ns = (1 + turn % 2) * NS_PER_S * (turn + 1)
        assert known.add(node.burst()) is Verdict.OUTLIER
        node.wait(EVERY_NS)
    node.shift_ns = 0
    assert abs(error_ns(known, node)) <= NS_PER_MS


@given(held_up_ms=st.integers(50, 2_000), is_there=st.booleans(), seed=seeds)
@settings(max_examples=12)
def test_whoever_delays_one_way_for_long_moves_nothing_but_the_stated_error(
    held_up_ms: int, is_there: bool, seed: int
) -> None:
    known, node = settled(WIRED, seed=seed)
    node.held_up_ns = (held_up_ms * NS_PER_MS, 0) if is_there else (0, held_up_ms * NS_PER_MS)
    verdicts = learn(known, node, 2 * WINDOW_BURSTS, every_ns=EVERY_NS)
    estimate = estimate_of(known, node.raw_ns)
    assert Verdict.STEPPED not in verdicts
    assert abs(error_ns(known, node)) <= min(500_000, estimate.error_ns)


@given(seed=seeds, way=st.sampled_from(sorted(WAYS)), at=st.integers(0, 20))
@settings(max_examples=20)
def test_a_burst_moves_the_estimate_towards_what_it_says_and_never_beyond(seed: int, way: str, at: int) -> None:
    known, node = settled(WAYS[way], seed=seed, bursts=at + 1)
    node.shift_ns = (seed % 41 - 20) * NS_PER_MS // 20
    burst = node.burst()
    before = estimate_of(known, burst[-1].at_ns)
    said = measurement_of(burst, before.drift_ppb)
    verdict = known.add(burst)
    after = estimate_of(known, burst[-1].at_ns)
    if verdict is not Verdict.TAKEN:
        assert after == before
    elif at + 2 < WINDOW_BURSTS:
        reach_ns = abs(said.offset_ns - before.offset_ns) + said.round_trip_ns
        assert abs(after.offset_ns - before.offset_ns) <= reach_ns


def test_a_service_that_was_set_within_a_burst_contradicts_itself() -> None:
    known, node = settled(WIRED)
    track = known.track
    first = node.burst(4)
    node.shift_ns = -NS_PER_S
    assert known.add([*first, *node.burst(4)]) is Verdict.CONTRADICTORY
    assert known.track is track


def test_an_empty_burst_and_an_old_one_say_nothing() -> None:
    known, node = ClockFilter(), Traveller(WIRED, ppb=0, seed=1)
    assert known.add([]) is Verdict.EMPTY
    burst = node.burst()
    known.add(burst)
    track = known.track
    assert known.add(burst) is Verdict.CONTRADICTORY
    assert known.track is track


def test_the_drift_is_found_and_bounded() -> None:
    known, node = settled(WIRED, ppb=-48_000)
    assert estimate_of(known, node.raw_ns).drift_ppb == pytest.approx(48_000, abs=300)
    broken, hurried = settled(WIRED, ppb=5_000_000, bursts=6)
    assert abs(estimate_of(broken, hurried.raw_ns).drift_ppb) <= DRIFT_PPB_MAX


def test_a_way_that_becomes_longer_on_one_side_is_believed_when_the_old_knowledge_is_no_better() -> None:
    known, node = settled(WIRED)
    node.held_up_ns = (30 * NS_PER_MS, 0)
    learn(known, node, 90, every_ns=5 * 60 * NS_PER_S)
    assert known.add(node.burst()) is Verdict.TAKEN
    estimate = estimate_of(known, node.raw_ns)
    assert abs(error_ns(known, node)) <= estimate.error_ns <= 40 * NS_PER_MS


@given(delays=st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1, max_size=16))
def test_a_burst_bounds_the_truth_more_tightly_than_any_of_its_samples(delays: list[tuple[int, int]]) -> None:
    truth_ns = 1_790_000_000 * NS_PER_S
    burst = [
        TimeSample(at_ns=MonotonicNs(index), offset_ns=truth_ns + (up_ns - down_ns) // 2, round_trip_ns=up_ns + down_ns)
        for index, (up_ns, down_ns) in enumerate(delays)
    ]
    said = measurement_of(burst, 0.0)
    assert said.round_trip_ns <= min(each.round_trip_ns for each in burst)
    assert abs(said.offset_ns - truth_ns) <= said.round_trip_ns / 2 + 2
