"""A topic's pace: genuine traffic passes, a flood is cut to it, and no topic pays for another's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from protocol.pace import NODE_PACE, TOPICS_MAX, Pace, TopicPaces
from protocol.units import NS_PER_MS, NS_PER_S, MonotonicNs

PACE = Pace(messages_a_second=10, at_once=5)


def at(ms: float) -> MonotonicNs:
    return MonotonicNs(round(ms * NS_PER_MS))


def test_live_voice_passes_for_ever() -> None:
    paces = TopicPaces(NODE_PACE)
    assert all(paces.take("voice", at(20 * packet)) for packet in range(10_000))


def test_what_a_stall_held_back_passes_at_once() -> None:
    paces = TopicPaces(NODE_PACE)
    assert all(paces.take("voice", at(0)) for _ in range(20_000 // 20))


def test_a_flood_is_cut_to_the_pace_and_another_topic_is_untouched() -> None:
    paces = TopicPaces(PACE)
    passed = 0
    for message in range(10_000):
        passed += paces.take("flooded", at(message / 10))
        if message % 1_000 == 0:
            assert paces.take("genuine", at(message / 10))
    assert passed == 5 + 9


def test_drops_are_told_once_a_second() -> None:
    paces = TopicPaces(PACE)
    for _ in range(100):
        paces.take("flooded", at(0))
    assert paces.to_tell("flooded", at(0)) == 95
    assert not paces.take("flooded", at(1))
    assert paces.to_tell("flooded", at(999)) == 0
    assert paces.to_tell("flooded", at(1_000)) == 1
    assert paces.to_tell("flooded", at(2_000)) == 0
    assert paces.to_tell("another", at(0)) == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, NS_PER_S)), max_size=200))
def test_never_more_than_the_pace_whatever_comes(messages: list[tuple[int, int]]) -> None:
    paces, now, passed = TopicPaces(PACE), 0, dict.fromkeys(range(4), 0)
    dropped = told = 0
    for topic, gap_ns in messages:
        now += gap_ns
        if paces.take(str(topic), MonotonicNs(now)):
            passed[topic] += 1
        else:
            dropped += 1
            told += paces.to_tell(str(topic), MonotonicNs(now))
    assert max(passed.values()) <= PACE.at_once + now * PACE.messages_a_second // NS_PER_S
    assert told <= dropped


def test_topics_that_are_made_up_take_no_memory() -> None:
    paces = TopicPaces(PACE)
    for number in range(TOPICS_MAX * 2):
        paces.take(f"topic {number}", at(number))
    assert len(paces) == TOPICS_MAX
