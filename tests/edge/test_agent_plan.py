"""A pole plays its plan: on the sample, with no network, from the store alone, warm and never unpowered."""

from __future__ import annotations

from protocol.messages import AiringRecord, AiringState
from protocol.topics import TopicName, topic
from protocol.units import NS_PER_MS
from tests.support.issuer import COMMUNE, VILLAGE, media, occurrence
from tests.support.pole import NODE, T0_MS, Pole
from tests.support.waves import clip_wave, differs_by

NEWS = media("news")
MUSIC = media("music", seconds=3)
START_MS = T0_MS + 20_000
FADE_MS = 20


def planned_pole() -> Pole:
    pole = Pole()
    pole.provide(NEWS, MUSIC)
    pole.introduce()
    pole.send(pole.issuer.plan(occurrence("a", START_MS, NEWS), occurrence("b", START_MS + 5_000, MUSIC)))
    pole.run_for(2_000)
    return pole


def test_plays_each_item_on_its_very_sample() -> None:
    pole = planned_pole()
    pole.run_until(START_MS + 12_000)
    begin = START_MS + FADE_MS
    assert differs_by(pole.heard(begin, begin + 4_900), clip_wave(NEWS, START_MS, begin, begin + 4_900)) <= 1
    second = START_MS + 5_000
    heard = pole.heard(second + FADE_MS, second + 2_900)
    assert differs_by(heard, clip_wave(MUSIC, second, second + FADE_MS, second + 2_900)) <= 1
    assert not pole.heard(T0_MS, START_MS).any()
    assert not pole.heard(START_MS + 8_050, START_MS + 12_000).any()


def test_is_warm_before_the_first_sample_and_off_after_the_hold() -> None:
    pole = planned_pole()
    pole.run_until(START_MS + 12_000)
    changes = [(at_ns // 1_000_000 - START_MS, is_on) for at_ns, is_on in pole.pin.commanded.changes()]
    assert [is_on for _, is_on in changes] == [False, True, False]
    assert -400 <= changes[1][0] <= -300
    assert 8_000 + 2_000 <= changes[2][0] <= 8_000 + 2_100
    assert pole.unpowered_samples() == 0


def test_the_card_is_closed_with_the_amplifier_and_not_at_the_next_status() -> None:
    pole = planned_pole()
    pole.run_until(START_MS + 25_000)
    off_ns = pole.pin.commanded.changes()[-1][0]
    pole.heard(START_MS, START_MS + 1)
    last_block_ns = pole.heard_blocks[-1][0]
    assert last_block_ns - off_ns < 500 * NS_PER_MS


def test_records_what_sounded_in_order() -> None:
    pole = planned_pole()
    pole.run_until(START_MS + 12_000)
    assert pole.airings() == [
        ("a", "started", "on time"),
        ("a", "finished", "finished"),
        ("b", "started", "on time"),
        ("b", "finished", "finished"),
    ]


def test_plays_from_the_store_alone_after_a_power_cut() -> None:
    pole = planned_pole()
    pole.cut_power()
    pole.run_for(3_000)
    pole.retained.clear()
    pole.boot()
    pole.run_until(START_MS + 12_000)
    begin = START_MS + FADE_MS
    assert differs_by(pole.heard(begin, begin + 4_000), clip_wave(NEWS, START_MS, begin, begin + 4_000)) <= 1
    pole.connect()
    pole.run_for(1_000)
    assert [state for _, state, _ in pole.airings()] == ["started", "finished", "started", "finished"]


def test_joins_in_the_middle_after_a_power_cut_during_an_item_and_says_so() -> None:
    pole = planned_pole()
    pole.run_until(START_MS + 1_000)
    pole.cut_power()
    pole.run_for(1_000)
    pole.boot()
    pole.connect()
    pole.run_until(START_MS + 12_000)
    joined = START_MS + 2_500
    assert differs_by(pole.heard(joined, joined + 2_000), clip_wave(NEWS, START_MS, joined, joined + 2_000)) <= 1
    airings = pole.airings()
    assert airings[0][:2] == ("a", "started")
    assert airings[1] == ("a", "finished", "power_cut")
    assert airings[2][:2] == ("a", "started")
    assert airings[2][2].startswith("joined")
    assert pole.unpowered_samples() == 0


def test_the_village_and_the_commune_plan_together_and_the_upper_area_comes_first() -> None:
    pole = Pole()
    pole.provide(NEWS, MUSIC)
    pole.introduce()
    pole.send(pole.issuer.plan(occurrence("village", START_MS, NEWS), area=VILLAGE))
    pole.send(pole.issuer.plan(occurrence("commune", START_MS + 1_000, MUSIC), area=COMMUNE))
    pole.run_until(START_MS + 8_000)
    assert pole.airings() == [
        ("village", "started", "on time"),
        ("village", "finished", "pre_empted"),
        ("commune", "started", "on time"),
        ("commune", "finished", "finished"),
        ("village", "started", "joined 4000 ms after its start"),
        ("village", "finished", "finished"),
    ]


def test_a_short_notice_within_a_long_item_makes_three_airings_of_which_one_sounds_at_a_time() -> None:
    pole = Pole()
    notice = media("notice", seconds=1)
    long = media("long", seconds=20)
    pole.provide(notice, long)
    pole.introduce()
    pole.send(
        pole.issuer.plan(
            occurrence("a", START_MS, long), occurrence("n", START_MS + 5_000, notice, broadcast_class="priority")
        )
    )
    pole.run_until(START_MS + 22_000)
    assert [airing[:2] for airing in pole.airings()] == [
        ("a", "started"),
        ("a", "finished"),
        ("n", "started"),
        ("n", "finished"),
        ("a", "started"),
        ("a", "finished"),
    ]
    middle = START_MS + 5_100
    assert differs_by(pole.heard(middle, middle + 800), clip_wave(notice, START_MS + 5_000, middle, middle + 800)) <= 1
    after = START_MS + 6_100
    assert differs_by(pole.heard(after, after + 5_000), clip_wave(long, START_MS, after, after + 5_000)) <= 1


def test_a_plan_without_its_media_is_on_record_and_joined_when_they_come() -> None:
    pole = Pole()
    pole.introduce()
    pole.send(pole.issuer.plan(occurrence("a", START_MS, NEWS)))
    pole.run_until(START_MS + 500)
    assert pole.airings() == [("a", "missed", "media_missing")]
    assert pole.telemetry()["media_missing"] == 1
    assert not pole.pin.commanded.latest
    pole.provide(NEWS)
    pole.run_until(START_MS + 6_000)
    assert pole.media.asked.count(NEWS.sha256) >= 2
    assert "media" in {getattr(record, "fault", "") for record in pole.records()}


def test_a_damaged_file_is_fetched_again_and_never_crashes() -> None:
    pole = Pole()
    pole.provide(NEWS)
    pole.workshop.damaged.add(NEWS.sha256)
    pole.introduce()
    pole.send(pole.issuer.plan(occurrence("a", START_MS, NEWS)))
    pole.run_until(START_MS + 1_000)
    assert ("a", "missed", "media_missing") in pole.airings()
    pole.workshop.damaged.clear()
    pole.run_until(START_MS + 7_000)
    assert pole.media.asked.count(NEWS.sha256) >= 2


def test_a_later_plan_replaces_the_former_one_while_it_sounds() -> None:
    pole = planned_pole()
    pole.run_until(START_MS + 1_000)
    pole.send(pole.issuer.plan())
    pole.run_until(START_MS + 7_000)
    assert pole.airings()[1] == ("a", "finished", "stopped")
    assert not pole.heard(START_MS + 1_200, START_MS + 7_000).any()
    assert not pole.pin.commanded.latest


def test_a_plan_that_was_replaced_does_not_come_back_over_a_power_cut() -> None:
    """Whoever holds the broker hands the pole yesterday's plan when it comes up: what was taken out would sound."""
    pole = Pole()
    pole.provide(NEWS)
    pole.introduce()
    former = pole.send(pole.issuer.plan(occurrence("a", START_MS, NEWS)))
    pole.run_for(1_000)
    pole.send(pole.issuer.plan())
    pole.run_for(1_000)
    pole.cut_power()
    pole.run_for(2_000)
    pole.boot()
    pole.deliver(topic(TopicName.PLAN, area=COMMUNE), former)
    pole.connect()
    pole.run_until(START_MS + 31_000)
    assert not pole.heard(START_MS, pole.now_ms).any()
    assert pole.telemetry()["refused"] == {"replayed": 1}


def test_needs_nobody_while_the_broker_is_away_and_sends_its_records_later() -> None:
    pole = planned_pole()
    pole.disconnect()
    pole.run_until(START_MS + 12_000)
    assert pole.airings() == []
    pole.connect()
    pole.run_for(100)
    assert len(pole.airings()) == 4


def test_reports_are_kept_until_acknowledged_and_then_forgotten() -> None:
    pole = planned_pole()
    pole.run_until(START_MS + 12_000)
    assert sorted(pole.sd_card.reports) == [1, 2, 3, 4]
    pole.send(pole.issuer.acknowledgement(NODE, 3))
    pole.run_for(100)
    assert sorted(pole.sd_card.reports) == [4]
    before = len(pole.published)
    pole.run_for(60_000)
    again = [payload for name, payload in pole.published[before:] if "/report/" in name]
    assert again
    assert len(set(again)) == 1


def test_a_stop_in_good_order_is_silent_at_once_and_on_record() -> None:
    pole = planned_pole()
    pole.run_until(START_MS + 1_000)
    pole.stop()
    assert not pole.pin.commanded.latest
    assert b"disconnected" in pole.published[-1][1]
    pole.run_for(1_000)
    pole.boot()
    pole.connect()
    pole.run_for(500)
    assert ("a", "finished", "shut_down") in pole.airings()


def test_the_end_of_an_airing_that_a_power_cut_left_open_waits_for_the_time_and_says_how_unsure_it_is() -> None:
    pole = planned_pole()
    pole.run_until(START_MS + 1_000)
    pole.cut_power()
    pole.run_for(600_000)
    pole.clock.reboot(rtc_ns=0)
    booted_ms = pole.now_ms
    pole.boot()
    pole.connect()
    pole.run_for(20_000)
    assert not [airing for airing in pole.airings() if airing[2] == "power_cut"]
    pole.clock.synchronise()
    pole.run_for(15_000)
    (end,) = [record for record in pole.records() if getattr(record, "reason", "") == "power_cut"]
    assert isinstance(end, AiringRecord)
    assert abs(end.at_ms - booted_ms) < 100
    assert end.clock_error_ms >= end.at_ms - START_MS - 1_000


def test_what_a_clock_that_was_set_back_plays_again_is_another_airing() -> None:
    pole = planned_pole()
    pole.connect()
    pole.run_until(START_MS + 10_000)
    pole.clock.step(-35_000 * NS_PER_MS)
    pole.run_for(60_000)
    started = [each for each in pole.records() if isinstance(each, AiringRecord) and each.state is AiringState.STARTED]
    assert [record.source_id for record in started] == ["a", "b", "a", "b"]
    assert started[0].at_ms == started[2].at_ms
    assert len({record.airing for record in started}) == 4
