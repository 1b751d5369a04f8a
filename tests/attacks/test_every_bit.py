"""Every bit of an order and of a packet changed, every length cut: the same agent in process, the same bytes.

What is tried on running processes in one example of each region is tried here in all. An order that is obeyed would
sound within the second; the card and the pin are looked at after each round.
"""

from __future__ import annotations

import pytest

from protocol.topics import TopicName, topic
from tests.support.issuer import COMMUNE, key_of, media
from tests.support.pole import T0_MS, Pole

ORDERS = topic(TopicName.EMERGENCY, area=COMMUNE)
CLIP = media("flood", seconds=2)
STREAM = "0123456789abcdef"
AUDIO = topic(TopicName.AUDIO, stream=STREAM)
FORGED = {"malformed", "bad_signature", "unknown_key"}


def prepared() -> Pole:
    """A pole that would sound an emergency at once, and has heard none."""
    pole = Pole()
    pole.provide(CLIP)
    pole.introduce(prepared_clips=(CLIP,), quiet_hours=None)
    pole.run_for(30_000)
    return pole


def order(pole: Pole) -> bytes:
    return pole.issuer.seal(pole.issuer.emergency(CLIP, play_at_ms=pole.now_ms + 400), ORDERS)


def assert_silent(pole: Pole, *, count: int) -> None:
    pole.run_for(35_000)
    counted = pole.telemetry()["refused"]
    assert set(counted) <= FORGED
    assert sum(counted.values()) == count
    assert not pole.heard(T0_MS, pole.now_ms).any()
    assert not pole.pin.commanded.latest
    assert len(pole.pin.commanded.changes()) == 1
    assert len(pole.sd_card.documents) == 2


def test_the_genuine_order_sounds() -> None:
    pole = prepared()
    pole.deliver(ORDERS, order(pole), retain=False)
    pole.run_for(2_000)
    assert pole.heard(T0_MS, pole.now_ms).any()


@pytest.mark.parametrize("bit", range(8))
def test_no_order_with_a_changed_bit_is_obeyed(bit: int) -> None:
    pole = prepared()
    genuine = order(pole)
    for place in range(len(genuine)):
        changed = bytearray(genuine)
        changed[place] ^= 1 << bit
        pole.deliver(ORDERS, bytes(changed), retain=False)
    assert_silent(pole, count=len(genuine))


def test_no_order_that_is_cut_or_prolonged_is_obeyed() -> None:
    pole = prepared()
    genuine = order(pole)
    for length in range(1, len(genuine)):
        pole.deliver(ORDERS, genuine[:length], retain=False)
        pole.deliver(ORDERS, genuine[length:], retain=False)
    pole.deliver(ORDERS, genuine + b"\0", retain=False)
    assert_silent(pole, count=2 * (len(genuine) - 1) + 1)


@pytest.mark.parametrize("bit", range(8))
def test_no_packet_with_a_changed_bit_is_played(bit: int) -> None:
    pole = prepared()
    begin_ms = pole.now_ms + 2_000
    pole.send(pole.issuer.stream_start(STREAM, starts_at_ms=begin_ms))
    pole.run_for(500)
    genuine = pole.issuer.packet(STREAM, 0, origin_ms=begin_ms)
    for place in range(len(genuine)):
        changed = bytearray(genuine)
        changed[place] ^= 1 << bit
        pole.deliver(AUDIO, bytes(changed), retain=False)
    pole.run_for(35_000)
    assert pole.telemetry()["refused"] == {"bad_signature": len(genuine)}
    assert not pole.heard(T0_MS, pole.now_ms).any()
    assert len(pole.pin.commanded.changes()) == 1


def test_packets_far_out_of_order_are_played_once_or_not_at_all() -> None:
    """A broker that holds packets back and lets them go later gains nothing."""
    pole = prepared()
    begin_ms = pole.now_ms + 2_000
    pole.send(pole.issuer.stream_start(STREAM, starts_at_ms=begin_ms))
    pole.run_for(500)
    packets = [pole.issuer.packet(STREAM, number, origin_ms=begin_ms) for number in range(20)]
    for payload in (*packets[10:], *packets[:10], *packets):
        pole.deliver(AUDIO, payload, retain=False)
    pole.deliver(AUDIO, pole.issuer.packet(STREAM, 20, origin_ms=begin_ms, key="stranger"), retain=False)
    pole.run_for(35_000)
    assert pole.telemetry()["refused"] == {"replayed": 30, "bad_signature": 1}
    heard = pole.heard(begin_ms, begin_ms + 5_000)
    assert not heard[: 950 * 48].any(), "the half that came too late is not played after the other"
    assert heard[1_100 * 48 : 1_900 * 48].all()
    assert not heard[2_200 * 48 :].any()


def test_a_key_of_a_stream_speaks_for_no_other() -> None:
    pole = prepared()
    begin_ms = pole.now_ms + 2_000
    other = "fedcba9876543210"
    for stream in (STREAM, other):
        pole.send(pole.issuer.stream_start(stream, starts_at_ms=begin_ms, public_key=key_bytes(stream)))
    pole.run_for(500)
    pole.deliver(AUDIO, pole.issuer.packet(other, 0, origin_ms=begin_ms), retain=False)
    pole.deliver(AUDIO, pole.issuer.packet(STREAM, 0, origin_ms=begin_ms, key=other), retain=False)
    pole.run_for(35_000)
    assert pole.telemetry()["refused"] == {"bad_signature": 2}
    assert not pole.heard(T0_MS, pole.now_ms).any()


def key_bytes(name: str) -> bytes:
    return key_of(name).public_key().public_bytes_raw()
