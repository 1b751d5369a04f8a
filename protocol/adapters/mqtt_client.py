"""Makes the paho client of a link: MQTT 5, TLS, will, bounds. `mqtt_thread` alone uses it.

paho's own reconnecting, its thread and its log are not used; of the log only the last error is kept, the one
place where paho says why a socket failed.
"""

from __future__ import annotations

import logging
from typing import Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from protocol.adapters.mqtt_settings import (
    CONNECT_S_MAX,
    IN_FLIGHT_MAX,
    PAYLOAD_BYTES_MAX,
    MqttSettings,
    ResumingContext,
    Will,
)

_PACKET_BYTES_MAX: Final = PAYLOAD_BYTES_MAX + 1024
"""Largest packet that the broker may send us: a payload, its topic and properties."""


class LastError(logging.Handler):
    """Keeps the text of the last error."""

    def __init__(self) -> None:
        super().__init__(level=logging.ERROR)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record's text."""
        self.text = record.getMessage()


def properties_of(kind: int, **values: int) -> Properties:
    """MQTT 5 properties of a packet type."""
    properties = Properties(kind)  # type: ignore[no-untyped-call] # paho's class has no annotations
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


def make_client(settings: MqttSettings, context: ResumingContext, will: Will | None, errors: LastError) -> paho.Client:
    """A client that is not yet connected; its errors go to `errors`."""
    client = paho.Client(
        callback_api_version=CallbackAPIVersion.VERSION2, client_id=settings.client_id, protocol=paho.MQTTv5
    )
    client.tls_set_context(context)
    client.connect_timeout = CONNECT_S_MAX
    client.max_inflight_messages_set(IN_FLIGHT_MAX)
    paho_log = logging.Logger("paho", level=logging.ERROR)  # noqa: LOG001 - one of its own for each client, in no tree
    paho_log.addHandler(errors)
    client.enable_logger(paho_log)
    if will is not None:
        properties = properties_of(PacketTypes.WILLMESSAGE, WillDelayInterval=will.delay_s)
        client.will_set(will.topic, will.payload, qos=will.qos, retain=will.retain, properties=properties)
    return client


def refuse_oversized(client: paho.Client) -> None:
    """Raise ValueError when the packet that is being read is larger than CONNECT allowed: paho would gather 256 MiB."""
    length = client._in_packet["remaining_length"]  # noqa: SLF001 - paho checks no length and tells nobody of it
    if length > _PACKET_BYTES_MAX:
        raise ValueError(f"the broker sends a packet of {length} bytes; at most {_PACKET_BYTES_MAX} were allowed")


def connect_properties(settings: MqttSettings) -> Properties:
    """What CONNECT asks for: how long the session stays, and how much may be on its way to us."""
    return properties_of(
        PacketTypes.CONNECT,
        SessionExpiryInterval=settings.session_expiry_s,
        ReceiveMaximum=settings.receive_max,
        MaximumPacketSize=_PACKET_BYTES_MAX,
    )
