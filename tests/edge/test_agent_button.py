"""Somebody presses the button on the pole: silent at once, whatever sounds, and for a while; then as before."""

from __future__ import annotations

from edge.gpio.inputs import HOLD_MS, STUCK_MS
from protocol.messages import FaultRecord
from tests.support.issuer import media, occurrence
from tests.support.pole import T0_MS, Pole

NEWS = media("news", seconds=3_000)
FLOOD = media("flood", seconds=4)
PLAY_MS = T0_MS + 20_000
MINUTE_MS = 60_000


def sounding_pole() -> Pole:
    pole = Pole()
    pole.provide(NEWS, FLOOD)
    pole.introduce(prepared_clips=(FLOOD,))
    pole.send(pole.issuer.plan(occurrence("a", T0_MS + 2_000, NEWS)))
    pole.run_until(T0_MS + 10_000)
    assert pole.pin.commanded.latest
    return pole


def sounds_at_all(pole: Pole, for_ms: int) -> bool:
    """Whether the amplifier had power at any time of the next moments."""
    since_ms = pole.now_ms
    pole.run_for(for_ms)
    return any(pole.pin.commanded.at(ms * 1_000_000) for ms in range(since_ms, pole.now_ms, 100))


def faults(pole: Pole, name: str) -> list[bool]:
    return [each.active for each in pole.records() if isinstance(each, FaultRecord) and each.fault == name]


def test_a_press_silences_within_the_bounce_time_and_for_its_minutes() -> None:
    pole = sounding_pole()
    pole.button(is_pressed=True)
    pole.run_for(31)
    assert not pole.pin.commanded.at(pole.world.now_ns)
    pole.button(is_pressed=False)
    assert not sounds_at_all(pole, 10 * MINUTE_MS - 1_000)
    pole.run_for(3_000)
    assert pole.pin.commanded.latest
    assert ("a", "finished", "stop_button") in pole.airings()
    assert faults(pole, "stop_button") == [True, False]


def test_a_bounce_is_no_press() -> None:
    pole = sounding_pole()
    for _ in range(20):
        pole.button(is_pressed=True)
        pole.run_for(5)
        pole.button(is_pressed=False)
        pole.run_for(5)
    assert not faults(pole, "stop_button")
    assert pole.pin.commanded.latest


def test_stops_an_emergency_and_not_the_next_one() -> None:
    pole = sounding_pole()
    pole.send(pole.issuer.emergency(FLOOD, play_at_ms=PLAY_MS))
    pole.run_until(PLAY_MS + 2_000)
    pole.push()
    assert not sounds_at_all(pole, 60_000)
    pole.send(pole.issuer.emergency(FLOOD, play_at_ms=pole.now_ms + 500, emergency="flood-2"))
    pole.run_for(3_000)
    assert pole.heard(pole.now_ms - 1_500, pole.now_ms - 500).any()
    pole.push()
    assert not sounds_at_all(pole, 60_000)


def test_a_long_press_during_the_silence_ends_it_and_a_long_first_press_does_not() -> None:
    pole = sounding_pole()
    pole.push(for_ms=HOLD_MS + 2_000)
    assert not sounds_at_all(pole, 30_000)
    pole.push(for_ms=HOLD_MS + 1_000)
    pole.run_for(2_000)
    assert pole.pin.commanded.latest
    assert faults(pole, "stop_button") == [True, False, True, False]


def test_another_short_press_begins_the_time_anew() -> None:
    pole = sounding_pole()
    pole.push()
    pole.run_for(6 * MINUTE_MS)
    pole.push()
    assert not sounds_at_all(pole, 9 * MINUTE_MS)


def test_a_button_that_does_not_come_up_is_a_fault_and_silences_only_once() -> None:
    pole = sounding_pole()
    pole.button(is_pressed=True)
    pole.run_for(STUCK_MS + 1_000)
    assert faults(pole, "button") == [True]
    pole.run_for(10 * MINUTE_MS)
    assert pole.pin.commanded.latest
    pole.button(is_pressed=False)
    pole.run_for(1_000)
    assert faults(pole, "button") == [True, False]


def test_an_order_to_be_silent_is_not_lifted_by_the_button() -> None:
    pole = sounding_pole()
    pole.send(pole.issuer.silence())
    pole.run_for(1_000)
    pole.push()
    pole.push(for_ms=HOLD_MS + 1_000)
    assert not sounds_at_all(pole, 30_000)
