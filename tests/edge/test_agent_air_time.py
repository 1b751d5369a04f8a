"""A pole keeps the air time of its place: cuts at the limit, refuses with the reason, counts beyond a power cut."""

from __future__ import annotations

from edge.house import NOTE, RESERVED_AHEAD_MS, RESERVED_MS
from protocol.air_time import Aired, sounded_today_ms
from protocol.codec import cbor_decode
from protocol.messages import AirTime, BroadcastClass, Reality
from tests.support.issuer import HOUR_MS, media, occurrence
from tests.support.pole import T0_MS, Pole

ZONE = "Asia/Ho_Chi_Minh"
MINUTE_MS = 60_000
NEWS, MUSIC, CLIP = media("news", seconds=150), media("music", seconds=90), media("clip", seconds=60)
START_MS = T0_MS + 10_000
TWO_MINUTES = AirTime(session_minutes_max=2)


def pole_of(air_time: AirTime, *starts: int, **changes: object) -> Pole:
    """A pole whose plan has the news at these minutes after START_MS."""
    pole = Pole(block_ms=100)
    pole.provide(NEWS, MUSIC, CLIP)
    pole.introduce(air_time=air_time, prepared_clips=(CLIP,))
    items = (occurrence(f"n{minute}", START_MS + minute * MINUTE_MS, NEWS, **changes) for minute in starts)
    pole.send(pole.issuer.plan(*items))
    return pole


def kept_ms(pole: Pole) -> int:
    return sounded_today_ms(cbor_decode(pole.sd_card.notes[NOTE], Aired), ZONE, START_MS)


def test_a_session_ends_at_its_limit_with_the_reason_and_the_item_does_not_come_back() -> None:
    pole = pole_of(TWO_MINUTES, 0)
    pole.run_until(START_MS + 20 * MINUTE_MS)
    assert pole.airings() == [("n0", "started", "on time"), ("n0", "finished", "air_time_session")]
    limit = START_MS + 2 * MINUTE_MS
    assert pole.heard(limit - 200, limit - 50).any(), "up to the limit it is heard"
    assert not pole.heard(limit + 150, START_MS + 3 * MINUTE_MS).any()
    assert abs(kept_ms(pole) - 2 * MINUTE_MS) <= 50


def test_the_sessions_of_a_day_are_used_up() -> None:
    pole = pole_of(AirTime(sessions_a_day_max=1), 0, 10)
    pole.run_until(START_MS + 15 * MINUTE_MS)
    assert pole.airings() == [
        ("n0", "started", "on time"),
        ("n0", "finished", "finished"),
        ("n10", "refused", "air_time_sessions"),
    ]


def test_the_minutes_of_a_day_are_used_up_over_a_restart_and_new_the_next_day() -> None:
    pole = pole_of(AirTime(minutes_a_day_max=4), 0, 10, 20, 24 * 60)
    pole.run_until(START_MS + 5 * MINUTE_MS)
    pole.stop()
    pole.boot()
    pole.connect()
    pole.run_until(START_MS + 24 * HOUR_MS + 5 * MINUTE_MS)
    assert pole.airings() == [
        ("n0", "started", "on time"),
        ("n0", "finished", "finished"),
        ("n10", "started", "on time"),
        ("n10", "finished", "air_time_day"),
        ("n20", "refused", "air_time_day"),
        ("n1440", "started", "on time"),
        ("n1440", "finished", "finished"),
    ]


def test_a_power_cut_gives_no_air_time_and_costs_a_minute_at_most() -> None:
    pole = pole_of(AirTime(minutes_a_day_max=4), 0)
    pole.run_until(START_MS + 70_000)
    pole.cut_power()
    assert 70_000 <= kept_ms(pole) <= 70_000 + RESERVED_MS + RESERVED_AHEAD_MS
    pole.run_until(START_MS + 80_000)
    pole.boot()
    pole.connect()
    pole.run_until(START_MS + 10 * MINUTE_MS)
    assert ("n0", "finished", "finished") in pole.airings(), "what goes on after it is the same minute, counted once"
    assert kept_ms(pole) == 150_000


def test_an_emergency_and_a_drill_need_no_air_time_and_use_none() -> None:
    for reality, key in ((Reality.REAL, "operations-1"), (Reality.DRILL, "drill-1")):
        pole = pole_of(AirTime(session_minutes_max=1, sessions_a_day_max=1, minutes_a_day_max=1), 0, 10)
        pole.run_until(START_MS + 7 * MINUTE_MS)
        assert kept_ms(pole) in range(MINUTE_MS, MINUTE_MS + 50)
        play_at = pole.now_ms + 1_000
        emergency = pole.issuer.emergency(
            CLIP, play_at_ms=play_at, sounds_until_ms=play_at + 3 * MINUTE_MS, reality=reality
        )
        pole.send(emergency, key=key)
        pole.run_until(START_MS + 15 * MINUTE_MS)
        assert pole.heard(play_at + 130_000, play_at + 140_000).any()
        assert ("n10", "refused", "air_time_sessions") in pole.airings()
        assert kept_ms(pole) in range(MINUTE_MS, MINUTE_MS + 50)


def test_an_item_goes_on_after_an_emergency_in_its_own_session() -> None:
    pole = pole_of(AirTime(sessions_a_day_max=1), 0)
    play_at = START_MS + MINUTE_MS
    pole.run_until(play_at - 1_000)
    pole.send(pole.issuer.emergency(CLIP, play_at_ms=play_at, sounds_until_ms=play_at + 20_000))
    pole.run_until(START_MS + 5 * MINUTE_MS)
    told = [(source, state) for source, state, _ in pole.airings()]
    assert told == [
        ("n0", "started"),
        ("n0", "finished"),
        ("flood-1", "started"),
        ("flood-1", "finished"),
        ("n0", "started"),
        ("n0", "finished"),
    ]


def test_a_stale_item_does_not_begin_and_ends_where_it_becomes_stale() -> None:
    pole = Pole()
    pole.provide(NEWS)
    pole.introduce()
    begins, stale = START_MS + 3 * MINUTE_MS, START_MS + 3 * MINUTE_MS + 5_000
    pole.send(
        pole.issuer.plan(
            occurrence("old", START_MS, NEWS, valid_until_ms=START_MS - 1),
            occurrence("short", begins, NEWS, valid_until_ms=stale),
        )
    )
    pole.run_until(stale + 10_000)
    assert pole.airings() == [
        ("old", "refused", "stale"),
        ("short", "started", "on time"),
        ("short", "finished", "stale"),
    ]
    assert not pole.heard(START_MS, begins).any()
    assert pole.heard(stale - 20, stale).any()
    assert not pole.heard(stale + 20, stale + 10_000).any()


def test_priority_uses_air_time_like_everything_planned() -> None:
    pole = pole_of(TWO_MINUTES, 0, broadcast_class=BroadcastClass.PRIORITY)
    pole.run_until(START_MS + 5 * MINUTE_MS)
    assert pole.airings()[-1] == ("n0", "finished", "air_time_session")


def test_a_place_without_limits_costs_no_write() -> None:
    pole = pole_of(TWO_MINUTES, 0)
    pole.introduce(prepared_clips=(CLIP,))
    pole.run_until(START_MS + 5 * MINUTE_MS)
    assert pole.airings()[-1] == ("n0", "finished", "finished")
    assert NOTE not in pole.sd_card.notes


def test_what_a_plan_would_begin_after_its_own_expiry_is_stale() -> None:
    pole = Pole(block_ms=100)
    pole.provide(NEWS, MUSIC)
    pole.introduce()
    items = (occurrence("now", START_MS, NEWS), occurrence("late", START_MS + 3 * MINUTE_MS, MUSIC))
    pole.send(pole.issuer.plan(*items, expires_at_ms=START_MS + MINUTE_MS))
    pole.run_until(START_MS + 5 * MINUTE_MS)
    assert pole.airings() == [
        ("now", "started", "on time"),
        ("now", "finished", "finished"),
        ("late", "refused", "stale"),
    ]
    assert MUSIC.sha256 not in pole.media.asked
    assert pole.telemetry()["plan_until_ms"] == START_MS + MINUTE_MS


def test_a_dead_clock_chip_waits_and_loses_nothing_of_the_count() -> None:
    pole = pole_of(AirTime(minutes_a_day_max=2), 0, 4)
    pole.run_until(START_MS + MINUTE_MS)
    pole.cut_power()
    pole.run_for(10_000)
    pole.clock.reboot(rtc_ns=0)
    pole.boot()
    pole.connect()
    pole.run_until(START_MS + 2 * MINUTE_MS)
    assert not pole.heard(START_MS + MINUTE_MS + 1_000, START_MS + 2 * MINUTE_MS).any(), "1970: it waits"
    pole.clock.synchronise()
    pole.run_until(START_MS + 8 * MINUTE_MS)
    told = [airing for airing in pole.airings() if airing[1] != "missed"]
    assert told[-1] == ("n4", "finished", "air_time_day") or told[-1] == ("n4", "refused", "air_time_day")
    assert 0.9 * 2 * MINUTE_MS - RESERVED_MS < audible_ms(pole) <= 2 * MINUTE_MS


def test_a_clock_that_is_set_in_an_item_gives_no_air_time() -> None:
    for step_ms in (-20 * MINUTE_MS, 20 * MINUTE_MS):
        pole = pole_of(AirTime(minutes_a_day_max=2), -20, 0, 20)
        pole.run_until(START_MS + MINUTE_MS)
        pole.clock.step(step_ms * 1_000_000)
        pole.run_until(START_MS + 30 * MINUTE_MS)
        assert audible_ms(pole) <= 2 * MINUTE_MS + 1_000
        assert kept_ms(pole) >= audible_ms(pole) - 1_000


def audible_ms(pole: Pole) -> int:
    """For how long there was sound at all."""
    heard = pole.heard(START_MS - MINUTE_MS, pole.now_ms)
    blocks = heard[: len(heard) // 480 * 480].reshape(-1, 480)
    return 10 * int(blocks.any(axis=1).sum())
