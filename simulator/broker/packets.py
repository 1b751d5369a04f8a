"""The MQTT 5 packets that the simulated broker and link exchange: values, never bytes.

Sizes are what the packets would have on the wire, so that bandwidth and data volume are right. PINGREQ and
PINGRESP are missing on purpose: `connection` counts them without simulating them.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

_PUBLISH_BYTES: Final = 10
"""Fixed header of 3, topic length 2, message id 2, properties 1 to 6 (MQTT 5, 3.3)."""
_FILTER_BYTES: Final = 3


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is published; `expires_at_ns` is true time at the broker, None never."""

    topic: str
    payload: bytes
    qos: int
    retain: bool = False
    expires_at_ns: int | None = None


class WillMessage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the broker publishes when a client is gone without a DISCONNECT for longer than the delay."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    delay_ns: int


class Connect(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """CONNECT; `identity` is the name in the client's certificate."""

    client_id: str
    identity: str
    is_clean_start: bool
    session_expiry_ns: int
    keep_alive_ns: int
    receive_max: int
    will: WillMessage | None = None


class ConnectAnswer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """CONNACK."""

    session_present: bool
    receive_max: int
    refusal: str = ""


class Publish(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """PUBLISH; `message_id` is 0 with QoS 0, `expiry_s` None without expiry."""

    topic: str
    payload: bytes
    qos: int
    retain: bool = False
    message_id: int = 0
    is_duplicate: bool = False
    expiry_s: int | None = None


class PublishAnswer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """PUBACK; `refusal` is empty when the message was taken."""

    message_id: int
    refusal: str = ""


class Subscribe(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """SUBSCRIBE with (topic filter, QoS)."""

    message_id: int
    topics: tuple[tuple[str, int], ...]


class SubscribeAnswer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """SUBACK."""

    message_id: int
    grants: tuple[bool, ...]


class Unsubscribe(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """UNSUBSCRIBE; its answer says nothing that anybody waits for."""

    topics: tuple[str, ...]


class Disconnect(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """DISCONNECT from the client: no will; `ends_session` sets the session's expiry to 0."""

    ends_session: bool = False


Packet: TypeAlias = (
    Connect | ConnectAnswer | Publish | PublishAnswer | Subscribe | SubscribeAnswer | Unsubscribe | Disconnect
)


def size_of(packet: Packet) -> int:
    """Bytes of a packet on the wire, without TLS and below."""
    if isinstance(packet, Publish):
        return _PUBLISH_BYTES + len(packet.topic) + len(packet.payload)
    if isinstance(packet, Subscribe):
        return _PUBLISH_BYTES + sum(len(topic) + _FILTER_BYTES for topic, _ in packet.topics)
    if isinstance(packet, Unsubscribe):
        return _PUBLISH_BYTES + sum(len(topic) + _FILTER_BYTES for topic in packet.topics)
    if isinstance(packet, Connect):
        will = packet.will
        return 40 + len(packet.client_id) + (len(will.topic) + len(will.payload) if will else 0)
    return 12
