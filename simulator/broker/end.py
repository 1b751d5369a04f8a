"""The broker's end of one client's connection: hands packets to the broker, gives up on a silent client."""

from __future__ import annotations

from typing import Any, Protocol

from simulator.broker.keep_alive import KeepAlive
from simulator.broker.packets import (
    Connect,
    Disconnect,
    Packet,
    Publish,
    PublishAnswer,
    Subscribe,
    Unsubscribe,
    size_of,
)
from simulator.broker.session import Session
from simulator.network.connection import Connection
from simulator.world import Timer, World

CONNECT_NS_MAX = 30_000_000_000
"""How long a secured connection may stay without a CONNECT."""


class EndOwner(Protocol):
    """The broker, as its end of a connection needs it."""

    def delivery_ends_at(self) -> int:
        """When its core will have handed on one more packet (true time, ns)."""

    def connect(self, end: BrokerEnd, packet: Connect) -> None:
        """CONNECT."""

    def take(self, end: BrokerEnd, session: Session, packet: Publish) -> None:
        """PUBLISH."""

    def subscribe(self, end: BrokerEnd, session: Session, packet: Subscribe) -> None:
        """SUBSCRIBE."""

    def unsubscribe(self, session: Session, packet: Unsubscribe) -> None:
        """UNSUBSCRIBE."""

    def say_goodbye(self, session: Session, packet: Disconnect) -> None:
        """DISCONNECT."""

    def lost(self, end: BrokerEnd, reason: str) -> None:
        """The connection ended without a DISCONNECT."""


class BrokerEnd:
    """See the module's text; `session` is None until CONNECT was accepted and after the end."""

    __slots__ = ("_broker", "_keep_alive", "_timer", "_world", "connection", "session")

    def __init__(self, world: World, broker: EndOwner, connection: Connection) -> None:
        self._world = world
        self._broker = broker
        self.connection = connection
        self.session: Session | None = None
        self._keep_alive: KeepAlive | None = None
        self._timer: Timer | None = world.after(CONNECT_NS_MAX, self._give_up)

    def send(self, packet: Packet) -> None:
        """Send a packet when the broker's core gets round to it."""
        self.connection.down.send(packet, size_of(packet), self._broker.delivery_ends_at())

    def received(self, packet: Any) -> None:  # noqa: ANN401 - as connection.End
        """Take in a packet from the client."""
        session = self.session
        if session is None:
            if isinstance(packet, Connect):
                self._world.cancel(self._timer)
                self._timer = None
                self._keep_alive = KeepAlive(
                    every_ns=packet.keep_alive_ns,
                    patience_ns=packet.keep_alive_ns * 3 // 2,
                    now_ns=self._world.now_ns,
                )
                self._broker.connect(self, packet)
                if not self.connection.is_whole:
                    self.stalled()
            return
        if self._keep_alive is not None:
            self._keep_alive.last_ns = self._world.now_ns
        if isinstance(packet, Publish):
            self._broker.take(self, session, packet)
        elif isinstance(packet, PublishAnswer):
            session.acknowledged(packet.message_id, self._world.now_ns)
        elif isinstance(packet, Subscribe):
            self._broker.subscribe(self, session, packet)
        elif isinstance(packet, Unsubscribe):
            self._broker.unsubscribe(session, packet)
        elif isinstance(packet, Disconnect):
            self._broker.say_goodbye(session, packet)
            self.close("the client has taken leave")

    def closed(self, reason: str) -> None:
        """The client or its machine has ended the connection."""
        self._leave()
        self._broker.lost(self, reason)

    def stalled(self) -> None:
        """Nothing arrives: work out when the keep-alive ends."""
        if self._keep_alive is not None and self._timer is None:
            now_ns = self._world.now_ns
            self._timer = self._world.at(max(now_ns, self._keep_alive.gives_up_at(now_ns)), self._give_up)

    def resumed(self) -> None:
        """Things arrive again: in time, or too late."""
        if self._keep_alive is not None and self._keep_alive.is_saved(self._world.now_ns):
            self._world.cancel(self._timer)
            self._timer = None

    def close(self, reason: str) -> None:
        """End the connection from our side; the session is the caller's affair."""
        self._leave()
        self.connection.close(reason, by_client=False)

    def vanish(self) -> None:
        """The broker's machine is dead: nobody is told."""
        self._leave()
        self.connection.vanish(client=False)

    def _leave(self) -> None:
        self._world.cancel(self._timer)
        self._timer = None
        self._keep_alive = None

    def _give_up(self) -> None:
        self._timer = None
        self.close("keep-alive timeout")
        self._broker.lost(self, "keep-alive timeout")
