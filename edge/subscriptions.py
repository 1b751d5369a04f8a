"""What the node listens to at the broker: exactly what it could obey.

Rules kept:
- first the root's changes and the keyset; its own assignment and acknowledgements once there is a keyset to judge
  them by; its areas' documents once it is assigned; a stream's packets once its start is verified;
- after a connect that found its old session, and after each new root, keyset or assignment, everything is asked for
  again: retained messages then come once more, so what was missed or refused gets its second chance. After a
  connect without a session the link renews every subscription by itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from edge.assignment import Place
from edge.effects import Effect, Subscribe, Unsubscribe
from protocol.topics import TOPICS, TopicName, topic


class Subscriptions:
    """The subscriptions of one node."""

    def __init__(self) -> None:
        self._held: set[str] = set()
        self._is_renewing = False
        self._asked: tuple[Place, bool, frozenset[str]] | None = None

    def refresh(self) -> None:
        """Ask for everything again at the next update; what is no longer wanted is still let go of."""
        self._is_renewing = True
        self._asked = None

    def update(self, *, place: Place, has_keyset: bool, audio_topics: Iterable[str]) -> tuple[Effect, ...]:
        """The effects that make the broker send what is wanted now, and nothing else; it is asked at every event."""
        asked = (place, has_keyset, frozenset(audio_topics))
        if asked == self._asked:
            return ()
        self._asked = asked
        wanted = wanted_topics(place=place, has_keyset=has_keyset, audio_topics=audio_topics)
        new = [name for name in wanted if self._is_renewing or name not in self._held]
        old = tuple(sorted(self._held - wanted.keys()))
        self._held, self._is_renewing = set(wanted), False
        effects: list[Effect] = []
        if old:
            effects.append(Unsubscribe(topics=old))
        if new:
            effects.append(Subscribe(topics=tuple((name, wanted[name]) for name in new)))
        return tuple(effects)


def wanted_topics(*, place: Place, has_keyset: bool, audio_topics: Iterable[str]) -> dict[str, int]:
    """Topics with their QoS, in the order in which they matter."""
    wanted = {topic(name): TOPICS[name].qos for name in (TopicName.ROOT, TopicName.KEYSET)}
    if has_keyset:
        for name in (TopicName.ASSIGNMENT, TopicName.NODE_SILENCE, TopicName.ACKNOWLEDGEMENT):
            wanted[topic(name, node=place.node)] = TOPICS[name].qos
        for documents in place.document_topics():
            wanted[documents] = TOPICS[TopicName.PLAN].qos
    for audio in sorted(audio_topics):
        wanted[audio] = TOPICS[TopicName.AUDIO].qos
    return wanted
