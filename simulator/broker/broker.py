"""An MQTT 5 broker in virtual time, with the semantics of the one that is shipped (Mosquitto 2.0, probed).

It does what the product may rely on and no more: sessions and their expiry, retained messages, QoS 0 and 1,
wills, keep-alive, take-over, access rules, restarts. Habits of Mosquitto that matter are kept: an orderly stop
publishes every connected client's will, delay or not, and keeps it as a retained message; a take-over publishes
none, but for a clean start over a will without delay; a session whose last CONNECT was a clean start is not
written to disk, however long its expiry. Its one core is a resource: a handshake and a delivery cost what was
measured, so that a storm of reconnects delays a stream here as it does there.

One contract suite (tests/contract/test_link*_contract.py) runs on this and on the real one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from simulator.broker.access import AccessRules
from simulator.broker.end import BrokerEnd
from simulator.broker.packets import (
    Connect,
    ConnectAnswer,
    Disconnect,
    Message,
    Publish,
    PublishAnswer,
    Subscribe,
    SubscribeAnswer,
    Unsubscribe,
)
from simulator.broker.retained import RetainedMessages
from simulator.broker.session import Session, SessionEnd, publish_of
from simulator.broker.topics import FilterError, SubscriptionTable
from simulator.network.connection import NS_PER_S, Connection
from simulator.network.network import Network
from simulator.world import Timer, World

NOT_AUTHORISED: Final = "not authorized"
TOO_LARGE: Final = "packet too large"
_SUBJECT: Final = "broker"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """The broker's configuration; defaults are the shipped ones, costs those measured on one core (protocol.md).

    `access_rules` is the text of Mosquitto's access file; None lets everybody do everything.
    """

    access_rules: str | None = None
    queued_max: int = 100
    receive_max: int = 20
    message_bytes_max: int = 32 * 1024
    is_persistent: bool = True
    autosave_ns: int = 1_800 * NS_PER_S
    handshake_ns: int = 1_500_000
    delivery_ns: int = 15_000


class Broker:
    """The broker at one address; begins stopped."""

    def __init__(self, world: World, network: Network, address: str, settings: BrokerSettings | None = None) -> None:
        """Raises AccessRulesError when the access rules cannot be understood."""
        self.settings: Final = settings or BrokerSettings()
        self.address: Final = address
        self.is_running = False
        self.published = 0
        self.denied = 0
        self._world = world
        self._network = network
        self._access = None if self.settings.access_rules is None else AccessRules(self.settings.access_rules)
        self._sessions: dict[str, Session] = {}
        self._table: SubscriptionTable[Session] = SubscriptionTable()
        self._retained = RetainedMessages()
        self._saved: tuple[RetainedMessages, list[Session]] = (RetainedMessages(), [])
        self._autosave: Timer | None = None
        self._busy_until_ns = 0
        self._opening: dict[int, BrokerEnd] = {}

    @property
    def connected(self) -> tuple[str, ...]:
        """The client ids that the broker believes to be connected."""
        return tuple(name for name, session in self._sessions.items() if session.end is not None)

    @property
    def sessions(self) -> int:
        """Sessions kept, connected or not."""
        return len(self._sessions)

    @property
    def dropped(self) -> int:
        """Messages that the sessions of now have lost to full queues and unread sockets."""
        return sum(session.dropped for session in self._sessions.values())

    def retained(self, topic: str) -> bytes | None:
        """What is retained on a topic now (for checkers)."""
        message = self._retained.get(topic, self._world.now_ns)
        return None if message is None else message.payload

    def start(self) -> None:
        """Accept connections, with what was saved when the broker is persistent."""
        if self.is_running:
            return
        self.is_running = True
        retained, sessions = self._saved if self.settings.is_persistent else (RetainedMessages(), [])
        self._retained = retained.copy()
        for saved in sessions:
            session = saved.copy()
            self._sessions[session.client_id] = session
            for topic_filter, qos in session.subscriptions.items():
                self._table.add(topic_filter, session, qos)
            self._expire_later(session)
        self._busy_until_ns = self._world.now_ns
        self._network.listen(self.address, self)
        self._save_again()
        self._world.record(_SUBJECT, "started", sessions=len(self._sessions), retained=len(self._retained))

    def stop(self) -> None:
        """An orderly stop (SIGTERM): every connected client's will is published, all is saved, clients are told."""
        if not self.is_running:
            return
        for session in tuple(self._sessions.values()):
            if session.will is not None:
                self._world.cancel(session.will_timer)
                self._publish_will(session)
        if self.settings.is_persistent:
            self.save()
        self._end("stopped", "the broker is shutting down")

    def kill(self) -> None:
        """The process is killed: its machine resets the clients, and what changed since the last save is lost."""
        self._end("killed", "reset by the peer")

    def lose_power(self) -> None:
        """The machine is dead: nobody is told anything, and what changed since the last save is lost."""
        self._end("lost_power", None)

    def save(self) -> None:
        """Write the database, as autosave does."""
        kept = [session.copy() for session in self._sessions.values() if session.is_saved and session.expiry_ns > 0]
        self._saved = (self._retained.copy(), kept)

    def forget_saved(self) -> None:
        """The database is lost (a new machine, a deleted volume)."""
        self._saved = (RetainedMessages(), [])

    def handshake_ends_at(self) -> int:
        """One more TLS handshake (`network.Server`)."""
        return self._work(self.settings.handshake_ns)

    def delivery_ends_at(self) -> int:
        """One more packet to a client (`broker_end.EndOwner`)."""
        return self._work(self.settings.delivery_ns)

    def accept(self, connection: Connection) -> BrokerEnd:
        """A client's certificate was good (`network.Server`)."""
        end = self._opening[connection.number] = BrokerEnd(self._world, self, connection)
        return end

    def connect(self, end: BrokerEnd, packet: Connect) -> None:
        """CONNECT: find or make the session, throw out who has it."""
        self._opening.pop(end.connection.number, None)
        session = self._sessions.get(packet.client_id)
        if session is not None:
            self._take_over(session, is_clean=packet.is_clean_start)
            if packet.is_clean_start:
                self._remove(session)
                session = None
        is_present = session is not None
        if session is None:
            session = Session(packet.client_id, packet.identity, self.settings.queued_max)
            self._sessions[packet.client_id] = session
        session.identity = packet.identity
        session.end = end
        session.expiry_ns = packet.session_expiry_ns
        session.is_saved = not packet.is_clean_start
        session.will = packet.will
        session.receive_max = min(packet.receive_max, self.settings.receive_max)
        end.session = session
        end.connection.keep_alive_ns = packet.keep_alive_ns
        end.connection.flowing_from_ns = self._world.now_ns
        self._world.record(_SUBJECT, "connected", client=packet.client_id, session_present=is_present)
        end.send(ConnectAnswer(session_present=is_present, receive_max=self.settings.receive_max))
        session.resume(self._world.now_ns)

    def take(self, end: BrokerEnd, session: Session, packet: Publish) -> None:
        """PUBLISH from a client: refuse it, or keep it and hand it on."""
        refusal = self._refusal_of(session.identity, packet.topic, packet.payload)
        if refusal:
            self.denied += 1
            self._world.record(_SUBJECT, "refused", client=session.client_id, topic=packet.topic, why=refusal)
        else:
            expires_at_ns = None if packet.expiry_s is None else self._world.now_ns + packet.expiry_s * NS_PER_S
            self._publish(
                Message(
                    topic=packet.topic,
                    payload=packet.payload,
                    qos=packet.qos,
                    retain=packet.retain,
                    expires_at_ns=expires_at_ns,
                )
            )
        if packet.qos:
            end.send(PublishAnswer(message_id=packet.message_id, refusal=refusal))

    def subscribe(self, end: BrokerEnd, session: Session, packet: Subscribe) -> None:
        """SUBSCRIBE: answer, then send what is retained; a wrong filter is refused, a forbidden one is not."""
        grants = []
        for topic_filter, qos in packet.topics:
            try:
                self._table.add(topic_filter, session, qos)
            except FilterError:
                grants.append(False)
                continue
            session.subscriptions[topic_filter] = qos
            grants.append(True)
        end.send(SubscribeAnswer(message_id=packet.message_id, grants=tuple(grants)))
        now_ns = self._world.now_ns
        for (topic_filter, qos), is_granted in zip(packet.topics, grants, strict=True):
            for message in self._retained.matching(topic_filter, now_ns) if is_granted else ():
                if self._may_read(session.identity, message.topic):
                    session.deliver(message, min(qos, message.qos), is_retained=True, now_ns=now_ns)

    def unsubscribe(self, session: Session, packet: Unsubscribe) -> None:
        """UNSUBSCRIBE; what is on its way or waits is still delivered."""
        for topic_filter in packet.topics:
            session.subscriptions.pop(topic_filter, None)
            self._table.remove(topic_filter, session)

    def say_goodbye(self, session: Session, packet: Disconnect) -> None:
        """DISCONNECT: no will, and the session ends now or later."""
        session.will = None
        if packet.ends_session:
            session.expiry_ns = 0
        self._detach(session, "the client has taken leave")

    def lost(self, end: BrokerEnd, reason: str) -> None:
        """A connection ended without a DISCONNECT: the will's delay begins."""
        self._opening.pop(end.connection.number, None)
        session, end.session = end.session, None
        if session is None or session.end is not end:
            return
        will = session.will
        if will is not None:
            delay_ns = min(will.delay_ns, session.expiry_ns)
            session.will_timer = self._world.after(delay_ns, self._publish_will, session)
        self._detach(session, reason)

    def _detach(self, session: Session, reason: str) -> None:
        if session.end is not None:
            session.end.session = None
        session.end = None
        self._world.record(_SUBJECT, "disconnected", client=session.client_id, why=reason)
        if session.expiry_ns == 0:
            self._remove(session)
        else:
            self._expire_later(session)

    def _take_over(self, session: Session, *, is_clean: bool) -> None:
        self._world.cancel(session.expiry_timer)
        self._world.cancel(session.will_timer)
        end, session.end = session.end, None
        if end is not None:
            end.session = None
            end.close("the session was taken over by another connection")
            self._world.record(_SUBJECT, "taken_over", client=session.client_id)
            if is_clean and session.will is not None and session.will.delay_ns == 0:
                self._publish_will(session)
        session.will = None

    def _expire_later(self, session: Session) -> None:
        session.expiry_timer = self._world.after(session.expiry_ns, self._expire, session)

    def _expire(self, session: Session) -> None:
        self._world.record(_SUBJECT, "session_expired", client=session.client_id)
        self._remove(session)

    def _remove(self, session: Session) -> None:
        self._world.cancel(session.expiry_timer)
        for topic_filter in session.subscriptions:
            self._table.remove(topic_filter, session)
        if self._sessions.get(session.client_id) is session:
            del self._sessions[session.client_id]

    def _publish_will(self, session: Session) -> None:
        will, session.will, session.will_timer = session.will, None, None
        if will is None or self._refusal_of(session.identity, will.topic, will.payload):
            return
        self._world.record(_SUBJECT, "will", client=session.client_id, topic=will.topic)
        self._publish(Message(topic=will.topic, payload=will.payload, qos=will.qos, retain=will.retain))

    def _refusal_of(self, identity: str, topic: str, payload: bytes) -> str:
        if len(payload) > self.settings.message_bytes_max:
            return TOO_LARGE
        if self._access is not None and not self._access.may_write(identity, topic):
            return NOT_AUTHORISED
        return ""

    def _may_read(self, identity: str, topic: str) -> bool:
        return self._access is None or self._access.may_read(identity, topic)

    def _publish(self, message: Message) -> None:
        self.published += 1
        now_ns = self._world.now_ns
        if message.retain:
            self._retained.keep(message)
        access = self._access
        live: Publish | None = None
        for subscribers in self._table.matching(message.topic):
            for session, qos in subscribers.items():
                if access is not None and not access.may_read(session.identity, message.topic):
                    continue
                if qos and message.qos:
                    session.deliver(message, 1, is_retained=False, now_ns=now_ns)
                    continue
                if live is None:
                    live = publish_of(message, 0, is_retained=False, now_ns=now_ns)
                session.deliver_now(live)

    def _work(self, cost_ns: int) -> int:
        """Occupy the one core; when it will have done this (true time, ns)."""
        self._busy_until_ns = busy_ns = max(self._busy_until_ns, self._world.now_ns) + cost_ns
        return busy_ns

    def _save_again(self) -> None:
        if self.settings.is_persistent:
            self.save()
            self._autosave = self._world.after(self.settings.autosave_ns, self._save_again)

    def _end(self, kind: str, reason: str | None) -> None:
        if not self.is_running:
            return
        self.is_running = False
        self._world.cancel(self._autosave)
        self._network.stop_listening(self.address, machine_is_off=reason is None)
        ends: list[SessionEnd] = list(self._opening.values())
        for session in self._sessions.values():
            self._world.cancel(session.expiry_timer)
            self._world.cancel(session.will_timer)
            if session.end is not None:
                ends.append(session.end)
        for end in ends:
            end.session = None
            if reason is None:
                end.vanish()
            else:
                end.close(reason)
        self._opening.clear()
        self._sessions.clear()
        self._table.clear()
        self._world.record(_SUBJECT, kind, clients=len(ends))
