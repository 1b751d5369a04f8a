"""A link to a real broker, and everything that it told its program."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from protocol.adapters.mqtt_link import MqttLink, MqttSettings, Will


@dataclass(slots=True, kw_only=True)
class Heard:
    """Everything that a link told its program, and on which thread."""

    connected: list[tuple[bool, int]] = field(default_factory=list)
    disconnected: list[str] = field(default_factory=list)
    messages: list[tuple[str, bytes]] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)
    raise_at: bytes | None = None

    def on_connected(self, session_present: bool, incarnation: int) -> None:
        self.connected.append((session_present, incarnation))

    def on_disconnected(self, reason: str) -> None:
        self.disconnected.append(reason)

    def on_message(self, received: str, payload: bytes) -> None:
        self.threads.add(threading.current_thread().name)
        if payload == self.raise_at:
            raise RuntimeError("a bug in a callback")
        self.messages.append((received, payload))

    @property
    def payloads(self) -> list[bytes]:
        return [payload for _, payload in self.messages]


@contextmanager
def linked(settings: MqttSettings, will: Will | None = None) -> Iterator[tuple[MqttLink, Heard]]:
    heard = Heard()
    link = MqttLink(
        settings,
        will,
        on_connected=heard.on_connected,
        on_disconnected=heard.on_disconnected,
        on_message=heard.on_message,
    )
    link.start()
    try:
        yield link, heard
    finally:
        link.stop()
