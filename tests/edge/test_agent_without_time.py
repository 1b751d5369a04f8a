"""A pole that does not know the time: what is planned waits, a real emergency does not."""

from __future__ import annotations

from typing import Any

from protocol.messages import Reality
from protocol.topics import TopicName, topic
from simulator.clock import BUILD_DATE_NS
from tests.support.issuer import COMMUNE, HOUR_MS, media, occurrence
from tests.support.pole import T0_MS, Pole
from tests.support.waves import clip_wave, differs_by

NEWS = media("news", seconds=60)
FLOOD = media("flood", seconds=4)
PRESSED_MS = T0_MS + 20_000
EMERGENCY_TOPIC = topic(TopicName.EMERGENCY, area=COMMUNE)


def prepared_pole() -> Pole:
    pole = Pole()
    pole.provide(NEWS, FLOOD)
    pole.introduce(prepared_clips=(FLOOD,))
    pole.run_for(1_000)
    return pole


def timeless_pole() -> Pole:
    """A pole that has booted at its image's date, the clock chip being dead, and has found its broker."""
    pole = prepared_pole()
    pole.cut_power()
    pole.run_for(60_000)
    pole.clock.reboot(rtc_ns=BUILD_DATE_NS)
    pole.boot()
    pole.connect()
    pole.run_for(1_000)
    return pole


def test_without_the_time_an_emergency_sounds_at_once_and_its_end_ends_it() -> None:
    pole = timeless_pole()
    pressed_ms = pole.now_ms
    pole.send(pole.issuer.emergency(FLOOD, play_at_ms=pressed_ms + 450))
    pole.run_for(5_000)
    assert pole.heard(pressed_ms + 1_000, pressed_ms + 3_500).any()
    cleared_ms = pole.now_ms
    pole.send(pole.issuer.all_clear())
    pole.run_for(8_000)
    assert not pole.heard(cleared_ms + 1_000, cleared_ms + 8_000).any()
    assert pole.unpowered_samples() == 0


def test_without_the_time_an_emergency_has_as_long_as_its_document_says() -> None:
    pole = timeless_pole()
    pressed_ms = pole.now_ms
    pole.send(pole.issuer.emergency(FLOOD, play_at_ms=pressed_ms, sounds_until_ms=pressed_ms + 12_000))
    pole.run_for(30_000)
    assert pole.heard(pressed_ms + 10_000, pressed_ms + 11_500).any()
    assert not pole.heard(pressed_ms + 13_000, pressed_ms + 30_000).any()


def test_when_the_time_comes_the_emergency_goes_on_in_step_with_the_others() -> None:
    pole = timeless_pole()
    play_at_ms = pole.now_ms + 450
    pole.send(pole.issuer.emergency(FLOOD, play_at_ms=play_at_ms))
    pole.run_for(7_000)
    pole.clock.synchronise()
    pole.run_for(20_000)
    from_ms = play_at_ms + 20_000
    heard = pole.heard(from_ms + 100, from_ms + 3_900)
    assert differs_by(heard, clip_wave(FLOOD, from_ms, from_ms + 100, from_ms + 3_900)) <= 1
    assert pole.unpowered_samples() == 0


def test_without_the_time_drills_plans_and_what_only_the_card_remembers_wait() -> None:
    pole = prepared_pole()
    pole.send(pole.issuer.emergency(FLOOD, play_at_ms=pole.now_ms + 450))
    pole.send(pole.issuer.plan(occurrence("a", T0_MS + 65_000, NEWS)))
    pole.run_for(3_000)
    pole.cut_power()
    pole.run_for(60_000)
    pole.clock.reboot(rtc_ns=BUILD_DATE_NS)
    booted_ms = pole.now_ms
    pole.boot()
    pole.run_for(20_000)
    assert not pole.heard(booted_ms, pole.now_ms).any()
    pole.retained.pop(EMERGENCY_TOPIC)
    pole.connect()
    drill = pole.issuer.emergency(FLOOD, play_at_ms=pole.now_ms, emergency="drill-1", reality=Reality.DRILL)
    pole.send(drill, key="drill-1")
    pole.run_for(20_000)
    assert not pole.heard(booted_ms, pole.now_ms).any()


def test_without_the_time_what_stands_at_the_broker_sounds_but_not_what_certainly_ended() -> None:
    pole = prepared_pole()
    pole.run_until(PRESSED_MS)
    pole.send(pole.issuer.emergency(FLOOD, play_at_ms=pole.now_ms + 450))
    pole.run_for(3_000)
    pole.cut_power()
    pole.run_for(30_000)
    pole.clock.reboot(rtc_ns=BUILD_DATE_NS)
    pole.boot()
    pole.connect()
    pole.run_for(5_000)
    assert pole.heard(pole.now_ms - 3_000, pole.now_ms).any()
    over = timeless_pole()
    old = over.issuer.emergency(FLOOD, play_at_ms=T0_MS, sounds_until_ms=T0_MS + 5_000, expires_at_ms=T0_MS + 5_000)
    over.issuer.now_ms = T0_MS + 60_000
    over.send(over.issuer.assignment(prepared_clips=(FLOOD,)))
    over.run_for(1_000)
    over.send(old)
    over.run_for(31_000)
    assert over.telemetry()["refused"]["expired"]
    assert not over.heard(over.now_ms - 5_000, over.now_ms).any()


def test_without_the_time_what_ended_before_the_root_signed_the_keys_is_over() -> None:
    pole = timeless_pole()
    over_ms = T0_MS + 5_000
    old = pole.issuer.emergency(FLOOD, play_at_ms=T0_MS, sounds_until_ms=over_ms, expires_at_ms=over_ms)
    pole.issuer.now_ms = T0_MS + 60_000
    pole.deliver(topic(TopicName.KEYSET), pole.issuer.keyset())
    pole.run_for(1_000)
    pole.send(old)
    pole.run_for(31_000)
    assert pole.telemetry()["refused"]["expired"]
    assert not pole.heard(pole.now_ms - 31_000, pole.now_ms).any()


def test_without_the_time_no_other_key_says_that_an_emergency_is_over() -> None:
    pole = timeless_pole()
    far_ms = pole.now_ms + 30 * 24 * HOUR_MS
    later: dict[str, Any] = {"not_before_ms": far_ms, "expires_at_ms": far_ms + HOUR_MS}
    drill = pole.issuer.emergency(FLOOD, play_at_ms=far_ms, emergency="drill-1", reality=Reality.DRILL, **later)
    pole.send(drill, key="drill-1")
    pole.run_for(1_000)
    pressed_ms = pole.now_ms
    until_ms = pressed_ms + HOUR_MS
    pole.send(pole.issuer.emergency(FLOOD, play_at_ms=pressed_ms, expires_at_ms=until_ms))
    pole.run_for(5_000)
    assert pole.heard(pressed_ms + 1_000, pressed_ms + 3_500).any()


def test_without_the_time_what_ended_before_the_plan_on_the_card_was_signed_is_over() -> None:
    pole = prepared_pole()
    over_ms = T0_MS + 5_000
    missed = pole.issuer.emergency(FLOOD, play_at_ms=T0_MS, sounds_until_ms=over_ms, expires_at_ms=over_ms)
    pole.issuer.now_ms = T0_MS + 2 * HOUR_MS
    pole.run_until(T0_MS + 2 * HOUR_MS)
    pole.send(pole.issuer.plan(occurrence("a", T0_MS + 5 * HOUR_MS, NEWS)))
    pole.run_for(1_000)
    pole.cut_power()
    pole.clock.reboot(rtc_ns=BUILD_DATE_NS)
    booted_ms = pole.now_ms
    pole.boot()
    pole.connect()
    pole.send(missed)
    pole.run_for(31_000)
    assert not pole.heard(booted_ms, pole.now_ms).any()
    assert pole.telemetry()["refused"]["expired"]
