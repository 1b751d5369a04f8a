"""One RRULE of the lunar calendar: its begins between two days; pure.

RFC 7529 has a rule count in another calendar by RSCALE. Viet Nam's has no registered name, so it is X-VIETNAMESE:
`RSCALE=X-VIETNAMESE;FREQ=MONTHLY;BYMONTHDAY=1,15` is mùng một and rằm of every month, leap months among them;
`RSCALE=X-VIETNAMESE;FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=10` is the day of the Hùng kings; `BYMONTH=6L` is the leap month
behind the sixth; `BYMONTHDAY=-1` the last day of a month.

Rules kept: what does not exist is left out (SKIP=OMIT), or taken at the last day or month before it (BACKWARD) or the
next (FORWARD); what the rule does not say is the lunar date of DTSTART; outside the calendar's data nothing begins.
China's calendar is another one and is refused, as it would be wrong by a day, or by a month, without a word.
"""

from __future__ import annotations

import bisect
import datetime as dt
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from controller.errors import RecurrenceError
from controller.programmes.lunar import LUNAR_MONTHS, MONTHS, LunarMonth, lunar_date_of, month_named, month_of
from controller.programmes.rule_text import Parts, times_of
from controller.programmes.rules import Frequency

RSCALE: Final = "X-VIETNAMESE"
DAYS_MAX: Final = 30
"""The longest lunar month."""
_MONTH: Final = re.compile(r"([1-9]|1[0-2])(L?)\Z")
_PARTS: Final = {
    *("RSCALE", "SKIP", "FREQ", "INTERVAL", "UNTIL", "COUNT", "WKST"),
    *("BYMONTH", "BYMONTHDAY", "BYHOUR", "BYMINUTE", "BYSECOND"),
}


class Skip(StrEnum):
    """What becomes of a lunar date that a month or a year does not have."""

    OMIT = "OMIT"
    BACKWARD = "BACKWARD"
    FORWARD = "FORWARD"


@dataclass(frozen=True, slots=True, kw_only=True)
class LunarRule:
    """A lunar rule that has been read, DTSTART's part of it written out."""

    frequency: Frequency
    interval: int
    phase: int
    """Of which month or year DTSTART is, modulo the interval."""
    months: frozenset[tuple[int, bool]]
    """(Number, whether the leap month); none: every month of every year."""
    days: frozenset[int]
    """Of a month, from its end where they are negative."""
    skip: Skip
    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    seconds: tuple[int, ...]

    def begins(self, first: dt.date, last: dt.date) -> Iterator[dt.datetime]:
        """Local begins between two days."""
        days = {day for month in self._months(first, last) for day in self._days(month) if first <= day <= last}
        for day in sorted(days):
            for parts in itertools.product(self.hours, self.minutes, self.seconds):
                yield dt.datetime.combine(day, dt.time(*parts))

    def _months(self, first: dt.date, last: dt.date) -> Iterator[LunarMonth]:
        """The rule's months near two days; one more on each side, as a day may be moved over a month's end."""
        begin = bisect.bisect_right(MONTHS, first, key=lambda month: month.first) - 2
        end = bisect.bisect_right(MONTHS, last, key=lambda month: month.first) + 1
        for month in MONTHS[max(0, begin) : end]:
            if self._number(month) % self.interval == self.phase and self._has(month):
                yield month

    def _has(self, month: LunarMonth) -> bool:
        if not self.months or (month.month, month.is_leap) in self.months:
            return True
        if self.skip is Skip.OMIT or month.is_leap:
            return False
        number = month.month if self.skip is Skip.BACKWARD else (month.month - 2) % LUNAR_MONTHS + 1
        year = month.year if self.skip is Skip.BACKWARD or month.month > 1 else month.year - 1
        return (number, True) in self.months and month_named(year, number, is_leap=True) is None

    def _days(self, month: LunarMonth) -> Iterator[dt.date]:
        for day in self.days:
            number = day if day > 0 else month.length + 1 + day
            if number > month.length and self.skip is not Skip.OMIT:
                number = month.length + (self.skip is Skip.FORWARD)
            elif number < 1 and self.skip is not Skip.OMIT:
                number = int(self.skip is Skip.FORWARD)
            elif not 1 <= number <= month.length:
                continue
            yield month.first + dt.timedelta(days=number - 1)

    def _number(self, month: LunarMonth) -> int:
        return month.year if self.frequency is Frequency.YEARLY else month.index


def read_lunar_parts(parts: Parts, *, start: dt.datetime) -> LunarRule:
    """The lunar rule that parts and DTSTART make; UNTIL and COUNT are the caller's. Raises RecurrenceError."""
    _require_known(parts)
    frequency = parts.frequency()
    if frequency not in {Frequency.YEARLY, Frequency.MONTHLY}:
        raise RecurrenceError(f"RRULE: FREQ={frequency.name} needs no RSCALE; lunar rules are YEARLY or MONTHLY")
    date = lunar_date_of(start.date())
    month = month_of(start.date())
    if date is None or month is None:
        raise RecurrenceError(f"DTSTART: {start:%Y%m%d} is beyond the lunar calendar's data, 1900 to 2100")
    hours, minutes, seconds = times_of(parts, start=start, frequency=frequency)
    months = _months_of(parts)
    days = parts.numbers("BYMONTHDAY", lowest=1, highest=DAYS_MAX, is_signed=True)
    if frequency is Frequency.YEARLY and not months and not days:
        months = frozenset({(date.month, date.is_leap)})
    interval = parts.number("INTERVAL", lowest=1, highest=1000, default=1)
    return LunarRule(
        frequency=frequency,
        interval=interval,
        phase=(month.year if frequency is Frequency.YEARLY else month.index) % interval,
        months=months,
        days=frozenset(days or (date.day,)),
        skip=Skip(parts.values.get("SKIP", Skip.OMIT)),
        hours=hours,
        minutes=minutes,
        seconds=seconds,
    )


def is_lunar(parts: Parts) -> bool:
    """Whether a rule counts in the lunar calendar. Raises RecurrenceError for calendars that nobody here has."""
    scale = parts.values.get("RSCALE", "GREGORIAN")
    if scale not in {RSCALE, "GREGORIAN"}:
        raise RecurrenceError(
            f"RRULE: RSCALE={scale[:40]}: write RSCALE={RSCALE} for lunar dates of Viet Nam; no other calendar is known"
        )
    if scale == "GREGORIAN" and parts.values.get("SKIP", "OMIT") != "OMIT":
        raise RecurrenceError(f"RRULE: SKIP={parts.values['SKIP'][:20]} is known for RSCALE={RSCALE} only")
    return scale == RSCALE


def _require_known(parts: Parts) -> None:
    for key in parts.values:
        if key not in _PARTS:
            raise RecurrenceError(f"RRULE: {key} has no meaning with RSCALE={RSCALE}; write BYMONTH and BYMONTHDAY")
    if parts.values.get("SKIP", "OMIT") not in Skip.__members__:
        raise RecurrenceError(f"RRULE: SKIP={parts.values['SKIP'][:20]}: write one of {', '.join(Skip.__members__)}")


def _months_of(parts: Parts) -> frozenset[tuple[int, bool]]:
    found = set()
    for text in parts.values["BYMONTH"].split(",") if "BYMONTH" in parts.values else ():
        match = _MONTH.match(text)
        if match is None:
            raise RecurrenceError(
                f"RRULE: BYMONTH={text[:20]}: write 1 to 12, and 6L for the leap month behind the sixth"
            )
        found.add((int(match[1]), bool(match[2])))
    return frozenset(found)
