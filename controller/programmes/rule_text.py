"""The text of one RRULE is read: parts, bounds, and what it takes from DTSTART; pure.

Rules kept: each part is checked against its bounds and against the frequency, as RFC 5545's table has it; an unknown
part is refused, never dropped, as the rule would sound at other times than were meant.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Final

from controller.errors import RecurrenceError
from controller.programmes.rules import HOURS, MINUTES, Frequency, Rule, period_of

BEGINS_A_DAY_MAX: Final = 288
"""Once in five minutes."""
COUNT_MAX: Final = 10_000
INTERVAL_MAX: Final = 10_000
WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
"""Days as `datetime.weekday` counts them."""
_WEEKDAY: Final = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)\Z")
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,5}\Z")
_PARTS: Final = frozenset(
    {"FREQ", "UNTIL", "COUNT", "INTERVAL", "WKST", "RSCALE", "SKIP", "BYSETPOS"}
    | {"BYSECOND", "BYMINUTE", "BYHOUR", "BYDAY", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYMONTH"}
)
_NOT_WITH: Final = {
    "BYWEEKNO": {Frequency.MONTHLY, Frequency.WEEKLY, Frequency.DAILY, Frequency.HOURLY, Frequency.MINUTELY},
    "BYYEARDAY": {Frequency.MONTHLY, Frequency.WEEKLY, Frequency.DAILY},
    "BYMONTHDAY": {Frequency.WEEKLY},
    "BYSETPOS": {Frequency.HOURLY, Frequency.MINUTELY},
}
"""Which parts a frequency may not have (RFC 5545, 3.3.10; set positions below a day are nobody's need)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of a rule's text by name, in capitals; each is taken by one of the methods."""

    text: str
    values: dict[str, str]

    @staticmethod
    def of(text: str) -> Parts:
        """Split `FREQ=DAILY;…`. Raises RecurrenceError."""
        values: dict[str, str] = {}
        for part in text.strip().strip(";").upper().split(";"):
            key, equals, value = part.partition("=")
            if not equals or not value:
                raise RecurrenceError(f"RRULE: {part[:40]!r} is no KEY=VALUE; write for example FREQ=DAILY")
            if key not in _PARTS:
                raise RecurrenceError(f"RRULE: {key[:40]} is unknown; there are {', '.join(sorted(_PARTS))}")
            if key in values:
                raise RecurrenceError(f"RRULE: {key} stands twice")
            values[key] = value
        return Parts(text=text, values=values)

    def frequency(self) -> Frequency:
        """How long a period is."""
        name = self.values.get("FREQ", "")
        if name not in Frequency.__members__:
            raise RecurrenceError(f"RRULE: FREQ={name or '?'}: write one of {', '.join(Frequency.__members__)}")
        return Frequency[name]

    def number(self, key: str, *, lowest: int, highest: int, default: int) -> int:
        """One number."""
        return self.numbers(key, lowest=lowest, highest=highest)[0] if key in self.values else default

    def numbers(self, key: str, *, lowest: int, highest: int, is_signed: bool = False) -> tuple[int, ...]:
        """Numbers of a list, in order; signed ones count from the end."""
        if key not in self.values:
            return ()
        found = set()
        for text in self.values[key].split(","):
            number = int(text) if _NUMBER.match(text) else None
            size = abs(number) if is_signed and number is not None else number
            if number is None or size is None or not lowest <= size <= highest:
                raise RecurrenceError(f"RRULE: {key}={text[:20]}: write a number of {lowest} to {highest}")
            found.add(number)
        return tuple(sorted(found))


def read_parts(parts: Parts, *, start: dt.datetime) -> Rule:
    """The rule that parts and DTSTART make; UNTIL and COUNT are the caller's. Raises RecurrenceError.

    Days that the parts do not say are DTSTART's, as RFC 5545 has it.
    """
    frequency = parts.frequency()
    for key, frequencies in _NOT_WITH.items():
        if key in parts.values and frequency in frequencies:
            raise RecurrenceError(f"RRULE: {key} has no meaning with FREQ={frequency.name}")
    hours, minutes, seconds = times_of(parts, start=start, frequency=frequency)
    interval = parts.number("INTERVAL", lowest=1, highest=INTERVAL_MAX, default=1)
    week_start = _week_start(parts)
    weeks = frozenset(parts.numbers("BYWEEKNO", lowest=1, highest=53, is_signed=True))
    year_days = frozenset(parts.numbers("BYYEARDAY", lowest=1, highest=366, is_signed=True))
    months = frozenset(parts.numbers("BYMONTH", lowest=1, highest=12))
    month_days = frozenset(parts.numbers("BYMONTHDAY", lowest=1, highest=31, is_signed=True))
    weekdays = _weekdays(parts, frequency)
    if not (month_days or year_days or weekdays):
        if frequency is Frequency.WEEKLY or weeks:
            weekdays = frozenset({(start.weekday(), 0)})
        elif frequency in {Frequency.YEARLY, Frequency.MONTHLY}:
            month_days = frozenset({start.day})
            months = months or (frozenset({start.month}) if frequency is Frequency.YEARLY else months)
    return Rule(
        frequency=frequency,
        interval=interval,
        phase=_number_of(start, frequency, week_start) % interval,
        week_start=week_start,
        months=months,
        month_days=month_days,
        year_days=year_days,
        weeks=weeks,
        weekdays=weekdays,
        hours=hours,
        minutes=minutes,
        seconds=seconds,
        positions=parts.numbers("BYSETPOS", lowest=1, highest=366, is_signed=True),
    )


def times_of(parts: Parts, *, start: dt.datetime, frequency: Frequency) -> tuple[tuple[int, ...], ...]:
    """Hours, minutes and seconds; what the parts do not say is DTSTART's. Raises RecurrenceError."""
    hours = parts.numbers("BYHOUR", lowest=0, highest=23)
    minutes = parts.numbers("BYMINUTE", lowest=0, highest=59)
    seconds = parts.numbers("BYSECOND", lowest=0, highest=59) or (start.second,)
    if frequency < Frequency.HOURLY:
        hours = hours or (start.hour,)
    if frequency < Frequency.MINUTELY:
        minutes = minutes or (start.minute,)
    interval = parts.number("INTERVAL", lowest=1, highest=INTERVAL_MAX, default=1)
    a_day = (len(hours) or HOURS) * (len(minutes) or 60) * len(seconds)
    if frequency is Frequency.MINUTELY:
        a_day = min(a_day, -(-MINUTES // interval) * len(seconds))
    if a_day > BEGINS_A_DAY_MAX:
        raise RecurrenceError(f"RRULE: up to {a_day} begins a day; at most {BEGINS_A_DAY_MAX}")
    return hours, minutes, seconds


def _number_of(start: dt.datetime, frequency: Frequency, week_start: int) -> int:
    """The number of DTSTART's period."""
    if frequency is Frequency.HOURLY:
        return start.toordinal() * HOURS + start.hour
    if frequency is Frequency.MINUTELY:
        return start.toordinal() * MINUTES + start.hour * 60 + start.minute
    return period_of(start, frequency, week_start)


def _week_start(parts: Parts) -> int:
    name = parts.values.get("WKST", "MO")
    if name not in WEEKDAYS:
        raise RecurrenceError(f"RRULE: WKST={name[:20]}: write one of {', '.join(WEEKDAYS)}")
    return WEEKDAYS.index(name)


def _weekdays(parts: Parts, frequency: Frequency) -> frozenset[tuple[int, int]]:
    found = set()
    for text in parts.values["BYDAY"].split(",") if "BYDAY" in parts.values else ():
        match = _WEEKDAY.match(text)
        number = int(match[1]) if match and match[1] else 0
        if match is None or abs(number) > 53 or (match[1] and not number):  # noqa: PLR2004 - weeks of a year
            raise RecurrenceError(
                f"RRULE: BYDAY={text[:20]}: write days like MO, or 1MO and -1SU for the first and last"
            )
        if number and (frequency > Frequency.MONTHLY or "BYWEEKNO" in parts.values):
            raise RecurrenceError(f"RRULE: BYDAY={text}: the {number}. of what? Only MONTHLY and YEARLY count weekdays")
        found.add((WEEKDAYS.index(match[2]), number))
    return frozenset(found)
