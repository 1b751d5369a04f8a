"""Public holidays: days of the solar and of the lunar year; data, with what is added or taken away each year; pure.

The law (Labour Code of 2019, article 112) says how many; which days of Tết and which neighbour of the second of
September they are, and what is made up for a weekend, is said each year by the government. So the site's configuration
may name single days, or other days altogether.

Whoever plans without a configuration has VIET_NAM.

Rules kept: a single day that is named goes before the days of every year; a lunar holiday is never in a leap month.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final

from msgspec import Meta, Struct

from controller.programmes.lunar import lunar_date_of, tet_of

MonthDay = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holidays:
    """Holidays by (month, day) of the solar and of the lunar year, days before Tết, and single days that differ."""

    solar: Mapping[MonthDay, str] = field(default_factory=dict)
    lunar: Mapping[MonthDay, str] = field(default_factory=dict)
    before_tet: int = 0
    added: Mapping[dt.date, str] = field(default_factory=dict)
    taken: frozenset[dt.date] = frozenset()

    def has(self, day: dt.date) -> bool:
        """Whether a day is a holiday."""
        return self.name_of(day) is not None

    def name_of(self, day: dt.date) -> str | None:
        """What a holiday is called; None for another day."""
        if day in self.added:
            return self.added[day]
        if day in self.taken:
            return None
        return self.solar.get((day.month, day.day)) or self._lunar_name_of(day)

    def between(self, first: dt.date, last: dt.date) -> list[tuple[dt.date, str]]:
        """All holidays between two days, in order."""
        days = (first + dt.timedelta(days=number) for number in range((last - first).days + 1))
        return [(day, name) for day in days if (name := self.name_of(day)) is not None]

    def _lunar_name_of(self, day: dt.date) -> str | None:
        date = lunar_date_of(day)
        if date is None:
            return None
        if not date.is_leap and (date.month, date.day) in self.lunar:
            return self.lunar[date.month, date.day]
        tet = tet_of(date.year + 1)
        return TET if tet is not None and 0 < (tet - day).days <= self.before_tet else None


TET: Final = "Tết Nguyên đán"
VIET_NAM: Final = Holidays(
    solar={
        (1, 1): "Tết Dương lịch",
        (4, 30): "Ngày Giải phóng miền Nam, thống nhất đất nước",
        (5, 1): "Ngày Quốc tế Lao động",
        (9, 1): "Quốc khánh",
        (9, 2): "Quốc khánh",
        (11, 24): "Ngày Văn hóa Việt Nam",
    },
    lunar={(1, 1): TET, (1, 2): TET, (1, 3): TET, (1, 4): TET, (3, 10): "Giỗ Tổ Hùng Vương"},
    before_tet=1,
)
"""Tết as its eve and four days, the National Day with the day before it: how most recent years had them. The day of
culture is new since 2026 (resolution 80-NQ/TW)."""


YearDay = Annotated[str, Meta(pattern=r"^[0-9]{2}-[0-9]{2}\Z", description="a day of each year: 12-25")]
SingleDay = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}\Z", description="one day: 2026-08-31")]
HolidayTitle = Annotated[str, Meta(min_length=1, max_length=200)]
LEAP_YEAR: Final = 2000
LUNAR_DAYS: Final = 30
LUNAR_MONTHS: Final = 12


class SingleHoliday(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One day that is a holiday this time."""

    day: SingleDay
    title: HolidayTitle


class YearlyHoliday(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A day that is a holiday every year, of the solar or of the lunar year."""

    day: YearDay
    title: HolidayTitle
    lunar: bool = False

    def __post_init__(self) -> None:
        """Refuse a day that no year has."""
        month, day = month_day_of(self.day)
        if self.lunar and not (1 <= month <= LUNAR_MONTHS and 1 <= day <= LUNAR_DAYS):
            raise ValueError(f"{self.day}: no lunar year has this day")
        if not self.lunar:
            _require_day(f"{LEAP_YEAR}-{self.day}")


class HolidaysConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which days are public holidays: those of Viet Nam or none to begin with, and what is added and taken away."""

    viet_nam: bool = True
    yearly: Annotated[tuple[YearlyHoliday, ...], Meta(max_length=100)] = ()
    added: Annotated[tuple[SingleHoliday, ...], Meta(max_length=400)] = ()
    taken: Annotated[tuple[SingleDay, ...], Meta(max_length=400)] = ()

    def __post_init__(self) -> None:
        """Refuse days that no calendar has."""
        for day in (*self.taken, *(each.day for each in self.added)):
            _require_day(day)

    @property
    def calendar(self) -> Holidays:
        """The holidays that this says."""
        usual = VIET_NAM if self.viet_nam else Holidays()
        named = {
            is_lunar: {month_day_of(each.day): each.title for each in self.yearly if each.lunar is is_lunar}
            for is_lunar in (False, True)
        }
        return Holidays(
            solar={**usual.solar, **named[False]},
            lunar={**usual.lunar, **named[True]},
            before_tet=usual.before_tet,
            added={dt.date.fromisoformat(each.day): each.title for each in self.added},
            taken=frozenset(dt.date.fromisoformat(day) for day in self.taken),
        )


def month_day_of(text: str) -> MonthDay:
    """Month and day of `12-25`."""
    return int(text[:2]), int(text[3:])


def _require_day(text: str) -> None:
    try:
        dt.date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text}: no calendar has this day") from error
