"""How often a topic may speak: what comes faster than anything genuine is dropped before it costs a signature.

A broker that was taken over can send ten thousand messages a second to one node. Each that is verified takes a tenth
of a millisecond, so the sound of a genuine stream would starve behind them; each topic therefore has a pace of its
own, and a flood on one holds up no other. What is dropped is counted for whoever tells of it. A flood can crowd out
what is genuine on its own topic; whoever could send it could have dropped that as well.

Pure: the time comes in.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from protocol.units import NS_PER_S, MonotonicNs

TOPICS_MAX: Final = 1_024
"""More than a node ever subscribes to; the longest silent is forgotten first."""
TOLD_EVERY_NS: Final = NS_PER_S
"""A flood is told of once a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """So many messages a second, and so many close together."""

    messages_a_second: int
    at_once: int


NODE_PACE: Final = Pace(messages_a_second=200, at_once=1_000)
"""Live voice is 50 packets a second; a connection that stalled for 20 s brings what it held all at once."""


@dataclass(slots=True)
class _Topic:
    due_ns: int
    dropped: int = 0
    told_ns: int | None = None


class TopicPaces:
    """The topics of one connection."""

    def __init__(self, pace: Pace) -> None:
        self._every_ns: Final = NS_PER_S // pace.messages_a_second
        self._ahead_ns: Final = (pace.at_once - 1) * self._every_ns
        self._topics: OrderedDict[str, _Topic] = OrderedDict()

    def __len__(self) -> int:
        return len(self._topics)

    def take(self, topic: str, now_ns: MonotonicNs) -> bool:
        """Whether a message that has just come is in its topic's pace (ITU-T I.371, GCRA)."""
        known = self._topics.pop(topic, None) or _Topic(due_ns=now_ns)
        self._topics[topic] = known
        if len(self._topics) > TOPICS_MAX:
            self._topics.popitem(last=False)
        known.due_ns = max(known.due_ns, now_ns)
        if known.due_ns - now_ns > self._ahead_ns:
            known.dropped += 1
            return False
        known.due_ns += self._every_ns
        return True

    def to_tell(self, topic: str, now_ns: MonotonicNs) -> int:
        """How many were dropped of a topic since this was last told; 0 while that was within the last second."""
        known = self._topics.get(topic)
        if known is None or not known.dropped:
            return 0
        if known.told_ns is not None and now_ns - known.told_ns < TOLD_EVERY_NS:
            return 0
        dropped, known.dropped, known.told_ns = known.dropped, 0, now_ns
        return dropped
