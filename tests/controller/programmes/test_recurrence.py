"""Recurrences against dateutil's: whatever the rule, the same begins; what cannot be read is refused with a reason."""

from __future__ import annotations

import datetime as dt
import itertools
import zoneinfo

import pytest
from dateutil import rrule as rr
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from controller.errors import RecurrenceError
from controller.programmes.recurrence import rules_of
from controller.programmes.rule_text import BEGINS_A_DAY_MAX, COUNT_MAX

HANOI = "Asia/Ho_Chi_Minh"
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")

local = dt.datetime.fromisoformat


def instants(first: str, last: str) -> st.SearchStrategy[dt.datetime]:
    return st.datetimes(local(first), local(last)).map(lambda at: at.replace(microsecond=0))


starts = instants("2016-01-01", "2024-12-31")
windows = st.tuples(st.dates(dt.date(2022, 1, 1), dt.date(2027, 1, 1)), st.integers(0, 40))


def listed(key: str, numbers: st.SearchStrategy[int], most: int = 4) -> st.SearchStrategy[str]:
    some = st.lists(numbers, min_size=1, max_size=most, unique=True)
    return some.map(lambda found: f";{key}=" + ",".join(str(number) for number in found))


def perhaps(part: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(st.just(""), part)


def signed(most: int) -> st.SearchStrategy[int]:
    return st.integers(1, most) | st.integers(-most, -1)


weekdays = st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=7, unique=True).map(
    lambda days: ";BYDAY=" + ",".join(days)
)
nth_weekdays = weekdays | st.lists(
    st.builds("{}{}".format, st.sampled_from(["1", "2", "4", "5", "-1", "-2", "-5"]), st.sampled_from(WEEKDAYS)),
    min_size=1,
    max_size=4,
    unique=True,
).map(lambda days: ";BYDAY=" + ",".join(days))
"""Counted or not, never both in one rule: dateutil then wants days that are both, the standard any of them."""
months = perhaps(listed("BYMONTH", st.integers(1, 12)))
month_days = perhaps(listed("BYMONTHDAY", signed(31)))
times = st.tuples(
    perhaps(listed("BYHOUR", st.integers(0, 23), 2)), perhaps(listed("BYMINUTE", st.integers(0, 59), 2))
).map("".join)
positions = perhaps(listed("BYSETPOS", signed(6), 3))
intervals = st.one_of(st.just(""), st.integers(1, 9).map(";INTERVAL={}".format))
week_starts = perhaps(st.sampled_from(WEEKDAYS).map(";WKST={}".format))


def joined(*parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map("".join)


daily = joined(st.just("FREQ=DAILY"), intervals, months, month_days, perhaps(weekdays), times)
weekly = joined(st.just("FREQ=WEEKLY"), intervals, week_starts, months, perhaps(weekdays), times)
monthly = joined(st.just("FREQ=MONTHLY"), intervals, months, month_days, perhaps(nth_weekdays), times, positions)
yearly = joined(st.just("FREQ=YEARLY"), intervals, months, month_days, perhaps(nth_weekdays), times, positions)
by_week = joined(st.just("FREQ=YEARLY"), week_starts, listed("BYWEEKNO", signed(53)), weekdays, times)
by_year_day = joined(st.just("FREQ=YEARLY"), intervals, listed("BYYEARDAY", signed(366)), perhaps(weekdays), times)
hourly = joined(
    st.just("FREQ=HOURLY"),
    intervals,
    months,
    month_days,
    perhaps(weekdays),
    perhaps(listed("BYHOUR", st.integers(0, 23))),
)
minutely = joined(
    st.sampled_from(["FREQ=MINUTELY;INTERVAL=5", "FREQ=MINUTELY;INTERVAL=20", "FREQ=MINUTELY;INTERVAL=77"]),
    perhaps(weekdays),
    perhaps(listed("BYHOUR", st.integers(0, 23))),
)
rules = st.one_of(daily, weekly, monthly, yearly, by_year_day)
within_days = st.one_of(hourly, minutely)


def theirs(rule: str, start: dt.datetime, first: dt.date, last: dt.date) -> list[dt.datetime]:
    """What dateutil says, which walks from DTSTART on; it gets a last day after which it need not look."""
    until = dt.datetime.combine(last, dt.time.max).replace(microsecond=0)
    found = rr.rrulestr(f"{rule};UNTIL={until:%Y%m%dT%H%M%S}", dtstart=start)
    begin = dt.datetime.combine(first, dt.time.min)
    return [at for at in found if at >= begin]


def ours(text: str, first: dt.date, last: dt.date, zone: str = HANOI) -> list[dt.datetime]:
    return rules_of(text, zone).between(first, last)


def goes_on(text: str, after: dt.date) -> bool:
    """Whether the rule begins again within some decades; dateutil walks to the year 9999 where one does not."""
    [bounded] = rules_of(text, HANOI).rules
    return any(True for _ in bounded.rule.begins(after, after + dt.timedelta(days=366 * 30)))


def readable(text: str) -> bool:
    """Whether the rule is within the bounds that dateutil does not have."""
    try:
        rules_of(text, HANOI)
    except RecurrenceError as error:
        assert "begins a day" in str(error)
        return False
    return True


@given(rule=rules, start=starts, window=windows)
@example(
    rule="FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=SU,MO",
    start=local("1997-08-05T09:00"),
    window=(dt.date(2026, 1, 1), 40),
)
@example(rule="FREQ=MONTHLY;BYDAY=-1SU;BYSETPOS=-1", start=local("2001-01-31T05:00"), window=(dt.date(2026, 11, 1), 40))
@example(rule="FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", start=local("1996-02-29T05:00"), window=(dt.date(2028, 2, 28), 2))
def test_a_rule_from_any_time_begins_when_dateutil_says(
    rule: str, start: dt.datetime, window: tuple[dt.date, int]
) -> None:
    first, last = window[0], window[0] + dt.timedelta(days=window[1])
    text = f"DTSTART:{start:%Y%m%dT%H%M%S}\nRRULE:{rule}"
    assume(readable(text) and goes_on(text, max(last, start.date())))
    assert ours(text, first, last) == theirs(rule, start, first, last)


@given(rule=by_week, window=windows)
def test_a_rule_of_weeks_begins_when_dateutil_says_but_for_new_year(rule: str, window: tuple[dt.date, int]) -> None:
    """Around the new year dateutil takes the length of the wrong year; there the ISO calendar judges, see below."""
    first, last = window[0], window[0] + dt.timedelta(days=window[1])
    start = local("2016-01-01T05:30")
    found = ours(f"DTSTART:20160101T053000\nRRULE:{rule}", first, last)
    expected = theirs(rule, start, first, last)
    assert [at for at in found if 4 <= at.timetuple().tm_yday <= 362] == [
        at for at in expected if 4 <= at.timetuple().tm_yday <= 362
    ]


@given(weeks=st.frozensets(signed(53), min_size=1, max_size=5), year=st.integers(2000, 2040))
def test_a_rule_of_weeks_has_the_weeks_of_the_iso_calendar(weeks: frozenset[int], year: int) -> None:
    numbers = ",".join(str(number) for number in weeks)
    text = f"DTSTART:19990101T053000\nRRULE:FREQ=YEARLY;BYWEEKNO={numbers};BYDAY=MO,TU,WE,TH,FR,SA,SU"
    for at in (dt.date(year, 1, 1) + dt.timedelta(days=number) for number in [*range(12), *range(350, 365)]):
        week = at.isocalendar()
        count = dt.date(week.year, 12, 28).isocalendar().week
        assert bool(ours(text, at, at)) == (week.week in weeks or week.week - count - 1 in weeks)


@settings(max_examples=50)
@given(
    rule=within_days,
    start=instants("2026-01-01", "2026-01-20"),
    window=st.tuples(st.integers(0, 20), st.integers(0, 4)),
)
def test_a_rule_of_hours_or_minutes_begins_when_dateutil_says(
    rule: str, start: dt.datetime, window: tuple[int, int]
) -> None:
    first = dt.date(2026, 1, 10) + dt.timedelta(days=window[0])
    last = first + dt.timedelta(days=window[1])
    text = f"DTSTART:{start:%Y%m%dT%H%M%S}\nRRULE:{rule}"
    assume(readable(text) and goes_on(text, last))
    assert ours(text, first, last) == theirs(rule, start, first, last)


@settings(max_examples=50)
@given(rule=st.one_of(daily, weekly, monthly), start=starts, count=st.integers(1, 60), window=windows)
def test_count_counts_from_the_start(rule: str, start: dt.datetime, count: int, window: tuple[dt.date, int]) -> None:
    text = f"DTSTART:{start:%Y%m%dT%H%M%S}\nRRULE:{rule}"
    assume(readable(text) and goes_on(text, dt.date(2040, 1, 1)))
    counted = rr.rrulestr(f"{rule};COUNT={count}", dtstart=start)
    first = start.date() + dt.timedelta(days=window[1])
    last = first + dt.timedelta(days=400)
    expected = [at for at in itertools.takewhile(lambda at: at.date() <= last, counted) if at.date() >= first]
    assert ours(f"{text};COUNT={count}", first, last) == expected


@settings(max_examples=50)
@given(
    rule=weekly,
    start=starts,
    dates=st.lists(instants("2026-01-01", "2026-03-01"), max_size=5),
    excepted=st.lists(st.integers(0, 30), max_size=4),
    also=st.lists(instants("2026-01-01", "2026-03-01"), max_size=2),
)
def test_single_dates_are_added_and_taken_as_in_a_set_of_rules(
    rule: str, start: dt.datetime, dates: list[dt.datetime], excepted: list[int], also: list[dt.datetime]
) -> None:
    text = f"DTSTART:{start:%Y%m%dT%H%M%S}\nRRULE:{rule}"
    assume(readable(text) and goes_on(text, dt.date(2036, 1, 1)))
    first, last = dt.date(2026, 1, 1), dt.date(2026, 3, 1)
    ruled = theirs(rule, start, first, last)
    gone = [ruled[index] for index in excepted if index < len(ruled)] + also
    whole = rr.rruleset()
    for at in {*ruled, *dates}:
        whole.rdate(at)
    for at in gone:
        whole.exdate(at)
    for name, instants in (("RDATE", dates), ("EXDATE", gone)):
        if instants:
            text += f"\n{name}:" + ",".join(f"{at:%Y%m%dT%H%M%S}" for at in instants)
    assert ours(text, first, last) == list(whole)


@pytest.mark.parametrize(
    ("rule", "days"),
    [
        ("FREQ=YEARLY;BYWEEKNO=20", ["20260513"]),
        ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", ["20260213", "20260313", "20261113"]),
        (
            "FREQ=MONTHLY;BYMONTH=3;BYDAY=SU,1MO",
            ["20260301", "20260302", "20260308", "20260315", "20260322", "20260329"],
        ),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;BYMONTH=1,2", ["20260130", "20260227"]),
        ("FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8", ["20261103"]),
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", []),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", []),
        ("FREQ=MONTHLY;INTERVAL=12;BYMONTH=5", []),
    ],
)
def test_rules_of_the_standard_and_rules_that_never_begin(rule: str, days: list[str]) -> None:
    found = ours(f"DTSTART:19980114T090000\nRRULE:{rule}", dt.date(2026, 1, 1), dt.date(2026, 12, 31))
    assert [f"{at:%Y%m%d}" for at in found] == days


def test_a_count_that_is_never_reached_ends_nothing_and_takes_no_time() -> None:
    text = "DTSTART:20260101T090000\nRRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;COUNT=3"
    assert ours(text, dt.date(2026, 1, 1), dt.date(2030, 1, 1)) == []


def test_a_count_of_rare_begins_is_counted_to_its_end() -> None:
    for start, rule, last in (
        ("20000229T053000", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;COUNT=20", "20760229"),
        ("19980114T053000", "FREQ=YEARLY;INTERVAL=20;COUNT=4", "20580114"),
        ("20160229T053000", "FREQ=YEARLY;INTERVAL=6;BYMONTH=2;BYMONTHDAY=29;COUNT=3", "20400229"),
    ):
        found = ours(f"DTSTART:{start}\nRRULE:{rule}", dt.date(1990, 1, 1), dt.date(2100, 1, 1))
        assert f"{found[-1]:%Y%m%d}" == last


@pytest.mark.parametrize(
    ("until", "last"),
    [
        ("20261124", "20261124T053000"),
        ("20261124T053000", "20261124T053000"),
        ("20261124T052959", "20261123T053000"),
        ("20261123T223000Z", "20261124T053000"),
        ("20261123T222959Z", "20261123T053000"),
        ("99991231T235959Z", "20261231T053000"),
    ],
)
def test_until_is_in_it_and_may_be_a_day_a_local_time_or_utc(until: str, last: str) -> None:
    text = f"DTSTART;TZID={HANOI}:20261122T053000\nRRULE:FREQ=DAILY;UNTIL={until}"
    found = ours(text, dt.date(2026, 11, 1), dt.date(2026, 12, 31), zone="Europe/Berlin")
    assert f"{found[-1]:%Y%m%dT%H%M%S}" == last


def test_times_of_other_zones_become_times_of_the_start() -> None:
    text = (
        f"DTSTART;TZID={HANOI}:20261122T053000\nRRULE:FREQ=DAILY\n"
        "RDATE;TZID=America/New_York:20261122T190000\n"
        "EXDATE:20261123T223000Z\nEXDATE;VALUE=DATE:20261125"
    )
    found = ours(text, dt.date(2026, 11, 22), dt.date(2026, 11, 26))
    assert [f"{at:%d %H:%M}" for at in found] == ["22 05:30", "23 05:30", "23 07:00", "26 05:30"]
    assert rules_of("DTSTART:20261122T053000Z\nRRULE:FREQ=DAILY", HANOI).zone == "UTC"
    at = dt.datetime(2026, 11, 22, 19, tzinfo=zoneinfo.ZoneInfo("America/New_York"))
    assert f"{at.astimezone(zoneinfo.ZoneInfo(HANOI)):%d %H:%M}" == "23 07:00"


def test_without_a_rule_the_start_and_the_single_dates_are_all() -> None:
    text = "DTSTART:20261122T053000\nRDATE:20261201T060000,20261202\nRDATE:20261203T070000"
    found = ours(text, dt.date(2026, 1, 1), dt.date(2027, 1, 1))
    assert [f"{at:%m%d %H%M}" for at in found] == ["1122 0530", "1201 0600", "1202 0530", "1203 0700"]


def test_folded_lines_and_lower_case_are_read() -> None:
    text = "dtstart;tzid=Asia/Ho_Chi_Minh:20261122T053000\r\nrrule:freq=weekly;by\r\n day=su\r\n\r\n"
    assert len(ours(text, dt.date(2026, 11, 1), dt.date(2026, 11, 30))) == 2


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "DTSTART"),
        ("RRULE:FREQ=DAILY", "DTSTART"),
        ("DTSTART:20261122T053000\nDTSTART:20261122T053000", "this has 2"),
        ("DTSTART;VALUE=DATE:20261122\nRRULE:FREQ=DAILY", "time of day"),
        ("DTSTART:20261131T053000", "instant"),
        ("DTSTART:00010101T000000", "years"),
        ("DTSTART:20261122T053000\nEXDATE;TZID=Asia/Tokyo:00010101T000000", "years"),
        ("DTSTART:2026-11-22T05:30", "instant"),
        ("DTSTART;TZID=Ha Noi:20261122T053000", "unknown time zone"),
        ("DTSTART;TZID=../../etc/passwd:20261122T053000", "unknown time zone"),
        ("DTSTART;TZID:20261122T053000", "KEY=VALUE"),
        ("DTSTART:20261122T053000\nEXRULE:FREQ=DAILY", "EXRULE"),
        ("DTSTART:20261122T053000\nSUMMARY", "NAME:VALUE"),
        ("DTSTART:20261122T053000\nRRULE:FREQ=SECONDLY", "FREQ=SECONDLY"),
        ("DTSTART:20261122T053000\nRRULE:BYDAY=MO", "FREQ=?"),
        ("DTSTART:20261122T053000\nRRULE:FREQ=DAILY;FREQ=DAILY", "twice"),
        ("DTSTART:20261122T053000\nRRULE:FREQ=DAILY;BYEASTER=1", "BYEASTER"),
        ("DTSTART:20261122T053000\nRRULE:FREQ=DAILY;BYDAY=1MO", "of what"),
        ("DTSTART:20261122T053000\nRRULE:FREQ=MONTHLY;BYDAY=0MO", "BYDAY=0MO"),
        ("DTSTART:20261122T053000\nRRULE:FREQ=MONTHLY;BYDAY=54MO", "BYDAY=54MO"),
        ("DTSTART:20261122T053000\nRRULE:FREQ=YEARLY;BYWEEKNO=1;BYDAY=1MO", "of what"),
        ("DTSTART:20261122T053000\nRRULE:FREQ=WEEKLY;BYMONTHDAY=1", "BYMONTHDAY"),
        ("DTSTART:20261122T053000\nRRULE:FREQ=DAILY;BYHOUR=24", "BYHOUR=24"),
        ("DTSTART:20261122T053000\nRRULE:FREQ=DAILY;BYMONTH=-1", "BYMONTH=-1"),
        ("DTSTART:20261122T053000\nRRULE:FREQ=DAILY;BYMONTH=5L", "BYMONTH=5L"),
        ("DTSTART:20261122T053000\nRRULE:FREQ=DAILY;INTERVAL=0", "INTERVAL=0"),
        ("DTSTART:20261122T053000\nRRULE:FREQ=DAILY;INTERVAL=99999999999999999999", "INTERVAL"),
        (f"DTSTART:20261122T053000\nRRULE:FREQ=DAILY;COUNT={COUNT_MAX + 1}", "COUNT"),
        ("DTSTART:20261122T053000\nRRULE:FREQ=DAILY;COUNT=2;UNTIL=20270101", "not both"),
        ("DTSTART:20261122T053000\nRRULE:FREQ=DAILY;WKST=XX", "WKST"),
        ("DTSTART:20261122T053000\nRRULE:FREQ=DAILY;UNTIL=99999999X", "UNTIL"),
        ("DTSTART:20261122T053000\nRRULE:FREQ=DAILY;UNTIL=ZZZZ", "UNTIL"),
        ("DTSTART:20261122T053000\nRRULE:FREQ=MINUTELY", f"at most {BEGINS_A_DAY_MAX}"),
        ("DTSTART:20261122T053000\nRRULE:FREQ=DAILY;SKIP=FORWARD", "SKIP"),
        ("DTSTART:20261122T053000\nRRULE:FREQ=YEARLY;RSCALE=CHINESE", "X-VIETNAMESE"),
        ("DTSTART:20261122T053000\n" + "RRULE:FREQ=DAILY\n" * 9, "at most 8"),
        ("DTSTART:20261122T053000\n" + "EXDATE:20261122T053000\n" * 1001, "at most 1000"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_words_that_are_wrong(text: str, word: str) -> None:
    with pytest.raises(RecurrenceError, match=r"\w") as refused:
        rules_of(text, HANOI)
    assert word in str(refused.value)


@given(text=st.text(alphabet="DTSAREXULEQINVBYCO;=:,0123456789TZ\n -+", max_size=120))
@example(text="DTSTART:20261122T053000\nRDATE:")
def test_any_text_is_read_or_refused(text: str) -> None:
    for tried in (text, f"DTSTART:20261122T053000\nRRULE:{text}", f"DTSTART:20261122T053000\nEXDATE:{text}"):
        try:
            rules_of(tried, HANOI).between(dt.date(2026, 1, 1), dt.date(2026, 2, 1))
        except RecurrenceError as error:
            assert str(error)


def test_windows_that_touch_make_the_whole() -> None:
    text = "DTSTART:20200101T053000\nRRULE:FREQ=MONTHLY;BYDAY=MO,TU,WE;BYSETPOS=2,-1;BYHOUR=5,17"
    days = [dt.date(2026, 1, 1) + dt.timedelta(days=number) for number in range(365)]
    single = list(itertools.chain.from_iterable(ours(text, day, day) for day in days))
    assert single == ours(text, days[0], days[-1])
