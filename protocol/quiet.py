"""Quiet hours: is an instant one at which nothing but a real emergency may sound, and when does that change.

Quiet hours are local times of day, [begin, end), and may cross midnight. They follow the wall clock of the
place through changes of its offset (summer time): a wall time that is skipped takes effect at the skip, and in
an hour that comes twice each pass is judged by what the wall clock shows.

The time zone's data are the system's. What may sound all the same is the guard's decision.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from protocol.errors import Refusal, RefusalReason
from protocol.messages import QuietHours
from protocol.units import SharedMs

_DAY_S: Final = 24 * 3600
_MS_PER_S: Final = 1000
_STEPS_MAX: Final = 64
"""Boundaries looked at before quiet hours count as unchanging; two a day, and the change comes within two days."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=16)
def time_zone_of(name: str) -> ZoneInfo:
    """The zone of an IANA name ("Asia/Ho_Chi_Minh"); raises Refusal(MALFORMED) when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Refusal(RefusalReason.MALFORMED, f"the time zone {name!r} is not known to this system") from error


def is_quiet(quiet_hours: QuietHours | None, time_zone: str, shared_ms: SharedMs) -> bool:
    """Whether `shared_ms` falls into the quiet hours; a place without any (None) is never quiet."""
    if quiet_hours is None:
        return False
    return _is_within(quiet_hours, _second_of_day(time_zone_of(time_zone), shared_ms // _MS_PER_S))


def next_quiet_change_ms(quiet_hours: QuietHours | None, time_zone: str, shared_ms: SharedMs) -> SharedMs | None:
    """The first instant after `shared_ms` at which `is_quiet` answers otherwise; None without quiet hours."""
    if quiet_hours is None:
        return None
    zone = time_zone_of(time_zone)
    now_s = shared_ms // _MS_PER_S
    is_quiet_now = _is_within(quiet_hours, _second_of_day(zone, now_s))
    for _ in range(_STEPS_MAX):
        now_s = _next_boundary_s(quiet_hours, zone, now_s)
        if _is_within(quiet_hours, _second_of_day(zone, now_s)) is not is_quiet_now:
            return SharedMs(now_s * _MS_PER_S)
    return None


def _is_within(quiet_hours: QuietHours, second: int) -> bool:
    begin, end = quiet_hours.begin_minute * 60, quiet_hours.end_minute * 60
    if begin < end:
        return begin <= second < end
    return second >= begin or second < end


def _next_boundary_s(quiet_hours: QuietHours, zone: ZoneInfo, now_s: int) -> int:
    """The next instant at which the wall clock shows a begin or end, or jumps."""
    second = _second_of_day(zone, now_s)
    waits = ((minute * 60 - second) % _DAY_S for minute in (quiet_hours.begin_minute, quiet_hours.end_minute))
    boundary_s = now_s + min(wait or _DAY_S for wait in waits)
    offset = _offset(zone, now_s)
    if _offset(zone, boundary_s) == offset:
        return boundary_s
    before_s = now_s
    while boundary_s - before_s > 1:
        middle_s = (before_s + boundary_s) // 2
        if _offset(zone, middle_s) == offset:
            before_s = middle_s
        else:
            boundary_s = middle_s
    return boundary_s


def _local(zone: ZoneInfo, shared_s: int) -> datetime:
    return (_EPOCH + timedelta(seconds=shared_s)).astimezone(zone)


def _second_of_day(zone: ZoneInfo, shared_s: int) -> int:
    local = _local(zone, shared_s)
    return local.hour * 3600 + local.minute * 60 + local.second


def _offset(zone: ZoneInfo, shared_s: int) -> timedelta | None:
    return _local(zone, shared_s).utcoffset()
