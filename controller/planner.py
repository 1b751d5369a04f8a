"""Programmes become dated occurrences; pure.

A programme begins at a local time of day on some days of the week; its items follow one another without a
gap. An occurrence's id says which programme, local date and item it is, so compiling twice gives the same ids.
Where the clock is put forward over the time of day, the programme begins as much later as the clock jumped;
where it is put back, it begins at the first of the two. Which of two occurrences sounds is the node's decision.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from protocol.codec import cbor_encode
from protocol.messages import DOCUMENT_BYTES_MAX, BroadcastClass, MediaReference, Occurrence, Over
from protocol.turns import Turns
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
class Item:
    """What sounds, and for how long: a media file or a feed; a file perhaps in turns, and then for the whole round.

    `duration_ms` includes the attention signal that it may begin with.
    """

    title: str
    duration_ms: int
    media: MediaReference | None = None
    feed: str | None = None
    turns: Turns | None = None
    chime_ms: int = 0
    over: Over = Over.REPLACE


@dataclass(frozen=True, slots=True, kw_only=True)
class Programme:
    """Items in order, from `second_of_day` on each of `weekdays` (Monday is 0)."""

    id: str
    title: str
    area: str
    broadcast_class: BroadcastClass
    second_of_day: int
    weekdays: frozenset[int]
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """The occurrences of one area until an instant; `is_cut` where not all of the wanted time fits a message."""

    occurrences: tuple[Occurrence, ...]
    covers_until_ms: SharedMs
    is_cut: bool


def compile_area(programmes: Iterable[Programme], *, time_zone: str, now_ms: SharedMs) -> Compiled:
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


def occurrences_of(programme: Programme, *, time_zone: str, from_ms: SharedMs, until_ms: SharedMs) -> list[Occurrence]:
    """The programme's items that end after `from_ms` and begin before `until_ms`, in order."""
    zone = zoneinfo.ZoneInfo(time_zone)
    longest = dt.timedelta(milliseconds=sum(item.duration_ms for item in programme.items))
    day = _local_date(from_ms, zone) - dt.timedelta(days=longest.days + 1)
    last_day = _local_date(until_ms, zone)
    found: list[Occurrence] = []
    while day <= last_day:
        if day.weekday() in programme.weekdays:
            found += _on_day(programme, day, zone)
        day += dt.timedelta(days=1)
    return [each for each in found if each.start_at_ms + each.duration_ms > from_ms and each.start_at_ms < until_ms]


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


def _local_date(at_ms: SharedMs, zone: zoneinfo.ZoneInfo) -> dt.date:
    return dt.datetime.fromtimestamp(at_ms / 1000, tz=zone).date()


def _on_day(programme: Programme, day: dt.date, zone: zoneinfo.ZoneInfo) -> list[Occurrence]:
    midnight = dt.datetime.combine(day, dt.time.min)
    begin = (midnight + dt.timedelta(seconds=programme.second_of_day)).replace(tzinfo=zone)
    start_ms = int(begin.timestamp()) * 1000
    found = []
    for index, item in enumerate(programme.items):
        found.append(
            Occurrence(
                id=f"{programme.id}.{day:%Y%m%d}.{index}",
                programme=programme.id,
                title=item.title,
                broadcast_class=programme.broadcast_class,
                start_at_ms=start_ms,
                duration_ms=item.duration_ms,
                media=item.media,
                feed=item.feed,
                turns=item.turns,
                chime_ms=item.chime_ms,
                over=item.over,
            )
        )
        start_ms += item.duration_ms
    return found


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
