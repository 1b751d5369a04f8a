"""An emergency on a pole: over whatever sounds, in step, until it is over; then what is due now."""

from __future__ import annotations

from typing import Any

from protocol.messages import Reality
from protocol.topics import TopicName, topic
from protocol.units import NS_PER_MS
from tests.support.issuer import COMMUNE, HOUR_MS, media, occurrence
from tests.support.pole import T0_MS, Pole
from tests.support.sd_card import WRITE_NS
from tests.support.waves import clip_wave, differs_by

NEWS = media("news", seconds=60)
FLOOD = media("flood", seconds=4)
START_MS = T0_MS + 10_000
PRESSED_MS = T0_MS + 20_000
PLAY_MS = PRESSED_MS + 450
EMERGENCY_TOPIC = topic(TopicName.EMERGENCY, area=COMMUNE)


def prepared_pole(**assignment: Any) -> Pole:
    pole = Pole()
    pole.provide(NEWS, FLOOD)
    pole.introduce(prepared_clips=(FLOOD,), **assignment)
    pole.run_for(1_000)
    return pole


def playing_pole() -> Pole:
    pole = prepared_pole()
    pole.send(pole.issuer.plan(occurrence("a", START_MS, NEWS)))
    pole.run_until(PRESSED_MS)
    return pole


def raise_flood(pole: Pole, **changes: Any) -> None:
    pole.send(pole.issuer.emergency(FLOOD, play_at_ms=PLAY_MS, **changes))


def test_cuts_in_on_its_sample_repeats_in_step_and_gives_way_to_what_is_due() -> None:
    pole = playing_pole()
    raise_flood(pole)
    pole.run_until(PLAY_MS + 11_000)
    for repetition in (0, 1):
        begins = PLAY_MS + repetition * 5_000
        heard = pole.heard(begins + 50, begins + 3_950)
        assert differs_by(heard, clip_wave(FLOOD, begins, begins + 50, begins + 3_950)) <= 1
    assert not pole.heard(PLAY_MS + 4_050, PLAY_MS + 4_950).any()
    cleared_ms = pole.now_ms
    pole.send(pole.issuer.all_clear())
    pole.run_until(cleared_ms + 4_000)
    after = cleared_ms + 300
    assert differs_by(pole.heard(after, after + 3_000), clip_wave(NEWS, START_MS, after, after + 3_000)) <= 1
    assert [(*airing[:2], airing[2].split(" ")[0]) for airing in pole.airings()] == [
        ("a", "started", "on"),
        ("a", "finished", "pre_empted"),
        ("flood-1", "started", "on"),
        ("flood-1", "finished", "all_clear"),
        ("a", "started", "joined"),
    ]
    assert pole.unpowered_samples() == 0


def test_sounds_450_ms_after_the_press_on_a_cold_amplifier() -> None:
    pole = prepared_pole()
    pole.run_until(PRESSED_MS)
    raise_flood(pole)
    pole.run_until(PLAY_MS + 2_000)
    heard = pole.heard(PLAY_MS + 30, PLAY_MS + 1_900)
    assert differs_by(heard, clip_wave(FLOOD, PLAY_MS, PLAY_MS + 30, PLAY_MS + 1_900)) <= 1
    assert pole.unpowered_samples() == 0


def test_a_late_joiner_comes_in_in_the_middle_in_step() -> None:
    pole = prepared_pole()
    pole.disconnect()
    raise_flood(pole)
    pole.run_until(PLAY_MS + 6_500)
    pole.connect()
    pole.subscribe(list(dict.fromkeys((name, 1) for name in pole.subscribed)))
    pole.run_until(PLAY_MS + 9_000)
    assert (
        differs_by(
            pole.heard(PLAY_MS + 7_200, PLAY_MS + 8_900),
            clip_wave(FLOOD, PLAY_MS + 5_000, PLAY_MS + 7_200, PLAY_MS + 8_900),
        )
        <= 1
    )


def test_stands_through_a_power_cut_from_the_store_alone() -> None:
    pole = prepared_pole()
    pole.run_until(PRESSED_MS)
    raise_flood(pole)
    pole.run_until(PLAY_MS + 1_000)
    pole.cut_power()
    pole.retained.clear()
    pole.run_for(2_000)
    pole.boot()
    pole.run_until(PLAY_MS + 9_000)
    heard = pole.heard(PLAY_MS + 5_050, PLAY_MS + 8_900)
    assert differs_by(heard, clip_wave(FLOOD, PLAY_MS + 5_000, PLAY_MS + 5_050, PLAY_MS + 8_900)) <= 1
    assert pole.unpowered_samples() == 0


def test_an_emptied_topic_ends_nothing_and_is_no_refusal() -> None:
    pole = prepared_pole()
    raise_flood(pole)
    pole.run_until(PLAY_MS + 1_000)
    pole.deliver(EMERGENCY_TOPIC, b"", retain=True)
    pole.run_until(PLAY_MS + 35_000)
    assert pole.heard(PLAY_MS + 30_000, PLAY_MS + 35_000).any()
    assert pole.telemetry().get("refused", {}) == {}


def test_ends_by_itself() -> None:
    pole = prepared_pole()
    raise_flood(pole, sounds_until_ms=PLAY_MS + 7_000)
    pole.run_until(PLAY_MS + 12_000)
    assert pole.airings()[-1] == ("flood-1", "finished", "expired")
    assert not pole.heard(PLAY_MS + 7_050, PLAY_MS + 12_000).any()
    assert not pole.pin.commanded.latest


def test_a_replay_after_the_all_clear_changes_nothing_not_even_after_a_power_cut() -> None:
    pole = prepared_pole()
    raised = pole.send(pole.issuer.emergency(FLOOD, play_at_ms=PLAY_MS))
    pole.run_until(PLAY_MS + 1_000)
    pole.send(pole.issuer.all_clear(correction=True))
    pole.run_for(3_000)
    assert pole.airings()[-1] == ("flood-1", "finished", "correction")
    for _ in range(2):
        pole.deliver(EMERGENCY_TOPIC, raised, retain=False)
        pole.run_for(2_000)
        assert not pole.pin.commanded.latest
        pole.cut_power()
        pole.boot()
        pole.connect()
        pole.run_for(1_000)
    pole.deliver(EMERGENCY_TOPIC, raised, retain=False)
    pole.run_for(40_000)
    assert pole.telemetry()["refused"]["replayed"] == 1
    assert not pole.heard(PLAY_MS + 4_000, pole.now_ms).any()


def test_a_power_cut_before_the_document_is_durable_changes_nothing_and_the_retained_one_sounds() -> None:
    pole = prepared_pole()
    pole.run_until(PRESSED_MS)
    raise_flood(pole)
    pole.run_for(4)
    assert pole.decisions[-1].decision != "in force"
    assert not pole.pin.commanded.latest
    pole.cut_power()
    assert EMERGENCY_TOPIC not in pole.sd_card.documents
    pole.boot()
    pole.connect()
    pole.run_until(PLAY_MS + 3_500)
    assert (
        differs_by(
            pole.heard(PLAY_MS + 1_000, PLAY_MS + 3_400), clip_wave(FLOOD, PLAY_MS, PLAY_MS + 1_000, PLAY_MS + 3_400)
        )
        <= 1
    )


def test_sounds_though_the_card_refuses_to_write() -> None:
    pole = prepared_pole()
    pole.sd_card.fails = True
    pole.run_until(PRESSED_MS)
    raise_flood(pole)
    pole.run_until(PLAY_MS + 2_000)
    assert pole.heard(PLAY_MS + 100, PLAY_MS + 1_000).all()
    assert pole.telemetry()["faults"] == ["store"]


def test_a_plan_is_not_obeyed_when_the_card_refuses_to_write() -> None:
    pole = prepared_pole()
    pole.sd_card.fails = True
    pole.send(pole.issuer.plan(occurrence("a", START_MS, NEWS)))
    pole.run_until(START_MS + 3_000)
    assert not pole.heard(T0_MS, START_MS + 3_000).any()


def test_the_real_one_stands_before_the_drill_whichever_comes_first() -> None:
    pole = prepared_pole(areas=("thon-dong", COMMUNE))
    drill = media("drill", seconds=4)
    pole.provide(drill)
    document = pole.issuer.emergency(
        drill, play_at_ms=PLAY_MS, area="thon-dong", emergency="drill-1", reality=Reality.DRILL
    )
    pole.send(document, key="drill-1")
    pole.run_until(PLAY_MS + 2_000)
    assert pole.airings()[-1][:2] == ("drill-1", "started")
    pole.send(pole.issuer.emergency(FLOOD, play_at_ms=PLAY_MS + 3_000))
    pole.run_until(PLAY_MS + 6_000)
    assert ("drill-1", "finished", "pre_empted") in pole.airings()
    assert pole.airings()[-1][:2] == ("flood-1", "started")


def test_in_quiet_hours_a_real_emergency_sounds_and_nothing_else_does() -> None:
    night_ms = T0_MS - 3 * HOUR_MS
    pole = Pole(start_ms=night_ms)
    pole.provide(NEWS, FLOOD)
    pole.introduce(prepared_clips=(FLOOD,))
    pole.send(pole.issuer.plan(occurrence("a", night_ms + 5_000, NEWS)))
    drill = pole.issuer.emergency(
        FLOOD, play_at_ms=night_ms + 6_000, emergency="drill-1", reality=Reality.DRILL, area="thon-dong"
    )
    pole.send(drill, key="drill-1")
    pole.run_until(night_ms + 10_000)
    assert not pole.pin.commanded.latest
    assert sorted(pole.airings()) == [("a", "refused", "quiet_hours"), ("drill-1", "refused", "quiet_hours")]
    pole.send(pole.issuer.emergency(FLOOD, play_at_ms=night_ms + 11_000))
    pole.run_until(night_ms + 13_000)
    assert pole.heard(night_ms + 11_100, night_ms + 12_000).all()
    assert len(pole.pin.commanded.changes()) == 2


def test_what_sounds_when_quiet_hours_begin_falls_silent_on_the_second() -> None:
    evening_ms = T0_MS + 15 * HOUR_MS - 30_000
    pole = Pole(start_ms=evening_ms)
    pole.provide(NEWS)
    pole.introduce()
    pole.send(pole.issuer.plan(occurrence("a", evening_ms + 5_000, NEWS)))
    pole.run_until(evening_ms + 35_000)
    assert pole.heard(evening_ms + 25_000, evening_ms + 29_990).all()
    assert not pole.heard(evening_ms + 30_050, evening_ms + 35_000).any()
    assert pole.airings()[-1] == ("a", "finished", "quiet_hours")


def test_an_emergency_from_its_retained_message_reaches_a_node_that_was_never_assigned_before() -> None:
    pole = Pole()
    pole.provide(FLOOD)
    raise_flood(pole)
    pole.run_until(PLAY_MS + 500)
    assert not pole.pin.commanded.latest
    pole.introduce()
    pole.run_until(PLAY_MS + 3_900)
    assert pole.heard(PLAY_MS + 2_500, PLAY_MS + 3_900).all()
    assert pole.world.now_ns == (PLAY_MS + 3_900) * NS_PER_MS


def test_a_slow_card_does_not_hold_a_real_emergency_up() -> None:
    pole = prepared_pole()
    pole.run_until(PRESSED_MS)
    pole.sd_card.write_ns = 20_000 * NS_PER_MS
    raise_flood(pole)
    pole.run_until(PLAY_MS + 4_000)
    heard = pole.heard(PLAY_MS + 1_000, PLAY_MS + 3_900)
    assert differs_by(heard, clip_wave(FLOOD, PLAY_MS, PLAY_MS + 1_000, PLAY_MS + 3_900)) <= 1
    cleared_ms = pole.now_ms
    pole.send(pole.issuer.all_clear())
    pole.run_until(cleared_ms + 4_000)
    assert not pole.heard(cleared_ms + 1_000, cleared_ms + 4_000).any()
    assert EMERGENCY_TOPIC not in pole.sd_card.documents
    pole.run_until(cleared_ms + 120_000)
    assert [key for key in pole.sd_card.documents if key == EMERGENCY_TOPIC]
    assert pole.telemetry().get("refused", {}) == {}
    assert pole.unpowered_samples() == 0


def test_a_slow_card_holds_a_drill_and_a_plan_until_they_are_kept() -> None:
    pole = prepared_pole()
    pole.run_until(PRESSED_MS)
    pole.sd_card.write_ns = 5_000 * NS_PER_MS
    drill = pole.issuer.emergency(FLOOD, play_at_ms=PLAY_MS, reality=Reality.DRILL)
    payload = pole.send(drill, key="drill-1")
    pole.run_for(1_000)
    pole.deliver(EMERGENCY_TOPIC, payload)  # that the broker hands it out once more makes it no more durable
    pole.run_until(PRESSED_MS + 4_900)
    assert not pole.heard(PRESSED_MS, pole.now_ms).any()
    pole.run_until(PRESSED_MS + 20_000)
    assert pole.heard(PRESSED_MS, pole.now_ms).any()


def test_obeyed_from_memory_its_counter_holds_in_this_run_and_it_is_the_same_one_after_a_power_cut() -> None:
    pole = prepared_pole()
    pole.run_until(PRESSED_MS)
    pole.sd_card.write_ns = 20_000 * NS_PER_MS
    raise_flood(pole)
    payload = pole.retained[EMERGENCY_TOPIC]
    pole.run_until(PLAY_MS + 2_000)
    pole.send(pole.issuer.all_clear())
    pole.run_for(1_000)
    pole.deliver(EMERGENCY_TOPIC, payload)
    pole.run_for(5_000)
    assert pole.telemetry()["refused"] == {"replayed": 1}
    assert not pole.heard(pole.now_ms - 4_000, pole.now_ms).any()
    pole.cut_power()
    pole.sd_card.write_ns = WRITE_NS
    pole.boot()
    pole.connect()
    pole.run_for(6_000)
    assert pole.heard(pole.now_ms - 5_000, pole.now_ms).any()
    assert {airing[0] for airing in pole.airings()} == {"flood-1"}


def test_what_a_card_refused_is_offered_again_and_obeyed_when_it_is_kept() -> None:
    pole = prepared_pole()
    pole.sd_card.fails = True
    pole.send(pole.issuer.plan(occurrence("a", T0_MS + 200_000, NEWS)))
    pole.disconnect()
    pole.run_for(90_000)
    assert all("plan" not in name for name in pole.sd_card.documents)
    pole.sd_card.fails = False
    pole.run_until(T0_MS + 205_000)
    assert pole.heard(T0_MS + 201_000, T0_MS + 204_000).all()


def test_an_emergency_that_a_card_refused_is_kept_as_soon_as_it_can_be() -> None:
    pole = prepared_pole()
    pole.run_until(PRESSED_MS)
    pole.sd_card.fails = True
    raise_flood(pole)
    pole.run_until(PLAY_MS + 1_000)
    pole.sd_card.fails = False
    pole.run_for(60_500)
    assert pole.sd_card.documents[EMERGENCY_TOPIC].payload == pole.retained[EMERGENCY_TOPIC]


def test_what_the_card_holds_when_the_all_clear_comes_is_on_record() -> None:
    """Its first samples are out, for a few milliseconds, before their instant: no sound without a record."""
    pole = prepared_pole()
    pole.run_until(PRESSED_MS)
    raise_flood(pole)
    pole.run_until(PLAY_MS - 20)
    pole.send(pole.issuer.all_clear())
    pole.run_until(PLAY_MS + 2_000)
    assert pole.heard(PLAY_MS - 5, PLAY_MS + 500).any(), "the card was filled before the all-clear"
    assert [airing[:2] for airing in pole.airings()] == [("flood-1", "started"), ("flood-1", "finished")]
    started, finished = pole.records()
    assert started.at_ms == PLAY_MS
    assert finished.at_ms >= started.at_ms
    assert pole.unpowered_samples() == 0


def test_an_all_clear_before_the_card_has_anything_leaves_no_record() -> None:
    pole = prepared_pole()
    pole.run_until(PRESSED_MS)
    raise_flood(pole)
    pole.run_until(PLAY_MS - 300)
    pole.send(pole.issuer.all_clear())
    pole.run_until(PLAY_MS + 2_000)
    assert not pole.heard(PLAY_MS - 300, PLAY_MS + 500).any()
    assert pole.airings() == []
