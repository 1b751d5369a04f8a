"""What a pole says of itself: birth, status at its interval and at once, faults, farewell; and what it listens to."""

from __future__ import annotations

import json

from edge.events import Disconnected
from edge.health import PLANLESS_MS, TAKEN_OVER_MS
from protocol.messages import LOOSE_FROM, BroadcastClass, FaultRecord, SourceKind
from protocol.topics import TopicName, topic
from simulator.clock import BUILD_DATE_NS
from tests.support.issuer import COMMUNE, HOUR_MS, VILLAGE, media, occurrence
from tests.support.pole import NODE, T0_MS, Pole

STATE = topic(TopicName.NODE_STATE, node=NODE)
TELEMETRY = topic(TopicName.TELEMETRY, node=NODE)
NEWS = media("news")
START_MS = T0_MS + 20_000


def states(pole: Pole) -> list[str]:
    return [json.loads(payload)["state"] for name, payload in pole.published if name == STATE]


def statuses(pole: Pole) -> int:
    return sum(name == TELEMETRY for name, _ in pole.published)


def test_is_init_until_it_has_keys_and_a_place_then_ready() -> None:
    pole = Pole()
    pole.connect()
    assert states(pole) == ["init"]
    assert pole.subscribed == {topic(TopicName.ROOT), topic(TopicName.KEYSET)}
    pole.introduce()
    pole.subscribe([(topic(TopicName.KEYSET), 1)])
    pole.run_for(1_000)
    assert states(pole) == ["init", "ready"]
    epochs = {json.loads(payload)["session_epoch"] for name, payload in pole.published if name == STATE}
    assert epochs == {T0_MS}


def test_listens_to_its_own_chain_and_to_nobody_else() -> None:
    pole = Pole()
    pole.introduce()
    expected = {topic(TopicName.ROOT), topic(TopicName.KEYSET), topic(TopicName.ASSIGNMENT, node=NODE)}
    expected |= {topic(name, node=NODE) for name in (TopicName.ACKNOWLEDGEMENT, TopicName.NODE_SILENCE)}
    for area in (VILLAGE, COMMUNE):
        expected |= {topic(TopicName.PLAN, area=area), topic(TopicName.EMERGENCY, area=area)}
        expected |= {topic(TopicName.AREA_SILENCE, area=area)}
        expected |= {topic(TopicName.STREAM, area=area, stream="+")}
    assert pole.subscribed == expected


def test_moves_with_its_assignment_and_forgets_the_former_place() -> None:
    pole = Pole()
    pole.provide(NEWS)
    pole.introduce(herd_window_s=9)
    assert pole.herd_window_s == 9
    pole.send(pole.issuer.plan(occurrence("a", START_MS, NEWS), area=VILLAGE))
    pole.run_for(1_000)
    pole.send(pole.issuer.assignment(areas=("thon-doai", COMMUNE)))
    pole.run_until(START_MS + 3_000)
    assert topic(TopicName.PLAN, area=VILLAGE) not in pole.subscribed
    assert topic(TopicName.PLAN, area=VILLAGE) not in pole.sd_card.documents
    assert not pole.heard(T0_MS, START_MS + 3_000).any()


def test_a_revoked_key_takes_its_plan_with_it() -> None:
    pole = Pole()
    pole.provide(NEWS)
    pole.introduce()
    pole.send(pole.issuer.plan(occurrence("a", START_MS, NEWS)))
    pole.run_until(START_MS + 1_000)
    keys = (pole.issuer.operational("operations-1", revoked=True), pole.issuer.operational("operations-2"))
    pole.deliver(topic(TopicName.KEYSET), pole.issuer.keyset(*keys))
    pole.run_for(3_000)
    assert pole.airings()[-1] == ("a", "finished", "revoked")
    assert not pole.heard(START_MS + 1_300, pole.now_ms).any()


def test_what_was_refused_for_want_of_a_key_comes_again_with_the_keyset() -> None:
    pole = Pole()
    pole.provide(NEWS)
    pole.introduce()
    pole.send(pole.issuer.plan(occurrence("a", START_MS, NEWS)), key="operations-2")
    pole.run_for(1_000)
    keys = (pole.issuer.operational("operations-1"), pole.issuer.operational("operations-2"))
    pole.deliver(topic(TopicName.KEYSET), pole.issuer.keyset(*keys))
    pole.run_until(START_MS + 1_000)
    assert pole.airings() == [("a", "started", "on time")]


def test_what_was_refused_of_the_time_is_counted_with_all_else() -> None:
    pole = Pole()
    pole.introduce()
    pole.send(pole.issuer.plan(occurrence("a", START_MS, NEWS)), key="operations-2")
    pole.run_for(61_000)
    before = pole.telemetry()["refused"]["unknown_key"]
    pole.time_refused |= {"unknown_key": 3, "unasked": 1}
    pole.run_for(61_000)
    assert pole.telemetry()["refused"] == {"unknown_key": before + 3, "unasked": 1}


def test_a_status_comes_at_its_interval_and_at_once_when_something_changes() -> None:
    pole = Pole()
    pole.provide(NEWS)
    pole.introduce()
    pole.run_for(1_000)
    before = statuses(pole)
    pole.run_for(30_000)
    assert statuses(pole) == before + 1
    start_ms = pole.now_ms + 5_000
    pole.send(pole.issuer.plan(occurrence("a", start_ms, NEWS)))
    pole.run_until(start_ms + 250)
    shown = pole.telemetry()
    assert shown["sounding"] == {
        "source": SourceKind.MEDIA,
        "source_id": "a",
        "title": "Bản tin a",
        "broadcast_class": BroadcastClass.ROUTINE,
        "since_ms": start_ms,
    }
    assert shown["amplifier"] == "on"
    assert shown["sound_path"] == "simulated paced by the device"
    pole.run_until(start_ms + 8_000)
    last = pole.telemetry()
    assert "sounding" not in last
    assert last.get("amplifier", "off") == "off"
    assert last["audible_ms"] >= 4_900
    assert last["disk_free_bytes"] > 0


def test_no_status_is_made_while_the_broker_is_away() -> None:
    pole = Pole()
    pole.introduce()
    pole.disconnect()
    before = len(pole.published)
    pole.run_for(120_000)
    assert len(pole.published) == before


def test_a_card_that_does_not_run_releases_the_amplifier_and_comes_back_in_step() -> None:
    pole = Pole()
    long = media("long", seconds=60)
    pole.provide(long)
    pole.introduce()
    pole.send(pole.issuer.plan(occurrence("a", START_MS, long)))
    pole.run_until(START_MS + 5_000)
    pole.card.unplug()
    pole.run_until(START_MS + 14_000)
    assert not pole.pin.commanded.latest
    assert pole.telemetry()["faults"] == ["sound_card"]
    assert pole.airings()[-1] == ("a", "finished", "card_failed")
    pole.card.plug()
    pole.run_until(START_MS + 55_000)
    assert pole.pin.commanded.at(pole.world.now_ns)
    assert pole.telemetry().get("faults", []) == []
    assert pole.heard(START_MS + 50_000, START_MS + 54_000).all()
    assert pole.unpowered_samples() == 0


def test_a_pin_that_cannot_be_driven_is_a_fault_and_nothing_is_thought_to_sound() -> None:
    pole = Pole()
    pole.provide(NEWS)
    pole.introduce()
    pole.pin.break_pin()
    pole.send(pole.issuer.plan(occurrence("a", START_MS, NEWS)))
    pole.run_until(START_MS + 8_000)
    assert "amplifier" in pole.telemetry()["faults"]
    assert pole.airings() == [("a", "missed", "amplifier_failed")]
    assert not pole.heard(T0_MS, pole.now_ms).any()


def test_a_full_card_is_a_fault_and_keeps_what_it_has() -> None:
    pole = Pole()
    other = media("other")
    pole.provide(NEWS, other)
    pole.sd_card.capacity_files = 1
    pole.introduce()
    pole.send(pole.issuer.plan(occurrence("a", START_MS, NEWS), occurrence("b", START_MS + 6_000, other)))
    pole.run_until(START_MS + 12_000)
    assert "disk_full" in {getattr(record, "fault", "") for record in pole.records()}
    assert ("a", "finished", "finished") in pole.airings()
    assert ("b", "missed", "media_missing") in pole.airings()
    assert pole.sd_card.media == {NEWS.sha256}


def test_a_card_that_others_have_filled_is_told_before_anything_fails() -> None:
    pole = Pole()
    pole.introduce()
    pole.sd_card.capacity_files = 0
    pole.run_for(70_000)
    assert "disk_full" in pole.telemetry()["faults"]
    pole.sd_card.capacity_files = 1_000
    pole.run_for(70_000)
    assert "disk_full" not in pole.telemetry().get("faults", [])


def test_a_card_that_was_full_while_the_pole_was_cut_off_is_on_record() -> None:
    pole = Pole()
    pole.introduce()
    pole.send(pole.issuer.plan(*(occurrence(f"i{n}", T0_MS + n * 300_000, NEWS) for n in range(1, 8))))
    pole.provide(NEWS)
    pole.run_for(60_000)
    pole.disconnect()
    pole.sd_card.capacity_files = 0
    pole.run_for(1_300_000)
    pole.sd_card.capacity_files = 1_000
    pole.run_for(1_300_000)
    pole.connect()
    pole.run_for(60_000)
    told = [(each.fault, each.active) for each in pole.records() if isinstance(each, FaultRecord)]
    assert [each for each in told if each[0] == "disk_full"] == [("disk_full", True), ("disk_full", False)]


def test_reports_that_the_card_refuses_are_sent_and_are_on_the_card_as_soon_as_it_takes_them() -> None:
    pole = Pole()
    pole.introduce()
    pole.provide(NEWS)
    pole.send(pole.issuer.plan(occurrence("a", START_MS, NEWS)))
    pole.run_for(2_000)
    pole.sd_card.fails = True
    pole.run_until(START_MS + 30_000)
    assert ("a", "started", "on time") in pole.airings()
    assert "store" in pole.telemetry()["faults"]
    assert not pole.sd_card.reports
    pole.sd_card.fails = False
    pole.run_until(START_MS + 70_000)
    assert {number >= LOOSE_FROM for number in pole.sd_card.reports} == {True, False}
    assert "store" not in pole.telemetry().get("faults", [])
    pole.cut_power()
    pole.boot()
    pole.connect()
    pole.run_for(1_000)
    assert ("cut_off", False) in [
        (record.fault, record.active) for record in pole.records() if isinstance(record, FaultRecord)
    ]


def test_without_the_time_nothing_planned_sounds_and_with_it_the_store_is_taken_up() -> None:
    pole = Pole()
    pole.provide(NEWS)
    pole.introduce()
    pole.send(pole.issuer.plan(occurrence("a", START_MS, NEWS)))
    pole.run_for(2_000)
    pole.cut_power()
    pole.clock.reboot(rtc_ns=BUILD_DATE_NS)
    booted_ms = pole.now_ms
    pole.boot()
    pole.run_for(5_000)
    assert topic(TopicName.EMERGENCY, area=COMMUNE) in pole.subscribed
    pole.run_for(2_000)
    assert not pole.heard(booted_ms, pole.now_ms).any()
    pole.clock.synchronise()
    pole.run_until(START_MS + 3_000)
    assert pole.heard(START_MS + 100, START_MS + 2_900).all()
    pole.connect()
    pole.run_for(500)
    faults = [(record.fault, record.active) for record in pole.records() if isinstance(record, FaultRecord)]
    assert faults == [("cut_off", False), ("clock_unknown", True), ("clock_unknown", False)]


def test_a_connection_that_another_took_is_counted_and_a_fault_for_half_an_hour() -> None:
    pole = Pole()
    pole.introduce()
    pole._post(Disconnected(reason="the broker ended the connection: Session taken over"))
    pole._post(Disconnected(reason="reset by the peer"))
    pole.connect()
    pole.run_for(31_000)
    assert pole.telemetry()["taken_over"] == 1
    assert "taken_over" in pole.telemetry()["faults"]
    pole.run_for(TAKEN_OVER_MS)
    assert "taken_over" not in pole.telemetry().get("faults", ())


def test_a_pole_whose_plan_is_over_says_so_though_it_is_connected() -> None:
    pole = Pole()
    pole.introduce()
    pole.send(pole.issuer.plan(covers_until_ms=T0_MS + HOUR_MS))
    pole.run_until(T0_MS + HOUR_MS + 500_000)
    assert "plan_ended" not in pole.telemetry().get("faults", ())
    pole.run_until(T0_MS + HOUR_MS + 700_000)
    assert "plan_ended" in pole.telemetry()["faults"]
    pole.send(pole.issuer.plan(covers_until_ms=T0_MS + 24 * HOUR_MS))
    pole.run_for(31_000)
    assert "plan_ended" not in pole.telemetry().get("faults", ())


def test_a_pole_that_never_had_a_plan_says_so_unless_it_has_no_place_or_no_time() -> None:
    placed, nowhere, timeless = Pole(), Pole(), Pole()
    for pole in (placed, timeless):
        pole.introduce()
    timeless.cut_power()
    timeless.clock.reboot(rtc_ns=BUILD_DATE_NS)
    timeless.boot()
    for pole in (nowhere, timeless):
        pole.connect()
    for pole in (placed, nowhere, timeless):
        pole.run_for(PLANLESS_MS + 60_000)
    assert "plan_ended" in placed.telemetry()["faults"]
    assert "plan_ended" not in nowhere.telemetry().get("faults", ())
    assert timeless.telemetry()["faults"] == ["clock_unknown"]


def test_a_plan_that_ends_while_the_broker_is_away_is_on_record_from_that_time() -> None:
    """Nothing else happens on such a pole: it wakes for that alone."""
    pole = Pole()
    pole.introduce()
    ends_ms = T0_MS + HOUR_MS
    pole.send(pole.issuer.plan(covers_until_ms=ends_ms))
    pole.run_for(1_000)
    pole.disconnect()
    pole.run_until(ends_ms + PLANLESS_MS + 60_000)
    pole.connect()
    pole.run_for(1_000)
    found = [each for each in pole.records() if isinstance(each, FaultRecord) and each.fault == "plan_ended"]
    assert [each.at_ms for each in found] == [ends_ms + PLANLESS_MS]
