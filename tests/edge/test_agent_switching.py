"""How sounds follow one another on a whole pole: in step, on the sample, without a click, and on record."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.player.chime import Chime, signal
from edge.player.ducking import DUCKED
from edge.player.switching import ATTACK_MS, CROSSFADE_BEGIN_MS, CROSSFADE_JOIN_MS, EDGE_MS, RELEASE_MS, TAKEOVER_MS
from protocol.messages import AiringRecord, AiringState, Over, Reality
from protocol.units import SAMPLES_PER_MS
from tests.support.issuer import COMMUNE, VILLAGE, media, occurrence
from tests.support.pole import T0_MS, Pole
from tests.support.waves import as_int16, clip_wave, differs_by, stream_wave

NOTICE = media("notice", seconds=3)
MUSIC = media("long", seconds=20)
SPEECH = media("news")
FLOOD = media("flood", seconds=2)
CLIPS = (NOTICE, MUSIC, SPEECH, FLOOD)
STREAM = "00000000000000aa"
START_MS = T0_MS + 20_000
CHIME_MS = 3_000
STEP_MAX = 1_700
"""A saw of these waves falls by 0.05 of full scale once in 10 ms, two at a time by twice as much; more is a click."""


def ready_pole(**settings: Any) -> Pole:
    pole = Pole(**settings)
    pole.provide(*CLIPS)
    return pole


def introduced(pole: Pole, **assignment: Any) -> Pole:
    pole.introduce(prepared_clips=(FLOOD,), **assignment)
    return pole


def plan_speech_over_music(pole: Pole, **changes: Any) -> None:
    fields: dict[str, Any] = {"over": Over.DUCK, "broadcast_class": "priority", **changes}
    pole.send(
        pole.issuer.plan(occurrence("m", START_MS, MUSIC), occurrence("n", START_MS + 5_000, NOTICE, **fields)),
    )


def raise_flood(pole: Pole, play_at_ms: int, **changes: Any) -> None:
    fields: dict[str, Any] = {"chime_ms": CHIME_MS, "repeat_every_ms": CHIME_MS + FLOOD.duration_ms + 1_000, **changes}
    pole.send(pole.issuer.emergency(FLOOD, play_at_ms=play_at_ms, **fields))


def finished(pole: Pole, source_id: str) -> AiringRecord:
    found = [each for each in pole.records() if isinstance(each, AiringRecord) and each.source_id == source_id]
    [end] = [each for each in found if each.state is AiringState.FINISHED]
    return end


def step_max(heard: NDArray[np.int16]) -> int:
    return int(np.abs(np.diff(heard.astype(np.int32), prepend=0, append=0)).max())


def test_music_goes_on_below_speech_and_comes_back() -> None:
    pole = introduced(ready_pole())
    plan_speech_over_music(pole)
    pole.run_until(START_MS + 22_000)
    speech_ms = START_MS + 5_000
    before = pole.heard(START_MS + 100, speech_ms)
    assert differs_by(before, clip_wave(MUSIC, START_MS, START_MS + 100, speech_ms)) <= 1
    low, high = speech_ms + ATTACK_MS, speech_ms + 3_000 - EDGE_MS
    bed = clip_wave(MUSIC, START_MS, low, high) * DUCKED
    assert differs_by(pole.heard(low, high), clip_wave(NOTICE, speech_ms, low, high) + bed.astype(np.int16)) <= 3
    low, high = speech_ms + 3_000 + RELEASE_MS, START_MS + 19_900
    assert differs_by(pole.heard(low, high), clip_wave(MUSIC, START_MS, low, high)) <= 1
    assert step_max(pole.heard(START_MS - 100, START_MS + 21_000)) <= 2 * STEP_MAX


def test_a_bed_is_one_airing_and_its_record_says_for_how_long_it_was_spoken_over() -> None:
    pole = introduced(ready_pole())
    plan_speech_over_music(pole)
    pole.run_until(START_MS + 6_000)
    assert pole.telemetry()["sounding"]["source_id"] == "n"
    pole.run_until(START_MS + 22_000)
    assert sorted(pole.airings()) == sorted(
        [
            ("m", "started", "on time"),
            ("n", "started", "on time"),
            ("n", "finished", "finished"),
            ("m", "finished", "finished"),
        ]
    )
    assert (finished(pole, "m").audible_ms, finished(pole, "m").ducked_ms) == (20_000, 3_000)
    assert finished(pole, "n").ducked_ms == 0


def test_without_ducking_the_programme_falls_silent_and_is_joined_in_step_under_a_crossfade() -> None:
    pole = introduced(ready_pole())
    plan_speech_over_music(pole, over=Over.REPLACE)
    pole.run_until(START_MS + 22_000)
    speech_ms = START_MS + 5_000
    low, high = speech_ms + CROSSFADE_BEGIN_MS, speech_ms + 3_000 - EDGE_MS
    assert differs_by(pole.heard(low, high), clip_wave(NOTICE, speech_ms, low, high)) <= 1
    low = speech_ms + 3_000 + CROSSFADE_JOIN_MS
    assert differs_by(pole.heard(low, low + 1_000), clip_wave(MUSIC, START_MS, low, low + 1_000)) <= 1
    assert step_max(pole.heard(START_MS - 100, START_MS + 21_000)) <= 2 * STEP_MAX


def test_poles_that_learn_of_it_at_different_times_on_different_cards_change_on_the_same_sample() -> None:
    one = introduced(ready_pole())
    plan_speech_over_music(one)
    raise_flood(one, START_MS + 10_000)
    other = introduced(ready_pole(block_ms=35, warm_up_ms=700, seed=2))
    other.run_for(4_000)
    raise_flood(other, START_MS + 10_000)
    plan_speech_over_music(other)
    for pole in (one, other):
        pole.run_until(START_MS + 22_000)
    assert one.heard(START_MS, START_MS + 21_000).any()
    assert np.array_equal(one.heard(START_MS, START_MS + 21_000), other.heard(START_MS, START_MS + 21_000))


def test_an_emergency_is_alone_within_20_ms_with_its_alarm_first_and_its_clip_whole() -> None:
    pole = introduced(ready_pole())
    plan_speech_over_music(pole)
    play_ms = START_MS + 6_000
    pole.run_until(play_ms - 300)
    raise_flood(pole, play_ms)
    pole.run_until(START_MS + 22_000)
    heard = pole.heard(play_ms + TAKEOVER_MS, play_ms + CHIME_MS)
    assert differs_by(heard, as_int16(signal(Chime.EMERGENCY, CHIME_MS))[TAKEOVER_MS * SAMPLES_PER_MS :]) <= 1
    content_ms = play_ms + CHIME_MS
    assert (
        differs_by(
            pole.heard(content_ms, content_ms + 1_990), clip_wave(FLOOD, content_ms, content_ms, content_ms + 1_990)
        )
        <= 1
    )
    again_ms = play_ms + CHIME_MS + 3_000
    heard = pole.heard(again_ms, again_ms + CHIME_MS)
    assert differs_by(heard, as_int16(signal(Chime.EMERGENCY, CHIME_MS))) <= 1
    reasons = {(source, reason) for source, state, reason in pole.airings() if state == "finished"}
    assert {("m", "pre_empted"), ("n", "pre_empted")} <= reasons


def test_a_drill_never_sounds_the_alarm() -> None:
    pole = introduced(ready_pole())
    play_ms = pole.now_ms + 2_000
    emergency = pole.issuer.emergency(
        FLOOD, play_at_ms=play_ms, reality=Reality.DRILL, chime_ms=CHIME_MS, repeat_every_ms=7_000
    )
    pole.send(emergency, key="drill-1")
    pole.run_for(6_000)
    heard = pole.heard(play_ms + TAKEOVER_MS, play_ms + CHIME_MS)
    assert differs_by(heard, as_int16(signal(Chime.DRILL, CHIME_MS))[TAKEOVER_MS * SAMPLES_PER_MS :]) <= 1


@pytest.mark.parametrize("late_ms", [700, 3_900])
def test_who_learns_of_an_emergency_late_joins_its_alarm_or_its_clip_in_step(late_ms: int) -> None:
    pole = introduced(ready_pole())
    play_ms = pole.now_ms + 1_000
    pole.run_until(play_ms + late_ms)
    raise_flood(pole, play_ms)
    pole.run_for(8_000)
    expected = np.concatenate(
        (as_int16(signal(Chime.EMERGENCY, CHIME_MS)), clip_wave(FLOOD, play_ms, play_ms, play_ms + 1_990))
    )
    joined_ms = late_ms + 400
    heard = pole.heard(play_ms + joined_ms, play_ms + 4_990)
    assert differs_by(heard, expected[joined_ms * SAMPLES_PER_MS :]) <= 1


def test_amplifiers_of_unequal_warm_up_all_sound_the_first_syllable_in_step() -> None:
    heard = []
    for warm_up_ms in (0, 300, 2_400):
        pole = introduced(ready_pole(warm_up_ms=warm_up_ms))
        pole.run_for(1_000)
        play_ms = pole.now_ms + 450
        raise_flood(pole, play_ms)
        pole.run_for(8_000)
        content_ms = play_ms + CHIME_MS
        heard.append(pole.heard(content_ms, content_ms + 1_990))
        assert pole.unpowered_samples() == 0
        assert differs_by(heard[-1], clip_wave(FLOOD, content_ms, content_ms, content_ms + 1_990)) <= 1


def test_a_live_voice_behind_a_chime_has_the_air_and_a_warm_amplifier_before_its_first_packet() -> None:
    pole = introduced(ready_pole())
    starts_ms, chime_ms = pole.now_ms + 1_000, 2_500
    origin_ms = starts_ms + chime_ms
    pole.send(pole.issuer.stream_start(STREAM, starts_at_ms=starts_ms, chime_ms=chime_ms))
    pole.stream(STREAM, origin_ms=origin_ms, packets=range(20), delay_ms=200)
    pole.run_until(origin_ms - 300)
    assert pole.pin.commanded.latest
    pole.run_until(origin_ms + 6_000)
    heard = pole.heard(starts_ms + EDGE_MS, origin_ms)
    assert differs_by(heard, as_int16(signal(Chime.NOTICE, chime_ms))[EDGE_MS * SAMPLES_PER_MS :]) <= 1
    heard = pole.heard(origin_ms + 20, origin_ms + 1_900)
    assert differs_by(heard, stream_wave(origin_ms, origin_ms + 20, origin_ms + 1_900)) <= 1
    assert pole.airings()[0] == (STREAM, "started", "on time")


def test_a_chime_behind_which_nobody_speaks_ends_with_the_stall_limit() -> None:
    pole = introduced(ready_pole())
    pole.send(pole.issuer.stream_start(STREAM, starts_at_ms=pole.now_ms + 1_000, chime_ms=2_000))
    pole.run_for(9_000)
    assert pole.airings()[-1] == (STREAM, "finished", "stalled")
    assert not pole.pin.commanded.latest


def test_a_live_voice_may_speak_over_a_planned_programme() -> None:
    pole = introduced(ready_pole())
    pole.send(pole.issuer.plan(occurrence("m", START_MS, MUSIC), area=VILLAGE))
    starts_ms = START_MS + 4_000
    pole.run_until(starts_ms - 1_000)
    pole.send(pole.issuer.stream_start(STREAM, starts_at_ms=starts_ms, area=COMMUNE, over=Over.DUCK, chime_ms=1_000))
    pole.stream(STREAM, origin_ms=starts_ms + 1_000, packets=range(30))
    pole.run_until(START_MS + 22_000)
    low, high = starts_ms + 1_100, starts_ms + 3_900
    bed = clip_wave(MUSIC, START_MS, low, high) * DUCKED
    assert differs_by(pole.heard(low, high), stream_wave(starts_ms + 1_000, low, high) + bed.astype(np.int16)) <= 3
    assert finished(pole, "m").ducked_ms >= 4_000
    assert finished(pole, "m").reason == "finished"


def test_each_class_sounds_as_much_later_as_its_cluster_is_aimed_to_the_sample_and_records_name_the_same_time() -> None:
    plain = introduced(ready_pole())
    aimed = introduced(ready_pole(), aiming_delay_us=87_521, emergency_aiming_delay_us=12_345)
    play_ms = START_MS + 4_000
    for pole in (plain, aimed):
        pole.send(pole.issuer.plan(occurrence("m", START_MS, MUSIC)))
        pole.run_until(play_ms - 1_000)
        raise_flood(pole, play_ms, sounds_until_ms=play_ms + 5_500)
        pole.run_until(START_MS + 22_000)
    delay, emergency_delay = 87 * 48 + 521 * 48 // 1000, 12 * 48 + 345 * 48 // 1000
    assert first_sound(aimed, START_MS - 500) - first_sound(plain, START_MS - 500) == delay
    for low_ms, high_ms, samples in (
        (START_MS + 500, play_ms - 500, delay),
        (play_ms + 100, play_ms + 5_000, emergency_delay),
        (play_ms + 6_000, START_MS + 19_500, delay),
    ):
        here = aimed.heard(low_ms, high_ms + 100)[samples : samples + (high_ms - low_ms) * SAMPLES_PER_MS]
        assert plain.heard(low_ms, high_ms).any()
        assert differs_by(here, plain.heard(low_ms, high_ms)) <= 1
    assert started_ms(aimed) == started_ms(plain)
    assert [each[:2] for each in aimed.airings()] == [each[:2] for each in plain.airings()]


def started_ms(pole: Pole) -> list[int]:
    records = [each for each in pole.records() if isinstance(each, AiringRecord)]
    return [each.at_ms for each in records if each.state is AiringState.STARTED][:2]


def first_sound(pole: Pole, from_ms: int) -> int:
    return int(np.flatnonzero(pole.heard(from_ms, from_ms + 2_000))[0])


def test_quiet_hours_and_silence_hold_for_the_bed_as_for_the_speech() -> None:
    pole = introduced(ready_pole())
    plan_speech_over_music(pole)
    pole.run_until(START_MS + 6_000)
    pole.send(pole.issuer.silence())
    pole.run_for(500)
    assert not pole.heard(pole.now_ms - 300, pole.now_ms).any()
    assert {airing[2] for airing in pole.airings() if airing[1] == "finished"} == {"silenced"}


def test_what_is_aimed_is_judged_by_what_is_heard_in_quiet_hours() -> None:
    evening_ms = T0_MS + 15 * 3_600_000
    """21:00 in Vietnam."""
    pole = introduced(ready_pole(start_ms=evening_ms - 60_000), aiming_delay_us=300_000)
    pole.send(pole.issuer.plan(occurrence("m", evening_ms - 10_000, MUSIC)))
    pole.run_until(evening_ms + 5_000)
    assert pole.heard(evening_ms - 100, evening_ms).any()
    assert not pole.heard(evening_ms + TAKEOVER_MS, evening_ms + 5_000).any()


def test_of_two_that_abut_the_first_plays_out_and_the_second_begins_whole() -> None:
    pole = introduced(ready_pole())
    pole.send(pole.issuer.plan(occurrence("a", START_MS, SPEECH), occurrence("b", START_MS + 5_000, NOTICE)))
    pole.run_until(START_MS + 9_000)
    change_ms = START_MS + 5_000
    low = change_ms - 500
    assert differs_by(pole.heard(low, change_ms - EDGE_MS), clip_wave(SPEECH, START_MS, low, change_ms - EDGE_MS)) <= 1
    high = change_ms + 500
    assert (
        differs_by(pole.heard(change_ms + EDGE_MS, high), clip_wave(NOTICE, change_ms, change_ms + EDGE_MS, high)) <= 1
    )


def test_an_item_planned_shorter_than_its_file_is_crossed_with_the_next_from_its_end_on() -> None:
    pole = introduced(ready_pole())
    pole.send(
        pole.issuer.plan(occurrence("a", START_MS, MUSIC, duration_ms=5_000), occurrence("b", START_MS + 5_000, SPEECH))
    )
    pole.run_until(START_MS + 11_000)
    change_ms = START_MS + 5_000
    low = change_ms - 500
    assert differs_by(pole.heard(low, change_ms), clip_wave(MUSIC, START_MS, low, change_ms)) <= 1
    span = CROSSFADE_BEGIN_MS * SAMPLES_PER_MS
    place = np.arange(1, span + 1) / (span + 1) * (np.pi / 2)
    high = change_ms + CROSSFADE_BEGIN_MS
    expected = clip_wave(MUSIC, START_MS, change_ms, high) * np.cos(place)
    expected += clip_wave(SPEECH, change_ms, change_ms, high) * np.sin(place)
    assert np.abs(pole.heard(change_ms, high) - expected).max() <= 40
    assert differs_by(pole.heard(high, high + 500), clip_wave(SPEECH, change_ms, high, high + 500)) <= 1
    assert finished(pole, "a").reason == "finished"
