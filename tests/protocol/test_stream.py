"""Audio packets: what was packed comes back, and no other bytes pass."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import LocalProtocolError, Refusal, RefusalReason
from protocol.stream import (
    FIRST_SAMPLE_MAX,
    FRAME_BYTES_MAX,
    FRAMES_MAX,
    NUMBER_MAX,
    PACKET_BYTES_MAX,
    PLAY_AT_NS_MAX,
    AudioPacket,
    pack_audio,
    unpack_audio,
)
from protocol.units import SharedNs

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
STREAM = "0123456789abcdef"
TOPIC = f"loaxa/1/stream/{STREAM}/opus"
PACKET = AudioPacket(
    stream=STREAM, epoch=1, sequence=2, first_sample=4800, play_at_ns=SharedNs(10**18), frames=(b"abc", b"defgh")
)

packets = st.builds(
    AudioPacket,
    stream=st.binary(min_size=8, max_size=8).map(bytes.hex),
    epoch=st.integers(0, NUMBER_MAX),
    sequence=st.integers(0, NUMBER_MAX),
    first_sample=st.integers(0, FIRST_SAMPLE_MAX),
    play_at_ns=st.integers(0, PLAY_AT_NS_MAX).map(SharedNs),
    frames=st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=FRAMES_MAX).map(tuple),
)


def pack(packet: AudioPacket, topic: str = TOPIC) -> bytes:
    return pack_audio(packet, sign=KEY.sign, topic=topic)


def unpack(data: bytes, *, topic: str = TOPIC, stream: str = STREAM, public_key: bytes = PUBLIC) -> AudioPacket:
    return unpack_audio(data, public_key=public_key, topic=topic, stream=stream)


def signed(body: bytes) -> bytes:
    return body + KEY.sign(TOPIC.encode() + b"\0" + body)


def reason_of(data: bytes) -> RefusalReason:
    with pytest.raises(Refusal) as caught:
        unpack(data)
    return caught.value.reason


@given(packets)
def test_a_packet_comes_back_as_it_was(packet: AudioPacket) -> None:
    topic = f"loaxa/1/stream/{packet.stream}/opus"
    assert unpack(pack(packet, topic), topic=topic, stream=packet.stream) == packet


@given(st.binary(max_size=400))
def test_any_bytes_are_refused(data: bytes) -> None:
    assert reason_of(data) in {RefusalReason.MALFORMED, RefusalReason.BAD_SIGNATURE}


@given(st.binary(min_size=39, max_size=300))
def test_even_signed_nonsense_is_refused_or_sound(body: bytes) -> None:
    try:
        unpack(signed(body))
    except Refusal as refusal:
        assert refusal.reason in {RefusalReason.MALFORMED, RefusalReason.UNKNOWN_STREAM}


@given(st.data())
def test_no_changed_byte_passes(data: st.DataObject) -> None:
    damaged = bytearray(pack(PACKET))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    assert reason_of(bytes(damaged)) is RefusalReason.BAD_SIGNATURE


def test_the_layout_is_as_documented() -> None:
    data = pack(PACKET)
    assert data[:4] == b"LX\x01\x02"
    assert data[4:12].hex() == STREAM
    assert struct.unpack("!IIQQ", data[12:36]) == (1, 2, 4800, 10**18)
    assert struct.unpack("!HH", data[36:40]) == (3, 5)
    assert data[40:48] == b"abcdefgh"
    assert len(data) == 48 + 64


def test_another_topic_stream_or_key_is_refused() -> None:
    data = pack(PACKET)
    with pytest.raises(Refusal, match="bad_signature"):
        unpack(data, topic="loaxa/1/stream/ffffffffffffffff/opus")
    with pytest.raises(Refusal, match="bad_signature"):
        unpack(data, public_key=bytes(32))
    with pytest.raises(Refusal, match="unknown_stream"):
        unpack(data, stream="f" * 16)


@pytest.mark.parametrize(
    "change",
    [
        {"frames": ()},
        {"frames": (b"a",) * (FRAMES_MAX + 1)},
        {"frames": (b"",)},
        {"frames": (bytes(FRAME_BYTES_MAX + 1),)},
        {"stream": "0123"},
        {"stream": STREAM.upper()},
        {"epoch": -1},
        {"sequence": NUMBER_MAX + 1},
        {"first_sample": FIRST_SAMPLE_MAX + 1},
        {"play_at_ns": -1},
    ],
)
def test_what_no_node_would_take_is_not_packed(change: dict[str, object]) -> None:
    with pytest.raises(LocalProtocolError):
        pack(replace(PACKET, **change))  # type: ignore[arg-type] # a test's own choice of fields


def test_the_largest_packet_fits() -> None:
    packet = replace(PACKET, frames=(bytes(FRAME_BYTES_MAX),) * FRAMES_MAX)
    assert len(pack(packet)) <= PACKET_BYTES_MAX
    assert unpack(pack(packet)) == packet


def test_signed_but_wrong_is_malformed() -> None:
    body = pack(PACKET)[:-64]
    wrong = [
        b"XX" + body[2:],
        body[:2] + b"\x02" + body[3:],
        body[:3] + b"\x00" + body[4:],
        body[:3] + b"\x0b" + body[4:],
        body[:20] + b"\xff" * 8 + body[28:],
        body[:28] + b"\xff" * 8 + body[36:],
        body + b"x",
        body[:-1],
        body[:36] + struct.pack("!HH", 0, 8) + body[40:],
    ]
    for candidate in wrong:
        assert reason_of(signed(candidate)) is RefusalReason.MALFORMED
    assert reason_of(bytes(PACKET_BYTES_MAX + 1)) is RefusalReason.TOO_LARGE
