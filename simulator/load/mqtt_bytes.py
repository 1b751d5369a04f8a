"""The few MQTT 5 packets a light listener needs, as bytes.

Nodes use a full client library. A listener that only counts must cost far less than the broker that is being
measured, so it writes a handful of packets and reads headers; nothing here is for use on a pole.
Layouts: MQTT 5.0 (OASIS), 2.1 fixed header, 3.1 CONNECT, 3.3 PUBLISH, 3.4 PUBACK, 3.8 SUBSCRIBE, 3.12 PINGREQ.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

PING: Final = b"\xc0\x00"
KEEP_ALIVE_S: Final = 30
"""As a node's link has it."""
_HEADER_BYTES_MIN: Final = 2
_REMAINING_BYTES_MAX: Final = 4
_PROTOCOL: Final = b"\x00\x04MQTT\x05"
_CLEAN_START: Final = 0x02
_WILL_RETAINED_QOS1: Final = 0x2C
_SESSION_EXPIRY: Final = 0x11
_WILL_DELAY: Final = 0x18
_QOS_BITS: Final = 0x06


class PacketType(IntEnum):
    """The packet types that a broker sends to a listener (high half of the first byte)."""

    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    SUBACK = 9
    PINGRESP = 13
    DISCONNECT = 14


@dataclass(frozen=True, slots=True)
class Packet:
    """One received packet: its first byte and the body after the remaining length."""

    first_byte: int
    body: memoryview

    @property
    def type(self) -> int:
        """The packet type; see `PacketType`."""
        return self.first_byte >> 4

    @property
    def topic(self) -> str:
        """The topic of a PUBLISH."""
        return bytes(self.body[2 : 2 + self._topic_bytes]).decode(errors="replace")

    @property
    def packet_id(self) -> int | None:
        """What a PUBLISH of QoS 1 wants to be acknowledged by; None at QoS 0."""
        if not self.first_byte & _QOS_BITS:
            return None
        return int.from_bytes(self.body[2 + self._topic_bytes : 4 + self._topic_bytes], "big")

    @property
    def reason(self) -> int:
        """The reason code of a CONNACK; 0 is good."""
        return self.body[1]

    def payload(self) -> memoryview:
        """What a PUBLISH carries, after topic, packet id and properties."""
        at = 2 + self._topic_bytes + (2 if self.first_byte & _QOS_BITS else 0)
        length, header_bytes = read_length(self.body, at)
        return self.body[at + header_bytes + length :]

    @property
    def _topic_bytes(self) -> int:
        return int.from_bytes(self.body[:2], "big")


@dataclass(frozen=True, slots=True, kw_only=True)
class WillBytes:
    """What the broker says in a client's name when it is gone for `delay_s`; retained, QoS 1."""

    topic: str
    payload: bytes
    delay_s: int = 15


def connect(client_id: str, *, will: WillBytes | None = None, session_expiry_s: int = 0) -> bytes:
    """CONNECT; identity comes from the TLS certificate. Without an expiry the session begins and ends clean."""
    flags = (_WILL_RETAINED_QOS1 if will else 0) | (0 if session_expiry_s else _CLEAN_START)
    properties = struct.pack("!BI", _SESSION_EXPIRY, session_expiry_s) if session_expiry_s else b""
    body = _PROTOCOL + bytes([flags]) + struct.pack("!H", KEEP_ALIVE_S) + _length(len(properties)) + properties
    body += _text(client_id)
    if will:
        delay = struct.pack("!BI", _WILL_DELAY, will.delay_s)
        body += _length(len(delay)) + delay + _text(will.topic)
        body += struct.pack("!H", len(will.payload)) + will.payload
    return b"\x10" + _length(len(body)) + body


def subscribe(packet_id: int, topics: Sequence[str], *, qos: int = 0) -> bytes:
    """SUBSCRIBE to some topics at one QoS."""
    filters = b"".join(_text(topic) + bytes([qos]) for topic in topics)
    body = struct.pack("!H", packet_id) + b"\x00" + filters
    return b"\x82" + _length(len(body)) + body


def publish(topic: str, payload: bytes, *, packet_id: int | None = None, retain: bool = False) -> bytes:
    """PUBLISH; with a packet id at QoS 1, else at QoS 0."""
    number = b"" if packet_id is None else struct.pack("!H", packet_id)
    first = 0x30 | (0 if packet_id is None else 0x02) | int(retain)
    body = _text(topic) + number + b"\x00" + payload
    return bytes([first]) + _length(len(body)) + body


def acknowledge(packet_id: int) -> bytes:
    """PUBACK: a PUBLISH of QoS 1 has come."""
    return b"\x40\x02" + struct.pack("!H", packet_id)


def split_packets(buffer: bytearray) -> Iterator[Packet]:
    """Yield the whole packets at the front of `buffer` and remove them once all have been used.

    The packets are views into the buffer: they die when the iteration ends.
    """
    position, view = 0, memoryview(buffer).toreadonly()
    while len(view) - position >= _HEADER_BYTES_MIN:
        length, header_bytes = read_length(view, position + 1)
        end = position + 1 + header_bytes + length
        if header_bytes == 0 or end > len(view):
            break
        body = view[position + 1 + header_bytes : end]
        yield Packet(view[position], body)
        body.release()
        position = end
    view.release()
    del buffer[:position]


def read_length(view: memoryview, position: int) -> tuple[int, int]:
    """A variable byte integer (MQTT 5, 1.5.5) and how many bytes it took; 0 bytes when it is not all there."""
    value = 0
    for index in range(min(_REMAINING_BYTES_MAX, len(view) - position)):
        byte = view[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            return value, index + 1
    return 0, 0


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("!H", len(data)) + data


def _length(value: int) -> bytes:
    out = bytearray()
    while True:
        value, digit = divmod(value, 128)
        out.append(digit | (0x80 if value else 0))
        if not value:
            return bytes(out)
