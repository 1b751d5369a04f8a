"""The time service's own connection to the broker: stamps, answers, nothing else.

It has its own connection and its own thread, so that no sound, plan or report stands before a request or a reply.
t2 is read when the network's thread has the request, t3 right before the reply is signed and handed back to the same
thread: a request never waits for the controller's event loop. Requests and replies are QoS 0, and the session is
empty: an answer to yesterday's question is worth nothing.

Rules kept: a bug in an answer costs that answer, not the connection; each reason for not answering is logged once in
the life of the process, and all are told at its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Final

from controller.adapters.broker_links import link_settings
from controller.configuration.config import BrokerConfig, Config, TrustConfig
from controller.dispatch import Authority
from controller.errors import ConfigError, SigningError
from controller.nodes.time_service import TimeService, time_signer
from protocol.adapters.mqtt_queue import OutgoingQueue
from protocol.adapters.mqtt_settings import STOP_S_MAX, LinkError, make_context
from protocol.adapters.mqtt_subscriptions import Subscriptions
from protocol.adapters.mqtt_thread import NetworkThread
from protocol.adapters.system_clock import read_now
from protocol.reconnect import Told
from protocol.topics import TOPICS, TopicName, topic
from protocol.units import Now

log = logging.getLogger("controller.time")

TIME_SERVICE: Final = "-time"
"""What this connection's client id has after the controller's name; no node's name can end so."""


class TimeLink:
    """A `TimeService` on the broker; also the `Receiver` of its own network thread. Raises ConfigError."""

    def __init__(
        self,
        *,
        controller: str,
        broker: BrokerConfig,
        trust: TrustConfig,
        service: TimeService,
        read_clock: Callable[[], Now] = read_now,
    ) -> None:
        settings = link_settings(controller + TIME_SERVICE, broker, trust, session_expiry_s=0, queued_max=0)
        self._service = service
        self._read_clock = read_clock
        self._logged: set[str] = set()
        self._queue = OutgoingQueue(queued_max=settings.queued_max)
        subscriptions = Subscriptions()
        subscriptions.want([(topic(TopicName.TIME_REQUEST, node="+"), TOPICS[TopicName.TIME_REQUEST].qos)])
        try:
            context = make_context(settings)
        except LinkError as error:
            raise ConfigError(f"trust: {error}") from error
        self._told = Told()
        self._thread = NetworkThread(
            settings=settings,
            context=context,
            will=None,
            queue=self._queue,
            subscriptions=subscriptions,
            receiver=self,
        )

    def start(self) -> None:
        """Begin to connect, and to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Take leave; waits some seconds at most."""
        self._thread.stop(STOP_S_MAX)
        counts = ", ".join(f"{reason} {count}" for reason, count in sorted(self._service.unanswered.items()))
        log.info("requests for the time: %d answered; not answered: %s", self._service.answered, counts or "none")

    def connected(self, *, session_present: bool, incarnation: int) -> None:  # noqa: ARG002 - as `Receiver`
        """The broker took us in (`Receiver`)."""
        self._told.forget()
        log.info("the time service is connected")

    def disconnected(self, reason: str) -> None:
        """The connection is gone (`Receiver`)."""
        if self._told.is_due(reason, now_s=time.monotonic()):
            log.warning("nodes are not told the time: %s", reason)

    def message(self, topic: str, payload: bytes) -> None:
        """Answer one request, on the network's thread (`Receiver`)."""
        try:
            self._answer(topic, payload, self._read_clock())
        except Exception:
            log.exception("a request for the time on %s was not answered; the service goes on", topic)
        for reason in self._service.unanswered.keys() - self._logged:
            self._logged.add(reason)
            log.warning("a request for the time was not answered (%s), the first of its kind: %s", reason, topic)

    def has_room(self) -> bool:
        """Nothing waits here: what cannot be sent is forgotten (`Receiver`)."""
        return True

    def _answer(self, at: str, payload: bytes, received: Now) -> None:
        question = self._service.take(at, payload, received)
        if question is None:
            return
        reply = self._service.reply(question, received=received, transmitted=self._read_clock())
        if reply is not None:
            row = TOPICS[TopicName.TIME_REPLY]
            self._queue.put(question.reply_topic, reply, qos=row.qos, retain=row.retain, expiry_s=row.expiry_s)


def start_time_service(
    stack: contextlib.AsyncExitStack, config: Config, authority: Authority
) -> Callable[[Authority], None]:
    """Answer nodes until the stack is left; without a key that may, say so and go on. Raises ConfigError.

    Returns what is to be told when other keys are in force.
    """
    if not config.time_service.enabled:
        log.info("nodes are not told the time: time_service.enabled is false")
        return lambda _: None
    try:
        signer = time_signer(authority.signers, authority.scopes, read_now().shared_ms)
    except SigningError as error:
        log.warning("%s", error)
        return lambda _: None
    service = TimeService(signer=signer, requests_a_minute_max=config.time_service.requests_a_minute_max)
    link = TimeLink(controller=config.controller, broker=config.broker, trust=config.trust, service=service)
    link.start()
    stack.push_async_callback(asyncio.to_thread, link.stop)

    def use(changed: Authority) -> None:
        try:
            service.use(time_signer(changed.signers, changed.scopes, read_now().shared_ms))
        except SigningError as error:
            log.warning("%s", error)

    return use
