"""A pole that is ordered to be silent is silent at once, emergencies too, until the release and through everything."""

from __future__ import annotations

import pytest

from edge.effects import LogDecision, PowerAmplifier, StoreDocument
from edge.events import MessageReceived
from protocol.messages import FaultRecord, Reality
from protocol.topics import TopicName, topic
from tests.support.issuer import COMMUNE, VILLAGE, media, occurrence
from tests.support.pole import NODE, T0_MS, Pole

NEWS = media("news", seconds=600)
FLOOD = media("flood", seconds=4)
PLAY_MS = T0_MS + 20_000
AREA = topic(TopicName.AREA_SILENCE, area=COMMUNE)


def sounding_pole() -> Pole:
    """A plan, and an emergency that sounds over it."""
    pole = Pole()
    pole.provide(NEWS, FLOOD)
    pole.introduce(prepared_clips=(FLOOD,))
    later = occurrence("b", PLAY_MS + 60_000, NEWS)
    pole.send(pole.issuer.plan(occurrence("a", T0_MS + 5_000, NEWS), later))
    pole.run_until(PLAY_MS - 1_000)
    pole.send(pole.issuer.emergency(FLOOD, play_at_ms=PLAY_MS))
    pole.run_until(PLAY_MS + 2_000)
    assert pole.heard(pole.now_ms - 500, pole.now_ms - 100).any()
    return pole


def is_silent_since(pole: Pole, at_ms: int) -> bool:
    """Whether the amplifier went off at once, and has not been on since."""
    since_ns = at_ms * 1_000_000
    later = any(is_on for at_ns, is_on in pole.pin.commanded.changes(since_ns) if at_ns > since_ns)
    return not (later or pole.pin.commanded.at(since_ns + 1_000_000))


def refused(pole: Pole) -> dict[str, int]:
    found: dict[str, int] = pole.agent._guard.refused  # the counters, before telemetry has told them
    return found


@pytest.mark.parametrize(("area", "node"), [(COMMUNE, None), (VILLAGE, None), (None, NODE)])
def test_silences_at_once_emergencies_too_and_until_the_release(area: str | None, node: str | None) -> None:
    pole = sounding_pole()
    at_ms = pole.now_ms
    pole.send(pole.issuer.silence(area=area, node=node))
    pole.run_for(120_000)
    assert is_silent_since(pole, at_ms)
    assert ("flood-1", "finished", "silenced") in pole.airings()
    assert ("b", "refused", "silenced") in pole.airings()
    pole.send(pole.issuer.release(area=area, node=node))
    pole.run_for(10_000)
    assert pole.heard(pole.now_ms - 5_000, pole.now_ms - 100).any()


def test_the_amplifier_is_off_before_the_disk_is_asked() -> None:
    pole = sounding_pole()
    payload = pole.issuer.seal(pole.issuer.silence(), AREA)
    effects = pole.agent.handle(MessageReceived(topic=AREA, payload=payload), pole.clock.read_now())
    kinds = [each for each in effects if not isinstance(each, LogDecision)]
    first_store = next(index for index, each in enumerate(kinds) if isinstance(each, StoreDocument))
    assert PowerAmplifier(on=False) in kinds[:first_store]


def test_says_by_whose_order_and_why() -> None:
    pole = sounding_pole()
    pole.send(pole.issuer.silence())
    pole.run_for(1_000)
    faults = [each for each in pole.records() if isinstance(each, FaultRecord) and each.fault == "silenced"]
    assert [(each.active, each.detail) for each in faults] == [(True, f"area:{COMMUNE} lan: tháo loa")]
    assert pole.telemetry()["silenced"] == f"area:{COMMUNE} lan: tháo loa"
    assert "silenced" in pole.telemetry()["faults"]
    pole.send(pole.issuer.release())
    pole.run_for(1_000)
    assert "silenced" not in pole.telemetry()
    assert not [each for each in pole.records() if isinstance(each, FaultRecord)][-1].active


def test_holds_through_a_power_cut_without_a_broker() -> None:
    pole = sounding_pole()
    pole.send(pole.issuer.silence())
    pole.run_for(1_000)
    pole.cut_power()
    at_ms = pole.now_ms
    pole.run_for(20_000)
    pole.boot()
    pole.run_for(300_000)
    assert is_silent_since(pole, at_ms)


def test_holds_when_its_time_is_up_and_when_its_key_is_revoked_or_gone() -> None:
    pole = sounding_pole()
    spare = pole.issuer.operational("operations-2")
    pole.deliver(topic(TopicName.KEYSET), pole.issuer.keyset(pole.issuer.operational("operations-1"), spare))
    pole.run_for(1_000)
    pole.send(pole.issuer.silence(expires_at_ms=pole.now_ms + 60_000))
    pole.run_for(1_000)
    at_ms = pole.now_ms
    for keys in ((pole.issuer.operational("operations-1", revoked=True), spare), (spare,)):
        pole.deliver(topic(TopicName.KEYSET), pole.issuer.keyset(*keys))
        pole.send(pole.issuer.assignment(prepared_clips=(FLOOD,)), key="operations-2")
        pole.send(pole.issuer.plan(occurrence("c", pole.now_ms + 1_000, NEWS)), key="operations-2")
        pole.run_for(90_000)
        pole.cut_power()
        pole.boot()
        pole.connect()
        pole.run_for(30_000)
    assert is_silent_since(pole, at_ms)
    pole.send(pole.issuer.release(), key="operations-2")
    pole.run_for(5_000)
    assert pole.heard(pole.now_ms - 2_000, pole.now_ms - 100).any()


def test_a_late_joiner_obeys() -> None:
    pole = Pole()
    pole.provide(NEWS, FLOOD)
    pole.send(pole.issuer.silence())
    pole.send(pole.issuer.emergency(FLOOD, play_at_ms=T0_MS))
    pole.send(pole.issuer.plan(occurrence("a", T0_MS, NEWS)))
    pole.introduce(prepared_clips=(FLOOD,))
    pole.run_for(60_000)
    assert not pole.heard(T0_MS, pole.now_ms).any()
    assert not any(is_on for _, is_on in pole.pin.commanded.changes())


def test_what_the_disk_does_not_take_silences_all_the_same_and_releases_nothing() -> None:
    pole = sounding_pole()
    pole.sd_card.fails = True
    at_ms = pole.now_ms
    pole.send(pole.issuer.silence())
    pole.run_for(5_000)
    pole.send(pole.issuer.release())
    pole.run_for(20_000)
    assert is_silent_since(pole, at_ms)
    pole.sd_card.fails = False
    pole.send(pole.issuer.release())
    pole.run_for(10_000)
    assert pole.heard(pole.now_ms - 5_000, pole.now_ms - 100).any()


@pytest.mark.parametrize(
    ("ordering", "releasing", "is_released"),
    [
        ("province", "commune", False),
        ("commune", "province", True),
        ("commune", "commune", True),
        ("commune", "village", False),
    ],
)
def test_a_release_reaches_as_high_as_the_order(ordering: str, releasing: str, is_released: bool) -> None:
    pole = sounding_pole()
    keys = [
        pole.issuer.operational("operations-1"),
        pole.issuer.operational("province"),
        pole.issuer.operational("commune", areas=(COMMUNE,)),
        pole.issuer.operational("village", areas=(VILLAGE,)),
    ]
    pole.deliver(topic(TopicName.KEYSET), pole.issuer.keyset(*keys))
    pole.run_for(500)
    pole.send(pole.issuer.silence(area=VILLAGE), key=ordering)
    pole.run_for(500)
    pole.send(pole.issuer.release(area=VILLAGE), key=releasing)
    pole.run_for(5_000)
    assert pole.pin.commanded.latest is is_released
    assert refused(pole).get("wrong_scope", 0) == (not is_released)


def test_a_lower_order_does_not_take_the_place_of_a_higher_one() -> None:
    pole = sounding_pole()
    keys = [pole.issuer.operational("operations-1"), pole.issuer.operational("village", areas=(VILLAGE,))]
    pole.deliver(topic(TopicName.KEYSET), pole.issuer.keyset(*keys))
    pole.run_for(500)
    at_ms = pole.now_ms
    pole.send(pole.issuer.silence(area=VILLAGE))
    pole.run_for(500)
    pole.send(pole.issuer.silence("mine", area=VILLAGE), key="village")
    pole.send(pole.issuer.release("mine", area=VILLAGE), key="village")
    pole.run_for(30_000)
    assert is_silent_since(pole, at_ms)
    assert refused(pole) == {"wrong_scope": 1, "unexpected_type": 1}


def test_old_orders_and_old_releases_do_not_come_back_whoever_signed_them() -> None:
    pole = sounding_pole()
    keys = [pole.issuer.operational("operations-1"), pole.issuer.operational("operations-2")]
    pole.deliver(topic(TopicName.KEYSET), pole.issuer.keyset(*keys))
    pole.run_for(500)
    first = pole.send(pole.issuer.silence())
    pole.run_for(500)
    release = pole.send(pole.issuer.release(), key="operations-2")
    pole.run_for(500)
    pole.deliver(AREA, first)
    pole.run_for(5_000)
    assert pole.pin.commanded.latest
    at_ms = pole.now_ms
    pole.send(pole.issuer.silence("silence-2"))
    pole.run_for(500)
    pole.deliver(AREA, release)
    pole.run_for(30_000)
    assert is_silent_since(pole, at_ms)
    assert refused(pole) == {"replayed": 2}


def test_a_pole_that_heard_of_the_release_only_is_not_silenced_by_the_old_order() -> None:
    """It was off while the order stood; whoever holds the broker kept it, to silence an emergency with."""
    pole = sounding_pole()
    keys = [pole.issuer.operational("operations-1"), pole.issuer.operational("operations-2")]
    pole.deliver(topic(TopicName.KEYSET), pole.issuer.keyset(*keys))
    pole.run_for(500)
    order = pole.issuer.seal(pole.issuer.silence(), AREA)
    pole.send(pole.issuer.release(), key="operations-2")
    pole.run_for(500)
    pole.deliver(AREA, order)
    pole.run_for(5_000)
    assert pole.pin.commanded.latest
    assert refused(pole) == {"replayed": 1}


def test_a_release_that_waits_for_the_disk_does_not_lift_an_order_that_came_meanwhile() -> None:
    pole = sounding_pole()
    pole.send(pole.issuer.silence())
    pole.run_for(500)
    at_ms = pole.now_ms
    pole.send(pole.issuer.release())
    pole.send(pole.issuer.silence("silence-2"))
    pole.run_for(30_000)
    assert is_silent_since(pole, at_ms)
    pole.cut_power()
    pole.boot()
    pole.run_for(30_000)
    assert not pole.pin.commanded.latest


def test_a_drill_key_and_a_key_without_emergencies_silence_nobody() -> None:
    pole = sounding_pole()
    plans = pole.issuer.operational("plans", classes=("routine", "priority"))
    drill = pole.issuer.operational("drill-1", reality=Reality.DRILL)
    pole.deliver(topic(TopicName.KEYSET), pole.issuer.keyset(pole.issuer.operational("operations-1"), plans, drill))
    pole.run_for(500)
    pole.send(pole.issuer.silence(), key="plans")
    pole.send(pole.issuer.silence(), key="drill-1")
    pole.run_for(3_000)
    assert pole.pin.commanded.latest
    assert refused(pole) == {"wrong_scope": 2}


def test_an_order_may_spare_emergencies() -> None:
    pole = sounding_pole()
    pole.send(pole.issuer.silence(spares_emergencies=True))
    pole.run_for(10_000)
    assert pole.pin.commanded.latest
    at_ms = pole.now_ms
    pole.send(pole.issuer.all_clear())
    pole.run_for(30_000)
    assert is_silent_since(pole, at_ms + 100)


def test_a_move_to_another_place_leaves_the_silence_of_the_former_one_behind() -> None:
    pole = sounding_pole()
    pole.send(pole.issuer.silence(area=VILLAGE))
    pole.run_for(2_000)
    assert not pole.pin.commanded.latest
    pole.send(pole.issuer.assignment(areas=("thon-tay", COMMUNE), prepared_clips=(FLOOD,)))
    pole.run_for(5_000)
    assert pole.pin.commanded.latest


def test_what_is_put_on_record_stays_in_order_through_a_restart() -> None:
    pole = sounding_pole()
    pole.send(pole.issuer.silence())
    pole.run_for(2_000)
    before = len(pole.records())
    pole.cut_power()
    pole.boot()
    pole.connect()
    pole.run_for(5_000)
    assert len(pole.records()) > before
    assert [each.fault for each in pole.records()[:before] if isinstance(each, FaultRecord)] == ["silenced"]
