"""When a calendar's event is: its lines as a recurrence's text, its zones by names that everybody has; pure.

Other programs name zones as they like: Windows' names, paths of their own, rules of a VTIMEZONE. What means a known
zone becomes that; what means a fixed time difference becomes that; anything else is refused, never guessed.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from icalendar import Calendar, Event, vUTCOffset
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from controller.errors import ExchangeError, RecurrenceError
from controller.programmes.recurrence import UTC_ZONE, YEAR_MIN, known_zone
from controller.programmes.rules import YEAR_MAX

TIME_LINES: Final = ("DTSTART", "RRULE", "RDATE", "EXDATE")
HOUR_S: Final = 3600
INDOCHINA_S: Final = 7 * HOUR_S
INDOCHINA: Final = "Asia/Ho_Chi_Minh"
_DAY: Final = re.compile(r"[0-9]{8}\Z")


class Zones:
    """The zones that a calendar names, by names that everybody has."""

    def __init__(self, calendar: Calendar, *, time_zone: str) -> None:
        wanted = str(calendar.get("X-WR-TIMEZONE", "")).strip()
        self.floating = wanted if _is_known(wanted) else time_zone
        """Of times without a zone."""
        self._fixed = dict(_fixed_zones(calendar))

    def named(self, name: str) -> str:
        """The known zone of a TZID. Raises ExchangeError."""
        name = name.strip('"')
        tail = "/".join(name.split("/")[-2:])
        for candidate in (name, WINDOWS_TO_OLSON.get(name, ""), tail, self._fixed.get(name, "")):
            if _is_known(candidate):
                return candidate
        raise ExchangeError(f"TZID={name[:60]}: múi giờ không rõ / unknown time zone; write one like {INDOCHINA}")


def text_of(event: Event, zones: Zones, *, at: str | None) -> str:
    """The event's lines as a recurrence's text; `at` (05:30) for one that lasts whole days. Raises ExchangeError."""
    for name, reason in event.errors:
        if name in {*TIME_LINES, "RECURRENCE-ID"}:
            raise ExchangeError(f"{name}: không đọc được / cannot be read: {str(reason)[:120]}")
    if "DTSTART" not in event:
        raise ExchangeError("không có DTSTART / no DTSTART: an event must say when it begins")
    if "EXRULE" in event:
        raise ExchangeError("EXRULE: quy tắc loại trừ không được hỗ trợ / not supported; write EXDATE for each date")
    lines = []
    for name, parameters, value in time_lines(event):
        zone = f";TZID={zones.named(parameters['TZID'])}" if "TZID" in parameters else ""
        if name == "RRULE":
            lines.append(f"RRULE:{value}")
            continue
        values = [each.partition("/")[0] for each in value.split(",")]
        if name == "DTSTART" and _DAY.match(value):
            values = [f"{value}T{_time_of(at)}"]
        if name == "DTSTART" and not zone and not value.endswith("Z"):
            zone = f";TZID={zones.floating}"
        lines.append(f"{name}{zone}:{','.join(values)}")
    return "\n".join(lines)


def instant_of(event: Event, name: str, zones: Zones, *, zone: str, at: str | None) -> dt.datetime:
    """A line that says one instant, as a local time of `zone`. Raises ExchangeError."""
    [(_, parameters, value)] = list(time_lines(event, (name,)))[:1] or [(name, {}, "")]
    if _DAY.match(value):
        value = f"{value}T{_time_of(at)}"
    try:
        local = dt.datetime.strptime(value.removesuffix("Z"), "%Y%m%dT%H%M%S")  # noqa: DTZ007 - its zone comes next
    except ValueError as error:
        raise ExchangeError(f"{name}:{value[:40]}: không đọc được / is no instant") from error
    if not YEAR_MIN <= local.year <= YEAR_MAX:
        raise ExchangeError(f"{name}:{value[:40]}: năm từ {YEAR_MIN} đến {YEAR_MAX} / years go from {YEAR_MIN}")
    named = UTC_ZONE if value.endswith("Z") else zones.named(parameters.get("TZID", zone))
    return local.replace(tzinfo=known_zone(named)).astimezone(known_zone(zone)).replace(tzinfo=None, fold=0)


def time_lines(event: Event, names: Iterable[str] = TIME_LINES) -> Iterator[tuple[str, dict[str, str], str]]:
    """Name, parameters and value of each line of some names, as they are written."""
    for name in names:
        found: Any = event.get(name, [])
        for value in found if isinstance(found, list) else [found]:
            parameters = {key.upper(): str(each) for key, each in getattr(value, "params", {}).items()}
            yield name, parameters, value.to_ical().decode("utf-8", "replace")


def written(at: dt.datetime) -> str:
    """A local instant as programmes have it."""
    return f"{at:%Y-%m-%dT%H:%M:%S}" if at.second else f"{at:%Y-%m-%dT%H:%M}"


def _time_of(at: str | None) -> str:
    if at is None:
        raise ExchangeError(
            "sự kiện cả ngày không có giờ phát / an event of whole days says no time; give one with --at 05:30"
        )
    return f"{at.replace(':', ''):0<6}"


@functools.lru_cache(maxsize=256)
def _is_known(name: str) -> bool:
    try:
        return bool(name) and known_zone(name) is not None
    except RecurrenceError:
        return False


def _fixed_zones(calendar: Calendar) -> Iterator[tuple[str, str]]:
    """Zones of the calendar's own that have one difference to UTC, in whole hours."""
    for zone in calendar.walk("VTIMEZONE"):
        offsets = set()
        for part in zone.subcomponents:
            offset = part.get("TZOFFSETTO")
            offsets.add(offset.td if isinstance(offset, vUTCOffset) else None)  # what is broken raises at its own
        if len(offsets) == 1 and isinstance(only := offsets.pop(), dt.timedelta):
            seconds = round(only.total_seconds())
            if seconds == INDOCHINA_S:
                yield str(zone.get("TZID", "")), INDOCHINA
            elif seconds % HOUR_S == 0:
                yield str(zone.get("TZID", "")), f"Etc/GMT{-seconds // HOUR_S:+d}" if seconds else UTC_ZONE
