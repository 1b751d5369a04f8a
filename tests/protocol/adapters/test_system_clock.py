"""The machine's own clocks, read for real."""

from __future__ import annotations

import shutil
import subprocess
import time

import pytest

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


@pytest.mark.skipif(shutil.which("adjtimex") is None, reason="Debian's adjtimex is not installed")
def test_the_kernels_words_are_read_as_debians_tool_reads_them() -> None:
    printed = subprocess.run(["adjtimex", "--print"], capture_output=True, text=True, check=True).stdout
    status = int(next(line.split(":")[1] for line in printed.splitlines() if "status" in line))
    assert read_discipline().is_synchronised is not bool(status & 0x40)
