"""Stamping: for any feed and any pace of the caller the timeline is monotone, gapless while fed, never ahead."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.streams.stamping import CODEC_DELAY_SAMPLES, PAUSE_MS, Stamper
from protocol.stream import AudioPacket
from protocol.units import (
    MonotonicNs,
    Now,
    SharedNs,
    sample_of_shared_ns,
)

BEGIN_NS = 1_800_000_000_123_456_789
DELAY_MS = 1000
AHEAD_SAMPLES = 240
STREAM = "00112233aabbccdd"
MS = 1_000_000


def at(milliseconds: float) -> Now:
    nanoseconds = int(milliseconds * MS)
    return Now(monotonic_ns=MonotonicNs(nanoseconds), shared_ns=SharedNs(BEGIN_NS + nanoseconds))


def stamper(frames_per_packet: int = 5) -> Stamper:
    return Stamper(
        stream=STREAM,
        epoch=7,
        delay_ms=DELAY_MS,
        delay_samples=AHEAD_SAMPLES,
        frames_per_packet=frames_per_packet,
        now=at(0),
    )


def step(line: Stamper, now: Now, *, is_fed: bool = True) -> list[AudioPacket]:
    return [packet for slot in line.due(now) for packet in line.place(slot, b"f" if is_fed else None)]


@given(
    st.lists(st.tuples(st.floats(0, 400), st.booleans()), max_size=60),
    st.integers(1, 10),
)
def test_the_timeline_holds_for_any_pace(steps: list[tuple[float, bool]], frames_per_packet: int) -> None:
    line, now_ms = stamper(frames_per_packet), 0.0
    packets: list[AudioPacket] = []
    for wait_ms, is_fed in steps:
        now_ms += wait_ms
        made = step(line, at(now_ms), is_fed=is_fed)
        for packet in made:
            end = packet.first_sample + 960 * len(packet.frames)
            assert end <= now_ms * 48 + 1, "nothing is published before its time is over"
            captured = sample_of_shared_ns(SharedNs(BEGIN_NS)) + packet.first_sample
            expected = captured + DELAY_MS * 48 - AHEAD_SAMPLES - CODEC_DELAY_SAMPLES
            assert sample_of_shared_ns(packet.play_at_ns) == expected
        packets += made
    assert [packet.sequence for packet in packets] == list(range(len(packets)))
    for one, other in itertools.pairwise(packets):
        assert other.first_sample >= one.first_sample + 960 * len(one.frames)


@given(st.lists(st.floats(1, 400), min_size=1, max_size=60))
def test_a_fed_timeline_has_no_gap(waits_ms: list[float]) -> None:
    line, now_ms = stamper(), 0.0
    packets: list[AudioPacket] = []
    for wait_ms in waits_ms:
        now_ms += wait_ms
        packets += step(line, at(now_ms))
    packets += line.flush()
    frames = sum(len(packet.frames) for packet in packets)
    assert 0 <= now_ms + 0.03 - frames * 20 < 20.05, "every slot that is over, to the rounding of the anchor"
    for one, other in itertools.pairwise(packets):
        assert other.first_sample == one.first_sample + 960 * len(one.frames)


def test_a_gap_ends_the_packet_and_the_index_runs_on() -> None:
    line = stamper()
    packets = step(line, at(60))
    packets += step(line, at(200), is_fed=False)
    packets += step(line, at(300))
    assert [(p.first_sample // 960, len(p.frames)) for p in packets] == [(0, 3), (10, 5)]


def test_a_caller_that_overslept_leaves_out_what_would_come_too_late() -> None:
    line = stamper()
    packets = step(line, at(10_000))
    assert packets[0].first_sample == (500 - 25) * 960
    assert packets[0].play_at_ns > at(10_000).shared_ns


def test_a_clock_that_is_set_back_begins_a_new_epoch() -> None:
    line = stamper()
    step(line, at(5_000))
    assert step(line, at(4_500)) == []
    assert line.epoch == 7, "half a second back is waited out"
    packets = step(line, at(-60_000)) + step(line, at(-59_900))
    assert [(p.epoch, p.sequence, p.first_sample) for p in packets] == [(8, 0, 0)]


def test_the_next_step_is_due_when_a_packet_can_be_full() -> None:
    line = stamper()
    assert (line.next_due_ns - BEGIN_NS) / MS <= 100.03
    step(line, at(60))
    assert 99.9 <= (line.next_due_ns - BEGIN_NS) / MS <= 100.03
    step(line, at(100.03))
    assert 199.9 <= (line.next_due_ns - BEGIN_NS) / MS <= 200.03


def test_another_delay_waits_for_a_pause_and_begins_an_epoch_in_which_no_slot_is_lost() -> None:
    line = stamper()
    before = step(line, at(1_000))
    line.want_delay(DELAY_MS + 700)
    before += step(line, at(3_000))
    assert {packet.epoch for packet in before} == {7}, "while sound flows nothing changes"
    assert step(line, at(3_000 + PAUSE_MS), is_fed=False) == []
    after = step(line, at(3_000 + PAUSE_MS + 200))
    assert [(packet.epoch, packet.sequence, packet.first_sample) for packet in after] == [(8, 0, 0), (8, 1, 4_800)]
    assert line.delay_ms == DELAY_MS + 700
    gap_ns = after[0].play_at_ns - before[-1].play_at_ns
    assert gap_ns == (100 + PAUSE_MS + 700) * MS, "what is captured then is heard by the new delay later, to the sample"


@given(st.integers(100, 900), st.integers(0, 2_000), st.integers(0, 2_000))
def test_a_shorter_delay_never_lets_new_sound_begin_before_the_old_has_ended(
    shorter_ms: int, pause_ms: int, wait_ms: int
) -> None:
    line = stamper()
    old = step(line, at(1_000))
    line.want_delay(DELAY_MS - shorter_ms)
    pause = [packet for now_ms in range(1_020, 1_020 + pause_ms, 20) for packet in step(line, at(now_ms), is_fed=False)]
    new = step(line, at(1_020 + pause_ms + wait_ms))
    assert pause == []
    ends_ns = old[-1].play_at_ns + 20 * MS * len(old[-1].frames)
    for packet in new:
        assert packet.epoch == (8 if line.delay_ms < DELAY_MS else 7)
        assert packet.play_at_ns >= ends_ns
    assert line.delay_ms == DELAY_MS or pause_ms >= PAUSE_MS + shorter_ms


def test_a_delay_that_is_wanted_before_the_first_sound_is_there_from_the_beginning() -> None:
    line = stamper()
    line.want_delay(2 * DELAY_MS)
    packets = step(line, at(100.03))
    assert [packet.epoch for packet in packets] == [8]
    assert packets[0].play_at_ns - at(0).shared_ns == pytest.approx(2 * DELAY_MS * MS, abs=20 * MS)
