"""Days and months of a place, and the periods that reports are asked for.

Counts are kept by local day and by calendar month, both as whole numbers (20261122 and 202611, which never meet), so
that a year is read from eleven or twelve months and a few days. Pure; what is counted is decided elsewhere.

Authorities close their books on the 14th: a month runs from the 15th of the month before, a year from 15 December of
the year before to 14 December (Decree 09/2019/NĐ-CP, article 12). That is what `--month` and `--year` mean; calendar
months and years are asked for by their dates.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from controller.errors import RequestCode, RequestError

DAYS_MAX: Final = 3_700
"""Ten years: a longer period is a slip of the finger."""
FIRST_DAY: Final = dt.date(2000, 1, 1)
LAST_DAY: Final = dt.date(2199, 12, 31)
CLOSING_DAY: Final = 14
"""Last day of a period of report; the next begins on the day after."""
DAYS_SHOWN_AT_FIRST: Final = 30
SERIES_DAYS_MAX: Final = 62
"""A longer period is shown by months."""
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}\Z", re.ASCII)
_MONTH: Final = re.compile(r"\d{4}-\d{2}\Z", re.ASCII)
_YEAR: Final = re.compile(r"\d{4}\Z", re.ASCII)
_DECEMBER: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Local days, the first and the last included. Raises RequestError where it is none."""

    first: dt.date
    last: dt.date

    def __post_init__(self) -> None:
        """Refuse what cannot be reported on."""
        if self.last < self.first:
            raise RequestError(
                RequestCode.BAD_REQUEST,
                f"ngày kết thúc {self.last} trước ngày bắt đầu {self.first} / until lies before from; exchange them",
            )
        if self.first < FIRST_DAY or self.last > LAST_DAY or (self.last - self.first).days >= DAYS_MAX:
            raise RequestError(
                RequestCode.BAD_REQUEST,
                f"nhiều nhất {DAYS_MAX} ngày, từ {FIRST_DAY} đến {LAST_DAY} / at most {DAYS_MAX} days between these",
            )

    @property
    def keys(self) -> tuple[int, ...]:
        """The whole months and the single days that make it up."""
        return tuple(_keys(self.first, self.last))

    @property
    def series(self) -> tuple[int, ...]:
        """The days of a short period, one by one; of a longer one its months, with the days that are left over."""
        if (self.last - self.first).days >= SERIES_DAYS_MAX:
            return self.keys
        days = (self.first + dt.timedelta(days=each) for each in range((self.last - self.first).days + 1))
        return tuple(day.year * 10_000 + day.month * 100 + day.day for day in days)

    def bounds_ms(self, time_zone: str) -> tuple[int, int]:
        """When it begins and when the next one does, in milliseconds."""
        zone = zoneinfo.ZoneInfo(time_zone)
        return _midnight_ms(self.first, zone), _midnight_ms(self.last + dt.timedelta(days=1), zone)


def period_of(*, first: str, last: str, month: str = "", year: str = "", today: dt.date) -> Period:
    """The period of a question: two dates, or a month or year of report, or the last days; raises RequestError."""
    if sum(map(bool, (month, year, first or last))) > 1:
        raise RequestError(RequestCode.BAD_REQUEST, "write a month, or a year, or two dates: one of the three")
    if month:
        return _month_of_report(month)
    if year:
        if not _YEAR.match(year):
            raise RequestError(RequestCode.BAD_REQUEST, f"năm {year[:20]!r}: year is written like 2026")
        return Period(first=_after_closing(int(year) - 1, _DECEMBER), last=_closing(int(year), _DECEMBER))
    until = date_of(last) if last else max(today, date_of(first)) if first else today
    return Period(first=date_of(first) if first else until - dt.timedelta(days=DAYS_SHOWN_AT_FIRST - 1), last=until)


def date_of(text: str) -> dt.date:
    """A date as 2026-11-22; raises RequestError."""
    try:
        if _DATE.match(text):
            return dt.date.fromisoformat(text)
    except ValueError:
        pass
    raise RequestError(RequestCode.BAD_REQUEST, f"ngày {text[:20]!r}: a date is written like 2026-11-22")


def day_key(at_ms: int, zone: zoneinfo.ZoneInfo) -> int:
    """The local day of an instant as 20261122; raises OverflowError, ValueError or OSError outside all calendars."""
    day = dt.datetime.fromtimestamp(at_ms / 1000, tz=zone).date()
    return day.year * 10_000 + day.month * 100 + day.day


def month_of_day(key: int) -> int:
    """The month of a day: 202611 of 20261122."""
    return key // 100


def split_by_day(begin_ms: int, end_ms: int, zone: zoneinfo.ZoneInfo) -> Iterator[tuple[int, int]]:
    """Each local day that a span touches, and how many milliseconds of it."""
    at_ms = begin_ms
    while at_ms < end_ms:
        day = dt.datetime.fromtimestamp(at_ms / 1000, tz=zone).date()
        next_ms = min(end_ms, max(at_ms + 1, _midnight_ms(day + dt.timedelta(days=1), zone)))
        yield day.year * 10_000 + day.month * 100 + day.day, next_ms - at_ms
        at_ms = next_ms


def _midnight_ms(day: dt.date, zone: zoneinfo.ZoneInfo) -> int:
    return round(dt.datetime.combine(day, dt.time(), tzinfo=zone).timestamp() * 1000)


def _keys(first: dt.date, last: dt.date) -> Iterator[int]:
    at = first
    while at <= last:
        length = calendar.monthrange(at.year, at.month)[1]
        if at.day == 1 and at + dt.timedelta(days=length - 1) <= last:
            yield at.year * 100 + at.month
            at += dt.timedelta(days=length)
        else:
            yield at.year * 10_000 + at.month * 100 + at.day
            at += dt.timedelta(days=1)


def _month_of_report(text: str) -> Period:
    year, month = (int(text[:4]), int(text[5:])) if _MONTH.match(text) else (0, 0)
    if not 1 <= month <= _DECEMBER or year < FIRST_DAY.year:
        raise RequestError(RequestCode.BAD_REQUEST, f"tháng {text[:20]!r}: a month is written like 2026-11")
    before = (year, month - 1) if month > 1 else (year - 1, _DECEMBER)
    return Period(first=_after_closing(*before), last=_closing(year, month))


def _closing(year: int, month: int) -> dt.date:
    return _date(year, month, CLOSING_DAY)


def _after_closing(year: int, month: int) -> dt.date:
    return _date(year, month, CLOSING_DAY + 1)


def _date(year: int, month: int, day: int) -> dt.date:
    try:
        return dt.date(year, month, day)
    except ValueError as error:
        raise RequestError(RequestCode.BAD_REQUEST, f"{year} is no year of a report") from error
