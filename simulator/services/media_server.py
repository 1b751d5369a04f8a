"""Media over HTTPS in virtual time: what the files hold, and a server with latency, bandwidth and faults.

A media file is a `Recording`: its hash, size and length as the plan names them, and a name for checkers. Its bytes are
never made: one stored byte, derived from the hash, stands for FOLD_BYTES of the file, so that a wrong, torn or cut
file shows, and a card holds thousands of them. The way of the bytes is the node's own access, so a data cap counts
them and a slow line delays them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from controller.records import StandingDocument
from protocol.messages import MediaReference
from protocol.units import NS_PER_S
from simulator.network.network import Host
from simulator.world import World

FOLD_BYTES: Final = 4096
"""Bytes of a file that one stored byte stands for."""
CHUNK_BYTES: Final = 256 * FOLD_BYTES
"""What is sent in one go."""
HANDSHAKE_BYTES: Final = 4_000
"""TLS 1.3 with certificates both ways, and the request."""
_BITS: Final = 8
_NOT_FOUND: Final = 404
_RANGE: Final = 416


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One sound file in the controller's store; `tag` is how its samples are recognised."""

    name: str
    sha256: str
    size_bytes: int
    duration_ms: int
    tag: int = 0

    @property
    def reference(self) -> MediaReference:
        """As plans and emergencies name it."""
        return MediaReference(sha256=self.sha256, size_bytes=self.size_bytes, duration_ms=self.duration_ms)


def recording(name: str, *, duration_ms: int, bitrate_bps: int = 64_000, tag: int = 0) -> Recording:
    """A recording of a length, as the import would have made it; equal names are equal recordings."""
    return Recording(
        name=name,
        sha256=hashlib.sha256(f"{name}/{duration_ms}".encode()).hexdigest(),
        size_bytes=max(1, duration_ms * bitrate_bps // _BITS // 1000),
        duration_ms=duration_ms,
        tag=tag,
    )


def folded(sha256: str, size_bytes: int) -> bytes:
    """What stands on a card for a whole file."""
    return hashlib.shake_256(sha256.encode()).digest(-(-size_bytes // FOLD_BYTES))


def serve_body(server: MediaServer, change: object) -> None:
    """What the controller has made durable: the body of a plan is served from then on."""
    if isinstance(change, StandingDocument) and change.body:
        server.publish_body(hashlib.sha256(change.body).hexdigest(), change.body)


class Receiver(Protocol):
    """Who asked for a file."""

    is_gone: bool

    def refused(self, status: int, detail: str) -> None:
        """The server does not give it; `status` is HTTP's, 0 when nobody answered."""

    def arrived(self, chunk: bytes) -> None:
        """The next folded bytes."""

    def finished(self) -> None:
        """That was all."""


class MediaServer:
    """The controller's media listener."""

    def __init__(self, world: World, *, latency_ns: int = 2_000_000, bps: int = 1_000_000_000) -> None:
        self.is_up = True
        self.is_corrupt = False
        """Its disk is dying: what it sends is not what it was given."""
        self.latency_ns = latency_ns
        self.bps = bps
        self.served_bytes = 0
        self.watch: list[Callable[[str, str, int], None]] = []
        """Told of what has arrived: at which host, of which file, how many bytes."""
        self._world = world
        self._files: dict[str, bytes] = {}
        self._bodies: dict[str, bytes] = {}
        self._free_ns = 0

    def publish(self, file: Recording) -> None:
        """A file is in the store."""
        self._files.setdefault(file.sha256, folded(file.sha256, file.size_bytes))

    def publish_body(self, sha256: str, content: bytes) -> None:
        """A plan's body is served; its bytes are given to whoever has fetched it whole."""
        self._bodies[sha256] = content
        self._files.setdefault(sha256, folded(sha256, len(content)))

    def body(self, sha256: str) -> bytes:
        """What stands in a body."""
        return self._bodies[sha256]

    def withdraw(self, sha256: str) -> None:
        """A file is gone from the store."""
        self._files.pop(sha256, None)
        self._bodies.pop(sha256, None)

    def spoil(self, sha256: str) -> None:
        """What is served under this hash is something else from now on."""
        self._files[sha256] = bytes(len(self._files[sha256]))

    def request(self, host: Host, sha256: str, first: int, receiver: Receiver, *, end: int | None = None) -> None:
        """A node opens a connection and asks for a file from its folded byte `first` on, up to `end` (all of it).

        The receiver hears `refused`, or `arrived` for each chunk and `finished`; nothing while nothing passes.
        """
        round_trip_ns = host.access.up.sample_ns(host.chance, 1) + host.access.down.sample_ns(host.chance, 1)
        ready_ns = max(host.send_down(HANDSHAKE_BYTES), self._world.now_ns + 3 * (round_trip_ns + self.latency_ns))
        self._world.at(ready_ns, self._answer, host, sha256, first, end, receiver)

    def _answer(self, host: Host, sha256: str, first: int, end: int | None, receiver: Receiver) -> None:
        if not host.is_reachable:
            return
        file = self._files.get(sha256)
        if not self.is_up:
            receiver.refused(0, "connection refused")
        elif file is None:
            receiver.refused(_NOT_FOUND, "no such file")
        elif first > len(file):
            receiver.refused(_RANGE, "the file is shorter")
        else:
            self._send(host, sha256, file[:end], first, receiver)

    def _send(self, host: Host, sha256: str, file: bytes, first: int, receiver: Receiver) -> None:
        """One chunk after another, as fast as the server and the node's line allow."""
        if receiver.is_gone or not host.is_reachable:
            return
        if not self.is_up:
            receiver.refused(0, "connection reset by peer")
            return
        if first >= len(file):
            receiver.finished()
            return
        chunk = file[first : first + CHUNK_BYTES // FOLD_BYTES]
        chunk = bytes(len(chunk)) if self.is_corrupt else chunk
        unfolded = len(chunk) * FOLD_BYTES
        self.served_bytes += unfolded
        self._free_ns = max(self._free_ns, self._world.now_ns) + unfolded * _BITS * NS_PER_S // self.bps
        arrives_ns = max(self._free_ns, host.send_down(unfolded))
        self._world.at(arrives_ns, self._arrive, host, sha256, file, first, chunk, receiver)

    def _arrive(self, host: Host, sha256: str, file: bytes, first: int, chunk: bytes, receiver: Receiver) -> None:
        if receiver.is_gone or not host.is_reachable:
            return
        for tell in self.watch:
            tell(host.name, sha256, len(chunk) * FOLD_BYTES)
        receiver.arrived(chunk)
        self._send(host, sha256, file, first + len(chunk), receiver)
