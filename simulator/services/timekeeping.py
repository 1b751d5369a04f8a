"""Time over the broker in a simulated province: the service beside the controller, the exchange on a pole.

Both ends are the product's own (`controller.nodes.time_service`, `edge.clock.time_exchange`,
`edge.clock.shared_clock`); simulated are their connections, with the delays of the network. A pole goes by its system
clock unless its settings say otherwise: an exchange costs a real signature and some twenty events.

Left to the real rim: that a stamp is taken a while before the bytes leave.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from controller.adapters.time_link import TIME_SERVICE
from controller.configuration.config import Config
from controller.dispatch import Authority
from controller.nodes.time_service import TimeService, time_signer
from edge.clock.shared_clock import REFRESH_S, Change, ClockReading, ClockStatus, SharedClock, SourceChoice
from edge.clock.time_exchange import (
    ActivityChanged,
    AskTime,
    Connected,
    Disconnected,
    ExchangeEffect,
    ExchangeEvent,
    KeysChanged,
    ReplyArrived,
    TimeExchange,
    Wake,
)
from protocol.clock_filter import ClockFilter
from protocol.driver import Driver
from protocol.keyring import Keyring
from protocol.topics import SUBJECT, TOPICS, TopicName, topic
from protocol.units import NS_PER_MS, NS_PER_S, MonotonicNs, Now, SharedNs, TimeSource
from simulator.clock import ClockTimer, NodeClock
from simulator.network.link import Link, LinkSettings
from simulator.network.network import Host, Network
from simulator.world import World

LOOK_NS: Final = 5 * NS_PER_S
"""How often a pole's rim looks whether it sounds and which keys are in force (`edge.adapters.node_clock`)."""
TOLD_NS: Final = NS_PER_MS
"""A smaller change is the filter's daily work."""
_NONCE_BITS: Final = 63


class SimulatedTimeService:
    """What answers nodes while a controller's process lives; raises SigningError when no key may."""

    def __init__(
        self,
        world: World,
        network: Network,
        host: Host,
        clock: NodeClock,
        *,
        address: str,
        config: Config,
        authority: Authority,
    ) -> None:
        self._clock = clock
        self.service: Final = TimeService(
            signer=time_signer(authority.signers, authority.scopes, clock.read_now().shared_ms),
            requests_a_minute_max=config.time_service.requests_a_minute_max,
        )
        self.link: Final = Link(
            world,
            network,
            host,
            clock,
            LinkSettings(
                address=address,
                client_id=config.controller + TIME_SERVICE,
                identity=config.controller,
                session_expiry_s=0,
                queued_max=0,
            ),
            on_connected=lambda *_: None,
            on_disconnected=lambda _: None,
            on_message=self._answer,
        )
        row = TOPICS[TopicName.TIME_REQUEST]
        self.link.subscribe([(topic(TopicName.TIME_REQUEST, node="+"), row.qos)])

    def _answer(self, at: str, payload: bytes) -> None:
        received = self._clock.read_now()
        question = self.service.take(at, payload, received)
        reply = None
        if question is not None:
            reply = self.service.reply(question, received=received, transmitted=self._clock.read_now())
        if question is not None and reply is not None:
            row = TOPICS[TopicName.TIME_REPLY]
            self.link.publish(question.reply_topic, reply, row.qos, row.retain, row.expiry_s)


class ExchangedTime:
    """A pole's shared time while its process lives, where it asks the controller; `keyring` is the agent's."""

    def __init__(
        self,
        world: World,
        network: Network,
        host: Host,
        clock: NodeClock,
        *,
        node: str,
        address: str,
        choice: SourceChoice,
        clock_filter: ClockFilter,
        keyring: Callable[[], Keyring],
        is_sounding: Callable[[], bool],
        on_set: Callable[[], object],
    ) -> None:
        self._world, self._clock, self._node = world, clock, node
        self._find_keyring, self._is_sounding, self._on_set = keyring, is_sounding, on_set
        self._keyring = Keyring.empty()
        self._is_alive, self._is_asking, self._was_sounding = True, False, False
        self._timer: ClockTimer | None = None
        self._refreshed_ns = 0
        chance = world.chance(f"nonces/{node}")
        self.exchange: Final = TimeExchange(
            node=node,
            keyring=self._keyring,
            draw=lambda: chance.getrandbits(_NONCE_BITS),
            clock_filter=clock_filter,
        )
        self._shared = SharedClock(choice=choice, clock_filter=clock_filter)
        self._driver: Driver[ExchangeEvent, ExchangeEffect] = Driver(
            node=self.exchange, read_clock=self._raw, execute=self._execute, arm=self._arm, wake_event=Wake()
        )
        self._link = Link(
            world,
            network,
            host,
            clock,
            LinkSettings(address=address, client_id=SUBJECT + node, session_expiry_s=0, queued_max=0),
            on_connected=lambda *_: self._look(),
            on_disconnected=lambda _: self._lost(),
            on_message=lambda at, payload: self._driver.post(ReplyArrived(topic=at, payload=payload)),
        )
        row = TOPICS[TopicName.TIME_REPLY]
        self._link.subscribe([(topic(TopicName.TIME_REPLY, node=node), row.qos)])
        self._refresh()

    @property
    def status(self) -> ClockStatus:
        """What the pole goes by."""
        return self._shared.status

    @property
    def is_told(self) -> bool:
        """Whether it goes by the controller's time."""
        return self._shared.status.source is TimeSource.EXCHANGE

    def read_now(self) -> Now:
        """Both clocks, as the pole's program knows them."""
        return self._shared.read(self._reading())

    def start(self) -> None:
        """Begin to connect."""
        self._link.start()
        self._look_again()

    def end(self, leave: Callable[[Link], None]) -> None:
        """The process ends, one way or the other."""
        self._is_alive = False
        self._arm(None)
        leave(self._link)

    def _reading(self) -> ClockReading:
        system = self._clock.read_now()
        return ClockReading(raw_ns=system.monotonic_ns, system=system)

    def _raw(self) -> Now:
        raw_ns = MonotonicNs(self._clock.monotonic_ns())
        return Now(monotonic_ns=raw_ns, shared_ns=SharedNs(0), source=TimeSource.UNKNOWN)

    def _execute(self, effect: ExchangeEffect) -> None:
        if isinstance(effect, AskTime):
            row = TOPICS[TopicName.TIME_REQUEST]
            self._link.publish(effect.topic, effect.payload, row.qos, row.retain, row.expiry_s)
        else:
            self._refresh()

    def _refresh(self) -> None:
        before = self._shared.status
        status = self._shared.refresh(self._reading(), is_sounding=self._is_sounding())
        self._refreshed_ns = self._world.now_ns
        is_set = status.change is Change.STEPPED and abs(status.moved_ns) >= TOLD_NS
        if status.source is not before.source or is_set:
            self._world.record(
                self._node, "shared_time", source=status.source.value, change=status.change.value, by_ns=status.moved_ns
            )
            self._world.after(0, self._on_set)

    def _look_again(self) -> None:
        if self._is_alive:
            self._look()
            self._world.after(LOOK_NS, self._look_again)

    def _look(self) -> None:
        keyring, is_sounding = self._find_keyring(), self._is_sounding()
        if keyring is not self._keyring:
            self._keyring = keyring
            self._driver.post(KeysChanged(keyring=keyring))
        if is_sounding != self._was_sounding:
            self._was_sounding = is_sounding
            self._driver.post(ActivityChanged(is_active=is_sounding))
        if self._link.is_connected and not self._is_asking and keyring.version > 0:
            self._is_asking = True
            self._driver.post(Connected())
        if self._world.now_ns - self._refreshed_ns >= REFRESH_S * NS_PER_S:
            self._refresh()

    def _lost(self) -> None:
        if self._is_asking:
            self._is_asking = False
            self._driver.post(Disconnected())

    def _arm(self, deadline: MonotonicNs | None) -> None:
        self._clock.cancel(self._timer)
        is_over = deadline is None or not self._is_alive
        self._timer = None if is_over or deadline is None else self._clock.call_at(deadline, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._driver.wake()
