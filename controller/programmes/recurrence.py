"""RFC 5545 text becomes local begins: DTSTART with TZID, RRULE, RDATE and EXDATE; pure.

One line each, long lines folded or not. Rules themselves are `rules`' and `lunar_rules`' subject; here stands what
makes one recurrence of them. A remembered text is read once.

Rules kept: what cannot be read is refused with the words that are wrong, never guessed; without a time of day there is
no begin; DTSTART itself is a begin only where there is no RRULE or where one says so; a time without a zone is
DTSTART's; an UNTIL beyond YEAR_MAX is none, as some programs write 9999 for ever. Instants of other zones are turned
into local times of DTSTART's zone when the text is read.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from controller.errors import RecurrenceError
from controller.programmes.lunar_rules import LunarRule, is_lunar, read_lunar_parts
from controller.programmes.rule_text import COUNT_MAX, Parts, read_parts
from controller.programmes.rules import YEAR_MAX, Rule, counted

RULES_MAX: Final = 8
"""RRULE lines of one recurrence."""
DATES_MAX: Final = 1000
"""Single dates of one recurrence, of each kind: two a day for more than a year."""

UTC_ZONE: Final = "UTC"
YEAR_MIN: Final = 1900
"""No instant is earlier, and none later than YEAR_MAX: so that arithmetic with them cannot leave the calendar."""
REMEMBERED_MAX: Final = 65_536
"""Texts and their begins; more than the programmes of a province, some 2 kB each."""
_INSTANT: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?:T([0-9]{2})([0-9]{2})([0-9]{2}))?Z?")


class HolidayRule(StrEnum):
    """What public holidays mean for the days of a rule."""

    AS_USUAL = "as_usual"
    SKIP = "skip"
    ONLY = "only"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundedRule:
    """A rule and its last begin; `until` is in it."""

    rule: Rule | LunarRule
    until: dt.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A recurrence that has been read; all times are local ones of `zone`."""

    zone: str
    start: dt.datetime
    rules: tuple[BoundedRule, ...]
    dates: frozenset[dt.datetime]
    except_times: frozenset[dt.datetime]
    except_days: frozenset[dt.date]

    def between(
        self, first: dt.date, last: dt.date, *, is_wanted: Callable[[dt.date], bool] | None = None
    ) -> list[dt.datetime]:
        """Local begins from the one day to the other, in order; `is_wanted` judges the days of rules, not of RDATE."""
        ruled = {
            at
            for bounded in self.rules
            for at in begins_of(bounded.rule, first, last)
            if at >= self.start and (bounded.until is None or at <= bounded.until)
        }
        if is_wanted is not None:
            ruled = {at for at in ruled if is_wanted(at.date())}
        named = {at for at in self.dates if first <= at.date() <= last}
        found = ruled | named
        if self.except_times or self.except_days:
            found = {at for at in found if at not in self.except_times and at.date() not in self.except_days}
        return sorted(found)


@functools.lru_cache(maxsize=REMEMBERED_MAX)
def rules_of(text: str, time_zone: str) -> Rules:
    """What a recurrence's text says; `time_zone` where DTSTART names none. Raises RecurrenceError."""
    lines = [_Line.of(line) for line in unfolded(text)]
    known = ("DTSTART", "RRULE", "RDATE", "EXDATE")
    for line in lines:
        if line.name not in known:
            raise RecurrenceError(f"{line.name}: a recurrence has lines of {', '.join(known)} only")
    starts = [line for line in lines if line.name == "DTSTART"]
    if len(starts) != 1:
        raise RecurrenceError(f"a recurrence has one line DTSTART; this has {len(starts)}")
    zone, start = _start_of(starts[0], time_zone)
    rules = tuple(_rule_of(line.value, zone=zone, start=start) for line in lines if line.name == "RRULE")
    if len(rules) > RULES_MAX:
        raise RecurrenceError(f"{len(rules)} lines RRULE; at most {RULES_MAX}")
    dates = _dates_of(lines, "RDATE", zone)
    excepted = _dates_of(lines, "EXDATE", zone)
    return Rules(
        zone=zone,
        start=start,
        rules=rules,
        dates=frozenset(
            [at if isinstance(at, dt.datetime) else dt.datetime.combine(at, start.time()) for at in dates]
            + ([] if rules else [start])
        ),
        except_times=frozenset(at for at in excepted if isinstance(at, dt.datetime)),
        except_days=frozenset(at for at in excepted if not isinstance(at, dt.datetime)),
    )


@functools.lru_cache(maxsize=REMEMBERED_MAX)
def begins_of(rule: Rule | LunarRule, first: dt.date, last: dt.date) -> tuple[dt.datetime, ...]:
    """A rule's begins between two days, remembered."""
    return tuple(rule.begins(first, last))


def unfolded(text: str) -> list[str]:
    """The lines of a text; a line that begins with a blank goes on with the one before (RFC 5545, 3.1)."""
    lines: list[str] = []
    for line in text.splitlines():
        if line[:1] in {" ", "\t"} and lines:
            lines[-1] += line[1:]
        elif line.strip():
            lines.append(line.strip())
    return lines


def known_zone(name: str) -> zoneinfo.ZoneInfo:
    """A time zone by its name. Raises RecurrenceError."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise RecurrenceError(f"TZID={name}: unknown time zone; write one like Asia/Ho_Chi_Minh") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A content line: its name, its parameters and its value."""

    name: str
    parameters: dict[str, str]
    value: str

    @staticmethod
    def of(text: str) -> _Line:
        head, colon, value = text.partition(":")
        if not colon or not value:
            raise RecurrenceError(f"{text[:60]!r}: a line is NAME:VALUE, for example RRULE:FREQ=DAILY")
        name, *parts = head.split(";")
        parameters = {}
        for part in parts:
            key, equals, content = part.partition("=")
            if not equals:
                raise RecurrenceError(f"{name};{part}: a parameter is KEY=VALUE, for example TZID=Asia/Ho_Chi_Minh")
            parameters[key.upper()] = content.strip('"')
        return _Line(name=name.upper(), parameters=parameters, value=value.strip())


def _start_of(line: _Line, time_zone: str) -> tuple[str, dt.datetime]:
    zone = UTC_ZONE if line.value.upper().endswith("Z") else line.parameters.get("TZID", time_zone)
    known_zone(zone)
    start = _instant_of(line.value, of="DTSTART")
    if not isinstance(start, dt.datetime):
        raise RecurrenceError(f"DTSTART:{line.value}: a programme needs a time of day, for example {line.value}T053000")
    return zone, start


def _rule_of(text: str, *, zone: str, start: dt.datetime) -> BoundedRule:
    parts = Parts.of(text)
    rule = read_lunar_parts(parts, start=start) if is_lunar(parts) else read_parts(parts, start=start)
    if "COUNT" in parts.values and "UNTIL" in parts.values:
        raise RecurrenceError("RRULE: either COUNT or UNTIL says when it ends, not both")
    if "COUNT" in parts.values:
        count = parts.number("COUNT", lowest=1, highest=COUNT_MAX, default=1)
        return BoundedRule(rule=rule, until=counted(rule.begins, start, count, interval=rule.interval))
    end = parts.values.get("UNTIL", "")
    is_endless = _INSTANT.fullmatch(end) is not None and int(end[:4]) > YEAR_MAX
    if end and not is_endless:
        until = _in_zone(end, named=zone, zone=zone, of="UNTIL")
        if not isinstance(until, dt.datetime):
            until = dt.datetime.combine(until, dt.time.max)
        return BoundedRule(rule=rule, until=until)
    return BoundedRule(rule=rule, until=None)


def _dates_of(lines: list[_Line], name: str, zone: str) -> list[dt.datetime | dt.date]:
    found: list[dt.datetime | dt.date] = []
    for line in lines:
        if line.name == name:
            named = line.parameters.get("TZID", zone)
            found += [_in_zone(value.strip(), named=named, zone=zone, of=name) for value in line.value.split(",")]
    if len(found) > DATES_MAX:
        raise RecurrenceError(f"{len(found)} dates of {name}; at most {DATES_MAX}")
    return found


def _in_zone(value: str, *, named: str, zone: str, of: str) -> dt.datetime | dt.date:
    at = _instant_of(value, of=of)
    source = UTC_ZONE if value.upper().endswith("Z") else named
    if not isinstance(at, dt.datetime) or source == zone:
        return at
    return at.replace(tzinfo=known_zone(source)).astimezone(known_zone(zone)).replace(tzinfo=None, fold=0)


def _instant_of(value: str, *, of: str) -> dt.datetime | dt.date:
    """`20261122`, `20261122T053000` or the latter with Z; the zone is the caller's."""
    match = _INSTANT.fullmatch(value.upper())
    try:
        if match is not None:
            numbers = [int(part) for part in match.groups() if part is not None]
            if not YEAR_MIN <= numbers[0] <= YEAR_MAX:
                raise RecurrenceError(f"{of}: {value[:40]!r}: years go from {YEAR_MIN} to {YEAR_MAX}")
            return dt.datetime(*numbers) if match[4] else dt.date(*numbers)  # type: ignore[arg-type] # noqa: DTZ001 - a list of numbers; its zone comes next
    except ValueError as error:
        raise RecurrenceError(f"{of}: {value[:40]!r}: no calendar has this instant") from error
    raise RecurrenceError(f"{of}: {value[:40]!r} is no instant; write 20261122T053000")
