"""What waits to be published: bounded, thread-safe, and with nothing in it that is too late.

QoS 0 is for now or never: it is not taken while there is no connection, and the oldest gives way to the newest.
QoS 1 waits for the connection, in order; a newer retained message takes the place of an older one on its topic
(only the last counts). When the queue is full the new message is refused and counted: what must not be lost is
kept by its owner until it is acknowledged end to end, never here.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from msgspec import Struct

LATEST_MAX: Final = 64
"""QoS 0 messages waiting for a slow socket: 64 audio packets of 100 ms are far past their expiry of 2 s."""


class Outgoing(Struct, frozen=True, kw_only=True, gc=False):
    """One message on its way out."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    expiry_s: int | None
    queued_at_s: float

    def is_late(self, now_s: float) -> bool:
        """Whether the message expired while it waited."""
        return self.expiry_s is not None and now_s - self.queued_at_s > self.expiry_s


class OutgoingQueue:
    """The two queues, under one lock. `put` is for any thread, `take` for the network's."""

    def __init__(self, *, queued_max: int, read_s: Callable[[], float] = time.monotonic) -> None:
        self._queued_max = queued_max
        self._read_s = read_s
        self._lock = threading.Lock()
        self._latest: deque[Outgoing] = deque(maxlen=LATEST_MAX)
        self._lasting: deque[Outgoing] = deque()
        self._is_open = False
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._latest) + len(self._lasting)

    def open(self) -> None:
        """There is a connection: QoS 0 is taken."""
        with self._lock:
            self._is_open = True

    def close(self) -> None:
        """The connection is gone: QoS 0 is forgotten and no longer taken."""
        with self._lock:
            self._is_open = False
            self.dropped += len(self._latest)
            self._latest.clear()

    def put(self, topic: str, payload: bytes, *, qos: int, retain: bool, expiry_s: int | None) -> bool:
        """Queue a message; False if it was dropped."""
        message = Outgoing(
            topic=topic, payload=payload, qos=qos, retain=retain, expiry_s=expiry_s, queued_at_s=self._read_s()
        )
        with self._lock:
            is_taken = self._put_latest(message) if qos == 0 else self._put_lasting(message)
            self.dropped += not is_taken
            return is_taken

    def take(self, *, is_lasting_allowed: bool) -> Outgoing | None:
        """The next message to send, live ones first; None if there is none."""
        now_s = self._read_s()
        with self._lock:
            for queue, is_allowed in ((self._latest, True), (self._lasting, is_lasting_allowed)):
                while is_allowed and queue:
                    message = queue.popleft()
                    if not message.is_late(now_s):
                        return message
                    self.dropped += 1
        return None

    def _put_latest(self, message: Outgoing) -> bool:
        if not self._is_open:
            return False
        if len(self._latest) == LATEST_MAX:
            self.dropped += 1
        self._latest.append(message)
        return True

    def _put_lasting(self, message: Outgoing) -> bool:
        if message.retain:
            for index, waiting in enumerate(self._lasting):
                if waiting.retain and waiting.topic == message.topic:
                    del self._lasting[index]
                    break
        if len(self._lasting) >= self._queued_max:
            return False
        self._lasting.append(message)
        return True
