"""The few packets of a light node: written as the standard says, and read back whole or not at all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from simulator.load import mqtt_bytes
from simulator.load.mqtt_bytes import PacketType, WillBytes


def test_a_connect_with_a_will_says_what_the_standard_wants() -> None:
    will = WillBytes(topic="loaxa/1/node/L00001/state", payload=b"{}", delay_s=15)
    packet = mqtt_bytes.connect("L00001", will=will, session_expiry_s=300)
    body = packet[2:]
    assert packet[0] == 0x10
    assert packet[1] == len(body)
    assert body[:7] == b"\x00\x04MQTT\x05"
    assert body[7] == 0x2C  # will retained, QoS 1, no clean start
    assert body[8:10] == (30).to_bytes(2)
    assert body[10:16] == b"\x05\x11" + (300).to_bytes(4)
    assert body[16:24] == b"\x00\x06L00001"
    assert body[24:30] == b"\x05\x18" + (15).to_bytes(4)
    assert body.endswith(b"\x00\x02{}")


def test_a_message_at_each_quality_is_read_back() -> None:
    buffer = bytearray(mqtt_bytes.publish("a/b", b"one") + mqtt_bytes.publish("c", b"two", packet_id=7))
    read = [
        (packet.type, packet.topic, packet.packet_id, bytes(packet.payload()))
        for packet in mqtt_bytes.split_packets(buffer)
    ]
    assert read == [(PacketType.PUBLISH, "a/b", None, b"one"), (PacketType.PUBLISH, "c", 7, b"two")]
    assert not buffer
    assert mqtt_bytes.acknowledge(7) == b"\x40\x02\x00\x07"


@given(payloads=st.lists(st.binary(max_size=400), max_size=6), cut=st.integers(0, 2000))
def test_packets_come_whole_however_they_are_cut(payloads: list[bytes], cut: int) -> None:
    sent = b"".join(mqtt_bytes.publish("loaxa/1/x", payload) for payload in payloads)
    buffer, read = bytearray(), []
    for part in (sent[:cut], sent[cut:]):
        buffer += part
        for packet in mqtt_bytes.split_packets(buffer):
            payload = packet.payload()
            read.append(bytes(payload))
            payload.release()
    assert read == payloads
    assert not buffer
