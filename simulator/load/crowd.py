"""A crowd of light listeners: TLS connections on one epoll, subscribed to the same topics, counting.

Each listener makes a real TLS 1.3 handshake with a client certificate and a real MQTT 5 session, and reads
every byte that the broker sends it. It decodes no audio and verifies no signature: what is measured is the
broker and whoever publishes. Connections are opened at a bounded rate, as a fleet in its herd window does.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from simulator.load import mqtt_bytes
from simulator.load.mqtt_bytes import PacketType

_READ_BYTES: Final = 32 * 1024
_PING_EVERY_S: Final = 25.0
_WAIT_S: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class CrowdSettings:
    """Where the listeners connect, as whom, and to what they listen."""

    host: str
    port: int
    ca_path: str
    certificate_path: str
    private_key_path: str
    count: int
    topics: Sequence[str]
    client_prefix: str = "light"
    connections_per_s: float = 300.0


@dataclass(slots=True)
class CrowdCounts:
    """What the crowd has seen so far."""

    connected: int = 0
    subscribed: int = 0
    lost: int = 0
    messages: int = 0
    message_bytes: int = 0
    first_failure: str = ""


@dataclass(slots=True, eq=False)
class _Listener:
    client_id: str
    stream: ssl.SSLSocket
    inbox: bytearray = field(default_factory=bytearray)
    is_secured: bool = False


class Crowd:
    """Opens, serves and counts; `serve` runs for a bounded time and may be called again."""

    def __init__(self, settings: CrowdSettings) -> None:
        self.settings = settings
        self.counts = CrowdCounts()
        self._selector = selectors.EpollSelector()
        self._listeners: set[_Listener] = set()
        self._opened = 0
        self._next_open_s = time.monotonic()
        self._next_ping_s = time.monotonic() + _PING_EVERY_S
        self._scratch = bytearray(_READ_BYTES)
        self._tls = ssl.create_default_context(cafile=settings.ca_path)
        self._tls.load_cert_chain(settings.certificate_path, settings.private_key_path)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_3

    @property
    def is_complete(self) -> bool:
        """Whether every listener is subscribed."""
        return self.counts.subscribed - self.counts.lost >= self.settings.count

    def serve(self, seconds: float) -> CrowdCounts:
        """Open what is due and read what comes for `seconds`; returns the running counts."""
        until_s = time.monotonic() + seconds
        while (now_s := time.monotonic()) < until_s:
            self._open_due(now_s)
            self._ping_due(now_s)
            for key, _mask in self._selector.select(min(_WAIT_S, max(0.0, until_s - now_s))):
                self._advance(key.data)
        return self.counts

    def close(self) -> None:
        """Close every connection."""
        for listener in list(self._listeners):
            self._drop(listener)
        self._selector.close()

    def _open_due(self, now_s: float) -> None:
        while self._opened < self.settings.count and self._next_open_s <= now_s:
            self._next_open_s += 1.0 / self.settings.connections_per_s
            plain = socket.create_connection((self.settings.host, self.settings.port), timeout=5.0)
            plain.setblocking(False)
            stream = self._tls.wrap_socket(
                plain, server_hostname=self.settings.host, do_handshake_on_connect=False, suppress_ragged_eofs=True
            )
            listener = _Listener(f"{self.settings.client_prefix}{self._opened}", stream)
            self._opened += 1
            self._listeners.add(listener)
            self._selector.register(stream, selectors.EVENT_READ, listener)
            self._advance(listener)

    def _ping_due(self, now_s: float) -> None:
        if now_s < self._next_ping_s:
            return
        self._next_ping_s = now_s + _PING_EVERY_S
        for listener in list(self._listeners):
            if listener.is_secured:
                self._send(listener, mqtt_bytes.PING)

    def _advance(self, listener: _Listener) -> None:
        """Go on with the handshake, or read everything that has arrived."""
        try:
            if not listener.is_secured:
                listener.stream.do_handshake()
                listener.is_secured = True
                self._send(listener, mqtt_bytes.connect(listener.client_id))
            while received := listener.stream.recv_into(self._scratch):
                listener.inbox += memoryview(self._scratch)[:received]
            self._drop(listener, "closed by the broker")
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            self._take_packets(listener)
        except OSError as error:
            self._drop(listener, str(error))

    def _take_packets(self, listener: _Listener) -> None:
        counts = self.counts
        for packet in mqtt_bytes.split_packets(listener.inbox):
            match packet.type:
                case PacketType.PUBLISH:
                    counts.messages += 1
                    counts.message_bytes += len(packet.body)
                case PacketType.CONNACK:
                    counts.connected += 1
                    self._send(listener, mqtt_bytes.subscribe(1, self.settings.topics))
                case PacketType.SUBACK:
                    counts.subscribed += 1

    def _send(self, listener: _Listener, data: bytes) -> None:
        try:
            listener.stream.send(data)
        except OSError as error:
            self._drop(listener, str(error))

    def _drop(self, listener: _Listener, reason: str = "") -> None:
        if listener not in self._listeners:
            return
        self._listeners.discard(listener)
        self._selector.unregister(listener.stream)
        listener.stream.close()
        if reason:
            self.counts.lost += 1
            self.counts.first_failure = self.counts.first_failure or reason
