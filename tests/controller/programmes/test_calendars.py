"""Calendars of other programs, and ours in theirs: every date as an independent reader finds it, in both directions."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from pathlib import Path

import icalendar
import pytest
import recurring_ical_events  # type: ignore[import-untyped]  # publishes no types
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.errors import ExchangeError
from controller.programmes.exchange.calendar_export import PROGRAMME_LINE, calendar_of
from controller.programmes.exchange.calendar_import import Foreign, ReadCalendar, read_calendar
from controller.programmes.occurrences import begins_of
from controller.programmes.programme import (
    OVERRIDES_MAX,
    Item,
    Override,
    Programme,
    ReadyOverride,
    ReadyProgramme,
    Recurrence,
    Season,
)
from controller.programmes.recurrence import HolidayRule
from protocol.messages import BroadcastClass
from protocol.units import SharedMs

HANOI = "Asia/Ho_Chi_Minh"
CALENDARS = Path(__file__).parent / "calendars"
NOW = dt.datetime(2026, 11, 22, 5, tzinfo=dt.UTC)
FIRST, LAST = dt.datetime(2026, 8, 1, tzinfo=dt.UTC), dt.datetime(2027, 11, 1, tzinfo=dt.UTC)
SPOKEN = Foreign(area="xa", is_spoken=True, at="07:15")


def ready(programme: Programme) -> ReadyProgramme:
    """With nothing to sound: when it begins is what is asked; dates without items do not begin."""
    overrides = {override.of: ReadyOverride(begins=override.begins) for override in programme.overrides}
    return ReadyProgramme(
        id=programme.id,
        title=programme.title,
        area=programme.area,
        broadcast_class=programme.broadcast_class,
        recurrence=programme.recurrence,
        items=(),
        overrides=overrides,
        valid_from=programme.valid_from,
        valid_until=programme.valid_until,
    )


def ours(programme: Programme, first: dt.datetime = FIRST, last: dt.datetime = LAST) -> set[dt.datetime]:
    first_ms, last_ms = (SharedMs(round(at.timestamp() * 1000)) for at in (first, last))
    begins = begins_of(ready(programme), time_zone=HANOI, from_ms=first_ms, until_ms=last_ms)
    found = {dt.datetime.fromtimestamp(begin.at_ms / 1000, tz=dt.UTC) for begin in begins}
    silent = {
        dt.datetime.fromisoformat(override.of).replace(tzinfo=zoneinfo.ZoneInfo(HANOI)).astimezone(dt.UTC)
        for override in programme.overrides
        if override.items == ()
    }
    return {at for at in found if first <= at < last} - silent


def theirs(data: bytes, first: dt.datetime = FIRST, last: dt.datetime = LAST) -> dict[str, set[dt.datetime]]:
    """Begins by summary, by another reader; without those that are cancelled or tentative."""
    found: dict[str, set[dt.datetime]] = {}
    for event in recurring_ical_events.of(icalendar.Calendar.from_ical(data)).between(first, last):
        at = event.start
        if not isinstance(at, dt.datetime):
            at = dt.datetime.combine(at, dt.time(7, 15), zoneinfo.ZoneInfo(HANOI))
        if at.tzinfo is None:
            at = at.replace(tzinfo=zoneinfo.ZoneInfo(HANOI))
        if event.get("STATUS") not in {"CANCELLED", "TENTATIVE"} and first <= at < last:
            found.setdefault(str(event["SUMMARY"]), set()).add(at.astimezone(dt.UTC))
    return found


def read(name: str, foreign: Foreign = SPOKEN) -> ReadCalendar:
    return read_calendar((CALENDARS / name).read_bytes(), time_zone=HANOI, foreign=foreign)


@pytest.mark.parametrize("name", ["google.ics", "outlook.ics", "apple.ics", "thunderbird.ics"])
def test_every_date_of_another_program_is_as_an_independent_reader_has_it(name: str) -> None:
    found = read(name)
    expected = theirs((CALENDARS / name).read_bytes())
    renamed = {override.title for programme in found.programmes for override in programme.overrides if override.title}
    for programme in found.programmes:
        wanted = expected[programme.title]
        for title in renamed & set(expected):
            wanted = wanted | expected[title] if ours(programme) & expected[title] else wanted
        assert ours(programme) == wanted, programme.title
    assert {programme.title for programme in found.programmes} == set(expected) - renamed
    assert all(len(ours(programme)) > 0 for programme in found.programmes)


def test_what_is_not_sure_or_cancelled_is_left_out_and_told() -> None:
    told = [remark.of for name in ("google.ics", "outlook.ics") for remark in read(name).remarks if remark.is_left_out]
    assert told == [
        "Họp dân đã huỷ [cancelled-one@google.com]",
        "Chưa chắc [040000008200E00074C5B7101A82E00800000000D0C3]",
    ]


def test_the_words_of_an_event_are_spoken_only_where_that_is_asked_for() -> None:
    [news, *_] = read("google.ics").programmes
    assert news.items[0].text is not None
    assert news.items[0].text.startswith("Tiếp âm chương trình thời sự của Đài Tiếng nói Việt Nam, 30 phút")
    assert news.broadcast_class is BroadcastClass.ROUTINE
    relayed = read("google.ics", Foreign(area="xa", feed="vov1")).programmes[0]
    assert relayed.items == (Item(feed="vov1", duration_s=1800),)
    assert relayed.overrides[0].begins == "2026-11-26T17:00"
    nothing = read("google.ics", Foreign(area="xa"))
    assert nothing.programmes == ()
    assert all("what is to sound" in remark.reason or "STATUS" in remark.reason for remark in nothing.remarks[:2])


def test_whole_days_need_a_time() -> None:
    [told] = [each for each in read("google.ics", Foreign(area="xa", is_spoken=True)).remarks if "Nhà giáo" in each.of]
    assert told.is_left_out
    assert "--at" in told.reason


def test_a_file_that_is_read_twice_says_the_same() -> None:
    assert read("google.ics") == read("google.ics")
    ids = [programme.id for programme in read("google.ics").programmes]
    assert ids[0].startswith("thoi-su-buoi-sang-")
    assert len(set(ids)) == len(ids)


rules = st.sampled_from(
    [
        "RRULE:FREQ=DAILY",
        "RRULE:FREQ=DAILY;INTERVAL=3;UNTIL=20270301",
        "RRULE:FREQ=WEEKLY;BYDAY=MO,FR;COUNT=30",
        "RRULE:FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=SU,SA;UNTIL=20270301T160000Z",
        "RRULE:FREQ=MONTHLY;BYDAY=2MO,-1SU;BYHOUR=5,17",
        "RRULE:FREQ=YEARLY;BYMONTH=1,2,3;BYMONTHDAY=-1",
        "RRULE:FREQ=WEEKLY;BYDAY=WE\nRRULE:FREQ=MONTHLY;BYMONTHDAY=20",
        "RRULE:RSCALE=X-VIETNAMESE;FREQ=MONTHLY;BYMONTHDAY=1,15",
        "RRULE:RSCALE=X-VIETNAMESE;FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=1,2,3",
        "RDATE:20261224T190000,20270101T000000",
        "RRULE:FREQ=DAILY\nEXDATE:20261224T053000\nEXDATE;VALUE=DATE:20261225",
    ]
)
starts = st.sampled_from(["DTSTART:20261120T053000", f"DTSTART;TZID={HANOI}:20260301T053000"])
seasons = st.none() | st.just(Season(from_day="12-15", until_day="02-15"))
moves = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from(["moved", "silent", "titled"])),
    max_size=3,
    unique_by=lambda each: each[0],
)


def override(day: int, kind: str) -> Override:
    at = dt.date(2026, 12, 1) + dt.timedelta(days=day)
    if kind == "moved":
        return Override(of=f"{at}T05:30", begins=f"{at}T19:45", title="Dời")
    return Override(of=f"{at}T05:30", items=()) if kind == "silent" else Override(of=f"{at}T05:30", title="Khác")


programmes = st.builds(
    lambda start, rule, season, holidays, changes, until: Programme(
        id="buoi-sang",
        title="Buổi sáng, loa xã; thử",
        area="xa",
        items=(Item(text="xin chào;\n, \\n ok", language="vi"), Item(feed="vov1", duration_s=60)),
        recurrence=Recurrence(rules=f"{start}\n{rule}", season=season, holidays=holidays),
        overrides=tuple(override(*change) for change in changes),
        valid_until=until,
    ),
    starts,
    rules,
    seasons,
    st.sampled_from(HolidayRule),
    moves,
    st.sampled_from([None, None, "2027-01-20"]),
)
COMPARED = NOW, NOW + dt.timedelta(days=390)


@settings(max_examples=25)
@given(programme=programmes)
def test_what_we_write_is_shown_by_others_as_we_sound_it_and_read_again_as_it_was(programme: Programme) -> None:
    data = calendar_of([programme], time_zone=HANOI, now=NOW, lengths_ms={"buoi-sang": 90_000})
    shown = theirs(data, *COMPARED)
    assert set().union(*shown.values()) == ours(programme, *COMPARED)
    again = read_calendar(data, time_zone=HANOI, foreign=Foreign(area="thon"))
    assert again == ReadCalendar(programmes=(programme,), remarks=again.remarks)


def test_a_programme_that_never_begins_begins_never_in_other_programs_too() -> None:
    rule = "DTSTART:20261120T053000\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"
    programme = Programme(id="p", title="P", area="xa", items=(Item(file="a.mp3"),), recurrence=Recurrence(rules=rule))
    assert theirs(calendar_of([programme], time_zone=HANOI, now=NOW)) == {}


def moved_in_another_program(data: bytes) -> bytes:
    return data.replace(b"T053000", b"T061500")


def test_dates_that_another_program_has_moved_go_before_those_of_the_programme() -> None:
    rule = f"DTSTART;TZID={HANOI}:20260301T053000\nRRULE:FREQ=DAILY"
    programme = Programme(id="p", title="P", area="xa", items=(Item(file="a.mp3"),), recurrence=Recurrence(rules=rule))
    data = calendar_of([programme], time_zone=HANOI, now=NOW)
    found = read_calendar(moved_in_another_program(data), time_zone=HANOI, foreign=Foreign(area="xa"))
    [again] = found.programmes
    assert again.items == programme.items
    assert "T061500" in again.recurrence.rules
    assert "changed in another program" in found.remarks[0].reason


def test_our_programme_is_known_again_where_another_program_has_dropped_our_line() -> None:
    rule = f"DTSTART;TZID={HANOI}:20260301T053000\nRRULE:RSCALE=X-VIETNAMESE;FREQ=MONTHLY;BYMONTHDAY=1,15"
    programme = Programme(
        id="ram", title="Rằm", area="xa", items=(Item(file="a.mp3"),), recurrence=Recurrence(rules=rule)
    )
    calendar = icalendar.Calendar.from_ical(calendar_of([programme], time_zone=HANOI, now=NOW))
    for event in calendar.events:
        del event[PROGRAMME_LINE]
        event["SUMMARY"] = icalendar.vText("Rằm và mùng một")
    found = read_calendar(
        calendar.to_ical(), time_zone=HANOI, foreign=Foreign(area="xa"), known={programme.id: programme}
    )
    [again] = found.programmes
    assert again.recurrence == programme.recurrence
    assert again.title == "Rằm và mùng một"
    assert again.items == programme.items


def event(*lines: str) -> bytes:
    whole = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "BEGIN:VEVENT",
        "UID:u",
        "SUMMARY:s",
        *lines,
        "END:VEVENT",
        "END:VCALENDAR",
    ]
    return "\r\n".join([*whole, ""]).encode()


OTHERS = [
    line
    for number in range(OVERRIDES_MAX + 1)
    for day in [dt.date(2027, 1, 1) + dt.timedelta(days=number)]
    for line in (
        *("END:VEVENT", "BEGIN:VEVENT", "UID:u", "SUMMARY:s"),
        *(f"RECURRENCE-ID:{day:%Y%m%d}T053000", f"DTSTART:{day:%Y%m%d}T060000"),
    )
]


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        (["DTSTART:20261122T053000", "RRULE:FREQ=SECONDLY"], "SECONDLY"),
        (["DTSTART:20261122T053000", "RRULE:FREQ=WHENEVER"], "RRULE"),
        (["DTSTART:gestern"], "DTSTART"),
        (["DTEND:20261122T053000"], "DTSTART"),
        (["DTSTART;TZID=Customized Time Zone:20261122T053000"], "unknown time zone"),
        (["DTSTART:20261122T053000", "EXRULE:FREQ=DAILY"], "EXRULE"),
        (["RECURRENCE-ID:20261122T053000", "DTSTART:20261122T053000"], "no single dates"),
        (
            [
                *("DTSTART:20261122T053000", "RRULE:FREQ=DAILY", "END:VEVENT", "BEGIN:VEVENT", "UID:u"),
                *("RECURRENCE-ID;RANGE=THISANDFUTURE:20261123T053000", "DTSTART:20261123T060000"),
            ],
            "THISANDFUTURE",
        ),
        (
            [
                *("DTSTART:20261122T053000", "RRULE:FREQ=DAILY", "END:VEVENT", "BEGIN:VEVENT", "UID:u"),
                *("RECURRENCE-ID:20261123T053000", "RECURRENCE-ID:20261124T053000", "DTSTART:20261123T060000"),
            ],
            "one date",
        ),
        (["DTSTART:00010101T000000"], "years"),
        (
            [
                *("DTSTART:20261122T053000", "RRULE:FREQ=DAILY", "END:VEVENT", "BEGIN:VEVENT", "UID:u"),
                *("RECURRENCE-ID;TZID=Asia/Tokyo:00010101T000000", "DTSTART:20261123T060000"),
            ],
            "years",
        ),
        (["DTSTART:20261122T053000", "RRULE:FREQ=DAILY", *OTHERS], "overrides"),
        (["DTSTART:20261122T053000", "END:VEVENT", "BEGIN:VEVENT", "UID:u", "DTSTART:20261123T060000"], "write one"),
    ],
)
def test_an_event_that_cannot_be_understood_is_left_out_with_the_reason(lines: list[str], word: str) -> None:
    found = read_calendar(event(*lines), time_zone=HANOI, foreign=SPOKEN)
    assert found.programmes == ()
    [remark] = found.remarks
    assert remark.is_left_out
    assert word in remark.reason


def test_a_single_date_that_the_event_does_not_have_is_told() -> None:
    lines = ["DTSTART:20261122T053000", "RRULE:FREQ=WEEKLY", "END:VEVENT", "BEGIN:VEVENT", "UID:u", "SUMMARY:x"]
    lines += ["RECURRENCE-ID:20261123T053000", "DTSTART:20261123T060000"]
    found = read_calendar(event(*lines), time_zone=HANOI, foreign=SPOKEN)
    assert len(found.programmes) == 1
    assert "no such date" in found.remarks[0].reason


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "VCALENDAR"),
        (b"hello", "iCalendar"),
        (b"\xff\xfe", "UTF-8"),
        (b"BEGIN:VCALENDAR\r\n", "VCALENDAR"),
        (b"BEGIN:VCARD\r\nFN:x\r\nEND:VCARD\r\n", "VCALENDAR"),
        (event("DTSTART;TZID=Europe:20261122T053000"), "iCalendar"),
        (b"x" * (1024 * 1024 + 1), "at most 1048576"),
        (event(*["END:VEVENT", "BEGIN:VEVENT"] * 2001), "at most 2000"),
    ],
)
def test_a_file_that_is_no_calendar_or_too_large_is_refused(data: bytes, word: str) -> None:
    with pytest.raises(ExchangeError, match=word):
        read_calendar(data, time_zone=HANOI, foreign=SPOKEN)


@given(data=st.data())
def test_a_calendar_that_is_cut_or_mixed_up_is_read_or_refused(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["google.ics", "outlook.ics", "apple.ics", "thunderbird.ics"]))
    lines = (CALENDARS / name).read_bytes().splitlines(keepends=True)
    begin, end = sorted(data.draw(st.tuples(*[st.integers(0, len(lines))] * 2)))
    mixed = b"".join(lines[:begin] + lines[end:]) + data.draw(st.binary(max_size=40))
    try:
        found = read_calendar(mixed, time_zone=HANOI, foreign=SPOKEN)
    except ExchangeError as error:
        assert str(error)
    else:
        assert all(programme.items for programme in found.programmes)
