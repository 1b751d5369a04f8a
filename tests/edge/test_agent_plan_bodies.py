"""A plan in two parts: its body comes first and whole, or the plan before stays, whatever is cut off when."""

from __future__ import annotations

import msgspec
import pytest

from protocol.messages import AiringRecord, AiringState, BroadcastClass, Occurrence, Plan
from protocol.plan_body import encode_body
from protocol.topics import TopicName, topic
from tests.support.issuer import COMMUNE, VILLAGE, media, occurrence
from tests.support.pole import T0_MS, Pole

NEWS = media("news")
MUSIC = media("music", seconds=3)
START_MS = T0_MS + 20_000
PLAN = topic(TopicName.PLAN, area=COMMUNE)


def new_pole() -> Pole:
    pole = Pole()
    pole.provide(NEWS, MUSIC)
    pole.introduce()
    return pole


def in_two_parts(pole: Pole, *occurrences: Occurrence, is_served: bool = True, **changes: object) -> Plan:
    """A plan whose body the server has, or has not."""
    reference, content = encode_body(occurrences)
    if is_served:
        pole.bodies[reference.sha256] = content
    return pole.issuer.plan(body=msgspec.structs.replace(reference, **changes))


def started(pole: Pole) -> list[str]:
    airings = [record for record in pole.records() if isinstance(record, AiringRecord)]
    return [record.source_id for record in airings if record.state is AiringState.STARTED]


def decisions(pole: Pole) -> list[str]:
    return [decision.decision for decision in pole.decisions]


def test_a_large_plan_plays_like_any_other() -> None:
    pole = new_pole()
    pole.send(in_two_parts(pole, occurrence("a", START_MS, NEWS), occurrence("b", START_MS + 5_000, MUSIC)))
    pole.run_until(START_MS + 12_000)
    assert started(pole) == ["a", "b"]
    assert pole.unpowered_samples() == 0
    assert not pole.sd_card.media - {NEWS.sha256, MUSIC.sha256}, "the body is no media file"


def test_its_body_is_fetched_before_any_media() -> None:
    pole = new_pole()
    pole.media.is_reachable = False
    pole.send(pole.issuer.plan(occurrence("b", START_MS, MUSIC), area=VILLAGE))
    pole.run_for(500)
    plan = in_two_parts(pole, occurrence("a", START_MS, NEWS))
    pole.send(plan)
    pole.run_for(500)
    pole.media.asked.clear()
    pole.media.is_reachable = True
    pole.disconnect()
    pole.connect()
    pole.run_for(5_000)
    assert plan.body is not None
    assert pole.media.asked[0] == plan.body.sha256
    assert set(pole.media.asked) == {plan.body.sha256, NEWS.sha256, MUSIC.sha256}


def test_the_plan_before_stays_until_the_body_is_here() -> None:
    pole = new_pole()
    pole.send(pole.issuer.plan(occurrence("old", START_MS, NEWS)))
    pole.run_for(2_000)
    pole.send(in_two_parts(pole, occurrence("new", START_MS, MUSIC), is_served=False))
    pole.run_until(START_MS + 8_000)
    assert started(pole) == ["old"]
    assert "plan waits for its body" in decisions(pole)


def test_after_a_power_cut_the_body_stands_beside_its_plan_without_any_network() -> None:
    pole = new_pole()
    pole.send(in_two_parts(pole, occurrence("a", START_MS, NEWS)))
    pole.run_for(3_000)
    pole.disconnect()
    pole.bodies.clear()
    pole.cut_power()
    pole.boot()
    pole.run_until(START_MS + 8_000)
    pole.connect()
    pole.run_for(1_000)
    assert started(pole) == ["a"]


def test_a_power_cut_while_it_waits_leaves_the_plan_before() -> None:
    pole = new_pole()
    pole.send(pole.issuer.plan(occurrence("old", START_MS, NEWS)))
    pole.run_for(2_000)
    plan = in_two_parts(pole, occurrence("new", START_MS, MUSIC), is_served=False)
    pole.send(plan)
    pole.run_for(500)
    pole.cut_power()
    pole.boot()
    pole.run_for(500)
    assert [stored.body for stored in pole.sd_card.documents.values() if stored.topic == PLAN] == [b""]
    assert plan.body is not None
    pole.bodies[plan.body.sha256] = encode_body([occurrence("new", START_MS, MUSIC)])[1]
    pole.connect()
    pole.run_until(START_MS + 8_000)
    assert started(pole) == ["new"], "the broker hands it out again, and now its body is there"


def test_what_goes_beyond_what_is_signed_is_not_obeyed() -> None:
    pole = new_pole()
    pole.send(pole.issuer.plan(occurrence("old", START_MS, NEWS)))
    louder = occurrence("new", START_MS, MUSIC, broadcast_class=BroadcastClass.EMERGENCY)
    pole.send(in_two_parts(pole, louder, classes=(BroadcastClass.ROUTINE,)))
    pole.run_until(START_MS + 8_000)
    assert started(pole) == ["old"]
    assert "plan not obeyed" in decisions(pole)


def test_a_later_end_of_the_same_body_needs_no_second_download() -> None:
    pole = new_pole()
    plan = in_two_parts(pole, occurrence("a", START_MS, NEWS))
    pole.send(plan)
    pole.run_for(3_000)
    asked = list(pole.media.asked)
    pole.send(msgspec.structs.replace(plan, counter=pole.issuer.count(), expires_at_ms=plan.expires_at_ms + 1))
    pole.run_until(START_MS + 8_000)
    assert pole.media.asked == asked
    assert started(pole) == ["a"]


def test_an_earlier_plan_does_not_push_aside_what_waits() -> None:
    pole = new_pole()
    early = in_two_parts(pole, occurrence("early", START_MS, MUSIC))
    late = in_two_parts(pole, occurrence("late", START_MS, NEWS), is_served=False)
    pole.send(msgspec.structs.replace(late, counter=early.counter + 1_000))
    pole.send(early)
    pole.run_for(2_000)
    assert late.body is not None
    pole.bodies[late.body.sha256] = encode_body([occurrence("late", START_MS, NEWS)])[1]
    pole.run_until(START_MS + 8_000)
    assert started(pole) == ["late"]


def test_an_inline_plan_that_follows_ends_the_waiting() -> None:
    pole = new_pole()
    pole.send(in_two_parts(pole, occurrence("large", START_MS, MUSIC), is_served=False))
    pole.run_for(1_000)
    pole.send(pole.issuer.plan(occurrence("small", START_MS, NEWS)))
    pole.run_for(1_000)
    asked = len(pole.media.asked)
    pole.run_until(START_MS + 8_000)
    assert started(pole) == ["small"]
    assert len(pole.media.asked) <= asked + 1, "nobody asks for the body any more but for the request under way"


def test_a_card_that_refuses_costs_no_second_download() -> None:
    pole = new_pole()
    plan = in_two_parts(pole, occurrence("a", START_MS + 120_000, NEWS))
    pole.send(plan)
    pole.run_for(305)
    assert plan.body is not None
    assert pole.media.asked == [plan.body.sha256]
    pole.sd_card.fails = True
    pole.run_for(5_000)
    assert "document not obeyed" in decisions(pole)
    asked = pole.media.asked.count(plan.body.sha256)
    pole.sd_card.fails = False
    pole.run_until(START_MS + 130_000)
    assert started(pole) == ["a"]
    assert pole.media.asked.count(plan.body.sha256) == asked


@pytest.mark.parametrize("cut_after_ms", range(0, 700, 50))
def test_whenever_the_power_is_cut_one_whole_plan_plays(cut_after_ms: int) -> None:
    pole = new_pole()
    pole.send(pole.issuer.plan(occurrence("old", START_MS, NEWS)))
    pole.run_for(2_000)
    pole.send(in_two_parts(pole, occurrence("new", START_MS, NEWS)))
    pole.run_for(cut_after_ms)
    pole.disconnect()
    pole.cut_power()
    pole.boot()
    pole.run_until(START_MS + 8_000)
    pole.connect()
    pole.run_for(1_000)
    assert started(pole) in (["old"], ["new"])
