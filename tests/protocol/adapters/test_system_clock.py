"""The machine's own clocks, read for real."""

from __future__ import annotations

import ctypes
import time

from protocol.adapters import system_clock
from protocol.adapters.system_clock import (
    BUILT_AT_SHARED_NS,
    UNDISCIPLINED_ERROR_NS,
    explain_clock,
    read_discipline,
    read_now,
)


def test_both_clocks_are_read_at_one_instant() -> None:
    before = time.monotonic_ns(), time.time_ns()
    now = read_now()
    after = time.monotonic_ns(), time.time_ns()
    assert before[0] <= now.monotonic_ns <= after[0]
    assert before[1] <= now.shared_ns <= after[1]


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


def test_the_kernels_record_has_the_size_that_the_kernel_writes() -> None:
    """A record that is too short would let the kernel write over other memory (struct timex, linux/timex.h)."""
    is_wide = ctypes.sizeof(ctypes.c_long) == 8
    assert ctypes.sizeof(system_clock._Timex) >= (208 if is_wide else 128)
    assert system_clock._Timex.status.offset == (40 if is_wide else 20)
