"""A broker that is an enemy: it has the certificate of the real one, lets everybody in, and says what it likes.

It speaks just enough MQTT 5 for a node to work: takes the connection, grants every subscription, acknowledges what it
is sent, and sends what nobody subscribed to. One node at a time on a thread; the newest connection counts.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any, Self

from protocol.topics import ROOT, parse_topic
from simulator.load.mqtt_bytes import Packet, acknowledge, publish, split_packets


class Asked(IntEnum):
    """The packet types that a client sends (high half of the first byte)."""

    CONNECT = 1
    PUBLISH = 3
    SUBSCRIBE = 8
    UNSUBSCRIBE = 10
    PINGREQ = 12


WELCOME = b"\x20\x03\x00\x00\x00"
PONG = b"\xd0\x00"
READ_BYTES = 1 << 16


class HostileBroker:
    """See the module's text; usable as a context manager."""

    def __init__(self, port: int, *, certificate: Path, ca: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        self._context.load_verify_locations(ca)
        self._context.verify_mode = ssl.CERT_OPTIONAL
        self.port = port
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._clients: dict[str, ssl.SSLSocket] = {}
        self.handshakes_refused = 0
        self.connections = 0
        self.telemetry: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listener.settimeout(0.1)
        self._run(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for client in self._clients.values():
            client.close()
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def has(self, node: str) -> bool:
        """Whether a node is connected."""
        return node in self._clients

    def say(self, node: str, messages: Sequence[tuple[str, bytes]]) -> None:
        """Send a node what it may not have asked for."""
        self.pour(node, b"".join(publish(topic, payload) for topic, payload in messages))

    def pour(self, node: str, data: bytes) -> None:
        """Send a node any bytes; those for whom it has hung up are lost."""
        with contextlib.suppress(OSError):
            self._clients[node].sendall(data)

    def _run(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True, name="hostile-broker")
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                raw, _ = self._listener.accept()
            except (TimeoutError, OSError):
                continue
            raw.settimeout(5)
            try:
                client = self._context.wrap_socket(raw, server_side=True)
                client.recv(0)
            except (ssl.SSLError, OSError):
                self.handshakes_refused += 1
                raw.close()
                continue
            self._run(self._serve, client)

    def _serve(self, client: ssl.SSLSocket) -> None:
        client.settimeout(0.2)
        buffer, name = bytearray(), ""
        while not self._stopping.is_set():
            try:
                data = client.recv(READ_BYTES)
            except TimeoutError:
                continue
            except ssl.SSLError:  # the client's alert: it does not believe us
                self.handshakes_refused += not name
                break
            except OSError:
                break
            if not data:
                break
            buffer += data
            for packet in split_packets(buffer):
                name = self._answer(client, packet) or name
        if self._clients.get(name) is client:
            del self._clients[name]
        client.close()

    def _answer(self, client: ssl.SSLSocket, packet: Packet) -> str:
        """What a broker answers; the client's name when it is a CONNECT."""
        answers = b""
        name = ""
        match packet.type:
            case Asked.CONNECT:
                name = _client_id(bytes(packet.body))
                self.connections += 1
                answers = WELCOME
            case Asked.PUBLISH:
                self._take(packet)
                answers = b"" if packet.packet_id is None else acknowledge(packet.packet_id)
            case Asked.SUBSCRIBE:
                answers = _granted(bytes(packet.body), 0x90)
            case Asked.UNSUBSCRIBE:
                answers = _granted(bytes(packet.body), 0xB0)
            case Asked.PINGREQ:
                answers = PONG
        if answers:
            with contextlib.suppress(OSError):
                client.sendall(answers)
        if name:
            self._clients[name] = client
        return name

    def _take(self, packet: Packet) -> None:
        if f"{ROOT}/telemetry/" in packet.topic:
            self.telemetry[parse_topic(packet.topic).fields["node"]] = json.loads(bytes(packet.payload()))


def _client_id(body: bytes) -> str:
    """CONNECT (MQTT 5, 3.1): protocol name 6, version 1, flags 1, keep-alive 2, properties, client id."""
    begin = 11 + body[10]
    length = int.from_bytes(body[begin : begin + 2], "big")
    return body[begin + 2 : begin + 2 + length].decode()


def _granted(body: bytes, first: int) -> bytes:
    """SUBACK or UNSUBACK: every filter is granted; the filters are counted by walking over them."""
    at, count = 3 + body[2], 0
    while at < len(body):
        at += 2 + int.from_bytes(body[at : at + 2], "big") + (1 if first == 0x90 else 0)
        count += 1
    return bytes([first, 3 + count]) + body[:2] + b"\x00" + bytes(count)
