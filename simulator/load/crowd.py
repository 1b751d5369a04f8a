"""A crowd of light nodes: TLS connections on one epoll, counting what comes.

Each node makes a real TLS 1.3 handshake with a client certificate and a real MQTT 5 session, and reads every byte
that the broker sends it. It decodes no audio and verifies no signature but the time's: what is measured is the broker
and whoever publishes. First connections are opened at a bounded rate, as a fleet's in its herd window; lost ones come
back by the rule of every node.

Speed is a duty of `_read`: it is run for each message, and has some 15 us for it. One read for each readiness: epoll
tells again what is left, and a TLS record (16 KiB at most) never stays behind in the library.
"""

from __future__ import annotations

import errno
import heapq
import itertools
import random
import select
import socket
import ssl
import struct
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from protocol.topics import TopicName, topic
from protocol.units import NS_PER_MS, NS_PER_S
from simulator.load import mqtt_bytes
from simulator.load.identities import client_context
from simulator.load.light_node import LightEvent, LightKind, LightNode, LightSettings, LightState
from simulator.load.mqtt_bytes import Packet, PacketType
from simulator.load.tally import Order, Tally, margin_key
from simulator.load.time_exchange import KEYSET, TimeExchange

READ_BYTES: Final = 32 * 1024
PING_EVERY_S: Final = 25.0
ATTEMPT_S_MAX: Final = 30.0
"""An attempt to connect that takes longer has failed: a broker under a storm leaves handshakes waiting."""
_WAIT_S: Final = 0.05
_EVENTS_MAX: Final = 512
_TIMERS_AT_ONCE_MAX: Final = 200
"""Between two rounds of reading, so that a burst of timers holds no message up."""
_AUDIO: Final = struct.Struct("!2sBB12sIQQ")
"""The header of `protocol.stream`, stream and epoch as one value."""
_AUDIO_TOPIC_BYTES: Final = len("loaxa/1/stream/0123456789abcdef/opus")
_PLAIN_PUBLISH: Final = 0x30
_VARIABLE_BIT: Final = 0x80
_EMERGENCY: Final = "/emergency"
_TIME: Final = "/time"


@dataclass(frozen=True, slots=True, kw_only=True)
class CrowdSettings:
    """Where the nodes connect, who they are, to which audio they listen from the beginning."""

    host: str
    port: int
    ca_path: str
    nodes: Sequence[LightSettings]
    audio_topics: tuple[str, ...] = ()
    time_port: int = 0
    """The broker's door for the time, for the second connections."""
    root_keys_path: str = ""
    """The pinned root, for the answers of the time service; without it none is believed."""
    connections_per_s: float = 300.0
    herd_window_s: float = 5.0


class Crowd:
    """Opens, serves and counts; `serve` runs for a bounded time and may be called again."""

    def __init__(self, settings: CrowdSettings) -> None:
        self.settings = settings
        self.counts = Tally(nodes=sum(each.kind is not LightKind.CLOCK for each in settings.nodes))
        self._audio_topics: tuple[str, ...] = settings.audio_topics
        self._poll = select.epoll()
        self._by_descriptor: dict[int, LightNode] = {}
        self._nodes = [LightNode(settings=each) for each in settings.nodes]
        self._session_epoch = time.time_ns() // NS_PER_MS
        self._scratch = bytearray(READ_BYTES)
        self._view = memoryview(self._scratch)
        self._timers: list[tuple[float, int, Callable[[LightNode], None], LightNode]] = []
        self._order = itertools.count()
        self._lost_before: set[str] = set()
        self._time = TimeExchange(settings.root_keys_path)
        self._time_round = 0
        now_s = time.monotonic()
        for index, node in enumerate(self._nodes):
            self._at(now_s + index / settings.connections_per_s, self._open, node)

    @property
    def is_complete(self) -> bool:
        """Whether every node is ready."""
        return self.counts.ready + self.counts.clocks == len(self._nodes)

    def serve(self, seconds: float) -> Tally:
        """Open what is due and read what comes for `seconds`; returns the running counts."""
        until_s = time.monotonic() + seconds
        nodes, poll = self._by_descriptor, self._poll.poll
        while (now_s := time.monotonic()) < until_s:
            wait_s = self._run_timers(now_s)
            for descriptor, _mask in poll(min(wait_s, until_s - now_s), _EVENTS_MAX):
                node = nodes.get(descriptor)
                if node is None:
                    continue
                if node.state is LightState.READY:
                    self._read(node)
                else:
                    self._advance(node)
        return self.counts

    def listen(self, audio_topics: tuple[str, ...]) -> None:
        """Subscribe everybody to these streams, now and at each later connection."""
        self._audio_topics = audio_topics
        request = mqtt_bytes.subscribe(3, audio_topics)
        for node in self._nodes:
            if node.state is LightState.READY and node.settings.kind is not LightKind.CLOCK:
                self._send(node, request)

    def ask_time(self, every_s: float | None) -> None:
        """Have each node ask for the time at this interval, counted anew; None ends it."""
        self._time_round += 1
        if every_s is None:
            return
        self._time.begin()
        self.counts.time = self._time.tally
        begin_s, this = time.monotonic(), self._time_round
        for node in self._nodes:
            if node.settings.kind is LightKind.CLOCK:
                self._at(begin_s + random.random() * every_s, lambda due: self._ask_time(due, this, every_s), node)

    def take_orders(self) -> dict[int, Order]:
        """The orders received since the last call."""
        taken, self.counts.orders = self.counts.orders, {}
        return taken

    def forget_audio(self) -> None:
        """Begin to count audio anew."""
        self.counts.audio, self.counts.margins = Counter(), Counter()
        self.counts.gaps = self.counts.missing = 0

    def close(self) -> None:
        """Close every connection."""
        for node in list(self._by_descriptor.values()):
            self._close(node)
        self._poll.close()

    def _at(self, at_s: float, act: Callable[[LightNode], None], node: LightNode) -> None:
        heapq.heappush(self._timers, (at_s, next(self._order), act, node))

    def _run_timers(self, now_s: float) -> float:
        """Do what is due; how long until the next, at most _WAIT_S."""
        for _ in range(_TIMERS_AT_ONCE_MAX):
            if not self._timers or self._timers[0][0] > now_s:
                break
            _, _, act, node = heapq.heappop(self._timers)
            act(node)
        return max(0.0, min(_WAIT_S, self._timers[0][0] - now_s)) if self._timers else _WAIT_S

    def _open(self, node: LightNode) -> None:
        node.move(LightEvent.DUE)
        node.attempt += 1
        attempt = node.attempt
        plain = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        plain.setblocking(False)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        is_clock = node.settings.kind is LightKind.CLOCK
        result = plain.connect_ex((self.settings.host, self.settings.time_port if is_clock else self.settings.port))
        node.plain, node.descriptor = plain, plain.fileno()
        self._by_descriptor[node.descriptor] = node
        self._poll.register(node.descriptor, select.EPOLLOUT)
        if result not in {0, errno.EINPROGRESS}:
            self._lose(node, f"cannot connect: {errno.errorcode.get(result, result)}")
            return
        self._at(time.monotonic() + ATTEMPT_S_MAX, lambda late: self._give_up(late, attempt), node)

    def _give_up(self, node: LightNode, attempt: int) -> None:
        if node.attempt == attempt and node.state not in {LightState.READY, LightState.WAITING}:
            self._lose(node, f"not taken in within {ATTEMPT_S_MAX:.0f} s ({node.state})")

    def _advance(self, node: LightNode) -> None:
        """Go on with connect and handshake, or take what the broker says before the node is ready."""
        try:
            if node.plain is not None:
                self._secure(node, node.plain)
            if node.stream is not None and node.state is LightState.HANDSHAKING:
                node.stream.do_handshake()
                node.move(LightEvent.SECURED)
                self._send(node, node.greeting(self._session_epoch))
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            self._lose(node, str(error))
            return
        self._read(node)

    def _secure(self, node: LightNode, plain: socket.socket) -> None:
        """The broker is reached, or not: begin TLS on the same descriptor. Raises OSError."""
        error = plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, f"cannot connect: {errno.errorcode.get(error, error)}")
        node.plain = None
        context = client_context(node.settings.identity, self.settings.ca_path)
        node.stream = context.wrap_socket(plain, server_hostname="localhost", do_handshake_on_connect=False)
        node.move(LightEvent.REACHED)
        self._poll.modify(node.descriptor, select.EPOLLIN)

    def _read(self, node: LightNode) -> None:
        """Take what one read gives."""
        stream = node.stream
        if stream is None:
            return
        try:
            received: int = stream.read(READ_BYTES, self._scratch)  # type: ignore[assignment] # with a buffer: a count
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            self._lose(node, str(error))
            return
        if not received:
            self._lose(node, "closed by the broker")
        elif node.inbox or not self._take_audio(node, received):
            node.inbox += self._view[:received]
            self._take_packets(node)

    def _take_audio(self, node: LightNode, received: int) -> bool:
        """Count the scratch if it is one whole audio packet (a record holds one); False leaves it to others."""
        view = self._view
        if view[0] != _PLAIN_PUBLISH or received < _AUDIO_TOPIC_BYTES:
            return False
        low = view[1]
        length, body = (low, 2) if low < _VARIABLE_BIT else ((low & 0x7F) | view[2] << 7, 3)
        if body + length != received or view[body + 1] != _AUDIO_TOPIC_BYTES or view[body]:
            return False
        self.counts.messages += 1
        self.counts.message_bytes += length
        self._count_audio(node, view, body + 3 + _AUDIO_TOPIC_BYTES + view[body + 2 + _AUDIO_TOPIC_BYTES])
        return True

    def _count_audio(self, node: LightNode, view: memoryview, at: int) -> None:
        _, _, _, epoch, sequence, _, play_at_ns = _AUDIO.unpack_from(view, at)
        arrived_ns = time.time_ns()
        if epoch != node.epoch:
            node.epoch = epoch
        elif sequence != node.sequence + 1:
            if sequence <= node.sequence:
                return
            self.counts.gaps += 1
            self.counts.missing += sequence - node.sequence - 1
        node.sequence = sequence
        self.counts.audio[bytes(view[at + 4 : at + 20])] += 1
        self.counts.margins[margin_key(arrived_ns // NS_PER_S, (play_at_ns - arrived_ns) // NS_PER_MS)] += 1

    def _take_packets(self, node: LightNode) -> None:
        answers: list[bytes] = []
        for packet in mqtt_bytes.split_packets(node.inbox):
            match packet.type:
                case PacketType.PUBLISH:
                    self._published(node, packet, answers)
                case PacketType.CONNACK if packet.reason == 0:
                    node.move(LightEvent.TAKEN_IN)
                    answers.append(node.first_words(self._session_epoch, self._audio_topics))
                case PacketType.SUBACK:
                    self._subscribed(node)
                case PacketType.CONNACK | PacketType.DISCONNECT:
                    self.counts.first_failure = self.counts.first_failure or f"refused by the broker: {packet.type}"
                case _:
                    pass
        if answers:
            self._send(node, b"".join(answers))

    def _published(self, node: LightNode, packet: Packet, answers: list[bytes]) -> None:
        self.counts.messages += 1
        self.counts.message_bytes += len(packet.body)
        at, payload = packet.topic, packet.payload()
        if packet.packet_id is not None:
            answers.append(mqtt_bytes.acknowledge(packet.packet_id))
        if len(at) == _AUDIO_TOPIC_BYTES and len(payload) > _AUDIO.size:
            self._count_audio(node, payload, 0)
        elif at.endswith(_TIME):
            self._time.answered(node.name, at, bytes(payload))
        elif at == KEYSET:
            self._time.trust(bytes(payload))
        elif at.endswith(_EMERGENCY):
            self._ordered(node, at, bytes(payload))
        payload.release()

    def _ordered(self, node: LightNode, at: str, payload: bytes) -> None:
        key = hash(payload)
        if key in node.orders:
            return
        node.orders.add(key)
        order = self.counts.orders.setdefault(key, Order(topic=at, payload=payload))
        order.arrivals_ns.append(time.time_ns())

    def _subscribed(self, node: LightNode) -> None:
        if node.state is LightState.READY:
            return
        node.move(LightEvent.SUBSCRIBED)
        now_s = time.monotonic()
        node.ready_at_s = now_s
        if node.settings.kind is LightKind.CLOCK:
            self.counts.clocks += 1
        else:
            self.counts.ready += 1
            self.counts.connections += 1
            if node.name in self._lost_before:
                self.counts.returned_at_s.append(time.time())
        status_every_s = node.settings.status_every_s
        attempt = node.attempt
        if status_every_s is not None:
            first_s = now_s + random.random() * status_every_s
            self._at(first_s, lambda due: self._tell(due, attempt, status_every_s), node)
        self._at(now_s + PING_EVERY_S, lambda due: self._ping(due, attempt), node)

    def _tell(self, node: LightNode, attempt: int, every_s: float) -> None:
        if node.attempt == attempt and node.state is LightState.READY:
            self._send(node, node.status(time.time_ns() // NS_PER_MS))
            self.counts.statuses += 1
            self._at(time.monotonic() + every_s, lambda due: self._tell(due, attempt, every_s), node)

    def _ask_time(self, node: LightNode, this: int, every_s: float) -> None:
        if self._time_round == this:
            if node.state is LightState.READY:
                asked = topic(TopicName.TIME_REQUEST, node=node.name)
                self._send(node, mqtt_bytes.publish(asked, self._time.ask(node.name)))
            self._at(time.monotonic() + every_s, lambda due: self._ask_time(due, this, every_s), node)

    def _ping(self, node: LightNode, attempt: int) -> None:
        if node.attempt == attempt and node.state is LightState.READY:
            self._send(node, mqtt_bytes.PING)
            self._at(time.monotonic() + PING_EVERY_S, lambda due: self._ping(due, attempt), node)

    def _send(self, node: LightNode, data: bytes) -> None:
        """Write a small packet; a socket that does not take it belongs to a broker that does not read."""
        if node.stream is None:
            return
        try:
            node.stream.send(data)
        except OSError as error:
            self._lose(node, f"cannot send: {error}")

    def _lose(self, node: LightNode, reason: str) -> None:
        """The connection is gone: count it, and come back by the rule of every node."""
        if node.state is LightState.WAITING:
            return
        now_s = time.monotonic()
        wait_s = node.wait_s(now_s=now_s, herd_window_s=self.settings.herd_window_s)
        if node.state is LightState.READY and node.settings.kind is LightKind.CLOCK:
            self.counts.clocks -= 1
        elif node.state is LightState.READY:
            self.counts.ready -= 1
            self.counts.lost += 1
            self._lost_before.add(node.name)
        else:
            self.counts.failed += 1
        self.counts.first_failure = self.counts.first_failure or reason
        self._close(node)
        node.move(LightEvent.LOST)
        self._at(now_s + wait_s, self._open, node)

    def _close(self, node: LightNode) -> None:
        stream, node.stream, node.plain = node.stream or node.plain, None, None
        node.inbox = bytearray()  # not cleared: packets of it may be in use
        node.epoch, node.sequence = b"", -1
        if stream is not None:
            self._by_descriptor.pop(node.descriptor, None)
            self._poll.unregister(node.descriptor)
            stream.close()
