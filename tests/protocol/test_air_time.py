"""Air time: sessions, minutes of a local day, what belongs to what; never more than the place allows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.air_time import (
    KEPT_MS,
    LEAST_MS,
    NOTHING_AIRED,
    SPANS_MAX,
    Aired,
    Limit,
    ends_ms,
    local_day,
    refused,
    sessions_today,
    sounded_today_ms,
    with_interruption,
    with_sound,
)
from protocol.codec import cbor_decode, cbor_encode
from protocol.policy import AirTime

HANOI = "Asia/Ho_Chi_Minh"
MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
HANOI_RULE = AirTime(session_minutes_max=15, sessions_a_day_max=2)
"""What Hà Nội laid down for its wards."""


def ms(text: str, zone: str = HANOI, *, fold: int = 0) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


SIX = ms("2026-11-23 06:00")


def heard(*minutes: tuple[float, float], air_time: AirTime = HANOI_RULE) -> Aired:
    """Sound between minutes after six, each an item that starts when it is heard."""
    aired = NOTHING_AIRED
    for begin, end in minutes:
        at = SIX + round(begin * MINUTE_MS)
        aired = with_sound(aired, air_time, starts_at_ms=at, from_ms=at, until_ms=SIX + round(end * MINUTE_MS))
    return aired


def why(aired: Aired, minute: float, *, start: float | None = None, air_time: AirTime = HANOI_RULE) -> Limit | None:
    at = SIX + round(minute * MINUTE_MS)
    starts_at_ms = at if start is None else SIX + round(start * MINUTE_MS)
    return refused(aired, air_time, HANOI, starts_at_ms=starts_at_ms, at_ms=at)


def test_a_session_is_cut_at_its_length_whoever_sounds_in_it() -> None:
    aired = heard((0, 8), (8, 14))
    assert why(aired, 14) is None
    assert ends_ms(aired, HANOI_RULE, HANOI, starts_at_ms=SIX, at_ms=SIX + 14 * MINUTE_MS) == SIX + 15 * MINUTE_MS
    start, end = SIX + 8 * MINUTE_MS, SIX + 15 * MINUTE_MS
    full = heard((0, 8), (8, 15))
    assert refused(full, HANOI_RULE, HANOI, starts_at_ms=start, at_ms=end, is_on_air=True) is Limit.SESSION
    assert refused(full, HANOI_RULE, HANOI, starts_at_ms=start, at_ms=end - 1, is_on_air=True) is None


def test_a_pause_makes_a_new_session_and_two_are_all_of_a_day() -> None:
    aired = heard((0, 10), (14, 15))
    assert sessions_today(aired, HANOI, SIX) == 1, "a pause of four minutes is none"
    assert why(aired, 19.9) is Limit.SESSION
    assert why(aired, 20) is None
    aired = heard((0, 10), (60, 70))
    assert sessions_today(aired, HANOI, SIX) == 2
    assert why(aired, 120) is Limit.SESSIONS
    assert why(aired, 72) is None, "what goes on in the second session is none of its own"
    assert why(aired, 24 * 60) is None, "the next day has sessions of its own"


def test_what_the_limit_has_cut_does_not_come_back_as_a_session_of_its_own() -> None:
    aired = heard((0, 15))
    assert why(aired, 25, start=10) is Limit.SESSION, "it was due in the session that was used up"
    assert why(aired, 25, start=22) is None


def test_an_item_that_an_outage_broke_goes_on_in_its_own_session() -> None:
    aired = heard((0, 5), (60, 65))
    assert why(aired, 73, start=62) is None
    again = with_sound(
        aired,
        HANOI_RULE,
        starts_at_ms=SIX + 62 * MINUTE_MS,
        from_ms=SIX + 73 * MINUTE_MS,
        until_ms=SIX + 74 * MINUTE_MS,
    )
    assert sessions_today(again, HANOI, SIX) == 2
    assert why(again, 75, start=62) is Limit.SESSION, "its length counts from its first sample, the pause included"


def test_an_emergency_holds_the_session_open_that_it_interrupts() -> None:
    aired = heard((0, 5), (60, 62))
    held = with_interruption(aired, HANOI_RULE, from_ms=SIX + 62 * MINUTE_MS, until_ms=SIX + 70 * MINUTE_MS)
    assert why(aired, 70) is Limit.SESSIONS
    assert why(held, 70) is None
    assert sounded_today_ms(held, HANOI, SIX) == sounded_today_ms(aired, HANOI, SIX) == 7 * MINUTE_MS
    later = with_interruption(aired, HANOI_RULE, from_ms=SIX + 68 * MINUTE_MS, until_ms=SIX + 70 * MINUTE_MS)
    assert later == aired, "the session was over when it came"
    assert with_interruption(NOTHING_AIRED, HANOI_RULE, from_ms=0, until_ms=1) == NOTHING_AIRED


def test_minutes_of_the_day_are_those_of_sound_and_are_new_at_midnight() -> None:
    rule = AirTime(minutes_a_day_max=20)
    aired = heard((0, 12), (60, 68), air_time=rule)
    assert why(aired, 120, air_time=rule) is Limit.DAY
    assert why(aired, 18 * 60, air_time=rule) is None
    late = SIX + (18 * 60 - 10) * MINUTE_MS
    assert ends_ms(NOTHING_AIRED, rule, HANOI, starts_at_ms=late, at_ms=late) == late + 30 * MINUTE_MS, "10 and 20"
    assert ends_ms(aired, rule, HANOI, starts_at_ms=SIX, at_ms=SIX + 70 * MINUTE_MS) == SIX + 70 * MINUTE_MS


def test_less_than_a_second_is_no_air_time_unless_it_is_on_air() -> None:
    rule = AirTime(minutes_a_day_max=1)
    aired = with_sound(NOTHING_AIRED, rule, starts_at_ms=SIX, from_ms=SIX, until_ms=SIX + MINUTE_MS - LEAST_MS + 1)
    at_ms = SIX + MINUTE_MS
    assert refused(aired, rule, HANOI, starts_at_ms=at_ms, at_ms=at_ms) is Limit.DAY
    assert refused(aired, rule, HANOI, starts_at_ms=at_ms, at_ms=at_ms, is_on_air=True) is None


def test_sound_that_is_told_twice_counts_once() -> None:
    aired = heard((0, 5), (0, 5), (3, 7), (0, 7))
    assert [(span.begins_ms, span.ends_ms) for span in aired.spans] == [(SIX, SIX + 7 * MINUTE_MS)]
    assert with_sound(aired, HANOI_RULE, starts_at_ms=SIX, from_ms=SIX + 9, until_ms=SIX + 9) == aired


def test_a_clock_that_was_set_back_leaves_what_sounded_later_in_its_day() -> None:
    aired = heard((60, 70))
    assert sessions_today(aired, HANOI, SIX) == 1
    aired = with_sound(aired, HANOI_RULE, starts_at_ms=SIX, from_ms=SIX, until_ms=SIX + 10 * MINUTE_MS)
    assert sessions_today(aired, HANOI, SIX) == 2
    assert why(aired, 30) is Limit.SESSIONS
    years_ahead = heard((0, 5))
    past = SIX - 3 * 365 * DAY_MS
    aired = with_sound(years_ahead, HANOI_RULE, starts_at_ms=past, from_ms=past, until_ms=past + MINUTE_MS)
    assert [span.begins_ms for span in aired.spans] == [past]


def test_the_count_is_bounded_and_never_becomes_less() -> None:
    rule = AirTime(minutes_a_day_max=1000)
    aired = NOTHING_AIRED
    for index in range(400):
        at = SIX + index * MINUTE_MS
        aired = with_sound(aired, rule, starts_at_ms=at, from_ms=at, until_ms=at + MINUTE_MS // 2)
    assert len(aired.spans) == SPANS_MAX
    assert sounded_today_ms(aired, HANOI, SIX) >= 400 * MINUTE_MS // 2
    assert len(cbor_encode(aired)) < 4096
    assert cbor_decode(cbor_encode(aired), Aired) == aired
    later = with_sound(aired, rule, starts_at_ms=SIX, from_ms=SIX + 3 * DAY_MS, until_ms=SIX + 3 * DAY_MS + 1)
    assert len(later.spans) == 1, f"nothing is kept for longer than {KEPT_MS} ms"


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        (HANOI, "2026-03-29 12:00", 24),
        ("Europe/Berlin", "2026-03-29 12:00", 23),
        ("Europe/Berlin", "2026-10-25 12:00", 25),
        ("Africa/Cairo", "2026-04-24 12:00", 23),  # clocks skip midnight
        ("America/Santiago", "2026-04-04 12:00", 25),  # the last hour of the day comes twice
        ("Australia/Lord_Howe", "2026-04-05 12:00", 24.5),
    ],
)
def test_a_local_day_is_as_long_as_the_wall_clock_says(zone: str, day: str, hours: float) -> None:
    noon = ms(day, zone)
    begins, ends = local_day(zone, noon)
    assert ends - begins == hours * 60 * MINUTE_MS
    assert local_day(zone, ends - 1) == local_day(zone, begins) == (begins, ends)
    assert local_day(zone, ends)[0] == ends


@given(
    zone=st.sampled_from([HANOI, "Europe/Berlin", "America/Santiago", "Africa/Cairo", "America/St_Johns", "UTC"]),
    at_ms=st.integers(0, 4_000_000_000_000),
)
def test_days_follow_each_other_without_gap(zone: str, at_ms: int) -> None:
    begins, ends = local_day(zone, at_ms)
    assert begins <= at_ms < ends
    assert local_day(zone, ends)[0] == ends
    assert 20 * 3_600_000 <= ends - begins <= 48 * 3_600_000
    shown = datetime.fromtimestamp(begins / 1000, ZoneInfo(zone))
    assert shown - datetime.combine(shown.date(), datetime.min.time(), ZoneInfo(zone)) <= timedelta(hours=2)


@dataclass(frozen=True)
class Item:
    pause_s: int
    length_s: int


@given(
    items=st.lists(
        st.builds(Item, pause_s=st.integers(0, 4 * 3600), length_s=st.integers(1, 3 * 3600)), min_size=1, max_size=40
    ),
    rule=st.builds(
        AirTime,
        session_minutes_max=st.integers(1, 90),
        sessions_a_day_max=st.integers(1, 4),
        minutes_a_day_max=st.integers(1, 200),
        pause_minutes=st.integers(1, 30),
    ),
    zone=st.sampled_from([HANOI, "Europe/Berlin"]),
    begin=st.sampled_from([SIX, ms("2026-10-24 20:00", "Europe/Berlin"), ms("2026-03-28 20:00", "Europe/Berlin")]),
)
def test_whoever_asks_and_obeys_never_uses_more_than_there_is(
    items: list[Item], rule: AirTime, zone: str, begin: int
) -> None:
    aired, sound, now = NOTHING_AIRED, list[tuple[int, int]](), begin
    for item in items:
        now += item.pause_s * 1000
        if refused(aired, rule, zone, starts_at_ms=now, at_ms=now) is None:
            latest = ends_ms(aired, rule, zone, starts_at_ms=now, at_ms=now)
            assert latest is not None
            until = min(now + item.length_s * 1000, latest)
            assert until > now
            aired = with_sound(aired, rule, starts_at_ms=now, from_ms=now, until_ms=until)
            sound.append((now, until))
            if until == latest:
                at_end = refused(aired, rule, zone, starts_at_ms=now, at_ms=until, is_on_air=True)
                assert at_end is not None, "where it must end it is refused"
        now += item.length_s * 1000
    _check(sound, rule, zone)


def _check(sound: list[tuple[int, int]], rule: AirTime, zone: str) -> None:
    """Count anew, by other means: sessions by their pauses, minutes by the wall clock's date."""
    sessions: list[list[int]] = []
    for begins, ends in sound:
        if sessions and begins - sessions[-1][1] < rule.pause_minutes * MINUTE_MS:
            sessions[-1][1] = ends
        else:
            sessions.append([begins, ends])
    assert all(before[1] <= after[0] for before, after in pairwise(sessions))
    assert all(ends - begins <= (rule.session_minutes_max or 0) * MINUTE_MS for begins, ends in sessions)
    days = [datetime.fromtimestamp(begins / 1000, ZoneInfo(zone)).date() for begins, _ in sessions]
    assert all(days.count(day) <= (rule.sessions_a_day_max or 0) for day in days)
    seconds: dict[object, int] = {}
    for begins, ends in sound:
        for second in range(begins // 1000, ends // 1000, 30):
            day = datetime.fromtimestamp(second, ZoneInfo(zone)).date()
            seconds[day] = seconds.get(day, 0) + min(30, ends // 1000 - second)
    assert all(counted <= (rule.minutes_a_day_max or 0) * 60 + 30 for counted in seconds.values())


def test_what_a_sessions_limit_refused_does_not_come_back_with_the_next_session() -> None:
    aired = heard((0, 15))
    assert why(aired, 16, start=16) is Limit.SESSION
    later = with_sound(
        aired,
        HANOI_RULE,
        starts_at_ms=SIX + 21 * MINUTE_MS,
        from_ms=SIX + 21 * MINUTE_MS,
        until_ms=SIX + 22 * MINUTE_MS,
    )
    assert sessions_today(later, HANOI, SIX + 22 * MINUTE_MS) == 2
    assert why(later, 22, start=16) is Limit.SESSION
    assert why(later, 22, start=21) is None
