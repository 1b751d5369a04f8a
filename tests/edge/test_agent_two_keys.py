"""Two keys may sign on one topic, each with counters of its own: what was followed by another document is over."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.messages import Reality
from protocol.topics import TopicName, topic
from simulator.clock import BUILD_DATE_NS
from tests.support.issuer import COMMUNE, HOUR_MS, media, occurrence
from tests.support.pole import T0_MS, Pole

NEWS = media("news", seconds=60)
FLOOD = media("flood", seconds=4)
EMERGENCY_AT = topic(TopicName.EMERGENCY, area=COMMUNE)
PLAN_AT = topic(TopicName.PLAN, area=COMMUNE)


def pole_with_two_keys() -> Pole:
    """The keys of a rotation, or of a province and a commune: both are good."""
    pole = Pole()
    pole.provide(NEWS, FLOOD)
    keys = (pole.issuer.operational("operations-1"), pole.issuer.operational("operations-2"))
    drill = pole.issuer.operational("drill-1", reality=Reality.DRILL)
    pole.retained[topic(TopicName.KEYSET)] = pole.issuer.keyset(*keys, drill)
    pole.send(pole.issuer.assignment(prepared_clips=(FLOOD,)))
    pole.connect()
    pole.run_for(1_000)
    return pole


def raised(pole: Pole) -> bytes:
    payload = pole.send(pole.issuer.emergency(FLOOD, play_at_ms=pole.now_ms + 450))
    pole.run_for(4_000)
    assert pole.heard(pole.now_ms - 3_000, pole.now_ms).any()
    return payload


def cleared(pole: Pole) -> None:
    pole.send(pole.issuer.all_clear(), key="operations-2")
    pole.run_for(1_000)


def refused(pole: Pole) -> dict[str, int]:
    found: dict[str, int] = pole.agent._guard.refused  # the counters, before telemetry has told them
    return found


def is_silent_for(pole: Pole, ms: int) -> bool:
    since_ms = pole.now_ms
    pole.run_for(ms)
    return not pole.heard(since_ms, pole.now_ms).any()


def test_an_emergency_that_another_key_has_ended_does_not_come_back() -> None:
    pole = pole_with_two_keys()
    payload = raised(pole)
    cleared(pole)
    pole.deliver(EMERGENCY_AT, payload)
    assert is_silent_for(pole, 20_000)
    assert refused(pole) == {"replayed": 1}


@pytest.mark.parametrize("rtc_ns", [None, BUILD_DATE_NS])
def test_nor_after_a_power_cut_whether_the_time_is_known_or_not(rtc_ns: int | None) -> None:
    pole = pole_with_two_keys()
    payload = raised(pole)
    cleared(pole)
    pole.cut_power()
    if rtc_ns is not None:
        pole.clock.reboot(rtc_ns=rtc_ns)
    pole.boot()
    pole.retained[EMERGENCY_AT] = payload
    pole.connect()
    assert is_silent_for(pole, 20_000)
    assert refused(pole)["replayed"]


def test_nor_on_a_pole_that_has_heard_of_its_end_only() -> None:
    pole = pole_with_two_keys()
    hidden = pole.issuer.seal(pole.issuer.emergency(FLOOD, play_at_ms=pole.now_ms), EMERGENCY_AT)
    cleared(pole)
    pole.deliver(EMERGENCY_AT, hidden)
    assert is_silent_for(pole, 20_000)
    assert refused(pole) == {"replayed": 1}


def test_nor_while_its_end_is_on_its_way_to_the_disk() -> None:
    pole = pole_with_two_keys()
    hidden = pole.issuer.seal(pole.issuer.emergency(FLOOD, play_at_ms=pole.now_ms), EMERGENCY_AT)
    pole.send(pole.issuer.all_clear(), key="operations-2")
    pole.deliver(EMERGENCY_AT, hidden)
    assert is_silent_for(pole, 20_000)


def test_the_next_emergency_sounds_whichever_key_raises_it() -> None:
    for key in ("operations-1", "operations-2"):
        pole = pole_with_two_keys()
        raised(pole)
        cleared(pole)
        pole.send(pole.issuer.emergency(FLOOD, play_at_ms=pole.now_ms + 450, emergency="flood-2"), key=key)
        pole.run_for(4_000)
        assert pole.heard(pole.now_ms - 3_000, pole.now_ms).any()


def test_a_plan_that_another_key_has_replaced_does_not_come_back() -> None:
    pole = pole_with_two_keys()
    begins_ms = T0_MS + 30_000
    old = pole.send(pole.issuer.plan(occurrence("old", begins_ms, NEWS)))
    pole.run_for(500)
    pole.send(pole.issuer.plan(occurrence("new", begins_ms + HOUR_MS, NEWS)), key="operations-2")
    pole.run_for(500)
    pole.deliver(PLAN_AT, old)
    assert is_silent_for(pole, 60_000)
    assert refused(pole) == {"replayed": 1}


def test_where_the_other_key_was_revoked_the_document_before_it_counts_again() -> None:
    pole = pole_with_two_keys()
    begins_ms = T0_MS + 30_000
    old = pole.send(pole.issuer.plan(occurrence("old", begins_ms, NEWS)))
    pole.run_for(500)
    pole.send(pole.issuer.plan(), key="operations-2")
    pole.run_for(500)
    revoked: dict[str, Any] = {"revoked": True}
    keys = (pole.issuer.operational("operations-1"), pole.issuer.operational("operations-2", **revoked))
    pole.deliver(topic(TopicName.KEYSET), pole.issuer.keyset(*keys))
    pole.run_for(500)
    pole.deliver(PLAN_AT, old)
    pole.run_until(begins_ms + 5_000)
    assert pole.heard(begins_ms + 1_000, begins_ms + 4_000).any()
