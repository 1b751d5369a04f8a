"""Reading what the kernel knows of a process: CPU seconds and resident memory; quantiles and tables.

Figures are taken from outside the process, from the same source for us and for the peer (proc(5)), so a
ratio means something although the machine is shared and noisy.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_FIELD_UTIME: Final = 11
"""Index of utime after the command name's closing bracket in /proc/PID/stat (proc(5), field 14)."""
FILE_COLUMNS: Final = 140


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """CPU time used between two readings, and memory at the second."""

    cpu_s: float
    wall_s: float
    resident_mib: float
    proportional_mib: float

    @property
    def cpu_percent(self) -> float:
        """CPU as a share of one core."""
        return 100.0 * self.cpu_s / self.wall_s


class ProcessWatch:
    """CPU and memory of some processes together, from the moment it is made."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = tuple(pids)
        self._cpu_s = self._read_cpu_s()
        self._wall_s = time.monotonic()

    def read(self) -> Usage:
        """Usage since the watch was made."""
        return Usage(
            cpu_s=self._read_cpu_s() - self._cpu_s,
            wall_s=time.monotonic() - self._wall_s,
            resident_mib=sum(_rollup_kib(pid, "Rss") for pid in self._pids) / 1024,
            proportional_mib=sum(_rollup_kib(pid, "Pss") for pid in self._pids) / 1024,
        )

    def _read_cpu_s(self) -> float:
        return sum(_cpu_s(pid) for pid in self._pids)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[_FIELD_UTIME]) + int(fields[_FIELD_UTIME + 1])) / _TICKS_PER_S


def _rollup_kib(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    message = f"/proc/{pid}/smaps_rollup has no {name}"
    raise LookupError(message)


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed; raises ValueError when empty."""
    if not values:
        message = "no values: nothing was measured"
        raise ValueError(message)
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 10_000) * len(ordered) // 10_000) - 1))]


def print_table(title: str, rows: Sequence[Mapping[str, str]], *, note: str = "") -> None:
    """Print rows with the keys of the first as columns."""
    table = Table(title=title, title_justify="left", caption=note or None, caption_justify="left")
    for column in rows[0]:
        table.add_column(column, justify="left" if column == next(iter(rows[0])) else "right")
    for row in rows:
        table.add_row(*row.values())
    console = Console()
    if not console.is_terminal:
        console.width = FILE_COLUMNS  # nobody folds a file
    console.print(table)
