"""CPU and memory of processes, as the kernel counts them (proc(5)), from outside."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_FIELD_UTIME: Final = 11
"""Index of utime after the command name's closing bracket in /proc/PID/stat (field 14)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one program used over an interval."""

    cpu_percent: float
    resident_mib: float


class CpuWatch:
    """Some programs, each one or more processes, from the moment that the watch is made."""

    def __init__(self, programs: Mapping[str, Iterable[int]]) -> None:
        self._programs = {name: tuple(pids) for name, pids in programs.items()}
        self._before = {name: sum(map(_cpu_s, pids)) for name, pids in self._programs.items()}
        self._since_s = time.monotonic()

    def read(self) -> dict[str, Usage]:
        """Usage since then; a process that has ended counts nothing."""
        elapsed_s = max(1e-3, time.monotonic() - self._since_s)
        return {
            name: Usage(
                cpu_percent=round(100 * max(0.0, sum(map(_cpu_s, pids)) - self._before[name]) / elapsed_s, 1),
                resident_mib=round(sum(map(_resident_kib, pids)) / 1024, 1),
            )
            for name, pids in self._programs.items()
        }


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[_FIELD_UTIME]) + int(fields[_FIELD_UTIME + 1])) / _TICKS_PER_S


def _resident_kib(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")), 0)
