"""Clocks: exact conversions, timers that are never early and never spin, steps, dead RTC, discipline."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.adapters.system_clock import UNDISCIPLINED_ERROR_NS
from protocol.units import SharedNs, TimeSource
from simulator.clock import BUILD_DATE_NS, DRIFT_PPB_MAX, ClockSettings, NodeClock
from simulator.world import World

_S = 1_000_000_000
_RATES = st.integers(-DRIFT_PPB_MAX, DRIFT_PPB_MAX)


def _clock(world: World, **settings: Any) -> NodeClock:
    return NodeClock(world, "N001", ClockSettings(**settings))


@given(_RATES, st.integers(0, 10**15), st.integers(0, 10**16))
def test_a_deadline_rings_at_the_first_nanosecond_that_reaches_it(ppb: int, passed_ns: int, deadline_ns: int) -> None:
    world = World(seed=1)
    clock = _clock(world, drift_ppb=ppb)
    world.run_for(passed_ns)
    true_ns = clock.true_at(deadline_ns)
    assert true_ns >= world.now_ns
    if true_ns > world.now_ns:
        world.run_until(true_ns - 1)
        assert clock.monotonic_ns() < deadline_ns
    world.run_until(true_ns)
    assert clock.monotonic_ns() >= deadline_ns


@given(st.lists(st.tuples(_RATES, st.integers(1, 10**10)), min_size=1, max_size=8), st.integers(1, 5 * 10**10))
def test_timers_keep_their_deadline_while_the_crystal_changes(rates: list[tuple[int, int]], deadline_ns: int) -> None:
    world = World(seed=1)
    clock = _clock(world)
    rang: list[tuple[int, int]] = []
    clock.call_at(deadline_ns, lambda: rang.append((clock.monotonic_ns(), world.now_ns)))
    last = 0
    for ppb, for_ns in rates:
        clock.set_drift(ppb)
        world.run_for(for_ns)
        assert clock.monotonic_ns() >= last
        last = clock.monotonic_ns()
        assert bool(rang) == (last >= deadline_ns)
    world.run_for(10**12)
    assert len(rang) == 1
    assert 0 <= rang[0][0] - deadline_ns <= 1


@given(_RATES, st.integers(1, 10**13))
def test_waiting_for_a_shared_instant_ends_after_a_few_wakes(ppb: int, ahead_ns: int) -> None:
    """Shared and monotonic time run at two rates: whoever waits for one by the other must converge, not spin."""
    world = World(seed=1)
    clock = _clock(world, drift_ppb=ppb)
    target = SharedNs(clock.read_now().shared_ns + ahead_ns)
    wakes: list[int] = []

    def wake() -> None:
        now = clock.read_now()
        wakes.append(world.now_ns)
        if now.shared_ns < target:
            clock.call_at(now.monotonic_at(target), wake)

    wake()
    world.run_for(2 * ahead_ns + _S)
    assert clock.read_now().shared_ns >= target
    assert len(wakes) <= 12
    assert len(set(wakes)) == len(wakes)


def test_a_fast_crystal_gains_and_its_timers_ring_early_in_true_time() -> None:
    world = World(seed=1)
    clock = _clock(world, drift_ppb=50_000)
    rang: list[int] = []
    clock.call_after(1_000 * _S, lambda: rang.append(world.now_ns - world.start_ns))
    world.run_for(1_000 * _S)
    assert clock.monotonic_ns() == 1_000 * _S + 50_000_000
    assert 999_950_002_000 < rang[0] < 999_950_003_000


def test_a_disciplined_clock_is_right_although_the_crystal_drifts() -> None:
    world = World(seed=1)
    clock = _clock(world, drift_ppb=50_000, residual_ppb=100)
    world.run_for(3_600 * _S)
    assert clock.shared_error_ns == 360_000
    assert clock.read_now().error_ns >= 360_000
    assert clock.read_now().source is TimeSource.SYSTEM


def test_without_discipline_the_error_grows_and_is_stated() -> None:
    world = World(seed=1)
    clock = _clock(world, drift_ppb=-20_000, error_ns=1_000_000)
    clock.lose_discipline()
    world.run_for(100 * _S)
    assert clock.shared_error_ns == -2_000_000
    assert clock.read_now().error_ns == 1_000_000 + 50_000_000
    clock.set_drift(10_000)
    world.run_for(100 * _S)
    assert clock.shared_error_ns == -1_000_000
    clock.synchronise(error_ns=3, stated_error_ns=10)
    assert (clock.shared_error_ns, clock.read_now().error_ns) == (3, 10)


def test_a_step_moves_shared_time_alone() -> None:
    world = World(seed=1)
    clock = _clock(world)
    world.run_for(5 * _S)
    before = clock.read_now()
    clock.step(-3 * _S)
    after = clock.read_now()
    assert after.monotonic_ns == before.monotonic_ns
    assert after.shared_ns == before.shared_ns - 3 * _S
    assert after.error_ns == before.error_ns


@pytest.mark.parametrize("rtc_ns", [0, BUILD_DATE_NS, BUILD_DATE_NS + 3_600 * _S])
def test_a_dead_rtc_starts_in_the_past_and_is_unknown_until_a_time_server_answers(rtc_ns: int) -> None:
    world = World(seed=1)
    clock = _clock(world)
    rang: list[int] = []
    clock.call_after(10 * _S, lambda: rang.append(1))
    world.run_for(4 * _S)
    clock.reboot(rtc_ns=rtc_ns)
    now = clock.read_now()
    assert (now.monotonic_ns, now.shared_ns, now.is_time_known) == (0, rtc_ns, False)
    assert now.error_ns == UNDISCIPLINED_ERROR_NS
    world.run_for(60 * _S)
    assert rang == []
    assert clock.read_now().shared_ns == rtc_ns + 60 * _S
    clock.synchronise()
    assert clock.shared_error_ns == 0
    assert clock.read_now().is_time_known
    assert clock.read_now().monotonic_ns == 60 * _S


def test_a_working_rtc_brings_its_own_error_over_a_boot() -> None:
    world = World(seed=1)
    clock = _clock(world)
    clock.reboot(offset_ns=-7 * _S)
    assert clock.shared_error_ns == -7 * _S
    assert clock.read_now().error_ns == UNDISCIPLINED_ERROR_NS


def test_cancelled_timers_stay_silent() -> None:
    world = World(seed=1)
    clock = _clock(world)
    rang: list[int] = []
    timer = clock.call_after(_S, lambda: rang.append(1))
    clock.cancel(timer)
    clock.cancel(timer)
    clock.cancel(None)
    clock.set_drift(1_000)
    world.run_for(2 * _S)
    assert rang == []
    assert world.waiting == 0


def test_an_impossible_crystal_is_refused() -> None:
    with pytest.raises(ValueError, match="parts per billion"):
        _clock(World(seed=1), drift_ppb=DRIFT_PPB_MAX + 1)
