"""Lunar rules against a day-by-day reading of another package's calendar; skips as RFC 7529 has them; holidays."""

from __future__ import annotations

import datetime as dt

import pytest
import vnlunar  # type: ignore[import-untyped]  # publishes no types
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import RecurrenceError
from controller.programmes.holidays import VIET_NAM, Holidays, HolidaysConfig, SingleHoliday, YearlyHoliday
from controller.programmes.lunar import LunarDate, day_of
from controller.programmes.programme import lunar
from controller.programmes.recurrence import rules_of

HANOI = "Asia/Ho_Chi_Minh"
LUNAR = "RRULE:RSCALE=X-VIETNAMESE;"


def begins(rule: str, first: str, last: str, start: str = "20200125T053000") -> list[str]:
    text = f"DTSTART;TZID={HANOI}:{start}\n{LUNAR}{rule}"
    found = rules_of(text, "UTC").between(dt.date.fromisoformat(first), dt.date.fromisoformat(last))
    return [f"{at:%Y%m%d}" if at.time() == dt.time(5, 30) else f"{at:%Y%m%dT%H%M}" for at in found]


def theirs(day: dt.date) -> tuple[int, bool, int, bool]:
    """Month, whether leap, day, and whether it is the month's last; by the other package."""
    today, tomorrow = (
        vnlunar.get_lunar_date_from_table(each.day, each.month, each.year) for each in (day, day + dt.timedelta(days=1))
    )
    return today["month"], bool(today["leap"]), today["day"], tomorrow["day"] == 1


@given(
    day=st.dates(dt.date(2020, 2, 1), dt.date(2050, 1, 1)),
    numbers=st.frozensets(st.integers(1, 30) | st.just(-1), min_size=1, max_size=3),
    months=st.frozensets(st.tuples(st.integers(1, 12), st.booleans()), max_size=4),
    frequency=st.sampled_from(["MONTHLY", "YEARLY"]),
)
def test_a_lunar_rule_begins_on_the_days_that_the_calendar_names(
    day: dt.date, numbers: frozenset[int], months: frozenset[tuple[int, bool]], frequency: str
) -> None:
    rule = f"FREQ={frequency};BYMONTHDAY={','.join(str(number) for number in numbers)}"
    if months:
        rule += ";BYMONTH=" + ",".join(f"{month}{'L' if is_leap else ''}" for month, is_leap in months)
    window = [day + dt.timedelta(days=number) for number in range(45)]
    expected = []
    for each in window:
        month, is_leap, number, is_last = theirs(each)
        if (not months or (month, is_leap) in months) and (number in numbers or (is_last and -1 in numbers)):
            expected.append(f"{each:%Y%m%d}")
    assert begins(rule, window[0].isoformat(), window[-1].isoformat()) == expected


def test_the_first_and_the_fifteenth_of_each_month_and_of_leap_months() -> None:
    assert begins("FREQ=MONTHLY;BYMONTHDAY=1,15", "2025-07-01", "2025-09-15") == [
        *("20250709", "20250725", "20250808", "20250823", "20250906")
    ]
    assert begins("FREQ=YEARLY;BYMONTH=6L;BYMONTHDAY=1", "2024-01-01", "2037-01-01") == ["20250725", "20360723"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=1", ["20260217", "20270206"]),
        ("FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=10", ["20260426", "20270416"]),
        ("FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=-1", ["20260216", "20270205"]),
        ("FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=30", []),
        ("FREQ=YEARLY;SKIP=BACKWARD;BYMONTH=12;BYMONTHDAY=30", ["20260216", "20270205"]),
        ("FREQ=YEARLY;SKIP=FORWARD;BYMONTH=12;BYMONTHDAY=30", ["20260217", "20270206"]),
        ("FREQ=YEARLY;BYMONTH=6L;BYMONTHDAY=1", []),
        ("FREQ=YEARLY;SKIP=BACKWARD;BYMONTH=6L;BYMONTHDAY=1", ["20260714", "20270704"]),
        ("FREQ=YEARLY;SKIP=FORWARD;BYMONTH=6L;BYMONTHDAY=1", ["20260813", "20270802"]),
        ("FREQ=YEARLY", ["20260217", "20270206"]),
        ("FREQ=YEARLY;INTERVAL=2", ["20260217"]),
        ("FREQ=YEARLY;UNTIL=20260216T223000Z", ["20260217"]),
        ("FREQ=YEARLY;COUNT=7", ["20260217"]),
        ("FREQ=YEARLY;BYHOUR=5,17", ["20260217", "20260217T1730", "20270206", "20270206T1730"]),
    ],
)
def test_days_of_the_year(rule: str, expected: list[str]) -> None:
    assert begins(rule, "2026-01-01", "2027-12-31") == expected


def test_every_third_lunar_month_counts_leap_months() -> None:
    found = begins("FREQ=MONTHLY;INTERVAL=3", "2020-01-01", "2021-03-01")
    assert found == ["20200125", "20200423", "20200721", "20201017", "20210113"]


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        ("FREQ=DAILY", "YEARLY or MONTHLY"),
        ("FREQ=MONTHLY;BYDAY=MO", "BYDAY"),
        ("FREQ=MONTHLY;BYMONTHDAY=31", "BYMONTHDAY=31"),
        ("FREQ=YEARLY;BYMONTH=13", "BYMONTH=13"),
        ("FREQ=YEARLY;BYMONTH=L", "BYMONTH=L"),
        ("FREQ=YEARLY;SKIP=SIDEWARD", "SKIP=SIDEWARD"),
        ("FREQ=YEARLY;BYHOUR=25", "BYHOUR=25"),
    ],
)
def test_a_lunar_rule_that_cannot_be_read_is_refused(rule: str, word: str) -> None:
    with pytest.raises(RecurrenceError, match=word):
        begins(rule, "2026-01-01", "2026-12-31")


def test_a_start_beyond_the_data_is_refused_and_a_window_beyond_it_is_empty() -> None:
    with pytest.raises(RecurrenceError, match="1900 to 2100"):
        begins("FREQ=YEARLY", "2026-01-01", "2026-12-31", start="21010301T053000")
    assert begins("FREQ=MONTHLY;BYMONTHDAY=1", "2101-02-01", "2150-12-31") == []


PUBLISHED_HOLIDAYS_2026 = [
    *("2026-01-01", "2026-02-16", "2026-02-17", "2026-02-18", "2026-02-19", "2026-02-20", "2026-04-26", "2026-04-30"),
    *("2026-05-01", "2026-09-01", "2026-09-02", "2026-11-24"),
]


def test_the_holidays_of_2026() -> None:
    found = VIET_NAM.between(dt.date(2026, 1, 1), dt.date(2026, 12, 31))
    assert [day.isoformat() for day, _ in found] == PUBLISHED_HOLIDAYS_2026
    assert dict(found)[dt.date(2026, 4, 26)] == "Giỗ Tổ Hùng Vương"


@given(year=st.integers(1901, 2100))
def test_every_year_has_its_holidays(year: int) -> None:
    days = dict(VIET_NAM.between(dt.date(year, 1, 1), dt.date(year, 12, 31)))
    kings = day_of(LunarDate(year, 3, is_leap=False, day=10))
    assert kings is not None
    assert kings in days
    assert sum(name == "Tết Nguyên đán" for name in days.values()) == 5


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (["1", "15"], ["20260202", "20260217"]),
        (["10/3", "1/1"], ["20260217", "20260426"]),
        (["last/12", "last"], ["20260216", "20260318"]),
        (["1/6L"], ["20360723"]),
    ],
)
def test_lunar_days_as_people_write_them(days: list[str], expected: list[str]) -> None:
    year = 2036 if days == ["1/6L"] else 2026
    found = rules_of(lunar("05:30", days).rules, HANOI).between(dt.date(year, 2, 1), dt.date(year, 12, 1))
    assert [f"{at:%Y%m%d}" for at in found][:2] == expected
    assert all(at.time() == dt.time(5, 30) for at in found)


def test_lunar_days_that_no_month_has_are_refused() -> None:
    for day in ("31", "x", "1/13", "0", ""):
        with pytest.raises(ValueError, match="RRULE"):
            lunar("05:30", [day])


def test_a_site_may_have_holidays_of_its_own() -> None:
    config = HolidaysConfig(
        yearly=(
            YearlyHoliday(day="07-15", title="Vu lan", lunar=True),
            YearlyHoliday(day="12-25", title="Giáng sinh"),
        ),
        added=(SingleHoliday(day="2026-08-31", title="nghỉ bù"),),
        taken=("2026-09-01",),
    )
    found = dict(config.calendar.between(dt.date(2026, 8, 1), dt.date(2026, 12, 31)))
    assert [f"{day:%m-%d}" for day in found] == ["08-27", "08-31", "09-02", "11-24", "12-25"]
    assert found[dt.date(2026, 8, 27)] == "Vu lan"
    assert HolidaysConfig(viet_nam=False).calendar == Holidays()
    assert HolidaysConfig().calendar == VIET_NAM
    for refused in ({"taken": ("2026-02-30",)}, {"added": (SingleHoliday(day="2026-13-01", title="x"),)}):
        with pytest.raises(ValueError, match="no calendar"):
            HolidaysConfig(**refused)
    with pytest.raises(ValueError, match="no lunar year"):
        YearlyHoliday(day="01-31", title="x", lunar=True)


def test_single_days_go_before_those_of_every_year() -> None:
    made_up = dt.date(2026, 8, 31)
    ours = Holidays(solar={(9, 2): "Quốc khánh"}, added={made_up: "nghỉ bù"}, taken=frozenset({dt.date(2026, 9, 2)}))
    assert ours.name_of(made_up) == "nghỉ bù"
    assert not ours.has(dt.date(2026, 9, 2))
    assert ours.has(dt.date(2027, 9, 2))
    assert not ours.has(dt.date(2150, 2, 1))
