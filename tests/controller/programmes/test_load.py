"""How many items a day can have at most: never fewer than any day has, whatever the rules look like."""

from __future__ import annotations

import datetime as dt
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.programmes.load import items_a_day_max
from controller.programmes.programme import Item, Override, Programme, Recurrence
from controller.programmes.recurrence import rules_of

ZONE = "Asia/Ho_Chi_Minh"
START = "DTSTART:20260101T053000"


def programme(lines: str, *, items: int = 1, overrides: tuple[Override, ...] = ()) -> Programme:
    listed = tuple(Item(feed="vov1", duration_s=1) for _ in range(items))
    recurrence = Recurrence(rules=f"{START}\n{lines}")
    return Programme(id="a", title="a", area="xa", items=listed, recurrence=recurrence, overrides=overrides)


@pytest.mark.parametrize(
    ("lines", "items", "expected"),
    [
        ("RRULE:FREQ=DAILY", 3, 3),
        ("RRULE:FREQ=MINUTELY;INTERVAL=5", 64, 288 * 64),
        ("RRULE:FREQ=HOURLY;INTERVAL=7", 1, 4),
        ("RRULE:FREQ=WEEKLY;BYHOUR=5,17;BYMINUTE=0,30", 2, 8),
        ("RRULE:FREQ=DAILY\nRDATE:20260105T060000,20260105T070000,20260106T060000", 1, 3),
    ],
)
def test_known_days(lines: str, items: int, expected: int) -> None:
    assert items_a_day_max(programme(lines, items=items), time_zone=ZONE) == expected


def test_dates_that_are_moved_onto_one_day_and_have_more_items_count() -> None:
    many = tuple(Item(feed="vov1", duration_s=1) for _ in range(5))
    moved = tuple(
        Override(of=f"2026-01-0{day}T05:30", begins=f"2026-02-01T0{day}:00", items=many) for day in range(2, 6)
    )
    assert items_a_day_max(programme("RRULE:FREQ=DAILY", overrides=moved), time_zone=ZONE) == 25


@given(
    frequency=st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY"]),
    interval=st.integers(1, 30),
    hours=st.sets(st.integers(0, 23), max_size=5),
    minutes=st.sets(st.integers(0, 59), max_size=5),
)
def test_no_day_has_more(frequency: str, interval: int, hours: set[int], minutes: set[int]) -> None:
    by_hour = f";BYHOUR={','.join(map(str, sorted(hours)))}" if hours else ""
    by_minute = f";BYMINUTE={','.join(map(str, sorted(minutes)))}" if minutes else ""
    made = programme(f"RRULE:FREQ={frequency};INTERVAL={interval}{by_hour}{by_minute}")
    begins = rules_of(made.recurrence.rules, ZONE).between(dt.date(2026, 1, 1), dt.date(2026, 3, 1))
    busiest = max(Counter(at.date() for at in begins).values(), default=0)
    assert busiest <= items_a_day_max(made, time_zone=ZONE)
