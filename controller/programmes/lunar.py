"""The lunisolar calendar of Viet Nam, 1900 to 2100: which lunar day a day is, and the reverse; pure.

A lunar month begins on the day of the new moon; the winter solstice is in the eleventh month; of thirteen months
between two solstices the first without a major solar term is a leap month, named after the one before. All that is
by the meridian of the country, and that is why Viet Nam and China differ where a new moon or a term falls between
23:00 and midnight in Hà Nội: Tết was a day earlier in 1968, 1969 and 2007 and will be in 2030 and 2053; it was a month
earlier in 1985. The months stand here as data: computed once from the moon and the sun (and again by the tests), by
the meridian that the calendars of the country were made for: UTC+7 from 1968 on (decision 121/CP of 1967), before that
Beijing's.

Rules kept: days outside the data have no lunar date, and nothing is guessed there; a lunar date that does not exist
(the thirtieth of a short month, a leap month of another year) has no day.
"""

from __future__ import annotations

import bisect
import datetime as dt
from dataclasses import dataclass
from typing import Final

LUNAR_YEAR_FIRST: Final = 1899
"""The lunar year that 1 January 1900 is in."""
LUNAR_YEAR_LAST: Final = 2100
LUNAR_MONTHS: Final = 12

_FIRST_DAY: Final = dt.date(1899, 2, 10)
_YEARS: Final = """
0AD50 16D28 07520 0EA50 164A5 064B0 0A9B0 155A4 056A0 0B590
17522 07520 1B256 0B250 0A4B0 14AB5 02AD0 056B0 0B692 0DA90
1D927 0E920 0D250 1A4D5 0A560 02B60 15B54 06D40 0EA90 1E922
0E920 0D266 052B0 0A570 12B65 0B5A0 06D40 0EC93 07490 16937
0A930 052B0 0A5B6 0AAD0 056A0 1B554 0BA40 0B490 1A932 0A950
152D7 05360 0AAD0 15AA5 05B20 0DA50 1D4A3 0D4A0 0A958 0A970
05560 0AB56 0AD50 06D20 0EA54 0EA50 064A0 0C973 029B0 055B7
056B0 0B690 17525 0B520 0B250 1A4B4 0A4D0 14AB8 02AD0 05AD0
0B6A6 0DA90 0D920 1D254 0D250 0A550 14AD2 04B60 05B57 06D50
0EC90 1E925 0E920 0D260 0A563 0A570 15568 056A0 0B550 16C95
07490 06930 152B4 052B0 0A5B0 155A2 056A0 0B657 0BA50 0D490
1A955 0A950 052D0 0AAD4 0AB50 15AA9 05D20 0DA50 1D4A6 0E4A0
0C960 192E4 05560 0AB50 15B22 06D20 0EA56 07250 064B0 0C975
04AB0 055B0 0ADA3 0B6A0 1752B 0B920 0B250 1A4B6 0A4D0 04AD0
095B5 05AD0 0BAA0 1B522 0D920 1D257 0D250 0A550 14AD5 04B60
06B50 0DAA3 0ECA0 0E928 0E930 0D260 0A566 0A5B0 055A0 0AD54
0B550 074A0 0E933 0A930 152B7 052B0 0A9B0 155A5 056A0 0B650
174A4 0D4A0 1A958 0C950 092D0 0AAD6 0AB50 05AA0 0DA54 0EA50
0D4A0 1D153 0C960 19567 05560 0AB50 16B45 06D40 0EA50 0E8A4
068B0 14978 04AB0 095B0 0ADA6 0B6A0 07540 17254 0B450 0A8B0
152B2 04AD0
"""
"""A number for each lunar year: the lowest four bits are the month that has a leap month behind it, or 0; then a bit
for each month in order, set where it has 30 days and not 29."""


@dataclass(frozen=True, slots=True, order=True)
class LunarDate:
    """A day of the lunar calendar; a leap month comes behind the month of its number."""

    year: int
    month: int
    is_leap: bool
    day: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LunarMonth:
    """A month: which one it is, its first day and how many it has; `index` counts them all from the first."""

    year: int
    month: int
    is_leap: bool
    first: dt.date
    length: int
    index: int

    @property
    def last(self) -> dt.date:
        """Its last day."""
        return self.first + dt.timedelta(days=self.length - 1)


def _months() -> tuple[LunarMonth, ...]:
    """The table, month by month."""
    found: list[LunarMonth] = []
    first = _FIRST_DAY
    for number, code in enumerate(_YEARS.split()):
        bits = int(code, 16)
        leap = bits & 0xF
        names = [(month, is_leap) for month in range(1, 13) for is_leap in (False, True)[: 1 + (month == leap)]]
        for place, (month, is_leap) in enumerate(names):
            length = 30 if bits >> (4 + place) & 1 else 29
            found.append(
                LunarMonth(
                    year=LUNAR_YEAR_FIRST + number,
                    month=month,
                    is_leap=is_leap,
                    first=first,
                    length=length,
                    index=len(found),
                )
            )
            first += dt.timedelta(days=length)
    return tuple(found)


MONTHS: Final = _months()
"""Every month from the first of LUNAR_YEAR_FIRST to the last of LUNAR_YEAR_LAST."""
_FIRSTS: Final = tuple(month.first for month in MONTHS)
_BY_NAME: Final = {(month.year, month.month, month.is_leap): month for month in MONTHS}


def month_of(day: dt.date) -> LunarMonth | None:
    """The lunar month of a day; None outside the data."""
    index = bisect.bisect_right(_FIRSTS, day) - 1
    return MONTHS[index] if index >= 0 and day <= MONTHS[index].last else None


def lunar_date_of(day: dt.date) -> LunarDate | None:
    """The lunar date of a day; None outside the data."""
    month = month_of(day)
    if month is None:
        return None
    return LunarDate(month.year, month.month, month.is_leap, (day - month.first).days + 1)


def month_named(year: int, month: int, *, is_leap: bool = False) -> LunarMonth | None:
    """A month of a lunar year; None where that year has no such month."""
    return _BY_NAME.get((year, month, is_leap))


def day_of(date: LunarDate) -> dt.date | None:
    """The day of a lunar date; None where there is no such date."""
    month = month_named(date.year, date.month, is_leap=date.is_leap)
    if month is None or not 1 <= date.day <= month.length:
        return None
    return month.first + dt.timedelta(days=date.day - 1)


def tet_of(year: int) -> dt.date | None:
    """The first day of a lunar year."""
    return day_of(LunarDate(year, 1, is_leap=False, day=1))
