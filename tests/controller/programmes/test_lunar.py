"""The lunar calendar against published dates, against two packages of others, and against the sky."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import lunar_vn
import pytest
import vnlunar  # type: ignore[import-untyped]  # publishes no types
from hypothesis import given
from hypothesis import strategies as st

from controller.programmes.lunar import (
    MONTHS,
    LunarDate,
    day_of,
    lunar_date_of,
    month_named,
    month_of,
    tet_of,
)
from tests.support.moon_and_sun import months_between

PUBLISHED_TET = [
    "1968-01-29",
    "1969-02-16",
    "1985-01-21",
    "1990-01-27",
    "1991-02-15",
    "1992-02-04",
    "1993-01-23",
    "1994-02-10",
    "1995-01-31",
    "1996-02-19",
    "1997-02-07",
    "1998-01-28",
    "1999-02-16",
    "2000-02-05",
    "2001-01-24",
    "2002-02-12",
    "2003-02-01",
    "2004-01-22",
    "2005-02-09",
    "2006-01-29",
    "2007-02-17",
    "2008-02-07",
    "2009-01-26",
    "2010-02-14",
    "2011-02-03",
    "2012-01-23",
    "2013-02-10",
    "2014-01-31",
    "2015-02-19",
    "2016-02-08",
    "2017-01-28",
    "2018-02-16",
    "2019-02-05",
    "2020-01-25",
    "2021-02-12",
    "2022-02-01",
    "2023-01-22",
    "2024-02-10",
    "2025-01-29",
    "2026-02-17",
    "2027-02-06",
    "2028-01-26",
    "2029-02-13",
    "2030-02-02",
    "2053-02-18",
]
PUBLISHED_LEAP_MONTHS = {
    1976: 8,
    1979: 6,
    1982: 4,
    1985: 2,
    1987: 7,
    1990: 5,
    1993: 3,
    1995: 8,
    1998: 5,
    2001: 4,
    2004: 2,
    2006: 7,
    2009: 5,
    2012: 4,
    2014: 9,
    2017: 6,
    2020: 4,
    2023: 2,
    2025: 6,
    2028: 5,
    2031: 3,
    2033: 11,
}
OTHERS_THAN_THE_TABLE = {dt.date(1925, 1, 24), dt.date(2054, 5, 7)}
"""First of months of which Hồ Ngọc Đức's printed table has another day: by our computation the new moon of January 1925
was at 22:31 of the 24th in Beijing, and that of May 2054 is 14 s past midnight in Hà Nội."""
OTHERS_THAN_THE_FORMULA = {dt.date(2072, 12, 9), dt.date(2077, 11, 15)}
"""New moons 90 and 26 s before midnight, which the formula of `lunar_vn`, exact to some minutes, has behind it."""

FIRST, LAST = dt.date(1900, 1, 1), dt.date(2100, 12, 31)
days = st.dates(FIRST, LAST)


@pytest.mark.parametrize("published", PUBLISHED_TET)
def test_tet_is_when_it_was_and_will_be(published: str) -> None:
    day = dt.date.fromisoformat(published)
    assert tet_of(day.year) == day
    assert lunar_date_of(day) == LunarDate(day.year, 1, is_leap=False, day=1)


def test_leap_months_are_those_of_the_printed_calendars() -> None:
    found = {month.year: month.month for month in MONTHS if month.is_leap and 1976 <= month.year <= 2033}
    assert found == PUBLISHED_LEAP_MONTHS


def test_viet_nam_and_china_had_tet_a_month_apart_in_1985() -> None:
    assert lunar_date_of(dt.date(1985, 2, 20)) == LunarDate(1985, 2, is_leap=False, day=1)
    assert month_named(1984, 10, is_leap=True) is None


def differing(of_others: set[dt.date]) -> set[dt.date]:
    """Days of the months around those that are known to differ."""
    return {day + dt.timedelta(days=number) for day in of_others for number in range(-31, 62)}


def test_every_day_is_as_in_the_published_table() -> None:
    left_out = differing(OTHERS_THAN_THE_TABLE)
    for number in range((LAST - FIRST).days + 1):
        day = FIRST + dt.timedelta(days=number)
        if day not in left_out:
            theirs = vnlunar.get_lunar_date_from_table(day.day, day.month, day.year)
            ours = lunar_date_of(day)
            assert ours == LunarDate(theirs["year"], theirs["month"], bool(theirs["leap"]), theirs["day"]), day


def test_every_month_since_1968_begins_as_the_formula_has_it() -> None:
    left_out = differing(OTHERS_THAN_THE_FORMULA)
    for month in MONTHS:
        if month.first.year >= 1968 and month.first <= LAST and month.first not in left_out:
            theirs = lunar_vn.convert_solar_to_lunar(month.first.day, month.first.month, month.first.year, 7)
            assert (theirs.year, theirs.month, theirs.leap, theirs.day) == (month.year, month.month, month.is_leap, 1)


def test_every_month_begins_with_the_new_moon_and_is_named_by_the_sun() -> None:
    ours = {(month.first, month.year, month.month, month.is_leap) for month in MONTHS}
    sky = [month for month in months_between(1899, 2101) if FIRST <= month[0] <= LAST]
    assert len(sky) > 2480
    assert not [month for month in sky if month not in ours]


@given(day=days)
def test_a_day_and_its_lunar_date_are_one(day: dt.date) -> None:
    date = lunar_date_of(day)
    assert date is not None
    assert day_of(date) == day
    month = month_of(day)
    assert month is not None
    assert month.first <= day <= month.last


def test_lunar_dates_are_in_the_order_of_days() -> None:
    ordered = [lunar_date_of(dt.date(2025, 1, 1) + dt.timedelta(days=number)) for number in range(730)]
    known = [date for date in ordered if date is not None]
    assert len(known) == len(ordered)
    assert known == sorted(known)


def test_the_months_leave_no_day_out() -> None:
    for one, other in pairwise(MONTHS):
        assert other.first == one.last + dt.timedelta(days=1)
        assert one.length in {29, 30}
    assert MONTHS[0].first <= FIRST
    assert MONTHS[-1].last >= LAST


@pytest.mark.parametrize("day", [dt.date(1899, 2, 9), dt.date(2101, 1, 29), dt.date(1, 1, 1), dt.date(9999, 12, 31)])
def test_outside_the_data_nothing_is_guessed(day: dt.date) -> None:
    assert lunar_date_of(day) is None
    assert month_of(day) is None


@pytest.mark.parametrize(
    "date",
    [
        LunarDate(2026, 10, is_leap=False, day=31),
        LunarDate(2026, 1, is_leap=False, day=0),
        LunarDate(2026, 6, is_leap=True, day=1),
        LunarDate(2026, 13, is_leap=False, day=1),
        LunarDate(2101, 1, is_leap=False, day=1),
    ],
)
def test_a_lunar_date_that_does_not_exist_has_no_day(date: LunarDate) -> None:
    assert day_of(date) is None


def test_the_last_day_of_the_year_is_the_thirtieth_or_the_twenty_ninth() -> None:
    assert day_of(LunarDate(2025, 12, is_leap=False, day=30)) is None
    assert day_of(LunarDate(2025, 12, is_leap=False, day=29)) == dt.date(2026, 2, 16)
    assert day_of(LunarDate(2026, 12, is_leap=False, day=30)) is None
    assert day_of(LunarDate(2023, 12, is_leap=False, day=30)) == dt.date(2024, 2, 9)
