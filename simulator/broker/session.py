"""One client's session at the broker: what it is subscribed to, what is on its way, what waits.

QoS 1 is delivered at least once, in order, with no more unacknowledged than the client's receive maximum allows;
the rest waits in a bounded queue whose newest is refused (as Mosquitto does). After a reconnect everything
unacknowledged is sent again first, marked as a duplicate. QoS 0 is for those who are connected now.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

from simulator.broker.packets import Message, Packet, Publish, WillMessage
from simulator.network.connection import Connection
from simulator.world import Timer

_MESSAGE_ID_MAX: Final = 65_535
SEND_BUFFER_BYTES: Final = 256 * 1024
"""What a socket's send buffer takes before QoS 0 is dropped for a client that does not read."""
_NS_PER_S: Final = 1_000_000_000


class SessionEnd(Protocol):
    """The broker's end of the connection that a session has now."""

    connection: Connection
    session: Session | None

    def send(self, packet: Packet) -> None:
        """Send a packet when the broker's core gets round to it."""

    def close(self, reason: str) -> None:
        """End the connection from our side."""

    def vanish(self) -> None:
        """The broker's machine is dead: nobody is told."""


class Session:
    """A session; `end` is the client's connection while it has one."""

    __slots__ = (
        "client_id",
        "dropped",
        "end",
        "expiry_ns",
        "expiry_timer",
        "identity",
        "in_flight",
        "is_saved",
        "next_id",
        "queue",
        "queued_max",
        "receive_max",
        "subscriptions",
        "will",
        "will_timer",
    )

    def __init__(self, client_id: str, identity: str, queued_max: int) -> None:
        self.client_id = client_id
        self.identity = identity
        self.queued_max = queued_max
        self.subscriptions: dict[str, int] = {}
        self.end: SessionEnd | None = None
        self.expiry_ns = 0
        self.is_saved = False
        self.expiry_timer: Timer | None = None
        self.will: WillMessage | None = None
        self.will_timer: Timer | None = None
        self.receive_max = 1
        self.in_flight: dict[int, tuple[Message, bool]] = {}
        self.queue: deque[tuple[Message, bool]] = deque()
        self.next_id = 0
        self.dropped = 0

    def deliver(self, message: Message, qos: int, *, is_retained: bool, now_ns: int) -> None:
        """Send a message or have it wait; `is_retained` says that it was kept, not just published."""
        end = self.end
        if qos == 0:
            self.deliver_now(publish_of(message, 0, is_retained=is_retained, now_ns=now_ns))
        elif end is not None and len(self.in_flight) < self.receive_max and not self.queue:
            self._send(end, message, is_retained=is_retained, now_ns=now_ns)
        elif len(self.queue) < self.queued_max:
            self.queue.append((message, is_retained))
        else:
            self.dropped += 1

    def deliver_now(self, packet: Publish) -> None:
        """Send with QoS 0: to who is connected and reads. One packet may serve many sessions."""
        end = self.end
        if end is None:
            return
        if end.connection.down.pending_bytes > SEND_BUFFER_BYTES:
            self.dropped += 1
            return
        end.send(packet)

    def acknowledged(self, message_id: int, now_ns: int) -> None:
        """The client has a message: the next may go."""
        if self.in_flight.pop(message_id, None) is not None:
            self.pump(now_ns)

    def resume(self, now_ns: int) -> None:
        """A client is back in its session: what it has not acknowledged comes again, then what waits."""
        end = self.end
        if end is None:
            return
        for message_id, (message, is_retained) in list(self.in_flight.items()):
            if message.expires_at_ns is not None and message.expires_at_ns <= now_ns:
                del self.in_flight[message_id]
                continue
            end.send(publish_of(message, message_id, is_retained=is_retained, now_ns=now_ns, is_duplicate=True))
        self.pump(now_ns)

    def pump(self, now_ns: int) -> None:
        """Send what waits as far as the receive maximum allows; what has expired is forgotten."""
        end = self.end
        queue = self.queue
        while end is not None and queue and len(self.in_flight) < self.receive_max:
            message, is_retained = queue.popleft()
            if message.expires_at_ns is None or message.expires_at_ns > now_ns:
                self._send(end, message, is_retained=is_retained, now_ns=now_ns)

    def copy(self) -> Session:
        """A copy as a disk would keep it: no connection, no timers, no will."""
        copied = Session(self.client_id, self.identity, self.queued_max)
        copied.subscriptions = dict(self.subscriptions)
        copied.expiry_ns = self.expiry_ns
        copied.is_saved = self.is_saved
        copied.in_flight = dict(self.in_flight)
        copied.queue = deque(self.queue)
        copied.next_id = self.next_id
        return copied

    def _send(self, end: SessionEnd, message: Message, *, is_retained: bool, now_ns: int) -> None:
        message_id = self.next_id
        while True:
            message_id = message_id % _MESSAGE_ID_MAX + 1
            if message_id not in self.in_flight:
                break
        self.next_id = message_id
        self.in_flight[message_id] = (message, is_retained)
        end.send(publish_of(message, message_id, is_retained=is_retained, now_ns=now_ns))


def publish_of(
    message: Message, message_id: int, *, is_retained: bool, now_ns: int, is_duplicate: bool = False
) -> Publish:
    """The packet for a message; without an id it goes with QoS 0."""
    expires_at_ns = message.expires_at_ns
    return Publish(
        topic=message.topic,
        payload=message.payload,
        qos=1 if message_id else 0,
        retain=is_retained,
        message_id=message_id,
        is_duplicate=is_duplicate,
        expiry_s=None if expires_at_ns is None else -(-(expires_at_ns - now_ns) // _NS_PER_S),
    )
