"""The time's own connection: a flood of answers is cut to a pace before any of them costs a signature."""

from __future__ import annotations

from itertools import count

import pytest

from edge.adapters.time_link import TimeLink, time_settings
from protocol.clock_filter import ClockFilter
from protocol.pace import NODE_PACE
from protocol.topics import TopicName, topic
from protocol.units import MonotonicNs
from tests.support.clock_bench import NODE, config_of
from tests.support.pki import DevelopmentKeys

OURS = topic(TopicName.TIME_REPLY, node=NODE)
FLOOD = NODE_PACE.at_once + 2_000


@pytest.fixture
def link(pki: DevelopmentKeys) -> TimeLink:
    instants = count(1, 100_000)  # ten thousand a second
    return TimeLink(
        time_settings(config_of(pki, 1)),
        node=NODE,
        clock_filter=ClockFilter(),
        on_learned=lambda _: None,
        read_raw=lambda: MonotonicNs(next(instants)),
    )


def test_a_flood_of_answers_is_dropped_unread_and_counted(link: TimeLink) -> None:
    for _ in range(FLOOD):
        link.message(OURS, b"garbage")
    dropped = link.refused["too_often"]
    assert NODE_PACE.at_once <= FLOOD - dropped <= NODE_PACE.at_once + 200
    assert sum(link.refused.values()) == FLOOD
    link.stop()
