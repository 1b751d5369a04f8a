"""Retained messages under a filter come in the order in which their topics were first used, whatever was asked."""

from __future__ import annotations

import random

from simulator.broker.packets import Message
from simulator.broker.retained import RetainedMessages
from simulator.broker.topics import matches

FILTERS = ("area/+/plan", "area/#", "node/+/state", "+/x/plan", "area/x/plan")
TOPICS = tuple(
    f"{first}/{second}/{third}" for first in ("area", "node") for second in "xyz" for third in ("plan", "state")
)


def test_what_is_remembered_of_a_filter_is_what_a_search_would_find() -> None:
    chance = random.Random(7)  # noqa: S311 - a test's own choice of moves
    retained, order = RetainedMessages(), list[str]()
    for turn in range(2_000):
        topic = chance.choice(TOPICS)
        payload = b"" if chance.random() < 0.2 else turn.to_bytes(4)
        expires_at_ns = turn + 5 if chance.random() < 0.1 else None
        retained.keep(Message(topic=topic, payload=payload, qos=1, retain=True, expires_at_ns=expires_at_ns))
        if not payload and topic in order:
            order.remove(topic)
        elif payload and topic not in order:
            order.append(topic)
        for topic_filter in FILTERS:
            found = [message.topic for message in retained.matching(topic_filter, turn)]
            pattern = tuple(topic_filter.split("/"))
            live = [each for each in order if retained.get(each, turn) is not None]
            assert found == [each for each in live if matches(pattern, each.split("/"))]
        order = [each for each in order if retained.get(each, turn) is not None]
