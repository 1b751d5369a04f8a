"""The network thread of a link: the only code that calls paho, and all that paho lacks.

One thread connects, reads, writes and waits; nobody else touches the client. So: a callback's exception cannot
kill the network (callbacks run elsewhere); reconnects have jitter (`reconnect`); TCP_NODELAY is set and TLS
sessions are resumed (`mqtt_settings`); no more is in flight than the broker allows, also after a reconnect,
because no more is ever handed to paho; `connect()` that raises is an answer like any other; QoS 0 never piles
up in paho's unbounded buffer, because nothing is handed over while the socket is not writable; and sockets are
watched with poll(), for select() ends at descriptor 1024.
"""

from __future__ import annotations

import logging
import os
import random
import select
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from protocol.adapters.mqtt_client import LastError, connect_properties, make_client, properties_of, refuse_oversized
from protocol.adapters.mqtt_queue import Outgoing, OutgoingQueue
from protocol.adapters.mqtt_settings import (
    CONNACK_S_MAX,
    FLUSH_S_MAX,
    IN_FLIGHT_MAX,
    UNGREETED,
    MqttSettings,
    ResumingContext,
    Will,
    explain_error,
)
from protocol.adapters.mqtt_subscriptions import Subscriptions
from protocol.reconnect import Backoff, Told

log = logging.getLogger(__name__)

POLL_MS: Final = 5_000
"""Longest wait: keep-alive is looked at this often."""
_FLUSH_POLL_MS: Final = 50
_SESSION_ENDS: Final = 0


class Receiver(Protocol):
    """What the thread tells the other side; called on the network thread, must not block."""

    def connected(self, *, session_present: bool, incarnation: int) -> None:
        """The broker took us in."""

    def disconnected(self, reason: str) -> None:
        """The connection is gone, or an attempt failed."""

    def message(self, topic: str, payload: bytes) -> None:
        """A message came."""

    def has_room(self) -> bool:
        """Whether more messages may be read."""


class NetworkThread:
    """Connects again and again until `stop`; see the module's text for the rules."""

    def __init__(
        self,
        *,
        settings: MqttSettings,
        context: ResumingContext,
        will: Will | None,
        queue: OutgoingQueue,
        subscriptions: Subscriptions,
        receiver: Receiver,
        wait_ms: Callable[[], int] = lambda: POLL_MS,
    ) -> None:
        """`wait_ms` says how long the queue may be left alone: then it is looked into again, as after `wake`."""
        self._wait_ms = wait_ms
        self._settings, self._context, self._queue = settings, context, queue
        self._subscriptions, self._receiver = subscriptions, receiver
        self.herd_window_s = settings.herd_window_s
        self._stopping = threading.Event()
        self._wake_lock = threading.Lock()
        self._wake_descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._uniform = random.SystemRandom().random
        self._errors = LastError()
        self._client = make_client(settings, context, will, self._errors)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish
        self._client.on_subscribe = self._on_subscribe
        self._in_flight: dict[int, str] = {}
        self._in_flight_max = IN_FLIGHT_MAX
        self._incarnation = 0
        self._connected_at_s: float | None = None
        self._reason: str | None = None
        self._told = Told()
        self._fresh_certificate: tuple[str, str] | None = None
        self._thread = threading.Thread(target=self._run, name=f"mqtt-{settings.client_id}", daemon=True)

    def start(self) -> None:
        """Start connecting."""
        self._thread.start()

    def wake(self) -> None:
        """There is something to do; from any thread."""
        with self._wake_lock:
            if self._wake_descriptor >= 0:
                os.eventfd_write(self._wake_descriptor, 1)

    def use_certificate(self, certificate_path: str, private_key_path: str) -> None:
        """Take leave, and come back at once with another certificate; from any thread."""
        self._fresh_certificate = (certificate_path, private_key_path)
        self.wake()

    def stop(self, timeout_s: float) -> None:
        """Flush, say goodbye, end; waits for at most `timeout_s`, after which the thread ends by itself."""
        self._stopping.set()
        if self._connected_at_s is None:
            self._context.abort()
        self.wake()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        else:
            self._close_descriptor()

    def _run(self) -> None:
        backoff = Backoff()
        try:
            while not self._stopping.is_set():
                self._take_certificate()
                reason = self._attempt()
                connected_at_s, self._connected_at_s = self._connected_at_s, None
                self._queue.close()
                if self._stopping.is_set():
                    break
                if self._fresh_certificate is not None:
                    reason, wait_s = "the certificate was renewed", 0.0
                elif connected_at_s is None:
                    self._context.remember(None)
                    backoff, wait_s = backoff.after_failure(self._uniform(), ceiling_s=self._settings.retry_s_max)
                else:
                    self._told.forget()
                    lasted_s = time.monotonic() - connected_at_s
                    backoff, wait_s = backoff.after_loss(
                        self._uniform(),
                        lasted_s=lasted_s,
                        herd_window_s=self.herd_window_s,
                        ceiling_s=self._settings.retry_s_max,
                    )
                if self._told.is_due(reason, now_s=time.monotonic()):
                    log.info("%s; next attempt in %.1f s, and so on until it succeeds", reason, wait_s)
                self._receiver.disconnected(reason)
                self._stopping.wait(wait_s)
        finally:
            self._close_descriptor()

    def _take_certificate(self) -> None:
        """A session that is resumed would show the old certificate, so none is.

        A renewal may have brought another authority too: without it a link that lives for months would refuse the
        broker on the day when the broker's certificate comes from there.
        """
        fresh, self._fresh_certificate = self._fresh_certificate, None
        if fresh is None:
            return
        self._context.remember(None)
        try:
            self._context.load_cert_chain(*fresh)
            self._context.load_verify_locations(str(self._settings.ca_path))
        except (OSError, ValueError) as error:
            log.error("the renewed certificate %s cannot be used, the old one stays: %s", fresh[0], error)  # noqa: TRY400 - a sentence

    def _close_descriptor(self) -> None:
        with self._wake_lock:
            os.close(self._wake_descriptor)
            self._wake_descriptor = -1

    def _attempt(self) -> str:
        """Connect, and serve the connection until it ends; the answer says why it ended."""
        settings = self._settings
        self._reason, self._errors.text = None, ""
        try:
            self._client.connect(
                settings.host,
                settings.port,
                keepalive=settings.keep_alive_s,
                clean_start=self._incarnation == 0,
                properties=connect_properties(settings),
            )
            self._serve()
        except Exception as error:  # noqa: BLE001 - paho raises whatever a hostile or broken peer makes it raise
            return self._why(error)
        finally:
            self._close_socket()
        text = self._errors.text or "it closed the connection"
        return self._why(f"{UNGREETED} ({text})" if self._connected_at_s is None else text)

    def _why(self, error: BaseException | str) -> str:
        """The broker's own words if it said any, else the error's in plain ones."""
        return self._reason or explain_error(error, host=self._settings.host, port=self._settings.port)

    def _serve(self) -> None:
        """Read and write until the connection ends, or is flushed after `stop`."""
        poller = select.poll()
        poller.register(self._wake_descriptor, select.POLLIN)
        answer_by_s = time.monotonic() + CONNACK_S_MAX
        flush_by_s: float | None = None
        while (sock := self._client.socket()) is not None:
            now_s = time.monotonic()
            if self._connected_at_s is None and now_s > answer_by_s:
                raise TimeoutError
            if self._stopping.is_set():
                flush_by_s = now_s + FLUSH_S_MAX if flush_by_s is None else flush_by_s
                if self._connected_at_s is None or now_s > flush_by_s or not (len(self._queue) or self._in_flight):
                    self._say_goodbye()
                    return
            if self._fresh_certificate is not None and self._connected_at_s is not None:
                self._say_goodbye(session_expiry_s=self._settings.session_expiry_s)
                return
            self._send_waiting()
            self._turn(poller, sock, wait_ms=min(POLL_MS, self._wait_ms()) if flush_by_s is None else _FLUSH_POLL_MS)

    def _turn(self, poller: select.poll, sock: Any, *, wait_ms: int) -> None:  # noqa: ANN401 - paho's union of sockets
        """Wait for the socket or the wake-up, and do what can be done."""
        is_reading = self._receiver.has_room()
        mask = (select.POLLIN if is_reading else 0) | (select.POLLOUT if self._client.want_write() else 0)
        poller.register(sock, mask)
        has_pending = is_reading and isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        ready = dict(poller.poll(0 if has_pending else wait_ms))
        poller.unregister(sock)
        if self._wake_descriptor in ready:
            os.eventfd_read(self._wake_descriptor)
        happened = ready.get(sock.fileno(), 0)
        if has_pending or happened & (select.POLLIN | select.POLLHUP | select.POLLERR):
            self._client.loop_read()
            refuse_oversized(self._client)
        if happened & select.POLLOUT:
            self._client.loop_write()
        self._client.loop_misc()

    def _send_waiting(self) -> None:
        if self._connected_at_s is None:
            return
        for topics in self._subscriptions.to_drop():
            self._client.unsubscribe(topics)
        for subscriptions in self._subscriptions.to_request():
            options = [(topic, SubscribeOptions(qos=qos)) for topic, qos in subscriptions]
            _, message_id = self._client.subscribe(options)
            if message_id is not None:
                self._subscriptions.requested(message_id, [topic for topic, _ in subscriptions])
        while not self._client.want_write():
            message = self._queue.take(is_lasting_allowed=len(self._in_flight) < self._in_flight_max)
            if message is None:
                return
            self._publish(message)

    def _publish(self, message: Outgoing) -> None:
        expiry = {} if message.expiry_s is None else {"MessageExpiryInterval": message.expiry_s}
        properties = properties_of(PacketTypes.PUBLISH, **expiry)
        info = self._client.publish(
            message.topic, message.payload, qos=message.qos, retain=message.retain, properties=properties
        )
        if message.qos > 0:
            self._in_flight[info.mid] = message.topic

    def _say_goodbye(self, *, session_expiry_s: int = _SESSION_ENDS) -> None:
        """A DISCONNECT discards the will, and ends the session unless it is said to stay."""
        properties = properties_of(PacketTypes.DISCONNECT, SessionExpiryInterval=session_expiry_s)
        self._client.disconnect(properties=properties)
        if self._client.want_write():
            self._client.loop_write()

    def _close_socket(self) -> None:
        sock = self._client.socket()
        if sock is not None:
            sock.close()
        self._context.close()

    def _on_connect(
        self,
        _client: paho.Client,
        _data: object,
        flags: paho.ConnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if code.is_failure:
            self._reason = f"the broker refuses {self._settings.client_id}: {code}"
            return
        self._incarnation += 1
        self._connected_at_s = time.monotonic()
        self._in_flight_max = min(IN_FLIGHT_MAX, getattr(properties, "ReceiveMaximum", IN_FLIGHT_MAX))
        self._remember_session()
        self._subscriptions.connected(session_present=flags.session_present)
        self._queue.open()
        self._receiver.connected(session_present=flags.session_present, incarnation=self._incarnation)

    def _remember_session(self) -> None:
        sock = self._client.socket()
        if isinstance(sock, ssl.SSLSocket):
            self._context.remember(sock.session)

    def _on_disconnect(
        self,
        _client: paho.Client,
        _data: object,
        flags: paho.DisconnectFlags,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if flags.is_disconnect_packet_from_server and self._reason is None:
            self._reason = f"the broker ended the connection: {code}"

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return
        self._receiver.message(topic, bytes(message.payload))

    def _on_publish(
        self, _client: paho.Client, _data: object, message_id: int, code: ReasonCode, _properties: Properties | None
    ) -> None:
        topic = self._in_flight.pop(message_id, "")
        if code.is_failure:
            log.warning("the broker refused a message on %s: %s", topic, code)

    def _on_subscribe(
        self,
        _client: paho.Client,
        _data: object,
        message_id: int,
        codes: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        for topic in self._subscriptions.answered(message_id, [not code.is_failure for code in codes]):
            log.warning("the broker refused the subscription to %s", topic)
