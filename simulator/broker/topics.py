"""Who is subscribed to a topic: filters with `+` and `#`, matched as MQTT 5 (4.7) says, remembered per topic.

Equal filters share one entry, as the poles of a commune do; what is remembered is which filters match a topic, so
subscribing one more pole to a known filter invalidates nothing.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

SubscriberT = TypeVar("SubscriberT")

_TOPICS_REMEMBERED_MAX: Final = 100_000
"""Topics whose filters are remembered: twenty for each of 5,000 poles."""


class FilterError(ValueError):
    """A topic filter that MQTT does not know."""


class SubscriptionTable(Generic[SubscriberT]):
    """Filters and their subscribers with their QoS, each in order of subscribing."""

    def __init__(self) -> None:
        self._by_filter: dict[str, dict[SubscriberT, int]] = {}
        self._wild: dict[str, tuple[str, ...]] = {}
        self._remembered: dict[str, tuple[str, ...]] = {}

    def add(self, topic_filter: str, subscriber: SubscriberT, qos: int) -> None:
        """Subscribe, or change the QoS; raises FilterError."""
        if topic_filter not in self._by_filter:
            check_filter(topic_filter)
            self._by_filter[topic_filter] = {}
            if "+" in topic_filter or "#" in topic_filter:
                self._wild[topic_filter] = tuple(topic_filter.split("/"))
                self._remembered.clear()
            else:
                self._remembered.pop(topic_filter, None)
        self._by_filter[topic_filter][subscriber] = qos

    def remove(self, topic_filter: str, subscriber: SubscriberT) -> None:
        """Unsubscribe; nothing happens when there was no such subscription."""
        subscribers = self._by_filter.get(topic_filter)
        if subscribers is None:
            return
        subscribers.pop(subscriber, None)
        if not subscribers:
            del self._by_filter[topic_filter]
            if self._wild.pop(topic_filter, None) is not None:
                self._remembered.clear()
            else:
                self._remembered.pop(topic_filter, None)

    def matching(self, topic: str) -> list[dict[SubscriberT, int]]:
        """The subscribers of each filter that matches, the exact filter first; overlapping filters each count."""
        filters = self._remembered.get(topic)
        if filters is None:
            filters = self._find(topic)
        by_filter = self._by_filter
        return [by_filter[one] for one in filters]

    def clear(self) -> None:
        """Forget every subscription."""
        self._by_filter.clear()
        self._wild.clear()
        self._remembered.clear()

    def _find(self, topic: str) -> tuple[str, ...]:
        levels = topic.split("/")
        found = [topic] if topic in self._by_filter else []
        found += [one for one, pattern in self._wild.items() if matches(pattern, levels)]
        if len(self._remembered) >= _TOPICS_REMEMBERED_MAX:
            self._remembered.clear()
        self._remembered[topic] = result = tuple(found)
        return result


def check_filter(topic_filter: str) -> None:
    """Raise FilterError unless wildcards stand alone on their level and `#` last (MQTT 5, 4.7.1)."""
    levels = topic_filter.split("/")
    is_wrong = any(("+" in level or "#" in level) and len(level) > 1 for level in levels) or "#" in levels[:-1]
    if not topic_filter or "\0" in topic_filter or is_wrong:
        message = f"{topic_filter!r} is not a topic filter: a wildcard stands alone on its level, # only on the last"
        raise FilterError(message)


def matches(pattern: tuple[str, ...], levels: list[str]) -> bool:
    """Whether a filter's levels match a topic's; wildcards at the beginning do not match `$` topics."""
    if levels[0].startswith("$") and pattern[0] in {"+", "#"}:
        return False
    for index, level in enumerate(pattern):
        if level == "#":
            return True
        if index >= len(levels) or level not in {"+", levels[index]}:
            return False
    return len(pattern) == len(levels)
