"""A stream through loss, disorder, delay, restarts and rubbish: one smooth timeline with everything in its place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.adapters.decoder import LibopusDecoder
from edge.player.ports import Samples
from edge.player.stream_source import CONCEAL_SAMPLES_MAX, OFF_GRID, OLD_EPOCH, OTHER_STREAM, StreamSource
from protocol.stream import AudioPacket
from protocol.units import FRAME_SAMPLES, SAMPLES_PER_MS, SharedSample
from tests.support.opus import tone_frames
from tests.support.sound import (
    ORIGIN,
    PERIOD_SAMPLES,
    STEP_MAX,
    STREAM,
    WaveDecoder,
    instant,
    steps,
    wave,
    wave_frame,
    wave_packet,
)

PACKET_SAMPLES = 5 * FRAME_SAMPLES
AHEAD = 200 * SAMPLES_PER_MS
"""Reading runs this far ahead of what sounds."""
KINDS = ["good"] * 6 + ["rubbish", "leap", "moved"]
SMOOTH = 1.6 * STEP_MAX
"""The wave's own steps, a fade and a decaying value on top of each other."""


def _source(decoder: WaveDecoder | LibopusDecoder | None = None) -> StreamSource:
    return StreamSource(stream=STREAM, decoder=decoder or WaveDecoder(), starts_at=SharedSample(ORIGIN))


def _push(source: StreamSource, packet: AudioPacket, *, before: int = 48_000) -> None:
    source.push(packet, arrived_at_ns=instant(ORIGIN + packet.first_sample - before))


def _read(source: StreamSource, first: int, count: int) -> Samples:
    return source.read(SharedSample(first), count).copy()


def test_what_is_sent_is_heard_at_its_place_to_the_sample() -> None:
    source = _source()
    for sequence in range(4):
        _push(source, wave_packet(sequence))
    out = np.concatenate([_read(source, ORIGIN + place, 700) for place in range(0, 4 * PACKET_SAMPLES - 700, 700)])
    assert np.array_equal(out[720:], wave(ORIGIN, len(out))[720:])
    assert steps(out) <= SMOOTH
    assert source.counters.real == len(out)
    assert not source.faults


def test_before_the_first_frame_and_after_the_last_there_is_silence() -> None:
    source = _source()
    _push(source, wave_packet(0))
    assert not _read(source, ORIGIN - 2_000, 2_000).any()
    assert _read(source, ORIGIN, PACKET_SAMPLES).any()
    tail = _read(source, ORIGIN + PACKET_SAMPLES, 2 * CONCEAL_SAMPLES_MAX)
    assert tail[: CONCEAL_SAMPLES_MAX // 2].any()
    assert not tail[CONCEAL_SAMPLES_MAX:].any()
    assert source.counters.concealed == CONCEAL_SAMPLES_MAX


def test_one_lost_packet_is_concealed_and_the_timeline_stays() -> None:
    source = _source()
    for sequence in (0, 1, 3, 4):
        _push(source, wave_packet(sequence))
    out = _read(source, ORIGIN, 5 * PACKET_SAMPLES)
    assert source.counters.concealed == PACKET_SAMPLES
    assert np.array_equal(out[3 * PACKET_SAMPLES + 720 :], wave(ORIGIN, len(out))[3 * PACKET_SAMPLES + 720 :])
    assert steps(out) <= SMOOTH


def test_a_restarted_sender_takes_over_at_its_own_first_sample() -> None:
    source = _source()
    for sequence in range(4):
        _push(source, wave_packet(sequence))
    _read(source, ORIGIN, PACKET_SAMPLES)
    anew = ORIGIN + 2 * PACKET_SAMPLES + 333
    for sequence in range(3):
        source.push(wave_packet(sequence, origin=anew, epoch=2), arrived_at_ns=instant(anew - 20_000))
    _push(source, wave_packet(3))
    out = _read(source, ORIGIN + PACKET_SAMPLES, 3 * PACKET_SAMPLES)
    assert np.array_equal(out[:PACKET_SAMPLES], wave(ORIGIN + PACKET_SAMPLES, PACKET_SAMPLES))
    assert np.array_equal(out[PACKET_SAMPLES + 333 + 720 :], wave(anew + 720, 2 * PACKET_SAMPLES - 333 - 720))
    assert source.faults[OLD_EPOCH] == 1
    assert source.counters.concealed == 0
    assert steps(np.concatenate((wave(ORIGIN + PACKET_SAMPLES - 1, 1), out))[1:]) <= max(SMOOTH, abs(out[0]))


@pytest.mark.parametrize("shift", [60, 333, 700])
def test_the_seam_between_two_unrelated_senders_does_not_click(shift: int) -> None:
    decoder = WaveDecoder()
    source = _source(decoder)
    for sequence in range(2):
        _push(source, wave_packet(sequence))
    anew = ORIGIN + PACKET_SAMPLES + shift
    opposite = tuple(wave_frame(anew + PERIOD_SAMPLES // 2 + index * FRAME_SAMPLES) for index in range(5))
    packet = replace(wave_packet(0, origin=anew, epoch=2), frames=opposite)
    source.push(packet, arrived_at_ns=instant(anew - 20_000))
    cut = ORIGIN + PACKET_SAMPLES + shift - PERIOD_SAMPLES // 4
    before, after = _read(source, ORIGIN, cut - ORIGIN), _read(source, cut, 3_000)
    assert steps(np.concatenate((before, after))) <= SMOOTH
    assert np.allclose(after[1_500:], wave(cut + PERIOD_SAMPLES // 2, 3_000)[1_500:], atol=1e-6)
    assert decoder.resets == 2


def test_a_leap_of_the_sample_index_changes_nothing() -> None:
    source = _source()
    for sequence in range(3):
        _push(source, wave_packet(sequence))
    source.push(wave_packet(3, first_sample=2**40), arrived_at_ns=instant(ORIGIN))
    source.push(replace(wave_packet(4, first_sample=2**40), epoch=9), arrived_at_ns=instant(ORIGIN))
    out = _read(source, ORIGIN, 3 * PACKET_SAMPLES)
    assert np.array_equal(out[720:], wave(ORIGIN, len(out))[720:])
    assert source.faults["too_early"] == 10


def test_a_packet_on_another_timeline_or_of_another_stream_is_counted_and_dropped() -> None:
    source = _source()
    _push(source, wave_packet(0))
    moved = wave_packet(1)
    _push(source, replace(moved, play_at_ns=instant(ORIGIN + moved.first_sample + 500)))
    _push(source, replace(wave_packet(1), stream="00" * 8))
    assert (source.faults[OFF_GRID], source.faults[OTHER_STREAM]) == (1, 1)
    _push(source, wave_packet(1))
    assert np.array_equal(_read(source, ORIGIN, 2 * PACKET_SAMPLES)[720:], wave(ORIGIN + 720, 2 * PACKET_SAMPLES - 720))


def test_three_packets_in_a_row_that_agree_are_a_new_timeline() -> None:
    source = _source()
    _push(source, wave_packet(0))
    for sequence in (1, 2, 3, 4, 5):
        _push(source, wave_packet(sequence, origin=ORIGIN + 1_000))
    assert source.faults[OFF_GRID] == 2
    out = _read(source, ORIGIN, 6 * PACKET_SAMPLES)
    again = 3 * PACKET_SAMPLES + 1_000 + 720
    assert np.array_equal(out[again:], wave(ORIGIN + again, len(out) - again))
    assert steps(out) <= SMOOTH


def test_copies_of_one_packet_are_no_new_timeline() -> None:
    source = _source()
    _push(source, wave_packet(0))
    for _ in range(5):
        _push(source, wave_packet(1, origin=ORIGIN + 1_000))
    _push(source, wave_packet(1))
    assert source.faults[OFF_GRID] == 5
    assert np.array_equal(_read(source, ORIGIN, 2 * PACKET_SAMPLES)[720:], wave(ORIGIN + 720, 2 * PACKET_SAMPLES - 720))


def test_a_frame_that_cannot_be_decoded_is_concealed_and_counted() -> None:
    source = _source()
    packet = wave_packet(0)
    _push(source, replace(packet, frames=(*packet.frames[:2], b"rubbish", *packet.frames[3:])))
    out = _read(source, ORIGIN, PACKET_SAMPLES)
    assert source.faults["undecodable"] == 1
    assert source.counters.concealed == FRAME_SAMPLES
    assert steps(out) <= SMOOTH


def test_a_late_joiner_begins_in_the_middle_of_a_frame_with_a_fade() -> None:
    source = _source()
    _push(source, wave_packet(0))
    out = _read(source, ORIGIN + 1_234, 3_000)
    assert np.array_equal(out[720:], wave(ORIGIN + 1_234, 3_000)[720:])
    assert abs(out[0]) < STEP_MAX


def test_a_loss_right_after_a_return_fades_out_once_and_stays_silent() -> None:
    source = _source()
    _push(source, wave_packet(0, frames=1))
    out = _read(source, ORIGIN + 700, 10_000)
    assert steps(out) <= SMOOTH
    assert out.any()
    assert not out[4_800:].any()


def test_a_stall_is_counted_from_the_end_of_what_came() -> None:
    source = _source()
    assert source.stalled_ms(SharedSample(ORIGIN + 2_400)) == 50
    _push(source, wave_packet(0))
    assert source.stalled_ms(SharedSample(ORIGIN + 2_400)) == 0
    assert source.stalled_ms(SharedSample(ORIGIN + PACKET_SAMPLES + 48_000)) == 1_000


def test_lateness_is_arrival_against_play_time_and_begins_anew_with_an_epoch() -> None:
    source = _source()
    assert source.heard().packets == 0
    for sequence in range(100):
        _push(source, wave_packet(sequence), before=48_000 if sequence % 10 else -4_800)
    heard = source.heard()
    assert (heard.stream, heard.epoch, heard.packets) == (STREAM, 1, 100)
    assert heard.lateness_ms_p50 == pytest.approx(-1_000.0, abs=0.1)
    assert heard.lateness_ms_p95 == heard.lateness_ms_p999 == pytest.approx(100.0, abs=0.1)
    assert heard.faults == {"late": 10 * 5}  # frames
    source.push(wave_packet(0, origin=ORIGIN + 600_000, epoch=2), arrived_at_ns=instant(ORIGIN + 590_400))
    assert source.heard().packets == 1
    assert source.heard().lateness_ms_p999 == pytest.approx(-200.0, abs=0.1)


def test_what_waits_and_how_far_ahead_it_is_taken_are_told() -> None:
    source = _source()
    for sequence in range(3):
        _push(source, wave_packet(sequence))
    assert source.heard().buffer_ms == 300
    _read(source, ORIGIN, PACKET_SAMPLES)
    source.push(wave_packet(3), arrived_at_ns=instant(ORIGIN + PACKET_SAMPLES - AHEAD))
    assert source.heard().buffer_ms == 300
    assert source.heard().ahead_ms == pytest.approx(200.0, abs=0.1)


@given(
    fates=st.lists(
        st.tuples(st.integers(0, 1_500), st.integers(0, 3), st.sampled_from(KINDS)),
        min_size=5,
        max_size=25,
    ),
    restart=st.none() | st.tuples(st.integers(1, 20), st.integers(0, 5_000)),
    blocks=st.lists(st.integers(100, 3_000), min_size=1, max_size=20),
)
@settings(max_examples=60)
def test_any_order_loss_duplication_and_delay_gives_one_smooth_timeline(
    fates: list[tuple[int, int, str]], restart: tuple[int, int] | None, blocks: list[int]
) -> None:
    source, arrivals = _source(), _arrivals(fates, restart)
    end, position, turn, heard = ORIGIN + len(fates) * PACKET_SAMPLES + 10_000, ORIGIN - 3_000, 0, []
    while position < end:
        while arrivals and arrivals[0][0] <= position - AHEAD:
            at, _, packet = arrivals.pop(0)
            source.push(packet, arrived_at_ns=instant(at))
        count = blocks[turn % len(blocks)]
        heard.append(_read(source, position, count))
        position, turn = position + count, turn + 1
    out = np.concatenate(heard)
    assert np.isfinite(out).all()
    assert float(np.abs(out).max()) <= 2 * 0.5
    assert steps(out) <= SMOOTH
    counted = source.counters
    assert counted.real + counted.concealed + counted.silent == len(out)
    _assert_in_place(out, ORIGIN - 3_000)


def _arrivals(fates: list[tuple[int, int, str]], restart: tuple[int, int] | None) -> list[tuple[int, int, AudioPacket]]:
    """(grid sample of arrival, order, packet) by arrival; sent half a second before they are due."""
    found: list[tuple[int, int, AudioPacket]] = []
    origin, epoch, base = ORIGIN, 1, 0
    for sequence, (delay_ms, copies, kind) in enumerate(fates):
        if restart is not None and sequence == restart[0]:
            origin, epoch, base = ORIGIN + sequence * PACKET_SAMPLES + restart[1], 2, sequence
        packet = wave_packet(sequence - base, origin=origin, epoch=epoch)
        due = origin + packet.first_sample
        if kind == "rubbish":
            packet = replace(packet, frames=(b"rubbish", *packet.frames[1:]))
        elif kind == "leap":
            packet = replace(packet, first_sample=packet.first_sample + 2**40)
        elif kind == "moved":
            packet = wave_packet(sequence - base, origin=origin + 777, epoch=epoch)
        arrived = due - 500 * SAMPLES_PER_MS + delay_ms * SAMPLES_PER_MS
        found += [(arrived + copy * 4_000, len(found) + copy, packet) for copy in range(copies)]
    return sorted(found, key=lambda each: each[:2])


def _assert_in_place(out: Samples, first: int) -> None:
    """The wave is never anywhere but in its place: where the signal is strong, it has the wave's sign there."""
    expected = wave(first, len(out))
    strong = (np.abs(out) > 0.4) & (np.abs(expected) > 0.1)
    assert (np.sign(out[strong]) == np.sign(expected[strong])).mean() > 0.97 if strong.any() else True


@given(lost=st.sets(st.integers(3, 40), max_size=25), broken=st.sets(st.integers(3, 40), max_size=5))
@settings(max_examples=15)
def test_real_opus_with_loss_and_rubbish_neither_fails_nor_clicks(lost: set[int], broken: set[int]) -> None:
    source = _source(LibopusDecoder())
    for place, frame in enumerate(tone_frames(50)):
        if place not in lost:
            data = bytes([frame[0], *([0xFF] * 9)]) if place in broken else frame
            packet = wave_packet(place, frames=1, first_sample=place * FRAME_SAMPLES)
            _push(source, replace(packet, frames=(data,)))
    out = _read(source, ORIGIN, 60 * FRAME_SAMPLES)
    assert np.isfinite(out).all()
    if not broken:
        assert steps(out) < 0.12
    assert float(np.sqrt(np.mean(out[: 3 * FRAME_SAMPLES] ** 2))) > 0.1
