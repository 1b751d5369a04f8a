"""One MQTT 5 connection for an asyncio program: it is told of messages, and may publish at any time.

Callbacks run on the event loop, in batches, in the order in which things happened; what one of them raises is
logged and the next one runs. `publish` and `subscribe` never block and never raise for want of a connection.
After a loss the link comes back by itself (see `mqtt_thread`) and renews its subscriptions; the program hears
`on_connected(session_present, incarnation)` and asks for what it may have missed.

The broker is never believed here either: what arrives is bytes on a topic, for others to verify.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from protocol.adapters.mqtt_queue import OutgoingQueue
from protocol.adapters.mqtt_settings import (
    INBOX_MAX,
    PAYLOAD_BYTES_MAX,
    STOP_S_MAX,
    LinkError,
    MqttSettings,
    Will,
    make_context,
)
from protocol.adapters.mqtt_subscriptions import Subscriptions
from protocol.adapters.mqtt_thread import NetworkThread
from protocol.pace import TopicPaces
from protocol.units import MonotonicNs

__all__ = ["LinkError", "MqttLink", "MqttSettings", "Will"]

log = logging.getLogger(__name__)

OnConnected = Callable[[bool, int], None]
OnDisconnected = Callable[[str], None]
OnMessage = Callable[[str, bytes], None]
OnFlood = Callable[[str, int], None]
"""A topic's messages that came faster than its pace and were dropped: how many since it was last told."""

_BATCH_MAX: Final = 100
"""Callbacks in one turn of the event loop, so that sound and timers get their turn between."""
_QOS_MAX: Final = 1
"""Exactly-once is not used: documents carry their own counters."""


class Inbox:
    """What happened on the network thread, waiting for the event loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_room: Callable[[], None], *, inbox_max: int = INBOX_MAX
    ) -> None:
        self._loop, self._on_room, self._inbox_max = loop, on_room, inbox_max
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._is_scheduled = False
        self._is_closed = False

    def has_room(self) -> bool:
        """Whether more messages may be put in."""
        return len(self._waiting) < self._inbox_max

    def put(self, callback: Callable[..., None], *arguments: Any) -> None:  # noqa: ANN401 - the callback's own
        """Have the loop call this, after what was put in before."""
        with self._lock:
            if self._is_closed:
                return
            self._waiting.append((callback, arguments))
            must_schedule, self._is_scheduled = not self._is_scheduled, True
        if must_schedule:
            try:
                self._loop.call_soon_threadsafe(self._drain)
            except RuntimeError:
                self.close()  # the loop is gone, and nobody listens any more

    def close(self) -> None:
        """Nothing more is called."""
        with self._lock:
            self._is_closed = True
            self._waiting.clear()

    def _drain(self) -> None:
        was_full = not self.has_room()
        for _ in range(_BATCH_MAX):
            with self._lock:
                if not self._waiting:
                    self._is_scheduled = False
                    break
                callback, arguments = self._waiting.popleft()
            try:
                callback(*arguments)
            except Exception:
                log.exception("a callback of the MQTT link failed; the link goes on")
        else:
            self._loop.call_soon(self._drain)
        if was_full:
            self._on_room()


class MqttLink:
    """See the module's text. Made and used on the loop's thread; `publish` and `subscribe` are for any thread."""

    def __init__(
        self,
        settings: MqttSettings,
        will: Will | None = None,
        *,
        on_connected: OnConnected,
        on_disconnected: OnDisconnected,
        on_message: OnMessage,
        on_flood: OnFlood | None = None,
    ) -> None:
        """Read the certificates; raises LinkError that names the file."""
        self._settings, self._will = settings, will
        self._on_connected, self._on_disconnected, self._on_message = on_connected, on_disconnected, on_message
        self._on_flood = on_flood
        self._paces = None if settings.pace is None else TopicPaces(settings.pace)
        self._context = make_context(settings)
        self._queue = OutgoingQueue(queued_max=settings.queued_max)
        self._subscriptions = Subscriptions()
        self._inbox: Inbox | None = None
        self._thread: NetworkThread | None = None
        if will is not None:
            require_sendable(will.topic, will.payload, will.qos)

    @property
    def dropped(self) -> int:
        """Messages that were not sent: no connection, too late, or the queue was full."""
        return self._queue.dropped

    def start(self) -> None:
        """Begin to connect; the running loop gets the callbacks. Once in a link's life."""
        if self._thread is not None:
            raise LinkError("this link was started before; make a new one")
        self._thread = NetworkThread(
            settings=self._settings,
            context=self._context,
            will=self._will,
            queue=self._queue,
            subscriptions=self._subscriptions,
            receiver=self,
        )
        self._inbox = Inbox(asyncio.get_running_loop(), on_room=self._thread.wake, inbox_max=self._settings.inbox_max)
        self._thread.start()

    def stop(self) -> None:
        """Send what is queued (up to 1 s), take leave so that no will is sent, end the thread. No callback follows."""
        if self._thread is not None and self._inbox is not None:
            self._inbox.close()
            self._thread.stop(STOP_S_MAX)

    def publish(
        self, topic: str, payload: bytes, qos: int = 1, retain: bool = False, expiry_s: int | None = None
    ) -> None:
        """Queue a message. QoS 0 is dropped while there is no connection; QoS 1 waits for one.

        Raises LinkError for what may never be sent: too large, a wildcard in the topic, QoS 2.
        """
        require_sendable(topic, payload, qos)
        if not self._queue.put(topic, payload, qos=qos, retain=retain, expiry_s=expiry_s):
            if qos > 0:
                log.warning("the queue to the broker is full (%d): a message on %s is dropped", len(self._queue), topic)
        elif self._thread is not None:
            self._thread.wake()

    def subscribe(self, topics: Sequence[tuple[str, int]]) -> None:
        """Be subscribed to these (topic filter, QoS), on this connection and every later one."""
        self._subscriptions.want(topics)
        if self._thread is not None:
            self._thread.wake()

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """Undo `subscribe`."""
        self._subscriptions.unwant(topics)
        if self._thread is not None:
            self._thread.wake()

    def use_certificate(self, certificate_path: Path | str, private_key_path: Path | str) -> None:
        """Connect anew at once, with another certificate; the session at the broker goes on."""
        if self._thread is not None:
            self._thread.use_certificate(str(certificate_path), str(private_key_path))

    def set_herd_window_s(self, herd_window_s: float) -> None:
        """Spread the first reconnect after a loss over this many seconds; the assignment says how many."""
        if self._thread is not None:
            self._thread.herd_window_s = herd_window_s

    def connected(self, *, session_present: bool, incarnation: int) -> None:
        """Pass on what the network thread saw (`Receiver`)."""
        self._put(self._on_connected, session_present, incarnation)

    def disconnected(self, reason: str) -> None:
        """Pass on what the network thread saw (`Receiver`)."""
        self._put(self._on_disconnected, reason)

    def message(self, topic: str, payload: bytes) -> None:
        """Pass on what the network thread saw (`Receiver`), unless its topic speaks too often."""
        if self._paces is not None:
            now_ns = MonotonicNs(time.monotonic_ns())
            if not self._paces.take(topic, now_ns):
                dropped = self._paces.to_tell(topic, now_ns)
                if dropped and self._on_flood is not None:
                    self._put(self._on_flood, topic, dropped)
                return
        self._put(self._on_message, topic, payload)

    def has_room(self) -> bool:
        """Whether the event loop keeps up (`Receiver`)."""
        return self._inbox is not None and self._inbox.has_room()

    def _put(self, callback: Callable[..., None], *arguments: Any) -> None:  # noqa: ANN401 - the callback's own
        if self._inbox is not None:
            self._inbox.put(callback, *arguments)


def require_sendable(topic: str, payload: bytes, qos: int) -> None:
    """Raise LinkError for a message that may never be sent: too large, a wildcard in its topic, QoS 2."""
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise LinkError(f"{len(payload)} bytes on {topic}: a message has at most {PAYLOAD_BYTES_MAX}")
    if not topic or "+" in topic or "#" in topic or "\0" in topic:
        raise LinkError(f"{topic!r} is not a topic to publish on")
    if not 0 <= qos <= _QOS_MAX:
        raise LinkError(f"quality of service {qos} on {topic}: only 0 and 1 are used")
