"""The node's second connection to the broker, for the time alone: stamps, sends, hands on; decides nothing.

It has its own connection and its own network thread, so that no sound, document or report stands before a question or
its answer. t1 is read when the network's thread is about to write the question, t4 when it has read the answer, both
from CLOCK_MONOTONIC_RAW; nothing waits for the node's event loop. QoS 0, no session, no will. When to ask and what to
believe is `edge.clock.time_exchange`'s, which lives on the network's thread alone: what other threads have to say
(keys, whether something sounds) they leave here, and it is taken up before the next question.

Rules kept: nobody is asked before there is a key to judge the answer by; a bug in an answer costs that answer, not the
connection; a renewed certificate is shown at once; what is refused is counted by its reason, the first of each logged.
"""

from __future__ import annotations

import logging
import math
import secrets
import time
from collections.abc import Callable
from typing import Final

from edge.clock.time_exchange import (
    ActivityChanged,
    AskTime,
    Connected,
    Disconnected,
    ExchangeEvent,
    ExchangeSettings,
    KeysChanged,
    Learned,
    ReplyArrived,
    TimeExchange,
    Unusable,
    Wake,
)
from edge.config import EdgeConfig
from edge.errors import ConfigurationError
from protocol.adapters.mqtt_queue import Outgoing, OutgoingQueue
from protocol.adapters.mqtt_settings import STOP_S_MAX, LinkError, MqttSettings, make_context
from protocol.adapters.mqtt_subscriptions import Subscriptions
from protocol.adapters.mqtt_thread import POLL_MS, NetworkThread
from protocol.adapters.system_clock import read_raw_ns
from protocol.clock_filter import ClockFilter
from protocol.clock_sync import NONCE_MAX
from protocol.errors import RefusalReason
from protocol.keyring import Keyring
from protocol.pace import NODE_PACE, TopicPaces
from protocol.topics import SUBJECT, TOPICS, TopicName, topic
from protocol.units import NS_PER_MS, MonotonicNs, Now, SharedNs, TimeSource

log = logging.getLogger("edge.time")

LATE_MS: Final = 10
"""A question that is due and cannot be written waits so long for the socket: no busy loop on a line that is stuck."""


_NOBODYS_FAULT: Final = frozenset({Unusable.UNANSWERED, Unusable.LATE})


def time_settings(config: EdgeConfig) -> MqttSettings:
    """The connection that a node's configuration describes."""
    return MqttSettings(
        host=config.broker.host,
        port=config.broker.time_port,
        client_id=SUBJECT + config.node,
        ca_path=config.trust.ca,
        certificate_path=config.trust.certificate,
        private_key_path=config.trust.private_key,
        session_expiry_s=0,
        queued_max=0,
        is_time_checked=False,
    )


class _Questions(OutgoingQueue):
    """Nothing waits here: a question is made when the network's thread can write it."""

    def __init__(self, next_question: Callable[[], Outgoing | None]) -> None:
        super().__init__(queued_max=0)
        self._next_question = next_question

    def take(self, *, is_lasting_allowed: bool) -> Outgoing | None:  # noqa: ARG002 - as the base
        """The question that is due, stamped now."""
        return self._next_question()


class TimeLink:
    """See the module's text; also the `Receiver` of its own network thread. Raises ConfigurationError."""

    def __init__(
        self,
        settings: MqttSettings,
        *,
        node: str,
        clock_filter: ClockFilter,
        on_learned: Callable[[Learned], None],
        exchange_settings: ExchangeSettings | None = None,
        read_raw: Callable[[], MonotonicNs] = read_raw_ns,
    ) -> None:
        """`on_learned` is called on the network's thread after each burst that the filter has judged."""
        self._on_learned = on_learned
        self._read_raw = read_raw
        self._paces = TopicPaces(NODE_PACE)
        self._dropped = 0
        self._keyring = self._judged_by = Keyring.empty()
        self._is_active = self._was_active = False
        self._is_up = self._is_asking = False
        self._question: Outgoing | None = None
        self._asked_ns = 0
        self._quickest_ns: int | None = None
        self._logged: set[str] = set()
        self.is_connected = False
        self.answered_at_ns: int | None = None
        """When the last good answer came, on the raw clock."""
        self.round_trip_ns: int | None = None
        """The quickest answer of the last burst that had one."""
        self._exchange = TimeExchange(
            node=node,
            keyring=self._keyring,
            draw=lambda: secrets.randbelow(NONCE_MAX + 1),
            clock_filter=clock_filter,
            settings=exchange_settings,
        )
        subscriptions = Subscriptions()
        subscriptions.want([(topic(TopicName.TIME_REPLY, node=node), TOPICS[TopicName.TIME_REPLY].qos)])
        try:
            context = make_context(settings)
        except LinkError as error:
            raise ConfigurationError("trust", [str(error)]) from error
        self._thread = NetworkThread(
            settings=settings,
            context=context,
            will=None,
            queue=_Questions(self._next_question),
            subscriptions=subscriptions,
            receiver=self,
            wait_ms=self._wait_ms,
        )

    @property
    def refused(self) -> dict[str, int]:
        """How many answers were refused, by reason; what had none in time is the line's doing, and not among them."""
        counted = dict(self._exchange.refused)
        refused = {str(reason): count for reason, count in counted.items() if reason not in _NOBODYS_FAULT}
        return refused | ({RefusalReason.TOO_OFTEN.value: self._dropped} if self._dropped else {})

    @property
    def asked(self) -> int:
        """Questions since the beginning."""
        return self._exchange.asked

    @property
    def answered(self) -> int:
        """Those that had a good answer."""
        return self._exchange.answered

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def stop(self) -> None:
        """Take leave; waits some seconds at most."""
        self._thread.stop(STOP_S_MAX)

    def use_keys(self, keyring: Keyring) -> None:
        """Judge answers by these keys from now on; any thread."""
        if keyring is not self._keyring:
            self._keyring = keyring
            self._thread.wake()

    def be_active(self, *, is_active: bool) -> None:
        """Something sounds, or no longer; any thread."""
        if is_active != self._is_active:
            self._is_active = is_active
            self._thread.wake()

    def use_certificate(self, certificate_path: str, private_key_path: str) -> None:
        """Connect anew with another certificate; any thread."""
        self._thread.use_certificate(certificate_path, private_key_path)

    def set_herd_window_s(self, herd_window_s: float) -> None:
        """Spread the first reconnect after a loss over this many seconds."""
        self._thread.herd_window_s = herd_window_s

    def connected(self, *, session_present: bool, incarnation: int) -> None:  # noqa: ARG002 - as `Receiver`
        """The broker took us in (`Receiver`)."""
        self._is_up = self.is_connected = True

    def disconnected(self, reason: str) -> None:
        """The connection is gone (`Receiver`)."""
        if self.is_connected:
            log.warning("the connection for the time is gone: %s", reason)
        self._is_up = self.is_connected = False
        self._question = None
        if self._is_asking:
            self._is_asking = False
            self._drive(Disconnected())

    def message(self, topic: str, payload: bytes) -> None:
        """An answer, on the network's thread (`Receiver`)."""
        received_ns = self._read_raw()
        if not self._paces.take(topic, received_ns):
            self._dropped += 1  # a flood costs no signatures
            return
        try:
            self._drive(ReplyArrived(topic=topic, payload=payload), received_ns)
        except Exception:
            log.exception("an answer about the time was not taken; the exchange goes on")
        for reason in self.refused.keys() - self._logged:
            self._logged.add(reason)
            log.warning("an answer about the time was refused (%s), the first of its kind", reason)

    def has_room(self) -> bool:
        """Nothing waits here (`Receiver`)."""
        return True

    def _next_question(self) -> Outgoing | None:
        """What is to be written now; the network's thread asks before it waits for the socket."""
        self._take_news()
        due = self._exchange.next_deadline() if self._is_asking else None
        if due is not None and self._read_raw() >= due:
            self._drive(Wake())
        question, self._question = self._question, None
        return question

    def _take_news(self) -> None:
        """What other threads have said since the last question."""
        keyring, is_active = self._keyring, self._is_active
        if keyring is not self._judged_by:
            self._judged_by = keyring
            self._drive(KeysChanged(keyring=keyring))
            is_hopeless = self._is_asking and self._exchange.filter.track is None
            self._is_asking = self._is_asking and not is_hopeless  # begin anew: the old keys had no good answer
        if is_active != self._was_active:
            self._was_active = is_active
            self._drive(ActivityChanged(is_active=is_active))
        if self._is_up and not self._is_asking and self._judged_by.version > 0:
            self._is_asking = True
            self._drive(Connected())

    def _drive(self, event: ExchangeEvent, now_ns: MonotonicNs | None = None) -> None:
        raw_ns = self._read_raw() if now_ns is None else now_ns
        now = Now(monotonic_ns=raw_ns, shared_ns=SharedNs(0), source=TimeSource.UNKNOWN)
        answered = self._exchange.answered
        effects = self._exchange.handle(event, now)
        if self._exchange.answered > answered:
            self.answered_at_ns = raw_ns
            round_trip_ns = raw_ns - self._asked_ns
            self._quickest_ns = min(round_trip_ns, self._quickest_ns or round_trip_ns)
        for effect in effects:
            match effect:
                case AskTime(topic=at, payload=payload):
                    row = TOPICS[TopicName.TIME_REQUEST]
                    self._asked_ns = raw_ns
                    self._question = Outgoing(
                        topic=at,
                        payload=payload,
                        qos=row.qos,
                        retain=row.retain,
                        expiry_s=row.expiry_s,
                        queued_at_s=time.monotonic(),
                    )
                case Learned():
                    self.round_trip_ns, self._quickest_ns = self._quickest_ns or self.round_trip_ns, None
                    self._on_learned(effect)

    def _wait_ms(self) -> int:
        """How long the network's thread may wait for the socket: until the exchange has something to do."""
        due = self._exchange.next_deadline() if self._is_asking else None
        return POLL_MS if due is None else max(LATE_MS, math.ceil((due - self._read_raw()) / NS_PER_MS))
