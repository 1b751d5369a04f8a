"""When the machine, and not the product, kept a process from running: what that means for the sound.

Pure. It is told how long each process was ready to run and did not get a processor (`Waits.note`), compares that
with what the part it plays can bear, and names the stretches in which a gap may be the machine's. A gap anywhere else
is the product's. Measuring is `machine_watch`'s; what a process does with its time is no disturbance of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from protocol.units import NS_PER_MS, NS_PER_S, SharedNs

KEEP_S_DEFAULT: Final = 300.0
_COUNTS: Final = 0.5
"""Of the share of time that is borne: who waited less meanwhile neither begins nor prolongs a disturbance."""
NAMED_MAX: Final = 5
"""Disturbances that a text names one by one."""


class Part(StrEnum):
    """What a process is to the sound."""

    NODE = "node"
    SERVER = "server"
    STATION = "station"
    MACHINE = "machine"
    """The machine as a whole, when it stood still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearing:
    """A part bears to wait less than `waited_ms` within `within_ms`; else it may be heard for `reach_ms` more."""

    waited_ms: int
    within_ms: int
    reach_ms: int


BEARS: Final = {
    # The node's loop may be late by 40 ms at worst (`CardSettings`); what it lacks is heard within its buffers.
    Part.NODE: Bearing(waited_ms=40, within_ms=150, reach_ms=500),
    # Controller and broker: a packet leaves 600 ms before it sounds.
    Part.SERVER: Bearing(waited_ms=500, within_ms=1000, reach_ms=2000),
    # The relay stores a second of it and more, and ffmpeg's eight threads, whose waits are added up, work side by side.
    Part.STATION: Bearing(waited_ms=1000, within_ms=1500, reach_ms=3000),
    Part.MACHINE: Bearing(waited_ms=40, within_ms=150, reach_ms=500),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """A process waited longer than its part bears; until `end_ns` its effect may be heard."""

    name: str
    part: Part
    begin_ns: SharedNs
    end_ns: SharedNs
    waited_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wait:
    """Between two looks at a process it waited for so long, which may have begun before the first of them."""

    begin_ns: int
    end_ns: int
    waited_ns: int

    @property
    def share(self) -> float:
        """Which part of the time was waited; of several threads together it may exceed 1."""
        return self.waited_ns / max(1, self.end_ns - self.begin_ns)


class Waits:
    """What the processes have waited, for `keep_s`."""

    def __init__(self, *, keep_s: float = KEEP_S_DEFAULT) -> None:
        self._keep_ns = int(keep_s * NS_PER_S)
        self._recent: dict[str, deque[_Wait]] = {}
        self._found: deque[Disturbance] = deque()

    def note(self, name: str, part: Part, *, begin_ns: int, end_ns: int, waited_ns: int) -> None:
        """A process waited for `waited_ns` between two looks at it."""
        bears = BEARS[part]
        recent = self._recent.setdefault(name, deque())
        recent.append(_Wait(begin_ns=begin_ns, end_ns=end_ns, waited_ns=waited_ns))
        while recent[0].end_ns <= end_ns - bears.within_ms * NS_PER_MS:
            recent.popleft()
        waited_ms = sum(wait.waited_ns for wait in recent) // NS_PER_MS
        counting = [wait for wait in recent if wait.share >= _COUNTS * bears.waited_ms / bears.within_ms]
        if waited_ms >= bears.waited_ms and counting and counting[-1] is recent[-1]:
            self._found.append(
                Disturbance(
                    name=name,
                    part=part,
                    begin_ns=SharedNs(min(wait.begin_ns - wait.waited_ns for wait in counting)),
                    end_ns=SharedNs(end_ns + bears.reach_ms * NS_PER_MS),
                    waited_ms=waited_ms,
                )
            )
        while self._found and self._found[0].end_ns < end_ns - self._keep_ns:
            self._found.popleft()

    def forget(self, name: str) -> None:
        """A process has ended: its successor is judged anew."""
        self._recent.pop(name, None)

    def between(self, begin_ns: SharedNs, end_ns: SharedNs) -> list[Disturbance]:
        """The disturbances that may be heard in an interval, those of one process that overlap as one."""
        merged: dict[str, list[Disturbance]] = {}
        for found in self._found:
            if found.begin_ns >= end_ns or found.end_ns <= begin_ns:
                continue
            of_name = merged.setdefault(found.name, [])
            if of_name and found.begin_ns <= of_name[-1].end_ns:
                found = _joined(of_name.pop(), found)  # noqa: PLW2901 - it grows by what it overlaps
            of_name.append(found)
        return sorted((found for each in merged.values() for found in each), key=lambda found: found.begin_ns)


def undisturbed(
    begin_ns: SharedNs, end_ns: SharedNs, disturbances: Iterable[Disturbance]
) -> list[tuple[SharedNs, SharedNs]]:
    """What is left of an interval when the disturbed stretches are taken out."""
    left, at_ns = [], begin_ns
    for found in sorted(disturbances, key=lambda found: found.begin_ns):
        if found.begin_ns > at_ns:
            left.append((at_ns, min(found.begin_ns, end_ns)))
        at_ns = max(at_ns, found.end_ns)
        if at_ns >= end_ns:
            return left
    return [*left, (at_ns, end_ns)]


def heard_at(node: str, disturbances: Iterable[Disturbance]) -> list[Disturbance]:
    """Those that may be heard at one node: a neighbour that was held up is no excuse."""
    return [found for found in disturbances if found.part is not Part.NODE or found.name == node]


def in_words(disturbances: Sequence[Disturbance]) -> str:
    """For a person: who waited how long."""
    worst = sorted(disturbances, key=lambda found: -found.waited_ms)[:NAMED_MAX]
    named = ", ".join(f"{found.name} waited {found.waited_ms} ms for a processor" for found in worst)
    more = len(disturbances) - len(worst)
    return named + (f" and {more} more" if more else "")


def _joined(one: Disturbance, other: Disturbance) -> Disturbance:
    return Disturbance(
        name=one.name,
        part=one.part,
        begin_ns=min(one.begin_ns, other.begin_ns),
        end_ns=max(one.end_ns, other.end_ns),
        waited_ms=max(one.waited_ms, other.waited_ms),
    )
