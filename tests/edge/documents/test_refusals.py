"""A flood of messages that change nothing is counted whole and told in a bounded number of lines."""

from __future__ import annotations

from edge.events import Flooded
from protocol.topics import TopicName, topic
from tests.support.issuer import VILLAGE
from tests.support.pole import Pole

PLANS = topic(TopicName.PLAN, area=VILLAGE)
AUDIO = topic(TopicName.AUDIO, stream="0123456789abcdef")


def lines(pole: Pole) -> int:
    return sum(decision.decision == "refused" for decision in pole.decisions)


def pour(pole: Pole, name: str, count: int) -> None:
    for _ in range(count):
        pole.deliver(name, b"garbage", retain=False)


def test_a_flood_is_counted_whole_and_told_sixty_times_a_minute() -> None:
    pole = Pole()
    pole.introduce()
    pour(pole, PLANS, 1_000)
    assert lines(pole) == 60
    pole.run_for(61_000)
    pour(pole, PLANS, 1_000)
    assert lines(pole) == 120
    pole.run_for(31_000)
    assert pole.telemetry()["refused"] == {"malformed": 2_000}


def test_another_reason_is_told_even_then() -> None:
    pole = Pole()
    pole.introduce()
    pour(pole, PLANS, 100)
    pole.deliver(PLANS, pole.issuer.seal(pole.issuer.plan(area=VILLAGE), PLANS, key="stranger"), retain=False)
    assert lines(pole) == 61


def test_nothing_is_written_and_nothing_follows_from_what_is_only_counted() -> None:
    pole = Pole()
    pole.introduce()
    pour(pole, PLANS, 100)
    before = len(pole.published)
    pour(pole, PLANS, 100)
    assert len(pole.published) == before
    assert len(pole.sd_card.documents) == 2


def test_what_was_dropped_unread_is_counted_whole_and_told_once() -> None:
    pole = Pole()
    pole.introduce()
    before = lines(pole)
    pole._post(Flooded(topic=PLANS, messages=9_000))
    pole.run_for(31_000)
    assert pole.telemetry()["refused"] == {"too_often": 9_000}
    assert lines(pole) == before + 1
