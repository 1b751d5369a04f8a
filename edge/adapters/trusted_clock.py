"""Whether this machine's clock is more than a date that has passed: what a node believes of its own time.

A Raspberry Pi has no battery: it boots at the date of its image, or at the hour that was saved last, and the system
sets the clock forward to such a floor when a chip's battery is dead. Such a clock looks plausible and is wrong by as
long as the power was away. It becomes UNKNOWN here, until it has a better source: a time server (the kernel's own word,
once in this run), or a clock chip that set it at boot and still agrees with it. What a node does without the time is
the agent's. A machine whose clock its host or a person keeps says so in its configuration (`clock.believes: any`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from protocol.adapters.system_clock import Discipline, read_discipline, read_now
from protocol.units import NS_PER_S, Now, TimeSource

CHIPS: Final = Path("/sys/class/rtc")
"""Where the kernel shows its clock chips (Documentation/ABI/testing/sysfs-class-rtc)."""
AGREES_S: Final = 3
"""A chip counts whole seconds, and drifts by one in a week."""


class TrustedClock:
    """`read_now` for a node: UNKNOWN until the clock has a source that can be believed; from then on for good."""

    def __init__(
        self,
        *,
        believes_any: bool,
        chips: Path = CHIPS,
        read_clock: Callable[[], Now] = read_now,
        read_kernel: Callable[[], Discipline] = read_discipline,
    ) -> None:
        self._read_clock = read_clock
        self._read_kernel = read_kernel
        self._is_believed = believes_any or was_set_by_chip(chips, read_clock().shared_ns)

    def __call__(self) -> Now:
        """Both clocks."""
        now = self._read_clock()
        if not self._is_believed:
            self._is_believed = self._read_kernel().is_synchronised
        return now if self._is_believed else replace(now, source=TimeSource.UNKNOWN)


def was_set_by_chip(chips: Path, shared_ns: int) -> bool:
    """Whether a clock chip set the system clock at boot and agrees with it: a dead one's date was not taken over."""
    for chip in sorted(chips.glob("rtc*")):
        try:
            has_set = chip.joinpath("hctosys").read_text(encoding="ascii").strip() == "1"
            chip_s = int(chip.joinpath("since_epoch").read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
        if has_set and abs(chip_s - shared_ns // NS_PER_S) <= AGREES_S:
            return True
    return False
