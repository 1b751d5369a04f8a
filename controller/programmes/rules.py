"""One RRULE: its begins between two days; pure.

A day of the wanted window is asked whether the rule has it, so that a rule from years back costs no more than one of
today and a rule that never begins costs no more than any other. (dateutil walks from DTSTART, and to the year 9999 for
a 30th of February; it is what the tests compare with.) Begins are remembered: a province asks for the same thousands of
times. Lunar rules are `lunar_rules`' subject.

Rules kept: a rule begins at most BEGINS_A_DAY_MAX times a day; what RFC 5545 takes from DTSTART is written out when the
rule is read; COUNT is turned into the last begin then, and counts to YEAR_MAX at most; days that do not exist are left
out; a week of the year belongs to the calendar year that its day is in.
"""

from __future__ import annotations

import calendar
import datetime as dt
import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

YEAR_MAX: Final = 2100
"""Nothing is counted beyond it."""
GAP_YEARS: Final = 12
"""A count ends where nothing begins for so many years (of a rule that skips years: as many times as it skips); leap
days are at most eight years apart."""


class Frequency(IntEnum):
    """How long a rule's period is."""

    YEARLY = 0
    MONTHLY = 1
    WEEKLY = 2
    DAILY = 3
    HOURLY = 4
    MINUTELY = 5


HOURS: Final = 24
MINUTES: Final = 24 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule that has been read, DTSTART's part of it written out; local times, all numbers as RFC 5545 has them."""

    frequency: Frequency
    interval: int = 1
    phase: int = 0
    """Of which period DTSTART is, modulo the interval."""
    week_start: int = 0
    months: frozenset[int] = frozenset()
    month_days: frozenset[int] = frozenset()
    year_days: frozenset[int] = frozenset()
    weeks: frozenset[int] = frozenset()
    weekdays: frozenset[tuple[int, int]] = frozenset()
    """(Monday is 0, the how-manieth; 0: every)."""
    hours: tuple[int, ...] = ()
    minutes: tuple[int, ...] = ()
    seconds: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()

    def days(self, first: dt.date, last: dt.date) -> Iterator[dt.date]:
        """Days between two that the rule has, BYSETPOS left aside."""
        for ordinal in range(first.toordinal(), last.toordinal() + 1):
            day = dt.date.fromordinal(ordinal)
            if self._is_in_turn(day) and self._has(day):
                yield day

    def begins(self, first: dt.date, last: dt.date) -> Iterator[dt.datetime]:
        """Local begins between two days."""
        if not self.positions:
            for day in self.days(first, last):
                yield from (dt.datetime.combine(day, time) for time in self._times(day))
            return
        for period_first, period_last in self._periods(first, last):
            whole = [
                dt.datetime.combine(day, time)
                for day in self.days(period_first, period_last)
                for time in self._times(day)
            ]
            chosen = {number - 1 if number > 0 else len(whole) + number for number in self.positions}
            yield from (at for index, at in enumerate(whole) if index in chosen and first <= at.date() <= last)

    def _is_in_turn(self, day: dt.date) -> bool:
        if self.interval == 1 or self.frequency > Frequency.DAILY:
            return True
        return period_of(day, self.frequency, self.week_start) % self.interval == self.phase

    def _has(self, day: dt.date) -> bool:
        if self.months and day.month not in self.months:
            return False
        if self.month_days:
            length = calendar.monthrange(day.year, day.month)[1]
            if day.day not in self.month_days and day.day - length - 1 not in self.month_days:
                return False
        if self.weekdays and not self._has_weekday(day):
            return False
        if self.year_days:
            number = day.timetuple().tm_yday
            if number not in self.year_days and number - _year_length(day.year) - 1 not in self.year_days:
                return False
        return not self.weeks or self._has_week(day)

    def _has_weekday(self, day: dt.date) -> bool:
        weekday = day.weekday()
        if (weekday, 0) in self.weekdays:
            return True
        if self.frequency is Frequency.MONTHLY or self.months:
            number, length = day.day, calendar.monthrange(day.year, day.month)[1]
        else:
            number, length = day.timetuple().tm_yday, _year_length(day.year)
        forward, backward = (number - 1) // 7 + 1, -((length - number) // 7 + 1)
        return (weekday, forward) in self.weekdays or (weekday, backward) in self.weekdays

    def _has_week(self, day: dt.date) -> bool:
        """Week 1 is the first with four days in its year (RFC 5545, 3.3.10)."""
        week_first = day - dt.timedelta(days=(day.weekday() - self.week_start) % 7)
        year = (week_first + dt.timedelta(days=3)).year
        number = (week_first - _first_week(year, self.week_start)).days // 7 + 1
        count = (_first_week(year + 1, self.week_start) - _first_week(year, self.week_start)).days // 7
        return number in self.weeks or number - count - 1 in self.weeks

    def _times(self, day: dt.date) -> Iterator[dt.time]:
        if self.frequency is Frequency.HOURLY:
            first = (self.phase - day.toordinal() * HOURS) % self.interval
            hours = [hour for hour in range(first, HOURS, self.interval) if not self.hours or hour in self.hours]
            yield from (dt.time(*parts) for parts in itertools.product(hours, self.minutes, self.seconds))
        elif self.frequency is Frequency.MINUTELY:
            first = (self.phase - day.toordinal() * MINUTES) % self.interval
            for hour, minute in (divmod(number, 60) for number in range(first, MINUTES, self.interval)):
                if (not self.hours or hour in self.hours) and (not self.minutes or minute in self.minutes):
                    yield from (dt.time(hour, minute, second) for second in self.seconds)
        else:
            yield from (dt.time(*parts) for parts in itertools.product(self.hours, self.minutes, self.seconds))

    def _periods(self, first: dt.date, last: dt.date) -> Iterator[tuple[dt.date, dt.date]]:
        """First and last day of each period that a day between two is in."""
        day = first
        while day <= last:
            match self.frequency:
                case Frequency.YEARLY:
                    bounds = dt.date(day.year, 1, 1), dt.date(day.year, 12, 31)
                case Frequency.MONTHLY:
                    bounds = day.replace(day=1), day.replace(day=calendar.monthrange(day.year, day.month)[1])
                case Frequency.WEEKLY:
                    begin = day - dt.timedelta(days=(day.weekday() - self.week_start) % 7)
                    bounds = begin, begin + dt.timedelta(days=6)
                case _:
                    bounds = day, day
            yield bounds
            day = bounds[1] + dt.timedelta(days=1)


def period_of(day: dt.date, frequency: Frequency, week_start: int) -> int:
    """The number of a day's year, month, week or day."""
    match frequency:
        case Frequency.YEARLY:
            return day.year
        case Frequency.MONTHLY:
            return day.year * 12 + day.month
        case Frequency.WEEKLY:
            return (day.toordinal() - 1 - week_start) // 7
        case _:
            return day.toordinal()


def counted(
    begins: Callable[[dt.date, dt.date], Iterator[dt.datetime]], start: dt.datetime, count: int, *, interval: int
) -> dt.datetime:
    """The last of so many begins from `start` on, or before a gap of GAP_YEARS intervals, or before YEAR_MAX."""
    left, last = count, start
    for year in range(start.year, YEAR_MAX + 1):
        if year - last.year > GAP_YEARS * interval:
            break
        for at in begins(max(start.date(), dt.date(year, 1, 1)), dt.date(year, 12, 31)):
            if at >= start:
                left, last = left - 1, at
                if not left:
                    return last
    return last


@functools.lru_cache(maxsize=512)
def _first_week(year: int, week_start: int) -> dt.date:
    fourth = dt.date(year, 1, 4)
    return fourth - dt.timedelta(days=(fourth.weekday() - week_start) % 7)


def _year_length(year: int) -> int:
    return 366 if calendar.isleap(year) else 365
