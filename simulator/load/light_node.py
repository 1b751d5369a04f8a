"""A light node: the life of one connection as a table, and what it says of itself.

It is to the broker and the controller what a node is: its own certificate, a will, a birth, the subscriptions of its
place, a status at its interval, reconnects in the herd window; where time is asked for, a second connection by the same
certificate (`CLOCK`). It is no node otherwise: it verifies nothing but the time (`time_exchange`), decodes nothing,
answers no order. When it does what is the crowd's business (`crowd`).
"""

from __future__ import annotations

import random
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from protocol.codec import json_encode
from protocol.messages import NodeState, Readiness, Telemetry
from protocol.reconnect import Backoff
from protocol.topics import SUBJECT, TopicName, topic
from simulator.load import mqtt_bytes
from simulator.load.identities import Identity
from simulator.load.mqtt_bytes import WillBytes

VERSION: Final = "light"
SESSION_EXPIRY_S: Final = 300
"""As a node's link has it."""
BIRTH_PACKET_ID: Final = 1
SUBSCRIBE_PACKET_ID: Final = 2


class LightKind(StrEnum):
    """What a connection is to the broker: a node's first, its second for the time, or somebody who only listens."""

    NODE = "node"
    CLOCK = "clock"
    LISTENER = "listener"


class LightState(StrEnum):
    """How far a connection has come."""

    WAITING = "waiting"
    CONNECTING = "connecting"
    HANDSHAKING = "handshaking"
    GREETING = "greeting"
    SUBSCRIBING = "subscribing"
    READY = "ready"


class LightEvent(StrEnum):
    """What moves it on."""

    DUE = "due"
    REACHED = "reached"
    SECURED = "secured"
    TAKEN_IN = "taken_in"
    SUBSCRIBED = "subscribed"
    LOST = "lost"


TRANSITIONS: Final[dict[tuple[LightState, LightEvent], LightState]] = {
    (LightState.WAITING, LightEvent.DUE): LightState.CONNECTING,
    (LightState.CONNECTING, LightEvent.REACHED): LightState.HANDSHAKING,
    (LightState.HANDSHAKING, LightEvent.SECURED): LightState.GREETING,
    (LightState.GREETING, LightEvent.TAKEN_IN): LightState.SUBSCRIBING,
    (LightState.SUBSCRIBING, LightEvent.SUBSCRIBED): LightState.READY,
    (LightState.READY, LightEvent.SUBSCRIBED): LightState.READY,
    **{(state, LightEvent.LOST): LightState.WAITING for state in LightState},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LightSettings:
    """What one light node is; `areas` from its own up to the root; `status_every_s` None: it says nothing."""

    identity: Identity
    areas: tuple[str, ...] = ()
    status_every_s: float | None = None
    kind: LightKind = LightKind.NODE


@dataclass(slots=True, eq=False)
class LightNode:
    """One connection and what is remembered of it. Sequence numbers are those of the stream that it hears."""

    settings: LightSettings
    state: LightState = LightState.WAITING
    plain: socket.socket | None = None
    stream: ssl.SSLSocket | None = None
    descriptor: int = -1
    inbox: bytearray = field(default_factory=bytearray)
    backoff: Backoff = field(default_factory=Backoff)
    attempt: int = 0
    ready_at_s: float = 0.0
    epoch: bytes = b""
    sequence: int = -1
    orders: set[int] = field(default_factory=set)

    def move(self, event: LightEvent) -> None:
        """Take a step of the table; KeyError is a bug of the crowd."""
        self.state = TRANSITIONS[self.state, event]

    @property
    def name(self) -> str:
        """Its name, as in its certificate."""
        return self.settings.identity.name

    def greeting(self, session_epoch: int) -> bytes:
        """CONNECT, with the will that a node leaves."""
        if self.settings.kind is not LightKind.NODE:
            is_clock = self.settings.kind is LightKind.CLOCK
            return mqtt_bytes.connect(SUBJECT + self.name if is_clock else self.name)
        will = WillBytes(topic=self._state_topic, payload=self._state(Readiness.LOST, session_epoch))
        return mqtt_bytes.connect(self.name, will=will, session_expiry_s=SESSION_EXPIRY_S)

    def first_words(self, session_epoch: int, audio_topics: Sequence[str]) -> bytes:
        """Birth and subscriptions, in one write."""
        if self.settings.kind is LightKind.CLOCK:
            return mqtt_bytes.subscribe(SUBSCRIBE_PACKET_ID, [topic(TopicName.TIME_REPLY, node=self.name)])
        if self.settings.kind is LightKind.LISTENER:
            return mqtt_bytes.subscribe(SUBSCRIBE_PACKET_ID, audio_topics)
        birth = mqtt_bytes.publish(
            self._state_topic, self._state(Readiness.READY, session_epoch), packet_id=BIRTH_PACKET_ID, retain=True
        )
        said = birth + mqtt_bytes.subscribe(SUBSCRIBE_PACKET_ID, self._document_topics(), qos=1)
        return said + (mqtt_bytes.subscribe(SUBSCRIBE_PACKET_ID + 1, audio_topics) if audio_topics else b"")

    def status(self, now_ms: int) -> bytes:
        """Its health, as a node of this size says it: a status is some 300 bytes."""
        said = Telemetry(
            node=self.name,
            at_ms=now_ms,
            sound_path="light: nothing sounds here, what arrives is counted",
            clock_error_ms=0.5,
            lateness_ms_p50=-890.0,
            lateness_ms_p99=-850.0,
            audible_ms=1,
            disk_free_bytes=8 * 1024**3,
            version=VERSION,
        )
        return mqtt_bytes.publish(topic(TopicName.TELEMETRY, node=self.name), json_encode(said))

    def wait_s(self, *, now_s: float, herd_window_s: float) -> float:
        """How long to wait before the next attempt, by the rule of every node (`protocol.reconnect`)."""
        if self.state is LightState.READY:
            lasted_s = now_s - self.ready_at_s
            self.backoff, wait_s = self.backoff.after_loss(
                random.random(), lasted_s=lasted_s, herd_window_s=herd_window_s
            )
        else:
            self.backoff, wait_s = self.backoff.after_failure(random.random())
        return wait_s

    @property
    def _state_topic(self) -> str:
        return topic(TopicName.NODE_STATE, node=self.name)

    def _state(self, readiness: Readiness, session_epoch: int) -> bytes:
        return json_encode(NodeState(node=self.name, state=readiness, session_epoch=session_epoch, version=VERSION))

    def _document_topics(self) -> list[str]:
        """What a node that is assigned to its place subscribes to (`edge.subscriptions`)."""
        topics = [topic(TopicName.KEYSET)]
        own = (TopicName.ASSIGNMENT, TopicName.ACKNOWLEDGEMENT)
        topics += [topic(name, node=self.name) for name in own]
        for area in self.settings.areas:
            topics += [topic(name, area=area) for name in (TopicName.PLAN, TopicName.EMERGENCY)]
            topics.append(topic(TopicName.STREAM, area=area, stream="+"))
        return topics
