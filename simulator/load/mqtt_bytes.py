"""The few MQTT 5 packets a light listener needs, as bytes.

Nodes use a full client library. A listener that only counts must cost far less than the broker that is being
measured, so it writes four fixed packets and reads headers; nothing here is for use on a pole.
Layouts: MQTT 5.0 (OASIS), 2.1 fixed header, 3.1 CONNECT, 3.3 PUBLISH, 3.8 SUBSCRIBE, 3.12 PINGREQ.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

PING: Final = b"\xc0\x00"
_REMAINING_BYTES_MAX: Final = 4
_PROTOCOL: Final = b"\x00\x04MQTT\x05"
_CLEAN_START: Final = 0x02
_KEEP_ALIVE_S: Final = 60


class PacketType(IntEnum):
    """The packet types that a broker sends to a listener (high half of the first byte)."""

    CONNACK = 2
    PUBLISH = 3
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

    def payload(self) -> memoryview:
        """What a PUBLISH of QoS 0 carries, after topic and properties."""
        (topic_bytes,) = struct.unpack_from("!H", self.body)
        length, header_bytes = _read_length(self.body, 2 + topic_bytes)
        return self.body[2 + topic_bytes + header_bytes + length :]


def connect(client_id: str) -> bytes:
    """CONNECT with a clean start and no will; identity comes from the TLS certificate."""
    body = _PROTOCOL + bytes([_CLEAN_START]) + struct.pack("!H", _KEEP_ALIVE_S) + b"\x00" + _text(client_id)
    return b"\x10" + _length(len(body)) + body


def subscribe(packet_id: int, topics: Sequence[str]) -> bytes:
    """SUBSCRIBE at QoS 0."""
    filters = b"".join(_text(topic) + b"\x00" for topic in topics)
    body = struct.pack("!H", packet_id) + b"\x00" + filters
    return b"\x82" + _length(len(body)) + body


def publish(topic: str, payload: bytes) -> bytes:
    """PUBLISH at QoS 0."""
    body = _text(topic) + b"\x00" + payload
    return b"\x30" + _length(len(body)) + body


def split_packets(buffer: bytearray) -> Iterator[Packet]:
    """Yield the whole packets at the front of `buffer` and remove them once all have been used.

    The packets are views into the buffer: they die when the iteration ends.
    """
    position, view = 0, memoryview(buffer).toreadonly()
    while len(view) - position >= 2:
        length, header_bytes = _read_length(view, position + 1)
        end = position + 1 + header_bytes + length
        if header_bytes == 0 or end > len(view):
            break
        body = view[position + 1 + header_bytes : end]
        yield Packet(view[position], body)
        body.release()
        position = end
    view.release()
    del buffer[:position]


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


def _read_length(view: memoryview, position: int) -> tuple[int, int]:
    """A variable byte integer (MQTT 5, 1.5.5) and how many bytes it took; 0 bytes when it is not all there."""
    value = 0
    for index in range(min(_REMAINING_BYTES_MAX, len(view) - position)):
        byte = view[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            return value, index + 1
    return 0, 0
