"""Time over the broker in a simulated province: poles without another clock sound as one, a bad filter is found."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from protocol.clock_filter import ClockFilter, Verdict
from protocol.clock_sync import TimeSample
from protocol.units import NS_PER_MS, NS_PER_S, TimeSource
from simulator.commune import Province
from simulator.runs.runner import Performance, perform
from simulator.runs.scenario import Scenario, parse_scenario, province_of

TEXT = """
title: A morning by the controller's time
title_vi: Buổi sáng theo giờ máy chủ
start: 2026-11-30 05:00
minutes: 33
settle_s: 30
commune: {poles: 2, villages: 1}
rtc: dead
ntp: false
time: exchange
expect:
  - {that: sounds, at: "05:30:30", source: "media:anthem"}
"""


class Driftless(ClockFilter):
    """Learns the time once, and forgets that crystals drift."""

    def add(self, burst: Sequence[TimeSample]) -> Verdict:
        return super().add(burst) if self.track is None else Verdict.TAKEN


@cache
def scenario() -> Scenario:
    return parse_scenario(TEXT, name="time.yaml")


def played(filters: dict[str, type[ClockFilter]]) -> Performance:
    return perform("time", scenario(), seed=3, filters=filters)


def test_poles_that_ask_sound_as_one_and_a_filter_that_forgets_drift_is_found_by_the_skew_checker() -> None:
    assert played({}).verdict.violations == ()
    found = played({"N0002": Driftless}).verdict.violations
    assert {violation.checker for violation in found} >= {"skew"}


def test_two_poles_on_mobile_lines_agree_within_four_milliseconds_and_state_an_honest_error() -> None:
    province = Province(province_of(scenario(), seed=5), seed=5)
    worst_ns = 0
    for _ in range(40):
        province.run_for(15)
        readings = []
        for pole in province.poles.values():
            assert pole.process is not None
            now = pole.process.read_now()
            error_ns = now.shared_ns - province.world.now_ns
            assert abs(error_ns) <= now.error_ns
            readings.append(error_ns)
        if province.world.now_ns - province.world.start_ns > 60 * NS_PER_S:
            worst_ns = max(worst_ns, abs(readings[0] - readings[1]))
    assert worst_ns < 4 * NS_PER_MS


def test_a_pole_without_any_clock_knows_no_time_before_the_controller_has_told_it() -> None:
    province = Province(province_of(scenario(), seed=1), seed=1)
    province.network.cut("N0001")
    province.run_for(30)
    alone, told = (province.poles[name].process for name in ("N0001", "N0002"))
    assert alone is not None
    assert told is not None
    assert (alone.read_now().is_time_known, told.read_now().is_time_known) == (False, True)
    assert province.poles["N0002"].clock_error_ns == 0


def test_a_system_clock_that_somebody_sets_hours_away_moves_no_pole_that_has_heard_the_controller() -> None:
    text = TEXT.replace("rtc: dead\nntp: false\ntime: exchange", "time: auto")
    province = Province(province_of(parse_scenario(text, name="time.yaml"), seed=1), seed=1)
    province.run_for(60)
    pole = province.poles["N0001"]
    pole.step_clock(2 * 3_600 * NS_PER_S)
    province.run_for(60)
    assert pole.process is not None
    now = pole.process.read_now()
    assert abs(now.shared_ns - province.world.now_ns) <= now.error_ns <= 50 * NS_PER_MS
    assert pole.process.time is not None
    assert pole.process.time.status.suspect is TimeSource.SYSTEM
