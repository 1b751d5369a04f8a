"""Which clock a node goes by: the choice, the way from one to the other, and what is refused."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.clock.shared_clock import (
    DISAGREEMENT_NS_MAX,
    REGAINED_NS,
    SLEW_PPB,
    SLEWED_NS_MAX,
    USABLE_NS,
    Change,
    ClockReading,
    SharedClock,
    SourceChoice,
)
from protocol.clock_filter import ClockFilter, Track
from protocol.units import NS_PER_MS, NS_PER_S, MonotonicNs, Now, SharedNs, TimeSource

T0_NS = 1_800_000_000 * NS_PER_S
HOUR_NS = 3_600 * NS_PER_S
DRIFTED_NS = 5_000
"""What a crystal's wander adds to the error in some seconds."""


def reading(
    at_ns: int, *, ahead_ns: int = 0, error_ns: int = NS_PER_MS, source: TimeSource = TimeSource.SYSTEM
) -> ClockReading:
    """The machine's clocks; the two monotonic ones are 3 s apart, as they may be."""
    system = Now(
        monotonic_ns=MonotonicNs(at_ns - 3 * NS_PER_S),
        shared_ns=SharedNs(T0_NS + at_ns + ahead_ns),
        error_ns=error_ns,
        source=source,
    )
    return ClockReading(raw_ns=MonotonicNs(at_ns), system=system)


def track(*, at_ns: int = 0, ahead_ns: int = 0, error_ns: int = NS_PER_MS, drift_ppb: float = 0.0) -> Track:
    return Track(
        at_ns=MonotonicNs(at_ns),
        base_ns=T0_NS + ahead_ns,
        offset_ns=0.0,
        drift_ppb=drift_ppb,
        variance=1.0,
        covariance=0.0,
        drift_variance=0.0,
        bound_ns=float(error_ns),
    )


class Bench:
    """A shared clock and the filter that it looks at."""

    def __init__(self, choice: SourceChoice = SourceChoice.AUTO) -> None:
        self.filter = ClockFilter()
        self.clock = SharedClock(choice=choice, clock_filter=self.filter)

    def refresh(self, at: ClockReading, known: Track | None = None, *, is_sounding: bool = False) -> Change:
        if known is not None:
            self.filter.track = known
        return self.clock.refresh(at, is_sounding=is_sounding).change


def test_without_any_source_the_time_is_unknown_and_the_reading_is_the_machines() -> None:
    bench = Bench()
    nothing = reading(NS_PER_S, source=TimeSource.UNKNOWN)
    bench.refresh(nothing)
    assert bench.clock.read(nothing) == nothing.system


def test_the_system_clock_is_used_as_it_is_until_the_controller_has_told_the_time() -> None:
    bench = Bench()
    now = reading(NS_PER_S, ahead_ns=5 * NS_PER_MS)
    bench.refresh(now)
    assert bench.clock.read(now) == now.system
    assert bench.refresh(now, track()) is Change.STEPPED
    told = bench.clock.read(now)
    assert (told.source, told.shared_ns) == (TimeSource.EXCHANGE, T0_NS + NS_PER_S)
    assert NS_PER_MS <= told.error_ns <= NS_PER_MS + DRIFTED_NS
    assert told.monotonic_ns == now.system.monotonic_ns
    assert bench.clock.status.disagreement_ns == -5 * NS_PER_MS


@pytest.mark.parametrize(
    ("choice", "source"),
    [
        (SourceChoice.AUTO, TimeSource.EXCHANGE),
        (SourceChoice.SYSTEM, TimeSource.SYSTEM),
        (SourceChoice.EXCHANGE, TimeSource.EXCHANGE),
    ],
)
def test_the_configuration_chooses(choice: SourceChoice, source: TimeSource) -> None:
    bench = Bench(choice)
    bench.refresh(reading(0), track())
    assert bench.clock.status.source is source


def test_by_choice_the_system_clock_is_not_taken_while_the_controller_is_silent() -> None:
    bench = Bench(SourceChoice.EXCHANGE)
    bench.refresh(reading(0))
    assert bench.clock.status.source is TimeSource.UNKNOWN
    alone = Bench(SourceChoice.AUTO)
    alone.refresh(reading(0, source=TimeSource.UNKNOWN), track())
    assert alone.clock.read(reading(0, source=TimeSource.UNKNOWN)).is_time_known


def test_the_exchange_comes_first_while_it_is_good_and_back_only_when_it_is_good_again() -> None:
    bench = Bench()
    system = reading(0, error_ns=NS_PER_MS)

    def source_at(error_ns: int) -> TimeSource:
        bench.refresh(system, track(error_ns=error_ns))
        return bench.clock.status.source

    assert source_at(USABLE_NS) is TimeSource.EXCHANGE
    assert source_at(USABLE_NS + 1) is TimeSource.SYSTEM
    assert source_at(USABLE_NS) is TimeSource.SYSTEM
    assert source_at(REGAINED_NS) is TimeSource.EXCHANGE


def test_beyond_that_the_one_in_use_stays_until_the_other_states_half_as_much() -> None:
    bench = Bench()

    def source_at(exchange_ms: int, system_ms: int) -> TimeSource:
        bench.refresh(reading(0, error_ns=system_ms * NS_PER_MS), track(error_ns=exchange_ms * NS_PER_MS))
        return bench.clock.status.source

    assert source_at(200, 150) is TimeSource.EXCHANGE
    assert source_at(200, 99) is TimeSource.SYSTEM
    assert source_at(200, 399) is TimeSource.SYSTEM
    assert source_at(200, 400) is TimeSource.EXCHANGE


def test_in_silence_a_change_is_a_step_and_in_sound_it_is_slewed() -> None:
    bench = Bench()
    bench.refresh(reading(0), track())
    assert bench.refresh(reading(0), track(ahead_ns=NS_PER_MS)) is Change.STEPPED
    assert bench.clock.read(reading(0)).shared_ns == T0_NS + NS_PER_MS
    assert bench.refresh(reading(0), track(ahead_ns=-NS_PER_MS), is_sounding=True) is Change.SLEWED
    at_once = bench.clock.read(reading(0))
    assert at_once.shared_ns == T0_NS + NS_PER_MS
    assert at_once.error_ns == 3 * NS_PER_MS, "what is still to be slewed is an error"
    takes_ns = 2 * NS_PER_MS * 1_000_000_000 // SLEW_PPB
    half = bench.clock.read(reading(takes_ns // 2))
    assert half.shared_ns == pytest.approx(T0_NS + takes_ns // 2, abs=2)
    done = bench.clock.read(reading(takes_ns + 10))
    assert done.shared_ns == T0_NS + takes_ns + 10 - NS_PER_MS
    assert NS_PER_MS <= done.error_ns <= NS_PER_MS + DRIFTED_NS


def test_what_is_too_much_to_slew_is_a_step_in_sound_too() -> None:
    bench = Bench()
    bench.refresh(reading(0), track())
    assert bench.refresh(reading(0), track(ahead_ns=SLEWED_NS_MAX + 1), is_sounding=True) is Change.STEPPED
    assert bench.clock.read(reading(0)).shared_ns == T0_NS + SLEWED_NS_MAX + 1


@given(
    moves=st.lists(
        st.tuples(
            st.integers(0, 5 * NS_PER_S),
            st.integers(-4 * NS_PER_MS, 4 * NS_PER_MS),
            st.integers(-200_000, 200_000),
            st.booleans(),
        ),
        min_size=1,
        max_size=8,
    )
)
@settings(max_examples=40)
def test_while_something_sounds_neither_a_correction_nor_another_source_turns_time_back(
    moves: list[tuple[int, int, int, bool]],
) -> None:
    """Read after read, time goes on at its own rate within drift and slew."""
    bench = Bench()
    at_ns = NS_PER_S
    bench.refresh(reading(at_ns), track(at_ns=at_ns))
    told = [(at_ns, bench.clock.read(reading(at_ns)).shared_ns)]
    for wait_ns, ahead_ns, drift_ppb, is_good in moves:
        at_ns += wait_ns
        told.append((at_ns, bench.clock.read(reading(at_ns)).shared_ns))
        error_ns = NS_PER_MS if is_good else HOUR_NS
        bench.refresh(
            reading(at_ns),
            track(at_ns=at_ns, ahead_ns=ahead_ns, error_ns=error_ns, drift_ppb=drift_ppb),
            is_sounding=True,
        )
        for step_ns in (0, 1, 20 * NS_PER_MS):
            at_ns += step_ns
            told.append((at_ns, bench.clock.read(reading(at_ns)).shared_ns))
    for (from_ns, earlier_ns), (until_ns, later_ns) in pairwise(told):
        passed_ns = until_ns - from_ns
        hurried_ns = abs(later_ns - earlier_ns - passed_ns)
        assert later_ns >= earlier_ns
        assert hurried_ns <= passed_ns * (SLEW_PPB + 200_000) // 1_000_000_000 + 3


def test_a_controller_that_is_hours_away_from_a_kept_clock_is_refused_and_shown() -> None:
    bench = Bench()
    bench.refresh(reading(0), track(ahead_ns=5 * HOUR_NS))
    status = bench.clock.status
    assert (status.source, status.suspect) == (TimeSource.SYSTEM, TimeSource.EXCHANGE)
    assert status.is_exchange_refused
    assert status.disagreement_ns == 5 * HOUR_NS
    bench.refresh(reading(0), track(ahead_ns=DISAGREEMENT_NS_MAX - 1))
    assert bench.clock.status.source is TimeSource.EXCHANGE
    assert not bench.clock.status.is_exchange_refused


def test_by_choice_and_without_another_clock_the_controller_is_believed_in_anything() -> None:
    chosen = Bench(SourceChoice.EXCHANGE)
    chosen.refresh(reading(0), track(ahead_ns=50 * HOUR_NS))
    assert chosen.clock.status.source is TimeSource.EXCHANGE
    alone = Bench()
    alone.refresh(reading(0, source=TimeSource.UNKNOWN), track(ahead_ns=50 * HOUR_NS))
    assert alone.clock.status.source is TimeSource.EXCHANGE
    assert alone.clock.status.disagreement_ns is None


@pytest.mark.parametrize(
    ("system_ns", "exchange_ns", "suspect"),
    [
        (3 * HOUR_NS, 0, TimeSource.SYSTEM),
        (0, 3 * HOUR_NS, TimeSource.EXCHANGE),
        (3 * HOUR_NS, -3 * HOUR_NS, TimeSource.EXCHANGE),
    ],
)
def test_of_two_that_once_agreed_the_one_that_left_is_not_believed(
    system_ns: int, exchange_ns: int, suspect: TimeSource
) -> None:
    bench = Bench()
    bench.refresh(reading(0), track())
    bench.refresh(reading(NS_PER_S, ahead_ns=system_ns), track(ahead_ns=exchange_ns))
    assert bench.clock.status.suspect is suspect
    assert bench.clock.status.source is not suspect


def test_when_the_connection_is_gone_the_last_estimate_goes_on_with_a_growing_error() -> None:
    bench = Bench()
    bench.refresh(reading(0, error_ns=16 * NS_PER_S), track(error_ns=NS_PER_MS, drift_ppb=40_000.0))
    hours = [bench.clock.read(reading(hour * HOUR_NS, error_ns=16 * NS_PER_S)) for hour in range(5)]
    assert all(now.source is TimeSource.EXCHANGE for now in hours)
    assert all(earlier.error_ns < later.error_ns for earlier, later in pairwise(hours))
    assert hours[1].shared_ns == pytest.approx(T0_NS + HOUR_NS + 40_000 * 3_600, abs=2)


def test_without_a_filter_there_is_only_the_system_clock() -> None:
    clock = SharedClock(choice=SourceChoice.AUTO, clock_filter=None)
    clock.refresh(reading(0), is_sounding=False)
    assert clock.read(reading(0)) == reading(0).system
