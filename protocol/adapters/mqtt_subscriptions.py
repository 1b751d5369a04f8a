"""What the link should be subscribed to, and what the broker is known to have granted.

The wish outlives connections. When the broker kept our session only the difference is asked for; when it did not,
everything is. A refused subscription is not asked for again on the same connection.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Final

TOPICS_PER_PACKET_MAX: Final = 50
"""Topics in one SUBSCRIBE: keeps the packet far below the size bound."""


class Subscriptions:
    """Wish and grant, under one lock; `want` and `unwant` are for any thread, the rest for the network's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted: dict[str, int] = {}
        self._asked: dict[str, int] = {}
        self._granted: dict[str, int] = {}
        self._waiting: dict[int, list[str]] = {}

    def want(self, topics: Iterable[tuple[str, int]]) -> None:
        """Be subscribed to these (topic, QoS) from now on; asked for anew, so that what is retained comes again."""
        with self._lock:
            for topic, qos in topics:
                self._wanted[topic] = qos
                self._asked.pop(topic, None)

    def unwant(self, topics: Iterable[str]) -> None:
        """No longer be subscribed to these."""
        with self._lock:
            for topic in topics:
                self._wanted.pop(topic, None)

    def connected(self, *, session_present: bool) -> None:
        """A connection begins, with our session or without."""
        with self._lock:
            self._waiting.clear()
            if not session_present:
                self._granted.clear()
            self._asked = dict(self._granted)

    def to_request(self) -> list[list[tuple[str, int]]]:
        """What to subscribe to now, in packets; counts as asked for."""
        with self._lock:
            missing = [(topic, qos) for topic, qos in self._wanted.items() if self._asked.get(topic) != qos]
            self._asked.update(missing)
        return [missing[at : at + TOPICS_PER_PACKET_MAX] for at in range(0, len(missing), TOPICS_PER_PACKET_MAX)]

    def to_drop(self) -> list[list[str]]:
        """What to unsubscribe from now, in packets; counts as done."""
        with self._lock:
            surplus = [topic for topic in self._asked if topic not in self._wanted]
            for topic in surplus:
                del self._asked[topic]
                self._granted.pop(topic, None)
        return [surplus[at : at + TOPICS_PER_PACKET_MAX] for at in range(0, len(surplus), TOPICS_PER_PACKET_MAX)]

    def requested(self, message_id: int, topics: list[str]) -> None:
        """A SUBSCRIBE went out under this id."""
        with self._lock:
            self._waiting[message_id] = topics

    def answered(self, message_id: int, grants: Sequence[bool]) -> list[str]:
        """The broker answered; returns the topics that it refused."""
        with self._lock:
            refused = []
            for topic, is_granted in zip(self._waiting.pop(message_id, []), grants, strict=False):
                if not is_granted:
                    refused.append(topic)
                elif topic in self._asked:
                    self._granted[topic] = self._asked[topic]
            return refused
