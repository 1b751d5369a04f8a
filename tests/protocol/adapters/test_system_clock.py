"""The machine's own clocks, read for real."""

from __future__ import annotations

import ctypes
import time

from protocol.adapters import system_clock
from protocol.adapters.system_clock import (
    BUILT_AT_SHARED_NS,
    GROWTH_NS,
    KEPT_NS,
    UNDISCIPLINED_ERROR_NS,
    Discipline,
    KeptWord,
    explain_clock,
    read_discipline,
    read_now,
    read_raw_lead_ns,
    read_raw_ns,
)


def test_both_clocks_are_read_at_one_instant() -> None:
    before = time.monotonic_ns(), time.time_ns()
    now = read_now()
    after = time.monotonic_ns(), time.time_ns()
    assert before[0] <= now.monotonic_ns <= after[0]
    assert before[1] <= now.shared_ns <= after[1]


def test_the_raw_clock_is_read_beside_the_other_one() -> None:
    """They drift apart by 500 ppm at most, and both stand still while nothing is read."""
    before_ns, raw_ns, after_ns = time.monotonic_ns(), read_raw_ns(), time.monotonic_ns()
    assert before_ns - 1_000 <= raw_ns - read_raw_lead_ns() <= after_ns + 1_000
    leads = [read_raw_lead_ns() for _ in range(200)]
    assert max(leads) - min(leads) < 1_000_000


def test_two_readings_agree_on_how_the_clocks_stand_to_each_other() -> None:
    offsets = [reading.shared_ns - reading.monotonic_ns for reading in (read_now() for _ in range(200))]
    assert max(offsets) - min(offsets) < 5_000_000


def test_this_machines_clock_is_after_the_build_and_its_error_is_told() -> None:
    now, discipline = read_now(), read_discipline()
    assert now.shared_ns > BUILT_AT_SHARED_NS
    assert now.is_time_known
    assert now.error_ns >= discipline.error_ns > 0
    assert discipline.is_synchronised or discipline.error_ns == UNDISCIPLINED_ERROR_NS
    assert "error is at most" in explain_clock()


def test_the_kernel_is_asked_once_a_second_and_its_error_is_counted_on_meanwhile() -> None:
    words = [Discipline(is_synchronised=True, error_ns=7_000), Discipline(is_synchronised=False, error_ns=9)]
    kept = KeptWord(lambda: words.pop(0))
    assert kept.at(5).error_ns == 7_000 + GROWTH_NS
    assert kept.at(5 + KEPT_NS - 1).is_synchronised
    assert kept.at(5 + KEPT_NS) == Discipline(is_synchronised=False, error_ns=9)
    assert words == []


def test_a_kernel_that_was_asked_in_the_future_is_asked_again() -> None:
    words = [Discipline(is_synchronised=True, error_ns=1), Discipline(is_synchronised=False, error_ns=2)]
    kept = KeptWord(lambda: words.pop(0))
    assert kept.at(1_000).is_synchronised
    assert not kept.at(999).is_synchronised


def test_the_kernels_record_has_the_size_that_the_kernel_writes() -> None:
    """A record that is too short would let the kernel write over other memory (struct timex, linux/timex.h)."""
    is_wide = ctypes.sizeof(ctypes.c_long) == 8
    assert ctypes.sizeof(system_clock._Timex) >= (208 if is_wide else 128)
    assert system_clock._Timex.status.offset == (40 if is_wide else 20)
