"""The link of a simulated node or controller: what `protocol.adapters.mqtt_link.MqttLink` is, in virtual time.

The same calls, the same callbacks, and the same parts where these are pure: the outgoing queue, the table of
subscriptions, the backoff. What differs is below: no thread, no socket, and a callback's exception ends the
simulation instead of being logged, for it is a bug to be found. Callbacks come from the world's events, never
from within `publish` or `subscribe`.

Time here is the machine's own monotonic clock; jitter comes from the machine's own stream of chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from protocol.adapters.mqtt_link import require_sendable
from protocol.adapters.mqtt_queue import OutgoingQueue
from protocol.adapters.mqtt_settings import CONNACK_S_MAX, CONNECT_S_MAX, IN_FLIGHT_MAX, Will
from protocol.adapters.mqtt_subscriptions import Subscriptions
from protocol.reconnect import Backoff
from simulator.broker.keep_alive import KeepAlive
from simulator.broker.packets import (
    Connect,
    ConnectAnswer,
    Disconnect,
    Packet,
    Publish,
    PublishAnswer,
    Subscribe,
    SubscribeAnswer,
    Unsubscribe,
    WillMessage,
    size_of,
)
from simulator.clock import ClockTimer, NodeClock
from simulator.network.connection import NS_PER_S, Connection
from simulator.network.network import Host, Network
from simulator.world import World

OnConnected = Callable[[bool, int], None]
OnDisconnected = Callable[[str], None]
OnMessage = Callable[[str, bytes], None]

SEND_BUFFER_BYTES: Final = 64 * 1024
"""What the socket takes before the link holds messages back (`want_write` of the real one)."""
_RETRY_NS: Final = 100_000_000
"""How soon the link looks again whether a full socket has drained."""
_MESSAGE_ID_MAX: Final = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    """One identity's connection to one broker; the same bounds as `MqttSettings`. No `identity`: the client id."""

    address: str
    client_id: str
    keep_alive_s: int = 30
    herd_window_s: float = 5.0
    session_expiry_s: int = 300
    queued_max: int = 1_000
    identity: str = ""


class Link:
    """See the module's text."""

    def __init__(
        self,
        world: World,
        network: Network,
        host: Host,
        clock: NodeClock,
        settings: LinkSettings,
        will: Will | None = None,
        *,
        on_connected: OnConnected,
        on_disconnected: OnDisconnected,
        on_message: OnMessage,
    ) -> None:
        """Raises LinkError for a will that may not be sent."""
        self._world, self._network, self._host, self._clock = world, network, host, clock
        self._settings, self._will = settings, will
        self._on_connected, self._on_disconnected, self._on_message = on_connected, on_disconnected, on_message
        self._queue = OutgoingQueue(queued_max=settings.queued_max, read_s=self._read_s)
        self._subscriptions = Subscriptions()
        self._chance = world.chance(f"link/{settings.client_id}")
        self._herd_window_s = settings.herd_window_s
        self._backoff = Backoff()
        self._connection: Connection | None = None
        self._timer: ClockTimer | None = None
        self._retry: ClockTimer | None = None
        self._keep_alive: KeepAlive | None = None
        self._connected_at_s: float | None = None
        self._incarnation = 0
        self._is_wish_new = False
        self._is_started = False
        self._is_stopped = False
        self._in_flight: dict[int, Publish] = {}
        self._in_flight_max = IN_FLIGHT_MAX
        self._next_id = 0
        self.refused = 0
        if will is not None:
            require_sendable(will.topic, will.payload, will.qos)

    @property
    def dropped(self) -> int:
        """Messages that were not sent: no connection, too late, or the queue was full."""
        return self._queue.dropped

    @property
    def waiting(self) -> int:
        """Messages that are queued or unanswered."""
        return len(self._queue) + len(self._in_flight)

    @property
    def is_connected(self) -> bool:
        """Whether the broker has taken us in and we have not noticed otherwise."""
        return self._connected_at_s is not None

    def start(self) -> None:
        """Begin to connect. Once in a link's life."""
        if not self._is_started:
            self._is_started = True
            self._timer = self._clock.call_after(0, self._attempt)

    def stop(self) -> None:
        """Send what the in-flight limit lets go, take leave so that no will is sent. No callback follows."""
        self._is_stopped = True
        if self._connected_at_s is not None:
            self._pump()
            self._send(Disconnect(ends_session=True))
        self._leave()
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close("the client has stopped", by_client=True)

    def kill(self) -> None:
        """The program is gone from one instant to the next; its machine closes the connection, without a DISCONNECT."""
        self._is_stopped = True
        self._leave()
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close("the client's program has ended", by_client=True)

    def lose_power(self) -> None:
        """The machine is gone without a word; this link is dead, a boot makes a new one."""
        self._is_stopped = True
        self._leave()
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.vanish(client=True)

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int = 1,
        retain: bool = False,
        expiry_s: int | None = None,
    ) -> None:
        """Queue a message. QoS 0 is dropped while there is no connection; QoS 1 waits for one.

        Raises LinkError for what may never be sent: too large, a wildcard in the topic, QoS 2.
        """
        require_sendable(topic, payload, qos)
        if self._queue.put(topic, payload, qos=qos, retain=retain, expiry_s=expiry_s):
            self._pump()

    def subscribe(self, topics: Sequence[tuple[str, int]]) -> None:
        """Be subscribed to these (topic filter, QoS), on this connection and every later one."""
        self._subscriptions.want(topics)
        self._is_wish_new = True
        self._pump()

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """Undo `subscribe`."""
        self._subscriptions.unwant(topics)
        self._is_wish_new = True
        self._pump()

    def set_herd_window_s(self, herd_window_s: float) -> None:
        """Spread the first reconnect after a loss over this many seconds; the assignment says how many."""
        self._herd_window_s = herd_window_s

    def opened(self) -> None:
        """TCP and TLS are done (`network.OpeningEnd`): ask to be let in."""
        settings, will = self._settings, self._will
        self._set_timer(CONNACK_S_MAX, "the broker does not answer")
        self._send(
            Connect(
                client_id=settings.client_id,
                identity=settings.identity or settings.client_id,
                is_clean_start=self._incarnation == 0,
                session_expiry_ns=settings.session_expiry_s * NS_PER_S,
                keep_alive_ns=settings.keep_alive_s * NS_PER_S,
                receive_max=IN_FLIGHT_MAX,
                will=None
                if will is None
                else WillMessage(
                    topic=will.topic,
                    payload=will.payload,
                    qos=will.qos,
                    retain=will.retain,
                    delay_ns=will.delay_s * NS_PER_S,
                ),
            )
        )

    def received(self, packet: Any) -> None:  # noqa: ANN401 - as connection.End
        """Take in a packet from the broker."""
        if isinstance(packet, Publish):
            if packet.qos:
                self._send(PublishAnswer(message_id=packet.message_id))
            self._on_message(packet.topic, packet.payload)
        elif isinstance(packet, PublishAnswer):
            self.refused += bool(packet.refusal)
            self._in_flight.pop(packet.message_id, None)
            self._pump()
        elif isinstance(packet, SubscribeAnswer):
            self._subscriptions.answered(packet.message_id, packet.grants)
        elif isinstance(packet, ConnectAnswer):
            self._let_in(packet)

    def closed(self, reason: str) -> None:
        """The broker or the network has ended the connection, or refuses it."""
        self._connection = None
        self._end(reason)

    def stalled(self) -> None:
        """Nothing arrives any more: work out when the missing ping will be noticed."""
        if self._keep_alive is not None and self._timer is None:
            now_ns = self._world.now_ns
            wait_ns = max(0, self._keep_alive.gives_up_at(now_ns) - now_ns)
            self._timer = self._clock.call_after(wait_ns, self._keep_alive_ends)

    def resumed(self) -> None:
        """Things arrive again: in time, or too late."""
        if self._keep_alive is not None and self._keep_alive.is_saved(self._world.now_ns):
            self._clock.cancel(self._timer)
            self._timer = None

    def _attempt(self) -> None:
        self._connection = self._network.connect(self._host, self._settings.address, self)
        self._set_timer(2 * CONNECT_S_MAX, f"the broker at {self._settings.address} does not answer")

    def _set_timer(self, seconds: float, reason: str) -> None:
        self._clock.cancel(self._timer)

        def give_up() -> None:
            self._timer = None
            self._abandon(reason)

        self._timer = self._clock.call_after(int(seconds * NS_PER_S), give_up)

    def _keep_alive_ends(self) -> None:
        self._timer = None
        self._abandon("no answer to keep-alive")

    def _abandon(self, reason: str) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close(reason, by_client=True)
        self._end(reason)

    def _let_in(self, answer: ConnectAnswer) -> None:
        self._clock.cancel(self._timer)
        self._timer = None
        if answer.refusal:
            self._abandon(f"the broker refuses {self._settings.client_id}: {answer.refusal}")
            return
        self._incarnation += 1
        self._connected_at_s = self._read_s()
        every_ns = self._settings.keep_alive_s * NS_PER_S
        self._keep_alive = KeepAlive(every_ns=every_ns, patience_ns=2 * every_ns, now_ns=self._world.now_ns)
        if self._connection is not None and not self._connection.is_whole:
            self.stalled()
        self._in_flight_max = min(IN_FLIGHT_MAX, answer.receive_max)
        self._subscriptions.connected(session_present=answer.session_present)
        self._is_wish_new = True
        self._queue.open()
        for message_id, packet in self._in_flight.items():
            self._send(
                Publish(
                    topic=packet.topic,
                    payload=packet.payload,
                    qos=packet.qos,
                    retain=packet.retain,
                    message_id=message_id,
                    is_duplicate=True,
                    expiry_s=packet.expiry_s,
                )
            )
        self._pump()
        self._on_connected(answer.session_present, self._incarnation)

    def _end(self, reason: str) -> None:
        if self._is_stopped:
            return
        connected_at_s = self._connected_at_s
        self._leave()
        uniform = self._chance.random()
        if connected_at_s is None:
            self._backoff, wait_s = self._backoff.after_failure(uniform)
        else:
            lasted_s = self._read_s() - connected_at_s
            self._backoff, wait_s = self._backoff.after_loss(
                uniform, lasted_s=lasted_s, herd_window_s=self._herd_window_s
            )
        self._timer = self._clock.call_after(int(wait_s * NS_PER_S), self._attempt)
        self._on_disconnected(reason)

    def _leave(self) -> None:
        self._clock.cancel(self._timer)
        self._clock.cancel(self._retry)
        self._timer = self._retry = None
        self._keep_alive = None
        self._connected_at_s = None
        self._queue.close()

    def _send(self, packet: Packet) -> None:
        if self._connection is not None:
            if self._keep_alive is not None and self._timer is None:
                self._keep_alive.last_ns = self._world.now_ns
            self._connection.up.send(packet, size_of(packet))

    def _pump(self) -> None:
        """Send what waits, as far as the socket and the in-flight limit allow."""
        connection = self._connection
        if connection is None or self._connected_at_s is None:
            return
        if self._is_wish_new:
            self._send_wishes()
        while connection.up.pending_bytes < SEND_BUFFER_BYTES:
            waiting = self._queue.take(is_lasting_allowed=len(self._in_flight) < self._in_flight_max)
            if waiting is None:
                return
            packet = Publish(
                topic=waiting.topic,
                payload=waiting.payload,
                qos=waiting.qos,
                retain=waiting.retain,
                message_id=self._take_id() if waiting.qos else 0,
                expiry_s=waiting.expiry_s,
            )
            if waiting.qos:
                self._in_flight[packet.message_id] = packet
            self._send(packet)
        if self._retry is None and len(self._queue):
            self._retry = self._clock.call_after(_RETRY_NS, self._try_again)

    def _send_wishes(self) -> None:
        self._is_wish_new = False
        for dropped in self._subscriptions.to_drop():
            self._send(Unsubscribe(topics=tuple(dropped)))
        for asked in self._subscriptions.to_request():
            message_id = self._take_id()
            self._subscriptions.requested(message_id, [topic for topic, _ in asked])
            self._send(Subscribe(message_id=message_id, topics=tuple(asked)))

    def _try_again(self) -> None:
        self._retry = None
        self._pump()

    def _take_id(self) -> int:
        while True:
            self._next_id = self._next_id % _MESSAGE_ID_MAX + 1
            if self._next_id not in self._in_flight:
                return self._next_id

    def _read_s(self) -> float:
        return self._clock.monotonic_ns() / NS_PER_S
