"""A card that neither takes nor refuses anything for days: what waits for it is bounded, what cannot wait does not."""

from __future__ import annotations

from edge.documents.pending import PENDING_MAX
from protocol.topics import TopicName, topic
from protocol.units import NS_PER_MS
from tests.support.issuer import COMMUNE, HOUR_MS, media
from tests.support.pole import T0_MS, Pole

FLOOD = media("flood", seconds=4)


def hanging_pole() -> Pole:
    """As many plans wait for its card as may."""
    pole = Pole()
    pole.provide(FLOOD)
    pole.introduce(prepared_clips=(FLOOD,))
    pole.run_for(2_000)
    pole.sd_card.write_ns = 72 * HOUR_MS * NS_PER_MS
    for _ in range(PENDING_MAX):
        pole.send(pole.issuer.plan())
    pole.run_for(1_000)
    return pole


def refused(pole: Pole) -> dict[str, int]:
    found: dict[str, int] = pole.agent._guard.refused  # the counters, before telemetry has told them
    return found


def test_a_real_emergency_sounds_and_ends_whatever_waits_for_the_card() -> None:
    pole = hanging_pole()
    assert refused(pole) == {}
    pole.send(pole.issuer.plan())
    assert refused(pole) == {"too_large": 1}
    raised_ms = pole.now_ms
    pole.send(pole.issuer.emergency(FLOOD, play_at_ms=raised_ms + 450))
    pole.run_for(4_000)
    assert pole.heard(raised_ms + 1_500, raised_ms + 3_500).any()
    cleared_ms = pole.now_ms
    pole.send(pole.issuer.all_clear())
    pole.run_for(3_000)
    assert not pole.heard(cleared_ms + 1_000, cleared_ms + 3_000).any()
    assert refused(pole) == {"too_large": 1}


def test_a_clip_that_is_not_here_is_fetched_though_the_card_has_not_taken_the_order() -> None:
    pole = Pole()
    pole.provide(FLOOD)
    pole.introduce()
    pole.run_for(2_000)
    pole.sd_card.write_ns = 72 * HOUR_MS * NS_PER_MS
    pole.send(pole.issuer.emergency(FLOOD, play_at_ms=pole.now_ms + 450))
    pole.run_for(15_000)
    assert pole.heard(pole.now_ms - 6_000, pole.now_ms).any()


def test_a_card_that_is_slow_and_then_refuses_is_offered_the_emergency_again() -> None:
    pole = Pole()
    pole.provide(FLOOD)
    pole.introduce(prepared_clips=(FLOOD,))
    pole.run_for(2_000)
    pole.sd_card.write_ns, pole.sd_card.fails = 2_000 * NS_PER_MS, True
    raised_ms = pole.now_ms
    pole.send(pole.issuer.emergency(FLOOD, play_at_ms=raised_ms + 450))
    pole.run_for(5_000)
    assert pole.heard(raised_ms + 1_500, raised_ms + 3_500).any()
    assert "store" in pole.agent._health.faults.active
    pole.sd_card.fails = False
    pole.run_for(90_000)
    assert topic(TopicName.EMERGENCY, area=COMMUNE) in pole.sd_card.documents
    assert pole.heard(pole.now_ms - 6_000, pole.now_ms).any()


def test_an_order_to_be_silent_is_obeyed_whatever_waits_for_the_card() -> None:
    pole = hanging_pole()
    pole.send(pole.issuer.emergency(FLOOD, play_at_ms=T0_MS + 5_000))
    pole.run_until(T0_MS + 7_000)
    assert pole.heard(pole.now_ms - 500, pole.now_ms - 100).any()
    pole.send(pole.issuer.silence())
    pole.run_for(100)
    assert not pole.pin.commanded.latest
    assert "silenced" in pole.agent._health.faults.active
