"""Programmes become occurrences: each wanted local day once, back to back, whatever the clocks do."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from controller.planning.compile import (
    COMPILED_MS,
    DAY_MS,
    INLINE_OCCURRENCES_MAX,
    PLAN_FRAME_BYTES,
    compile_area,
)
from controller.programmes.occurrences import occurrences_of
from controller.programmes.programme import ReadyItem, ReadyProgramme, weekly
from protocol.codec import cbor_encode
from protocol.messages import DOCUMENT_BYTES_MAX, BroadcastClass, MediaReference
from protocol.plan import BODY_OCCURRENCES_MAX, PLAN_BODY_BYTES_MAX
from protocol.plan_body import decode_body
from protocol.units import SharedMs

HANOI = "Asia/Ho_Chi_Minh"
BERLIN = "Europe/Berlin"
SUNDAY_MS = SharedMs(1_795_300_000_000)
SONG = MediaReference(sha256="c" * 64, size_bytes=9, duration_ms=60_000)

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

items = st.builds(
    ReadyItem,
    title=st.text(max_size=20),
    duration_ms=st.integers(1, 3_600_000),
    media=st.just(None),
    feed=st.just("vov1"),
)
programmes = st.builds(
    ReadyProgramme,
    id=st.sampled_from(["morning", "noon", "evening"]),
    title=st.just("title"),
    area=st.just("xa"),
    broadcast_class=st.sampled_from([BroadcastClass.ROUTINE, BroadcastClass.PRIORITY]),
    recurrence=st.builds(
        weekly,
        st.times().map(lambda at: f"{at:%H:%M:%S}"),
        st.lists(st.sampled_from(DAYS), min_size=1, max_size=7, unique=True).map(tuple),
    ),
    items=st.lists(items, max_size=4).map(tuple),
)
instants = st.integers(1_767_225_600_000, 1_893_456_000_000).map(SharedMs)


def programme(
    *, at: str = "05:30", days: tuple[str, ...] = DAYS, count: int = 1, name: str = "morning", title: str = "bài"
) -> ReadyProgramme:
    return ReadyProgramme(
        id=name,
        title="Chương trình sáng",
        area="xa",
        broadcast_class=BroadcastClass.ROUTINE,
        recurrence=weekly(at, days),
        items=tuple(
            ReadyItem(title=f"{number} {title}"[:200], duration_ms=60_000, media=SONG) for number in range(count)
        ),
    )


def wanted_days(programme: ReadyProgramme) -> set[str]:
    return {day for day in DAYS if day[:2].upper() in programme.recurrence.rules.split("BYDAY=")[1].split(",")}


def second_of_day(programme: ReadyProgramme) -> int:
    time = programme.recurrence.rules.splitlines()[0][-6:]
    return int(time[:2]) * 3600 + int(time[2:4]) * 60 + int(time[4:])


@given(programme=programmes, at_ms=instants, zone=st.sampled_from([HANOI, BERLIN, "America/St_Johns"]))
def test_items_follow_one_another_without_a_gap_on_each_wanted_day(
    programme: ReadyProgramme, at_ms: SharedMs, zone: str
) -> None:
    found = occurrences_of(programme, time_zone=zone, from_ms=at_ms, until_ms=SharedMs(at_ms + COMPILED_MS))
    assert len({each.id for each in found}) == len(found)
    for each in found:
        assert at_ms < each.start_at_ms + each.duration_ms
        assert each.start_at_ms < at_ms + COMPILED_MS
    for one, other in pairwise(found):
        if one.id.rsplit(".", 1)[0] == other.id.rsplit(".", 1)[0]:
            assert other.start_at_ms == one.start_at_ms + one.duration_ms
    days = {dt.date.fromisoformat(each.id.split(".")[1]) for each in found}
    assert all(DAYS[day.weekday()] in wanted_days(programme) for day in days)


@given(programme=programmes, at_ms=instants)
def test_every_wanted_local_day_of_the_week_ahead_has_its_first_item(
    programme: ReadyProgramme, at_ms: SharedMs
) -> None:
    found = occurrences_of(programme, time_zone=HANOI, from_ms=at_ms, until_ms=SharedMs(at_ms + COMPILED_MS))
    if not programme.items:
        assert found == []
        return
    starts = {each.start_at_ms for each in found if each.id.endswith(".0")}
    today = dt.datetime.fromtimestamp(at_ms / 1000, tz=zoneinfo.ZoneInfo(HANOI)).date()
    for ahead in range(1, 8):
        day = today + dt.timedelta(days=ahead)
        if DAYS[day.weekday()] in wanted_days(programme):
            midnight = dt.datetime.combine(day, dt.time.min, zoneinfo.ZoneInfo(HANOI))
            assert round(midnight.timestamp() + second_of_day(programme)) * 1000 in starts


@given(programme=programmes, at_ms=instants, later=st.integers(0, 2 * DAY_MS))
def test_compiling_later_moves_nothing(programme: ReadyProgramme, at_ms: SharedMs, later: int) -> None:
    first = compile_area([programme], time_zone=HANOI, now_ms=at_ms)
    second = compile_area([programme], time_zone=HANOI, now_ms=SharedMs(at_ms + later))
    still = {each for each in first.occurrences if each.start_at_ms + each.duration_ms > at_ms + later}
    until_ms = min(first.covers_until_ms, second.covers_until_ms)
    assert {each for each in still if each.start_at_ms < until_ms} == {
        each for each in second.occurrences if each.start_at_ms < until_ms
    }


def test_a_known_morning() -> None:
    plan = compile_area([programme(days=("sun",))], time_zone=HANOI, now_ms=SUNDAY_MS)
    assert [each.id for each in plan.occurrences] == ["morning.20261122.0", "morning.20261129.0"]
    at = dt.datetime.fromtimestamp(plan.occurrences[0].start_at_ms / 1000, tz=dt.UTC)
    assert at == dt.datetime(2026, 11, 21, 22, 30, tzinfo=dt.UTC)


def test_a_time_that_the_clock_skips_comes_an_hour_later_and_one_that_comes_twice_is_taken_once() -> None:
    spring = SharedMs(round(dt.datetime(2027, 3, 28, tzinfo=dt.UTC).timestamp() * 1000) - DAY_MS)
    autumn = SharedMs(round(dt.datetime(2027, 10, 31, tzinfo=dt.UTC).timestamp() * 1000) - DAY_MS)
    for now_ms, day, expected in ((spring, "20270328", "03:30"), (autumn, "20271031", "02:30")):
        plan = compile_area([programme(at="02:30")], time_zone=BERLIN, now_ms=now_ms)
        [only] = [each for each in plan.occurrences if each.id == f"morning.{day}.0"]
        local = dt.datetime.fromtimestamp(only.start_at_ms / 1000, tz=zoneinfo.ZoneInfo(BERLIN))
        assert f"{local:%H:%M}" == expected


def test_what_runs_now_is_in_the_plan() -> None:
    plan = compile_area([programme(at="05:26")], time_zone=HANOI, now_ms=SUNDAY_MS)
    assert plan.occurrences[0].start_at_ms < SUNDAY_MS < plan.occurrences[0].start_at_ms + 60_000


@given(count=st.integers(0, 30), title=st.text(max_size=200))
def test_what_stands_in_the_plan_itself_always_fits_one_message(count: int, title: str) -> None:
    found = compile_area([programme(count=count, title=title)], time_zone=HANOI, now_ms=SUNDAY_MS)
    assert not found.is_cut
    assert len(found.inline) <= INLINE_OCCURRENCES_MAX
    size = sum(len(cbor_encode(each)) for each in found.inline)
    assert size <= DOCUMENT_BYTES_MAX - PLAN_FRAME_BYTES
    assert (found.body is None) == (found.inline == found.occurrences)


def test_a_plan_too_large_for_a_message_goes_whole_into_a_body() -> None:
    found = compile_area([programme(count=30)], time_zone=HANOI, now_ms=SUNDAY_MS)
    assert not found.is_cut
    assert found.inline == ()
    assert found.body is not None
    assert found.body.size_bytes == len(found.content) < DOCUMENT_BYTES_MAX
    assert decode_body(found.content) == found.occurrences
    assert found.covers_until_ms == SUNDAY_MS + COMPILED_MS


def test_what_not_even_a_body_holds_is_cut_in_time_and_says_so() -> None:
    many = [programme(at=f"{hour:02}:00", count=64, name=f"p{hour}") for hour in range(24)]
    found = compile_area(many, time_zone=HANOI, now_ms=SUNDAY_MS)
    assert found.is_cut
    assert 0 < len(found.occurrences) <= BODY_OCCURRENCES_MAX
    assert len(found.content) <= PLAN_BODY_BYTES_MAX
    assert all(each.start_at_ms < found.covers_until_ms for each in found.occurrences)
    assert SUNDAY_MS < found.covers_until_ms < SUNDAY_MS + COMPILED_MS
    long = [programme(at=f"{hour:02}:00", count=60, name=f"p{hour}", title=f"{hour} {190 * 'ă'}") for hour in range(8)]
    assert compile_area(long, time_zone=HANOI, now_ms=SUNDAY_MS).is_cut


def test_the_order_of_a_commune_and_an_end_of_validity_travel_with_the_occurrence() -> None:
    expiring = ReadyItem(title="x", duration_ms=60_000, media=SONG, valid_until="2026-11-24")
    ordered = replace(
        programme(), broadcast_class=BroadcastClass.PRIORITY, before_upper=True, items=(expiring, expiring)
    )
    found = compile_area([ordered], time_zone=HANOI, now_ms=SUNDAY_MS).occurrences
    assert [each.id for each in found] == [f"morning.202611{day}.{item}" for day in (22, 23, 24) for item in (0, 1)]
    midnight = dt.datetime(2026, 11, 25, tzinfo=zoneinfo.ZoneInfo(HANOI))
    assert {each.valid_until_ms for each in found} == {round(midnight.timestamp() * 1000)}
    assert all(each.before_upper for each in found)
