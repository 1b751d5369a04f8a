"""Quiet hours across midnight, time zones and changes of the clock."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import Refusal
from protocol.messages import QuietHours
from protocol.quiet import is_quiet, next_quiet_change_ms, time_zone_of
from protocol.units import SharedMs
from tests.support.messages import MINUTE_MS, T0_MS, quiet_hours_documents

HANOI = "Asia/Ho_Chi_Minh"
BERLIN = "Europe/Berlin"
ZONES = (HANOI, BERLIN, "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "UTC", "Asia/Kathmandu")
NIGHT = QuietHours()
DAY_MS = 24 * 60 * MINUTE_MS


def utc(text: str) -> SharedMs:
    return SharedMs(int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000))


def hanoi(text: str) -> SharedMs:
    """A time of Hà Nội, seven hours ahead of UTC."""
    return SharedMs(utc(text) - 7 * 60 * MINUTE_MS)


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        ("2026-11-22T20:59:59", False),
        ("2026-11-22T21:00:00", True),
        ("2026-11-22T23:59:59", True),
        ("2026-11-23T00:00:00", True),
        ("2026-11-23T03:15:00", True),
        ("2026-11-23T05:29:59", True),
        ("2026-11-23T05:30:00", False),
        ("2026-11-23T12:00:00", False),
    ],
)
def test_the_night_crosses_midnight(local: str, expected: bool) -> None:
    assert is_quiet(NIGHT, HANOI, hanoi(local)) is expected


def test_the_next_change_is_the_end_or_the_beginning() -> None:
    assert next_quiet_change_ms(NIGHT, HANOI, hanoi("2026-11-22T22:00:00")) == hanoi("2026-11-23T05:30:00")
    assert next_quiet_change_ms(NIGHT, HANOI, hanoi("2026-11-23T05:30:00")) == hanoi("2026-11-23T21:00:00")
    begins = hanoi("2026-11-23T21:00:00")
    assert next_quiet_change_ms(NIGHT, HANOI, SharedMs(begins - 1)) == begins


def test_a_rest_at_noon_does_not_cross_midnight() -> None:
    noon = QuietHours(begin_minute=11 * 60 + 30, end_minute=13 * 60 + 30)
    assert is_quiet(noon, HANOI, hanoi("2026-11-22T12:00:00"))
    assert not is_quiet(noon, HANOI, hanoi("2026-11-22T03:00:00"))
    assert next_quiet_change_ms(noon, HANOI, hanoi("2026-11-22T14:00:00")) == hanoi("2026-11-23T11:30:00")


def test_a_place_without_quiet_hours_is_never_quiet() -> None:
    assert not is_quiet(None, HANOI, hanoi("2026-11-22T03:15:00"))
    assert next_quiet_change_ms(None, HANOI, hanoi("2026-11-22T03:15:00")) is None


def test_an_hour_that_is_skipped_takes_effect_at_the_skip() -> None:
    """Berlin, 29 March 2026: 02:00 becomes 03:00 at 01:00 UTC."""
    skipped = QuietHours(begin_minute=2 * 60 + 30, end_minute=6 * 60)
    assert next_quiet_change_ms(skipped, BERLIN, utc("2026-03-29T00:00:00")) == utc("2026-03-29T01:00:00")
    within = QuietHours(begin_minute=2 * 60, end_minute=2 * 60 + 30)
    assert next_quiet_change_ms(within, BERLIN, utc("2026-03-29T00:00:00")) == utc("2026-03-30T00:00:00")


def test_an_hour_that_comes_twice_is_judged_by_the_wall_clock_each_time() -> None:
    """Berlin, 25 October 2026: 03:00 becomes 02:00 at 01:00 UTC."""
    twice = QuietHours(begin_minute=2 * 60 + 30, end_minute=6 * 60)
    assert is_quiet(twice, BERLIN, utc("2026-10-25T00:45:00"))
    assert not is_quiet(twice, BERLIN, utc("2026-10-25T01:15:00"))
    assert is_quiet(twice, BERLIN, utc("2026-10-25T01:45:00"))
    assert next_quiet_change_ms(twice, BERLIN, utc("2026-10-25T00:45:00")) == utc("2026-10-25T01:00:00")
    assert next_quiet_change_ms(twice, BERLIN, utc("2026-10-25T01:00:00")) == utc("2026-10-25T01:30:00")


@settings(max_examples=60)
@given(quiet_hours_documents, st.sampled_from(ZONES), st.integers(T0_MS, T0_MS + 400 * DAY_MS).map(SharedMs))
def test_nothing_changes_before_the_next_change_and_everything_at_it(
    hours: QuietHours, zone: str, now_ms: SharedMs
) -> None:
    before = is_quiet(hours, zone, now_ms)
    change_ms = next_quiet_change_ms(hours, zone, now_ms)
    assert change_ms is not None
    assert now_ms < change_ms <= now_ms + 2 * DAY_MS
    assert is_quiet(hours, zone, change_ms) is not before
    assert is_quiet(hours, zone, SharedMs(change_ms - 1)) is before
    step_ms = 7 * MINUTE_MS
    assert all(is_quiet(hours, zone, SharedMs(ms)) is before for ms in range(now_ms, change_ms, step_ms))


@pytest.mark.parametrize("name", ["", "Hanoi", "../../etc/passwd", "America", "/etc/localtime", "a\0b", "x" * 64])
def test_a_time_zone_that_does_not_exist_is_a_refusal(name: str) -> None:
    with pytest.raises(Refusal, match="time zone"):
        time_zone_of(name)
    with pytest.raises(Refusal):
        is_quiet(NIGHT, name, hanoi("2026-11-22T03:15:00"))


def test_an_empty_span_is_not_a_span() -> None:
    with pytest.raises(ValueError, match="same minute"):
        QuietHours(begin_minute=60, end_minute=60)


def test_the_whole_day_may_be_quiet_but_for_a_minute() -> None:
    nearly = QuietHours(begin_minute=1, end_minute=0)
    quiet = sum(is_quiet(nearly, HANOI, SharedMs(hanoi("2026-11-22T00:00:00") + m * MINUTE_MS)) for m in range(1440))
    assert quiet == 1439
