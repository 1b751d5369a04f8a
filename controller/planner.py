"""The programmes of an area become one plan's occurrences, as far as a message holds them; pure.

When a programme begins and what its occurrences are called is `programmes.occurrences`' subject. Which of two
occurrences sounds is the node's decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from controller.programmes.occurrences import occurrences_of
from controller.programmes.programme import ReadyProgramme
from protocol.codec import cbor_encode
from protocol.messages import DOCUMENT_BYTES_MAX, Occurrence
from protocol.units import SharedMs

DAY_MS: Final = 24 * 3600 * 1000
COVERED_MS_MIN: Final = 7 * DAY_MS
"""A node must have at least this much ahead (protocol: a plan covers 7 days)."""
COMPILED_MS: Final = 8 * DAY_MS
"""Compiled each time: one day more than needed, so that a plan is renewed once a day."""
OCCURRENCES_MAX: Final = 512
"""The bound of `Plan.occurrences`."""
PLAN_FRAME_BYTES: Final = 700
"""Upper bound of what a plan and its envelope need besides its occurrences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """The occurrences of one area until an instant; `is_cut` where not all of the wanted time fits a message."""

    occurrences: tuple[Occurrence, ...]
    covers_until_ms: SharedMs
    is_cut: bool


def compile_area(programmes: Iterable[ReadyProgramme], *, time_zone: str, now_ms: SharedMs) -> Compiled:
    """Everything of an area that is running or begins within COMPILED_MS, as far as one message holds it."""
    until_ms = SharedMs(now_ms + COMPILED_MS)
    found = [
        occurrence
        for programme in programmes
        for occurrence in occurrences_of(programme, time_zone=time_zone, from_ms=now_ms, until_ms=until_ms)
    ]
    found.sort(key=lambda occurrence: (occurrence.start_at_ms, occurrence.id))
    fitting = _fitting(found)
    if fitting == len(found):
        return Compiled(occurrences=tuple(found), covers_until_ms=until_ms, is_cut=False)
    return Compiled(
        occurrences=tuple(found[:fitting]), covers_until_ms=SharedMs(found[fitting].start_at_ms), is_cut=True
    )


def same_until(one: Sequence[Occurrence], other: Sequence[Occurrence], *, from_ms: int, until_ms: int) -> bool:
    """Whether two plans agree on what begins between two instants or is running at the first."""

    def window(occurrences: Sequence[Occurrence]) -> list[Occurrence]:
        return [
            each
            for each in occurrences
            if each.start_at_ms + each.duration_ms > from_ms and each.start_at_ms < until_ms
        ]

    return window(one) == window(other)


def second_of_day(text: str) -> int:
    """Seconds after midnight of a checked `HH:MM` or `HH:MM:SS`."""
    hours, minutes, *seconds = (int(part) for part in text.split(":"))
    return hours * 3600 + minutes * 60 + (seconds[0] if seconds else 0)


def _fitting(occurrences: Sequence[Occurrence]) -> int:
    """How many of the first occurrences one message holds; never splits those that begin together."""
    room = DOCUMENT_BYTES_MAX - PLAN_FRAME_BYTES
    count = 0
    for occurrence in occurrences[:OCCURRENCES_MAX]:
        room -= len(cbor_encode(occurrence))
        if room < 0:
            break
        count += 1
    if count < len(occurrences):
        while count and occurrences[count - 1].start_at_ms == occurrences[count].start_at_ms:
            count -= 1
    return count
