"""What is said of messages that change nothing: each is counted, and the first of them are told in the log.

Whoever can write to a broker can send thousands a second. Each would be a line on an SD card and a turn of everything
that follows from an event; so a minute has a bounded number of lines, and what is beyond is in the counters alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from edge.documents.log import refusal_log
from edge.effects import Effect, LogDecision
from edge.events import Flooded
from protocol.errors import Refusal, RefusalReason
from protocol.units import NS_PER_S, MonotonicNs, Now

LINES_A_MINUTE_MAX: Final = 60
"""More than a genuine fault makes: a wrong key shows in a dozen documents, which the broker sends once a connection."""
_MINUTE_NS: Final = 60 * NS_PER_S


class Refusals:
    """One node's."""

    def __init__(self, *, count: Callable[[str, int], None]) -> None:
        self._count = count
        self._heard: set[RefusalReason] = set()
        self._minute_began: MonotonicNs | None = None
        self._lines = 0

    def told(self, topic: str, refusal: Refusal, now: Now) -> list[LogDecision]:
        """Count a refusal; the line about it, if it has one: of packets of sound the first of its reason only."""
        return self._tell(topic, refusal, 1, now)

    def flooded(self, event: Flooded, now: Now) -> list[Effect]:
        """Count what was dropped unread."""
        refusal = Refusal(RefusalReason.TOO_OFTEN, f"{event.messages} messages came faster than any genuine ones")
        return [*self._tell(event.topic, refusal, event.messages, now)]

    def _tell(self, topic: str, refusal: Refusal, messages: int, now: Now) -> list[LogDecision]:
        self._count(refusal.reason.value, messages)
        is_first = refusal.reason not in self._heard
        self._heard.add(refusal.reason)
        if self._minute_began is None or now.monotonic_ns - self._minute_began >= _MINUTE_NS:
            self._minute_began, self._lines = now.monotonic_ns, 0
        is_audio = topic.endswith("/opus")
        if not is_first and (is_audio or self._lines >= LINES_A_MINUTE_MAX):
            return []
        self._lines += 1
        return [refusal_log(topic, refusal)]
