"""Periods: months and days that make them up, closing days of reports, and what is no period."""

from __future__ import annotations

import datetime as dt
import zoneinfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.errors import RequestError
from controller.reporting.periods import Period, date_of, day_key, month_of_day, period_of, split_by_day

TODAY = dt.date(2026, 11, 22)
DAYS = st.dates(min_value=dt.date(2019, 1, 1), max_value=dt.date(2027, 12, 31))
DAY_MS = 24 * 3600 * 1000


@settings(max_examples=40)
@given(DAYS, DAYS)
def test_months_and_days_cover_a_period_once(one: dt.date, other: dt.date) -> None:
    period = Period(first=min(one, other), last=max(one, other))
    keys = period.keys
    assert len(keys) == len(set(keys)) <= 12 * 9 + 60
    used = set()
    for number in range((period.last - period.first).days + 1):
        day = period.first + dt.timedelta(days=number)
        [key] = {day.year * 100 + day.month, day.year * 10_000 + day.month * 100 + day.day} & set(keys)
        used.add(key)
    assert used == set(keys)
    months = [key for key in keys if key < 10**6]
    before = period.first - dt.timedelta(days=1)
    after = period.last + dt.timedelta(days=1)
    assert not {before.year * 100 + before.month, after.year * 100 + after.month} & set(months)


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ({"year": "2026"}, "2025-12-15", "2026-12-14"),
        ({"month": "2026-11"}, "2026-10-15", "2026-11-14"),
        ({"month": "2026-01"}, "2025-12-15", "2026-01-14"),
        ({"first": "2026-01-01", "last": "2026-12-31"}, "2026-01-01", "2026-12-31"),
        ({}, "2026-10-24", "2026-11-22"),
        ({"first": "2026-11-20"}, "2026-11-20", "2026-11-22"),
        ({"last": "2026-03-31"}, "2026-03-02", "2026-03-31"),
    ],
)
def test_what_is_asked_for_is_a_period(asked: dict[str, str], first: str, last: str) -> None:
    period = period_of(**{"first": "", "last": "", **asked}, today=TODAY)
    assert (period.first.isoformat(), period.last.isoformat()) == (first, last)


@pytest.mark.parametrize(
    "asked",
    [
        {"year": "26"},
        {"year": "0001"},
        {"year": "9999"},
        {"month": "2026-13"},
        {"month": "2026-00"},
        {"month": "11/2026"},
        {"month": "0000-01"},
        {"first": "2026-02-30"},
        {"first": "22/11/2026"},
        {"first": "2026-11-22 "},
        {"first": "2026-11-22", "last": "2026-11-21"},
        {"first": "1990-01-01", "last": "1990-02-01"},
        {"first": "2001-01-01", "last": "2026-01-01"},
        {"year": "2026", "month": "2026-11"},
        {"year": "2026", "first": "2026-11-01"},
    ],
)
def test_what_is_no_period_is_refused(asked: dict[str, str]) -> None:
    with pytest.raises(RequestError):
        period_of(**{"first": "", "last": "", **asked}, today=TODAY)


@given(
    st.integers(min_value=0, max_value=2**41),
    st.integers(min_value=1, max_value=4 * DAY_MS),
    st.sampled_from(["Asia/Ho_Chi_Minh", "Europe/Berlin", "America/Sao_Paulo", "Pacific/Apia", "UTC"]),
)
def test_a_span_is_split_at_local_midnight_and_nothing_is_lost(begin_ms: int, length_ms: int, name: str) -> None:
    zone = zoneinfo.ZoneInfo(name)
    parts = list(split_by_day(begin_ms, begin_ms + length_ms, zone))
    assert sum(ms for _, ms in parts) == length_ms
    at_ms = begin_ms
    for day, ms in parts:
        assert ms > 0
        assert day == day_key(at_ms, zone) == day_key(at_ms + ms - 1, zone)
        at_ms += ms


def test_a_day_has_its_own_midnight() -> None:
    begin_ms, end_ms = Period(first=date_of("2026-11-22"), last=date_of("2026-11-22")).bounds_ms("Asia/Ho_Chi_Minh")
    assert end_ms - begin_ms == DAY_MS
    assert day_key(begin_ms, zoneinfo.ZoneInfo("Asia/Ho_Chi_Minh")) == 20261122
    assert day_key(begin_ms - 1, zoneinfo.ZoneInfo("Asia/Ho_Chi_Minh")) == 20261121
    assert month_of_day(20261122) == 202611
