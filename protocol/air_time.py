"""Air time: how much of its day a place has used, and what of it is left for what wants to sound.

Pure and the same on both sides: the node counts what sounded (`with_sound`), the desk's dry run what would; both ask
`refused` and `ends_ms`. The count is made of spans of sound, so that a repeated or overlapping one counts once, and a
changed limit or time zone is judged from the same facts. It leaves to others who is bound by it (`house_rules`) and
that the count outlives a power cut (`edge.air_time`).

Rules kept:
- a session ends with a pause of `AirTime.pause_minutes`; an item belongs to the session in which its own start lies, so
  that neither an outage nor the limit itself makes two sessions of one item;
- an emergency holds the session open that it interrupts (`with_interruption`): its pause is nobody's choice;
- what is on air is cut at the very millisecond; what is not must have at least LEAST_MS left, or is refused whole;
- bounded: past SPANS_MAX the shortest pause counts as sound; the count never becomes less by that.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from protocol.document import Milliseconds
from protocol.policy import AirTime
from protocol.quiet import time_zone_of
from protocol.units import SharedMs

SPANS_MAX: Final = 128
"""Spans of sound that are kept: two days of a busy station. With 20 bytes each they fill one page of the store."""
KEPT_MS: Final = 50 * 3600 * 1000
"""How long a span is kept: two local days, the longer of which has 25 hours."""
LEAST_MS: Final = 1_000
"""Less air time than this is none: nobody understands a second of speech."""
_MINUTE_MS: Final = 60_000
_MS_PER_S: Final = 1_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Limit(StrEnum):
    """Which limit of the air time is reached; the names stand in records and on screens."""

    SESSION = "air_time_session"
    SESSIONS = "air_time_sessions"
    DAY = "air_time_day"


class Span(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, array_like=True):
    """Sound without a pause in [begins_ms, ends_ms); the first of a session says so, `held_ms` holds the session."""

    begins_ms: Milliseconds
    ends_ms: Milliseconds
    is_first: bool
    held_ms: Milliseconds


class Aired(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What has sounded of late, by its begin; nothing overlaps."""

    spans: Annotated[tuple[Span, ...], Meta(max_length=SPANS_MAX)] = ()


NOTHING_AIRED: Final = Aired()


def with_sound(aired: Aired, air_time: AirTime, *, starts_at_ms: int, from_ms: int, until_ms: int) -> Aired:
    """Add what sounded in [from_ms, until_ms) of an item that was to start at `starts_at_ms`; again changes nothing."""
    if until_ms <= from_ms:
        return aired
    is_first = _session_known_ms(aired, air_time, starts_at_ms=starts_at_ms, at_ms=from_ms) is None
    added = Span(begins_ms=from_ms, ends_ms=until_ms, is_first=is_first, held_ms=until_ms)
    found: list[Span] = []
    for span in sorted((*aired.spans, added), key=lambda each: (each.begins_ms, not each.is_first)):
        if found and span.begins_ms <= found[-1].ends_ms:
            found[-1] = _joined(found[-1], span)
        elif until_ms - KEPT_MS < span.ends_ms and span.begins_ms < until_ms + KEPT_MS:
            found.append(span)
    while len(found) > SPANS_MAX:
        _close_shortest_pause(found)
    return Aired(spans=tuple(found))


def with_interruption(aired: Aired, air_time: AirTime, *, from_ms: int, until_ms: int) -> Aired:
    """What is not bound (an emergency, a drill) sounded in [from_ms, until_ms): a session that it met goes on after."""
    last = _last(aired, from_ms)
    if last is None or from_ms - last.held_ms >= _pause_ms(air_time) or until_ms <= last.held_ms:
        return aired
    held = msgspec.structs.replace(last, held_ms=until_ms)
    return Aired(spans=tuple(held if span is last else span for span in aired.spans))


def moved(aired: Aired, by_ms: int) -> Aired:
    """The same sound by a clock that was set by so much since."""
    return Aired(
        spans=tuple(
            Span(
                begins_ms=max(0, span.begins_ms + by_ms),
                ends_ms=max(0, span.ends_ms + by_ms),
                is_first=span.is_first,
                held_ms=max(0, span.held_ms + by_ms),
            )
            for span in aired.spans
        )
    )


def refused(
    aired: Aired,
    air_time: AirTime | None,
    time_zone: str,
    *,
    starts_at_ms: int,
    at_ms: int,
    is_on_air: bool = False,
) -> Limit | None:
    """Which limit forbids an item to sound at `at_ms`, when all that sounded until then is in `aired`.

    `starts_at_ms` is when the item was to start; `is_on_air` whether it is what sounds up to `at_ms`.
    """
    if air_time is None:
        return None
    least_ms = 1 if is_on_air else LEAST_MS
    known_ms = _session_known_ms(aired, air_time, starts_at_ms=starts_at_ms, at_ms=at_ms)
    if known_ms is not None:
        limit_ms = _session_ms_max(air_time)
        if limit_ms is not None and limit_ms - (at_ms - _session_begins_ms(aired, known_ms)) < least_ms:
            return Limit.SESSION
    elif _are_sessions_used(aired, air_time, time_zone, at_ms):
        return Limit.SESSIONS
    limit_ms = _day_ms_max(air_time)
    if limit_ms is not None and limit_ms - sounded_today_ms(aired, time_zone, at_ms) < least_ms:
        return Limit.DAY
    return None


def ends_ms(
    aired: Aired, air_time: AirTime | None, time_zone: str, *, starts_at_ms: int, at_ms: int
) -> SharedMs | None:
    """When an item that sounds from `at_ms` on without a pause must have ended; None: nothing limits it."""
    if air_time is None:
        return None
    limits: list[int] = []
    session_ms = _session_ms_max(air_time)
    if session_ms is not None:
        known_ms = _session_known_ms(aired, air_time, starts_at_ms=starts_at_ms, at_ms=at_ms)
        limits.append((at_ms if known_ms is None else _session_begins_ms(aired, known_ms)) + session_ms)
    day_ms = _day_ms_max(air_time)
    if day_ms is not None:
        _, midnight_ms = local_day(time_zone, at_ms)
        full_ms = at_ms + max(0, day_ms - sounded_today_ms(aired, time_zone, at_ms))
        while full_ms > midnight_ms:  # the next day has minutes of its own
            full_ms, midnight_ms = midnight_ms + day_ms, local_day(time_zone, midnight_ms)[1]
        limits.append(full_ms)
    return SharedMs(min(limits)) if limits else None


def sounded_today_ms(aired: Aired, time_zone: str, at_ms: int) -> int:
    """How much has sounded in the local day of `at_ms`."""
    begins_ms, ends = local_day(time_zone, at_ms)
    return sum(max(0, min(span.ends_ms, ends) - max(span.begins_ms, begins_ms)) for span in aired.spans)


def sessions_today(aired: Aired, time_zone: str, at_ms: int) -> int:
    """How many sessions have begun in the local day of `at_ms`."""
    begins_ms, ends = local_day(time_zone, at_ms)
    return sum(span.is_first and begins_ms <= span.begins_ms < ends for span in aired.spans)


def local_day(time_zone: str, at_ms: int) -> tuple[SharedMs, SharedMs]:
    """The place's day that holds an instant, [begin, end): 23 to 25 hours long where clocks are changed."""
    zone = time_zone_of(time_zone)
    today = (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(zone).date()
    for day in (today, today + timedelta(days=1), today - timedelta(days=1)):
        begins_ms, ends = _midnight_ms(zone, day), _midnight_ms(zone, day + timedelta(days=1))
        if begins_ms <= at_ms < ends:
            return SharedMs(begins_ms), SharedMs(ends)
    raise AssertionError(f"the instant {at_ms} lies in no day of {time_zone}")


def _midnight_ms(zone: ZoneInfo, day: date) -> int:
    """The first instant of a local day; where clocks skip midnight, the instant of the skip."""
    local = datetime(day.year, day.month, day.day, tzinfo=zone)
    return round((local - _EPOCH).total_seconds()) * _MS_PER_S


def _last(aired: Aired, at_ms: int) -> Span | None:
    """The last span that had begun at an instant; a clock that was set back has left later ones behind."""
    return next((span for span in reversed(aired.spans) if span.begins_ms <= at_ms), None)


def _session_known_ms(aired: Aired, air_time: AirTime, *, starts_at_ms: int, at_ms: int) -> int | None:
    """The instant whose session is that of an item that sounds at `at_ms`; None: it begins one.

    That is the session in which the item's start lies, also when another has begun since: what the limit of the first
    has refused does not come back with the second.
    """
    begins_ms = min(starts_at_ms, at_ms)
    for instant in (begins_ms, at_ms):
        last = _last(aired, instant)
        if last is not None and begins_ms - last.held_ms < _pause_ms(air_time):
            return instant
    return None


def _session_begins_ms(aired: Aired, at_ms: int) -> int:
    begun = [span for span in aired.spans if span.begins_ms <= at_ms]
    return next((span.begins_ms for span in reversed(begun) if span.is_first), begun[0].begins_ms)


def _are_sessions_used(aired: Aired, air_time: AirTime, time_zone: str, at_ms: int) -> bool:
    limit = air_time.sessions_a_day_max
    return limit is not None and sessions_today(aired, time_zone, at_ms) >= limit


def _session_ms_max(air_time: AirTime) -> int | None:
    return None if air_time.session_minutes_max is None else air_time.session_minutes_max * _MINUTE_MS


def _day_ms_max(air_time: AirTime) -> int | None:
    return None if air_time.minutes_a_day_max is None else air_time.minutes_a_day_max * _MINUTE_MS


def _pause_ms(air_time: AirTime) -> int:
    return air_time.pause_minutes * _MINUTE_MS


def _joined(first: Span, second: Span) -> Span:
    return msgspec.structs.replace(
        first, ends_ms=max(first.ends_ms, second.ends_ms), held_ms=max(first.held_ms, second.held_ms)
    )


def _close_shortest_pause(spans: list[Span]) -> None:
    pauses = [after.begins_ms - before.ends_ms for before, after in pairwise(spans)]
    index = pauses.index(min(pauses))
    spans[index : index + 2] = [_joined(spans[index], spans[index + 1])]
