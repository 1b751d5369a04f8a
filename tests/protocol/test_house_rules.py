"""What a place forbids at an instant, whom each rule binds, how loud the rest may be, and when that changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.air_time import NOTHING_AIRED, Aired, with_sound
from protocol.candidate import Candidate
from protocol.house_rules import Forbidden, HouseRules, forbids, gain_db_max, next_change_ms, next_volume_change_ms
from protocol.messages import AirTime, BroadcastClass, QuietHours, Reality, SourceKind, VolumeCap
from protocol.units import SharedMs

HANOI = "Asia/Ho_Chi_Minh"
MINUTE_MS = 60_000
RULE = AirTime(minutes_a_day_max=10)
EVENING = VolumeCap(gain_db_max=-12.0, begin_minute=18 * 60, end_minute=6 * 60)
LESSONS = VolumeCap(gain_db_max=-6.0, begin_minute=7 * 60, end_minute=19 * 60)
RULES = HouseRules(time_zone=HANOI, quiet_hours=QuietHours(), air_time=RULE, volume_caps=(EVENING, LESSONS))


def at(text: str, zone: str = HANOI) -> SharedMs:
    return SharedMs(
        round(datetime.fromisoformat(f"2026-11-23 {text}").replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)
    )


def candidate(
    broadcast_class: BroadcastClass = BroadcastClass.ROUTINE, reality: Reality = Reality.REAL, start: str = "12:00"
) -> Candidate:
    return Candidate(
        key="plan:a:1",
        source=SourceKind.MEDIA,
        source_id="1",
        title="Bản tin",
        broadcast_class=broadcast_class,
        reality=reality,
        depth=1,
        starts_at_ms=at(start),
        ends_at_ms=SharedMs(at(start) + 20 * MINUTE_MS),
    )


ROUTINE, PRIORITY = candidate(), candidate(BroadcastClass.PRIORITY)
DRILL, REAL = candidate(BroadcastClass.EMERGENCY, Reality.DRILL), candidate(BroadcastClass.EMERGENCY)
USED = with_sound(
    NOTHING_AIRED, RULE, starts_at_ms=at("11:00"), from_ms=at("11:00"), until_ms=at("11:00") + 10 * MINUTE_MS
)


@pytest.mark.parametrize(
    ("who", "night", "used", "loud"),
    [
        (ROUTINE, Forbidden.QUIET_HOURS, Forbidden.AIR_TIME_DAY, -6.0),
        (PRIORITY, Forbidden.QUIET_HOURS, Forbidden.AIR_TIME_DAY, -6.0),
        (DRILL, Forbidden.QUIET_HOURS, None, -6.0),
        (REAL, None, None, None),
    ],
)
def test_each_rule_binds_whom_it_says(
    who: Candidate, night: Forbidden | None, used: Forbidden | None, loud: float | None
) -> None:
    assert forbids(RULES, who, at("03:15")) is night
    assert forbids(RULES, who, at("12:00")) is None
    assert forbids(RULES, who, at("12:00"), aired=USED) is used
    assert gain_db_max(RULES, who, at("12:00")) == loud


def test_what_is_stale_is_not_heard_from_its_very_millisecond_on() -> None:
    item = replace(ROUTINE, valid_until_ms=at("12:05"))
    assert forbids(RULES, item, SharedMs(at("12:05") - 1)) is None
    assert forbids(RULES, item, at("12:05")) is Forbidden.STALE
    assert forbids(RULES, item, at("22:00")) is Forbidden.STALE, "no waiting mends it"
    assert next_change_ms(RULES, [item], at("12:00")) == at("12:05")


def test_a_round_is_quiet_as_a_whole() -> None:
    turn = replace(
        candidate(start="20:40"), round_begins_ms=at("20:30"), round_ends_ms=SharedMs(at("21:00") + MINUTE_MS)
    )
    assert forbids(RULES, turn, at("20:41")) is Forbidden.QUIET_HOURS
    assert forbids(RULES, replace(turn, round_ends_ms=at("21:00")), at("20:41")) is None
    assert forbids(HouseRules(time_zone=HANOI), turn, at("20:41")) is None, "a place that is never quiet"


def test_of_caps_that_overlap_the_quieter_holds_and_each_ends_by_the_wall_clock() -> None:
    told = [(hour, gain_db_max(RULES, ROUTINE, at(hour))) for hour in ("05:59", "06:00", "07:00", "18:00", "19:00")]
    assert told == [("05:59", -12.0), ("06:00", None), ("07:00", -6.0), ("18:00", -12.0), ("19:00", -12.0)]
    assert next_volume_change_ms(RULES, at("12:00")) == at("18:00")
    always = HouseRules(time_zone=HANOI, volume_caps=(VolumeCap(gain_db_max=-3.0),))
    assert gain_db_max(always, ROUTINE, at("00:00")) == -3.0
    assert next_volume_change_ms(always, at("12:00")) is None


def test_the_next_change_is_where_the_air_time_runs_out() -> None:
    assert next_change_ms(RULES, [ROUTINE], at("12:00")) == at("12:10")
    assert next_change_ms(RULES, [ROUTINE], at("12:00"), aired=USED) == at("18:00"), "used up; a cap comes first"
    assert next_change_ms(RULES, [REAL], at("12:00")) == at("18:00")
    assert next_change_ms(HouseRules(time_zone=HANOI), [ROUTINE], at("12:00")) is None


@given(
    minute=st.integers(0, 2 * 1440),
    quiet=st.none() | st.builds(QuietHours, begin_minute=st.integers(0, 719), end_minute=st.integers(720, 1439)),
    rule=st.none() | st.builds(AirTime, session_minutes_max=st.integers(1, 60), minutes_a_day_max=st.integers(1, 60)),
    caps=st.lists(
        st.builds(
            VolumeCap,
            gain_db_max=st.sampled_from([-3.0, -9.0]),
            begin_minute=st.integers(0, 1439),
            end_minute=st.integers(0, 1439),
        ),
        max_size=3,
    ),
    valid_minutes=st.none() | st.integers(-60, 60),
    zone=st.sampled_from([HANOI, "Europe/Berlin", "America/Santiago"]),
    night=st.sampled_from(["2026-11-22", "2026-10-24", "2026-03-28", "2026-04-03", "2026-09-04"]),
)
def test_nothing_changes_before_the_next_change(
    minute: int,
    quiet: QuietHours | None,
    rule: AirTime | None,
    caps: list[VolumeCap],
    valid_minutes: int | None,
    zone: str,
    night: str,
) -> None:
    rules = HouseRules(time_zone=zone, quiet_hours=quiet, air_time=rule, volume_caps=tuple(caps))
    begin = round(datetime.fromisoformat(f"{night} 12:00").replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)
    now = SharedMs(begin + minute * MINUTE_MS)
    item = replace(
        ROUTINE, starts_at_ms=now, valid_until_ms=None if valid_minutes is None else now + valid_minutes * MINUTE_MS
    )
    change = next_change_ms(rules, [item], now)
    until = min(change or now + 86_400_000, now + 86_400_000)

    def answer(instant: int) -> tuple[Forbidden | None, float | None]:
        aired = _sounding(rule, now, instant)
        here = SharedMs(instant)
        return forbids(rules, item, here, aired=aired, is_on_air=instant > now), gain_db_max(rules, item, here)

    for instant in (now + (until - now) // 3, until - 1):
        assert instant <= now or answer(instant) == answer(now)


def _sounding(rule: AirTime | None, since: int, until: int) -> Aired:
    return (
        NOTHING_AIRED
        if rule is None
        else with_sound(NOTHING_AIRED, rule, starts_at_ms=since, from_ms=since, until_ms=until)
    )


def test_a_policy_that_limits_nothing_or_not_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="without any limit"):
        AirTime()
    with pytest.raises(ValueError, match="same minute"):
        QuietHours(begin_minute=0, end_minute=0)
    with pytest.raises(msgspec.ValidationError, match="session_minutes_max"):
        msgspec.convert({"session_minutes_max": 0}, AirTime)
