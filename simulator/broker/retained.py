"""The broker's retained messages: the newest of each topic, until it expires or is cleared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from simulator.broker.packets import Message
from simulator.broker.topics import matches

_FILTERS_REMEMBERED_MAX: Final = 10_000
"""Wildcard filters whose topics are remembered: a few for each area of a province."""


class RetainedMessages:
    """Retained messages by topic; looking one up forgets it when it has expired."""

    def __init__(self) -> None:
        self._messages: dict[str, Message] = {}
        self._remembered: dict[str, tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self._messages)

    def keep(self, message: Message) -> None:
        """Replace what is kept on the topic; an empty payload clears it (MQTT 5, 3.3.1.3)."""
        if not message.payload:
            if self._messages.pop(message.topic, None) is not None:
                self._remembered.clear()
            return
        if message.topic not in self._messages:
            self._remember_new(message.topic)
        self._messages[message.topic] = message

    def get(self, topic: str, now_ns: int) -> Message | None:
        """What is kept on a topic."""
        message = self._messages.get(topic)
        if message is not None and message.expires_at_ns is not None and message.expires_at_ns <= now_ns:
            del self._messages[topic]
            self._remembered.clear()
            return None
        return message

    def matching(self, topic_filter: str, now_ns: int) -> Iterator[Message]:
        """What is kept on the topics of a filter, in the order in which the topics were first used."""
        if "+" in topic_filter or "#" in topic_filter:
            topics = self._remembered.get(topic_filter)
            if topics is None:
                topics = self._find(topic_filter)
        else:
            topics = (topic_filter,)
        for topic in topics:
            message = self.get(topic, now_ns)
            if message is not None:
                yield message

    def copy(self) -> RetainedMessages:
        """A copy as a disk would keep it."""
        copied = RetainedMessages()
        copied._messages = dict(self._messages)
        return copied

    def _remember_new(self, topic: str) -> None:
        """A topic that was not there comes last in every filter that matches it."""
        levels = topic.split("/")
        for topic_filter, topics in self._remembered.items():
            if matches(tuple(topic_filter.split("/")), levels):
                self._remembered[topic_filter] = (*topics, topic)

    def _find(self, topic_filter: str) -> tuple[str, ...]:
        pattern = tuple(topic_filter.split("/"))
        if len(self._remembered) >= _FILTERS_REMEMBERED_MAX:
            self._remembered.clear()
        found = tuple(topic for topic in self._messages if matches(pattern, topic.split("/")))
        self._remembered[topic_filter] = found
        return found
