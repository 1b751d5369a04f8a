"""Somebody who holds a broker's identity: writes what the broker's rules would keep from anybody else, reads all.

A plain MQTT 5 client over TLS on a thread of its own, so that a thousand messages are one write. It keeps what it
read of others: the newest telemetry of each node, every document, the packets of a stream. It says what it is given.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from protocol.topics import ROOT, parse_topic
from simulator.load.mqtt_bytes import PING, Packet, PacketType, connect, publish, split_packets, subscribe
from tests.support.waiting import until_blocking

KEPT_MAX = 2_000
PING_S = 5.0
LISTENS_TO = tuple(
    f"{ROOT}/{path}"
    for path in (
        *("root", "keyset", "area/+/plan", "area/+/emergency", "area/+/stream/+", "node/+/assignment", "node/+/ack"),
        *("stream/+/opus", "telemetry/+/+", "report/+/+", "node/+/state"),
    )
)
"""Not to orders of silence: what is poured there is no work for who pours it."""
READ_BYTES = 1 << 16


class Intruder:
    """One connection under a stolen identity."""

    def __init__(self, port: int, *, ca: Path, certificate: Path, private_key: Path, name: str = "intruder") -> None:
        self._port, self._name = port, name
        self._context = ssl.create_default_context(cafile=str(ca))
        self._context.load_cert_chain(certificate, private_key)
        self._write_lock = threading.Lock()
        self._stopping = threading.Event()
        self._reader: threading.Thread | None = None
        self._socket: ssl.SSLSocket | None = None
        self.is_connected = False
        self.documents: dict[str, deque[bytes]] = defaultdict(lambda: deque(maxlen=KEPT_MAX))
        self.telemetry: dict[str, dict[str, Any]] = {}
        self._own: set[tuple[str, bytes]] = set()

    def start(self, topics: Sequence[str] = LISTENS_TO) -> None:
        """Connect, listen."""
        raw = socket.create_connection(("127.0.0.1", self._port), timeout=5)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = self._context.wrap_socket(raw, server_hostname="localhost")
        self._socket.settimeout(0.2)
        self._write(connect(self._name))
        self._reader = reader = threading.Thread(target=self._read, name="intruder", daemon=True)
        reader.start()
        until_blocking(lambda: self.is_connected or not reader.is_alive(), what="the broker answers the intruder")
        if not self.is_connected:
            raise ConnectionRefusedError(f"the broker does not let {self._name} in")
        if topics:
            self._write(subscribe(1, topics))

    def stop(self) -> None:
        """Leave without a word."""
        self._stopping.set()
        if self._reader is not None:
            self._reader.join(5)
        if self._socket is not None:
            self._socket.close()

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish bytes at QoS 0."""
        self.say_at_once([(topic, payload)], retain=retain)

    def say_at_once(self, messages: Sequence[tuple[str, bytes]], *, retain: bool = False) -> None:
        """Publish many in one write."""
        self._own |= set(messages)
        self.pour(b"".join(publish(topic, payload, retain=retain) for topic, payload in messages))

    def pour(self, data: bytes) -> None:
        """Write packets that are made already."""
        self._write(data)

    def newest(self, topic: str) -> bytes:
        """The last bytes that were heard on a topic."""
        return self.documents[topic][-1]

    def _write(self, data: bytes) -> None:
        assert self._socket is not None, "not started"
        with self._write_lock:
            view = memoryview(data)
            while view:
                with contextlib.suppress(TimeoutError):
                    view = view[self._socket.send(view[: 1 << 14]) :]

    def _read(self) -> None:
        assert self._socket is not None
        buffer, ping_at_s = bytearray(), time.monotonic() + PING_S
        while not self._stopping.is_set():
            if time.monotonic() > ping_at_s:
                ping_at_s = time.monotonic() + PING_S
                self._write(PING)
            try:
                data = self._socket.recv(READ_BYTES)
            except TimeoutError:
                continue
            except OSError:
                break
            if not data:
                break
            buffer += data
            for packet in split_packets(buffer):
                self._take(packet)
        self.is_connected = False

    def _take(self, packet: Packet) -> None:
        if packet.type == PacketType.CONNACK:
            self.is_connected = packet.reason == 0
        if packet.type != PacketType.PUBLISH:
            return
        topic, payload = packet.topic, bytes(packet.payload())
        if f"{ROOT}/telemetry/" in topic:
            with contextlib.suppress(ValueError):  # another attacker's
                self.telemetry[parse_topic(topic).fields["node"]] = json.loads(payload)
        elif payload and (topic, payload) not in self._own:
            self.documents[topic].append(payload)
