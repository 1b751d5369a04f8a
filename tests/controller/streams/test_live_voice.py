"""One speaker's voice: when it begins, where its frames sound, how its delay shrinks, when it is over."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from controller.configuration.config import VoiceConfig
from controller.records import RelayRecord, RelayState
from controller.streams.levelling import Leveller
from controller.streams.live_voice import BEGIN_FRAMES, STALL_MS_MAX, Happening, LiveVoice, VoiceState
from controller.streams.relay import RelayEnded, RelayStarted, RelayStep, RelayTimed
from controller.streams.stamping import CODEC_DELAY_SAMPLES
from controller.streams.voice_pacing import AHEAD_MS_MAX, ROOM_SAMPLES, TooFastError, VoicePacer
from protocol.messages import BroadcastClass
from protocol.stream import AudioPacket
from protocol.units import (
    FRAME_SAMPLES,
    NS_PER_MS,
    SAMPLES_PER_MS,
    MonotonicNs,
    Now,
    SharedNs,
    sample_of_shared_ns,
)

T0_MS = 1_800_000_000_000
CONFIG = VoiceConfig(delay_ms=200, lead_in_ms=1_000, silence_s_max=30)
VOICE = RelayRecord(
    stream="0123456789abcdef",
    area="xa",
    feed="",
    title="Thông báo",
    broadcast_class=BroadcastClass.ROUTINE,
    state=RelayState.STARTING,
    starts_at_ms=T0_MS,
    ends_at_ms=T0_MS + 600_000,
    speaker="lan",
    delay_ms=200,
)
LOUD = (np.sin(np.arange(FRAME_SAMPLES) * 0.05) * 8_000).astype(np.int16)
QUIET = np.zeros(FRAME_SAMPLES, np.int16)
DELAYS = Leveller.delay_samples + CODEC_DELAY_SAMPLES


def at(ms: float) -> Now:
    return Now(monotonic_ns=MonotonicNs(int(ms * NS_PER_MS)), shared_ns=SharedNs(int((T0_MS + ms) * NS_PER_MS)))


class Speaker:
    """A microphone in front of a `LiveVoice`, whose clock moves by what is spoken."""

    def __init__(self, config: VoiceConfig = CONFIG, voice: RelayRecord = VOICE) -> None:
        self.ms = 0.0
        self.steps: list[RelayStep] = []
        self.times: list[float] = []
        self.voice = LiveVoice(config=config, voice=voice, encode=lambda _: b"frame", now=at(0))

    def say(self, frame: NDArray[np.int16], count: int = 1, *, every_ms: float = 20.0) -> None:
        for _ in range(count):
            self.ms += every_ms
            self.steps.append(self.voice.receive(frame, at(self.ms)))
            self.times.append(T0_MS + self.ms)

    def wait(self, ms: float) -> None:
        for _ in range(int(ms // 100)):
            self.ms += 100
            self.steps.append(self.voice.tick(at(self.ms)))
            self.times.append(T0_MS + self.ms)

    @property
    def packets(self) -> list[AudioPacket]:
        return [packet for step in self.steps for packet in step.packets]

    @property
    def ended(self) -> list[str]:
        return [each.reason for step in self.steps for each in step.events if isinstance(each, RelayEnded)]

    @property
    def delay_ms(self) -> float:
        """From the last frame's begin at the microphone to the ear."""
        heard = sample_of_shared_ns(self.packets[-1].play_at_ns) + DELAYS
        return (heard - sample_of_shared_ns(at(self.ms).shared_ns) + FRAME_SAMPLES) / SAMPLES_PER_MS


def test_the_end_tells_until_when_the_last_word_is_heard() -> None:
    """An order to end that came earlier would cut it off: it waits behind the lead and what was kept."""
    speaker = Speaker()
    speaker.say(LOUD, 120)
    step = speaker.voice.end(Happening.HUNG_UP, "hung up", at(speaker.ms))
    speaker.steps.append(step)
    last = speaker.packets[-1]
    over_ms = last.play_at_ns / NS_PER_MS + 20 * len(last.frames)
    [ended] = [each for each in step.events if isinstance(each, RelayEnded)]
    assert ended.heard_until_ms >= over_ms > T0_MS + speaker.ms + CONFIG.lead_in_ms
    assert ended.heard_until_ms - over_ms < 20


def test_nothing_goes_out_before_something_is_said() -> None:
    speaker = Speaker()
    speaker.say(QUIET, 100)
    speaker.say(LOUD, BEGIN_FRAMES - 1)
    speaker.say(QUIET, 100)
    assert speaker.packets == []
    assert speaker.voice.state is VoiceState.WAITING


def test_the_first_syllable_is_kept_and_sounds_when_amplifiers_are_warm() -> None:
    speaker = Speaker()
    speaker.say(QUIET, 50)
    speaker.say(LOUD, BEGIN_FRAMES)
    assert len(speaker.packets) > BEGIN_FRAMES
    first_ms = speaker.packets[0].play_at_ns / NS_PER_MS - T0_MS
    assert first_ms - speaker.ms == pytest.approx(CONFIG.lead_in_ms - DELAYS / SAMPLES_PER_MS, abs=25)
    started = [each for step in speaker.steps for each in step.events if isinstance(each, RelayStarted)]
    assert [each.play_at_ms for each in started] == [speaker.packets[0].play_at_ns // NS_PER_MS]


def test_the_delay_shrinks_in_pauses_to_the_usual_one_and_no_word_is_left_out() -> None:
    speaker = Speaker()
    for _ in range(20):
        speaker.say(LOUD, 50)
        speaker.say(QUIET, 25)
    assert speaker.delay_ms <= CONFIG.delay_ms + ROOM_SAMPLES / SAMPLES_PER_MS + 20
    assert speaker.delay_ms >= CONFIG.delay_ms
    assert speaker.voice.pacer.gaps == 0
    sent = len(speaker.packets)
    assert 20 * 50 <= sent < 20 * 75
    samples = [packet.first_sample for packet in speaker.packets]
    assert samples == [index * FRAME_SAMPLES for index in range(sent)]


def test_short_silences_within_words_are_left_alone() -> None:
    speaker = Speaker()
    for _ in range(40):
        speaker.say(LOUD, 10)
        speaker.say(QUIET, 4)
    assert speaker.voice.pacer.left_out == 0


def test_of_a_pause_every_second_frame_is_left_out_so_that_it_stays_one() -> None:
    speaker = Speaker()
    speaker.say(LOUD, 50)
    speaker.say(QUIET, 25)
    assert speaker.voice.pacer.left_out == 10


def test_a_stalled_line_delays_what_was_said_and_loses_none_of_it() -> None:
    speaker = Speaker(VoiceConfig(delay_ms=200, lead_in_ms=0))
    speaker.say(LOUD, 50)
    before = len(speaker.packets)
    speaker.wait(500)
    speaker.say(LOUD, 25, every_ms=0)
    assert len(speaker.packets) == before + 25
    assert speaker.voice.pacer.gaps > 0
    assert 600 <= speaker.delay_ms <= 800
    assert speaker.ended == []


def test_a_line_that_is_late_by_less_than_the_room_makes_no_gap() -> None:
    speaker = Speaker(VoiceConfig(delay_ms=200, lead_in_ms=0))
    for late in (0, 5, 15, 3, 18, 0) * 20:
        speaker.voice.receive(LOUD, at(speaker.ms + 20 + late))
        speaker.ms += 20
    assert speaker.voice.pacer.gaps == 0


@pytest.mark.parametrize(("every_ms", "says"), [(5.0, "faster than it is spoken"), (60.0, "only 34%")])
def test_another_rate_than_it_claims_ends_it(every_ms: float, says: str) -> None:
    speaker = Speaker()
    speaker.say(LOUD, 400, every_ms=every_ms)
    assert len(speaker.ended) == 1
    assert says in speaker.ended[0]
    assert speaker.voice.state is VoiceState.ENDED


def test_a_lost_line_a_long_silence_and_its_time_end_it() -> None:
    lost, silent, timed = Speaker(), Speaker(), Speaker(voice=msgspec.structs.replace(VOICE, ends_at_ms=T0_MS + 5_000))
    lost.say(LOUD, 10)
    lost.wait(STALL_MS_MAX + 200)
    assert "the line was lost" in lost.ended[0]
    silent.say(LOUD, 10)
    silent.say(QUIET, 31 * 50)
    assert silent.ended == ["nothing was said for 30 s"]
    timed.say(LOUD, 300)
    assert timed.ended == ["its time was up"]


def test_who_never_says_anything_is_ended_without_a_packet() -> None:
    speaker = Speaker()
    speaker.say(QUIET, 31 * 50)
    assert speaker.packets == []
    assert speaker.ended == ["nothing was said for 30 s"]


def test_hanging_up_sends_what_waits_for_its_packet_and_ends_once() -> None:
    speaker = Speaker(VoiceConfig(delay_ms=200, lead_in_ms=0, frames_per_packet=3))
    speaker.say(LOUD, BEGIN_FRAMES + 1)
    frames = sum(len(packet.frames) for packet in speaker.packets)
    step = speaker.voice.end(Happening.HUNG_UP, "hung up", at(speaker.ms))
    assert frames + sum(len(packet.frames) for packet in step.packets) == BEGIN_FRAMES + 1
    assert [type(each) for each in step.events] == [RelayEnded]
    assert speaker.voice.end(Happening.HUNG_UP, "again", at(speaker.ms)) == RelayStep()
    assert speaker.voice.receive(LOUD, at(speaker.ms)) == RelayStep()


@pytest.mark.parametrize("step_ms", [-3_600_000, -400, 400, 3_600_000])
def test_a_clock_that_is_set_begins_a_new_epoch_at_the_usual_delay(step_ms: int) -> None:
    speaker = Speaker()
    speaker.say(LOUD, 50)
    before = speaker.packets[-1]
    set_to = Now(
        monotonic_ns=at(speaker.ms + 20).monotonic_ns, shared_ns=SharedNs(at(speaker.ms + 20 + step_ms).shared_ns)
    )
    step = speaker.voice.receive(LOUD, set_to)
    [packet] = step.packets
    assert (packet.epoch, packet.sequence, packet.first_sample) == (before.epoch + 1, 0, 0)
    ahead_ms = (packet.play_at_ns - set_to.shared_ns) / NS_PER_MS
    assert CONFIG.delay_ms - 60 <= ahead_ms <= CONFIG.delay_ms
    assert [each.epoch for each in step.events if isinstance(each, RelayTimed)] == [packet.epoch]


def test_behind_a_chime_the_first_word_sounds_when_the_chime_is_over() -> None:
    speaker = Speaker(voice=msgspec.structs.replace(VOICE, chime_ms=2_500))
    speaker.say(LOUD, 10)
    assert speaker.packets[0].play_at_ns // NS_PER_MS >= T0_MS + 2_500
    assert speaker.packets[0].play_at_ns // NS_PER_MS < T0_MS + 2_530


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from([LOUD, QUIET]), st.floats(0, 400)), max_size=120))
def test_whatever_the_line_does_places_rise_and_everything_can_arrive_in_time(
    blocks: list[tuple[NDArray[np.int16], float]],
) -> None:
    speaker = Speaker()
    for frame, wait_ms in blocks:
        speaker.say(frame, every_ms=wait_ms)
    last = (-1, 0)
    for step, packets in _timed(speaker):
        for packet in packets:
            assert (packet.first_sample, packet.play_at_ns) > last
            assert packet.play_at_ns / NS_PER_MS >= step + CONFIG.delay_ms - DELAYS / SAMPLES_PER_MS - 20 - 1
            assert packet.play_at_ns / NS_PER_MS <= step + CONFIG.lead_in_ms + AHEAD_MS_MAX + 1_000
            last = (packet.first_sample, packet.play_at_ns)


def test_the_pacer_refuses_what_runs_away() -> None:
    pacer = VoicePacer(
        stream=VOICE.stream, epoch=1, delay_ms=200, lead_ms=200, not_before_ms=0, delay_samples=0, frames_per_packet=1
    )

    def rush() -> None:
        for _ in range(AHEAD_MS_MAX // 20 + 2):
            pacer.slot(at(0), is_silent=False)

    with pytest.raises(TooFastError):
        rush()


def _timed(speaker: Speaker) -> list[tuple[float, tuple[AudioPacket, ...]]]:
    """What each step sent, with the wall clock in milliseconds at which it did."""
    return [(each, step.packets) for each, step in zip(speaker.times, speaker.steps, strict=True)]
