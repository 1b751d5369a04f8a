"""Programmes become occurrences: single dates that differ, seasons, holidays, validity, and clocks that jump."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Mapping

import pytest
from dateutil import tz
from hypothesis import given
from hypothesis import strategies as st

from controller.programmes.occurrences import occurrences_of
from controller.programmes.programme import (
    Item,
    Override,
    Programme,
    ReadyItem,
    ReadyOverride,
    ReadyProgramme,
    Recurrence,
    Season,
)
from controller.programmes.recurrence import HolidayRule
from protocol.messages import BroadcastClass, MediaReference
from protocol.units import SharedMs

HANOI = "Asia/Ho_Chi_Minh"
ZONES = [HANOI, "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia"]
SONG = MediaReference(sha256="c" * 64, size_bytes=9, duration_ms=60_000)


def item(**parts: object) -> ReadyItem:
    return ReadyItem(**{"title": "bài", "duration_ms": 60_000, "media": SONG, **parts})  # type: ignore[arg-type] # any of its fields


def programme(
    rules: str,
    *,
    items: tuple[ReadyItem, ...] | None = None,
    season: Season | None = None,
    holidays: HolidayRule = HolidayRule.AS_USUAL,
    overrides: Mapping[str, ReadyOverride] | None = None,
    valid_from: str | None = None,
    valid_until: str | None = None,
) -> ReadyProgramme:
    return ReadyProgramme(
        id="morning",
        title="Chương trình sáng",
        area="xa",
        broadcast_class=BroadcastClass.ROUTINE,
        recurrence=Recurrence(rules=rules, season=season, holidays=holidays),
        items=(item(),) if items is None else items,
        overrides=overrides or {},
        valid_from=valid_from,
        valid_until=valid_until,
    )


def at_ms(text: str, zone: str = HANOI) -> SharedMs:
    return SharedMs(round(dt.datetime.fromisoformat(text).replace(tzinfo=zoneinfo.ZoneInfo(zone)).timestamp() * 1000))


def told(found: ReadyProgramme, first: str, last: str, zone: str = HANOI) -> list[str]:
    """Ids and local begins of what sounds between two days."""
    occurrences = occurrences_of(found, time_zone=zone, from_ms=at_ms(first, zone), until_ms=at_ms(last, zone))
    local = [dt.datetime.fromtimestamp(each.start_at_ms / 1000, tz=zoneinfo.ZoneInfo(zone)) for each in occurrences]
    return [f"{each.id.removeprefix('morning.')} {at:%d %H:%M}" for each, at in zip(occurrences, local, strict=True)]


DAILY = "DTSTART:20200101T053000\nRRULE:FREQ=DAILY"


def test_a_second_time_of_day_has_its_own_ids_and_leaves_the_first_as_they_were() -> None:
    twice = f"{DAILY};BYHOUR=5,17\nRDATE:20261122T120015"
    assert told(programme(twice), "2026-11-22", "2026-11-23") == [
        "20261122.0 22 05:30",
        "20261122T120015.0 22 12:00",
        "20261122T1730.0 22 17:30",
    ]
    assert told(programme(DAILY), "2026-11-22", "2026-11-23") == ["20261122.0 22 05:30"]


def test_single_dates_are_moved_changed_and_silenced() -> None:
    other = (item(number=3), item(number=4))
    overrides = {
        "2026-11-22T05:30": ReadyOverride(begins="2026-11-22T06:15"),
        "2026-11-23T05:30": ReadyOverride(items=other),
        "2026-11-24T05:30": ReadyOverride(items=()),
        "2026-12-24T05:30": ReadyOverride(begins="2026-11-25T18:00", items=other),
        "2026-11-26T05:31": ReadyOverride(begins="2026-11-26T18:00"),
    }
    assert told(programme(DAILY, overrides=overrides), "2026-11-22", "2026-11-27") == [
        "20261122.0 22 06:15",
        *("20261123.3 23 05:30", "20261123.4 23 05:31"),
        "20261125.0 25 05:30",
        *("20261224.3 25 18:00", "20261224.4 25 18:01"),
        "20261126.0 26 05:30",
    ]
    assert told(programme(DAILY, overrides=overrides), "2026-12-24", "2026-12-25") == []


def test_a_season_over_the_new_year_bounds_rules_and_not_named_days() -> None:
    winter = Season(from_day="11-24", until_day="02-29")
    found = programme(f"{DAILY}\nRDATE:20261122T070000", season=winter)
    assert told(found, "2026-11-22", "2026-11-26") == [
        "20261122T0700.0 22 07:00",
        "20261124.0 24 05:30",
        "20261125.0 25 05:30",
    ]
    assert len(told(found, "2027-02-27", "2027-03-03")) == 2
    assert len(told(found, "2028-02-27", "2028-03-03")) == 3
    summer = programme(DAILY, season=Season(from_day="06-01", until_day="08-31"))
    assert len(told(summer, "2026-05-30", "2026-06-03")) == 2


def test_holidays_are_left_out_or_all_there_is() -> None:
    skipping = told(programme(DAILY, holidays=HolidayRule.SKIP), "2026-02-14", "2026-02-23")
    assert [each[:8] for each in skipping] == ["20260214", "20260215", "20260221", "20260222"]
    only = told(programme(DAILY, holidays=HolidayRule.ONLY), "2026-04-20", "2026-05-03")
    assert [each[:8] for each in only] == ["20260426", "20260430", "20260501"]


def test_what_is_not_valid_is_left_out_and_the_rest_moves_up() -> None:
    items = (
        item(valid_until="2026-11-22"),
        item(valid_from="2026-11-23T05:30", valid_until="2026-11-24T05:31"),
        item(),
    )
    found = programme(DAILY, items=items, valid_from="2026-11-22", valid_until="2026-11-25T05:30")
    assert told(found, "2026-11-20", "2026-11-28") == [
        *("20261122.0 22 05:30", "20261122.2 22 05:31"),
        *("20261123.1 23 05:30", "20261123.2 23 05:31"),
        *("20261124.1 24 05:30", "20261124.2 24 05:31"),
    ]
    [first, *_] = occurrences_of(found, time_zone=HANOI, from_ms=at_ms("2026-11-22"), until_ms=at_ms("2026-11-23"))
    assert first.valid_until_ms == at_ms("2026-11-23")


def test_a_recurrence_may_keep_the_time_of_another_zone() -> None:
    found = programme("DTSTART;TZID=Europe/Berlin:20200101T053000\nRRULE:FREQ=DAILY")
    assert told(found, "2026-11-22", "2026-11-23") == ["20261122.0 22 11:30"]
    assert told(found, "2026-07-22", "2026-07-23") == ["20260722.0 22 10:30"]


@given(
    zone=st.sampled_from(ZONES),
    day=st.dates(dt.date(2011, 12, 1), dt.date(2036, 1, 1)),
    time=st.times().map(lambda at: at.replace(microsecond=0)),
)
def test_a_local_time_that_a_clock_jumps_over_is_as_much_later(zone: str, day: dt.date, time: dt.time) -> None:
    found = programme(f"DTSTART:20100101T{time:%H%M%S}\nRRULE:FREQ=DAILY")
    wanted = tz.resolve_imaginary(dt.datetime.combine(day, time, zoneinfo.ZoneInfo(zone)))
    window = at_ms(f"{day - dt.timedelta(days=1)}", zone), at_ms(f"{day + dt.timedelta(days=2)}", zone)
    occurrences = occurrences_of(found, time_zone=zone, from_ms=window[0], until_ms=window[1])
    starts = [each.start_at_ms for each in occurrences]
    assert round(wanted.timestamp()) * 1000 in starts
    assert len(set(starts)) == len(starts)
    assert len({each.id for each in occurrences}) == len(occurrences)


def test_two_begins_that_fall_on_one_instant_are_one() -> None:
    both = "DTSTART:20200101T023000\nRRULE:FREQ=DAILY;BYHOUR=2,3"
    assert told(programme(both), "2027-03-28", "2027-03-29", "Europe/Berlin") == ["20270328.0 28 03:30"]


@given(start=st.integers(0, 10_000), length=st.integers(1, 5_000), split=st.integers(1, 4_999))
def test_windows_that_touch_find_each_occurrence(start: int, length: int, split: int) -> None:
    found = programme(f"{DAILY};BYHOUR=5,11,23", items=(item(duration_ms=3_600_000), item(duration_ms=7_200_000)))
    begin = at_ms("2026-11-22") + start * 60_000
    middle, end = begin + min(split, length) * 60_000, begin + length * 60_000

    def ids(one: int, other: int) -> set[str]:
        between = occurrences_of(found, time_zone=HANOI, from_ms=SharedMs(one), until_ms=SharedMs(other))
        return {each.id for each in between}

    assert ids(begin, middle) | ids(middle, end) == ids(begin, end)


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        ({}, "none"),
        ({"file": "a.mp3", "text": "xin chào"}, "exactly one|is one of"),
        ({"feed": "vov1"}, "duration_s"),
        ({"file": "a.mp3", "duration_s": 3}, "duration_s"),
        ({"file": "a.mp3", "language": "vi"}, "language"),
        ({"feed": "vov1", "duration_s": 3, "in_turns": True}, "turns"),
        ({"file": "a.mp3", "valid_until": "2026-02-30"}, "no such day"),
        ({"file": "a.mp3", "valid_from": "2026-11-23", "valid_until": "2026-11-22"}, "not after"),
    ],
)
def test_an_item_that_makes_no_sense_is_refused(parts: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Item(**parts)  # type: ignore[arg-type] # what is wrong is the test


def test_a_programme_that_contradicts_itself_is_refused() -> None:
    whole = {"id": "p", "title": "P", "area": "xa", "items": (Item(file="a.mp3"),)}
    daily = Recurrence(rules=DAILY)
    twice = (Override(of="2026-11-22T05:30", items=()), Override(of="2026-11-22T05:30:00", title="x"))
    with pytest.raises(ValueError, match="two overrides"):
        Programme(**whole, recurrence=daily, overrides=twice)  # type: ignore[arg-type] # as above
    with pytest.raises(ValueError, match="no difference"):
        Override(of="2026-11-22T05:30")
    with pytest.raises(ValueError, match="no such day"):
        Override(of="2026-02-30T05:30", items=())
    with pytest.raises(ValueError, match="no year has this day"):
        Season(from_day="02-30", until_day="03-01")
    with pytest.raises(ValueError, match="time of day"):
        Recurrence(rules="DTSTART:20261122")
