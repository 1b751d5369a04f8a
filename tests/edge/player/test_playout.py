"""The playout: every voice at its sample, equal on every pole, no clicks, corrections that nobody hears."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.player.clip_source import ClipSource
from edge.player.limiter import CEILING
from edge.player.mixer import Mixer
from edge.player.playout import Playout
from edge.player.source import Source
from edge.player.stream_source import StreamSource
from edge.player.timeline import REANCHOR_NS
from edge.player.voice import VoiceStatistics
from protocol.units import FRAME_SAMPLES, SAMPLES_PER_MS, SharedSample
from tests.support.sound import (
    ORIGIN,
    STEP_MAX,
    STREAM,
    ConstantSource,
    MemoryClip,
    WaveDecoder,
    WaveSource,
    instant,
    steps,
    wave,
    wave_packet,
)

START = ORIGIN
FADE_STEP = 0.5 * np.pi / 2 / (10 * SAMPLES_PER_MS)
"""Largest step of a 10 ms equal-power fade of a signal of 0.5."""


def _render(playout: Playout, first: int, count: int, *, block: int = FRAME_SAMPLES) -> NDArray[np.float32]:
    """What a perfect card hears from grid sample `first` on, as float32 of full scale 1.0."""
    end = first + count
    parts = [playout.render(min(block, end - place), instant(place)) for place in range(first, end, block)]
    return (np.concatenate(parts).reshape(-1) / 32767.0).astype(np.float32)


def _start(mixer: Mixer, source: Source, name: str = "a", *, at: int = START, fade_in_ms: int = 10) -> None:
    mixer.start(name, source, from_sample=SharedSample(at), fade_in_ms=fade_in_ms)


@pytest.mark.parametrize("offset", [0, 1, 479, 959, 960, 12_345])
def test_a_voice_begins_at_its_very_sample(offset: int) -> None:
    mixer = Mixer()
    playout = Playout(mixer)
    _start(mixer, ConstantSource(), at=START + offset, fade_in_ms=0)
    out = _render(playout, START - 100, 20_000)
    assert int(np.flatnonzero(out)[0]) == 100 + offset
    assert out[100 + offset] == pytest.approx(0.5, abs=1e-4)


def test_a_fade_begins_at_the_very_sample_and_has_no_step() -> None:
    mixer = Mixer()
    playout = Playout(mixer)
    _start(mixer, ConstantSource(), at=START + 333)
    out = _render(playout, START, 4_800)
    assert int(np.flatnonzero(out)[0]) == 333
    assert steps(out) <= FADE_STEP * 1.1
    assert out[-1] == pytest.approx(0.5, abs=1e-4)


def test_until_is_the_first_sample_that_is_silent() -> None:
    mixer = Mixer()
    playout = Playout(mixer)
    mixer.start("a", ConstantSource(), from_sample=SharedSample(START), until_sample=SharedSample(START + 5_000))
    out = _render(playout, START, 9_600)
    assert int(np.flatnonzero(out)[-1]) == 4_999
    assert steps(out) <= FADE_STEP * 1.1
    assert not mixer.is_playing("a")
    assert mixer.is_silent


@given(
    blocks=st.tuples(st.integers(40, 2_500), st.integers(40, 2_500)),
    begins=st.tuples(st.integers(-5_000, 0), st.integers(-5_000, 0)),
    until=st.none() | st.integers(1_000, 8_000),
)
@settings(max_examples=60)
def test_equal_voices_are_equal_on_the_shared_grid_whatever_the_blocks(
    blocks: tuple[int, int], begins: tuple[int, int], until: int | None
) -> None:
    heard = []
    for block, begin in zip(blocks, begins, strict=True):
        mixer = Mixer()
        playout = Playout(mixer)
        source = StreamSource(stream=STREAM, decoder=WaveDecoder(), starts_at=SharedSample(START))
        for sequence in range(3):
            source.push(wave_packet(sequence), arrived_at_ns=instant(START - 20_000))
        mixer.start(
            "a",
            source,
            from_sample=SharedSample(START + 200),
            until_sample=None if until is None else SharedSample(START + 200 + until),
        )
        out = _render(playout, START + begin, 10_000 - begin, block=block)
        heard.append(out[-10_000:])
    assert np.array_equal(heard[0], heard[1])
    assert heard[0].any()


def test_a_late_joiner_of_a_repeated_clip_is_in_the_middle_in_step() -> None:
    clip = wave(ORIGIN, 30_000)
    on_time_mixer, late_mixer = Mixer(), Mixer()
    on_time, late = Playout(on_time_mixer), Playout(late_mixer)
    for mixer in (on_time_mixer, late_mixer):
        source = ClipSource(reader=MemoryClip(clip), starts_at=SharedSample(START), repeat_every_samples=48_000)
        _start(mixer, source)
    early = _render(on_time, START, 150_000)
    joined = _render(late, START + 100_000, 50_000, block=1_111)
    assert abs(joined[0]) < STEP_MAX
    assert np.array_equal(joined[480:], early[100_480:])
    assert not early[30_000:48_000].any()


def test_an_emergency_takes_over_within_20_ms() -> None:
    mixer = Mixer()
    playout = Playout(mixer)
    _start(mixer, ConstantSource(0.5), "music")
    before = _render(playout, START, 9_600)
    emergency = ConstantSource(-0.4)
    assert mixer.position is not None
    ahead = mixer.position - (START + 9_600)
    assert ahead < 3 * SAMPLES_PER_MS
    mixer.stop("music", fade_ms=20)
    _start(mixer, emergency, "emergency", at=START + 9_600)
    after = _render(playout, START + 9_600, 4_800)
    assert not mixer.is_playing("music")
    assert np.allclose(after[20 * SAMPLES_PER_MS + ahead :], -0.4, atol=1e-4)
    assert steps(np.concatenate((before, after))) <= 2 * FADE_STEP * 1.1


def test_a_planned_stop_begins_its_fade_at_its_sample_and_one_before_the_start_cancels() -> None:
    mixer = Mixer()
    playout = Playout(mixer)
    _start(mixer, ConstantSource(), fade_in_ms=0)
    mixer.stop("a", at_sample=SharedSample(START + 2_000), fade_ms=10)
    out = _render(playout, START, 4_800)
    assert out[1_990] == pytest.approx(0.5, abs=1e-4)
    assert int(np.flatnonzero(out)[-1]) in range(2_000 + 470, 2_000 + 480)
    _start(mixer, ConstantSource(), "b", at=START + 20_000)
    mixer.stop("b", at_sample=SharedSample(START + 20_000))
    assert mixer.is_silent
    assert not _render(playout, START + 4_800, 20_000).any()


def test_two_voices_are_summed_and_never_exceed_the_ceiling() -> None:
    mixer = Mixer()
    playout = Playout(mixer)
    mixer.start("a", ConstantSource(0.9), from_sample=SharedSample(START), gain_db=0.0, fade_in_ms=0)
    mixer.start("b", ConstantSource(0.9), from_sample=SharedSample(START), gain_db=6.0, fade_in_ms=0)
    out = _render(playout, START, 960)
    assert 0.99 * CEILING < out.max() <= CEILING + 1e-4


def test_a_voice_that_goes_on_with_the_same_source_is_not_heard_to_change() -> None:
    mixer = Mixer()
    playout = Playout(mixer)
    source = StreamSource(stream=STREAM, decoder=WaveDecoder(), starts_at=SharedSample(START))
    for sequence in range(4):
        source.push(wave_packet(sequence), arrived_at_ns=instant(START - 20_000))
    _start(mixer, source, "one")
    first = _render(playout, START, 9_600)
    mixer.stop("one", fade_ms=20)
    _start(mixer, source, "two", at=START + 9_600)
    second = _render(playout, START + 9_600, 4_800)
    assert np.allclose(np.concatenate((first, second))[960:], wave(START + 960, 14_400 - 960), atol=1e-4)
    assert not mixer.is_playing("one")


def _drive(playout: Playout, seconds: float, ppm: float, *, block: int = FRAME_SAMPLES) -> NDArray[np.float32]:
    """A card whose crystal is `ppm` fast: the instants of its blocks run away from the count of its frames."""
    parts, frame = [], 0
    while frame < seconds * 48_000:
        at = instant(START + round(frame / (1 + ppm * 1e-6)))
        parts.append(playout.render(block, at))
        frame += block
    return (np.concatenate(parts).reshape(-1) / 32767.0).astype(np.float32)


@pytest.mark.parametrize("ppm", [-200.0, -50.0, 50.0, 200.0])
def test_a_card_that_drifts_is_followed_within_a_tenth_of_a_millisecond_without_a_click(ppm: float) -> None:
    mixer = Mixer()
    playout = Playout(mixer)
    _start(mixer, WaveSource())
    out = _drive(playout, 20.0, ppm)
    assert playout.reanchors == 0
    assert steps(out) <= STEP_MAX * 1.1
    frames = len(out)
    expected = wave(START + round((frames - 2_000) / (1 + ppm * 1e-6)), 2_000)
    best = min(range(-10, 11), key=lambda lag: float(np.abs(np.roll(expected, lag) - out[-2_000:])[50:-50].sum()))
    assert abs(best) <= 4


def test_a_jump_of_the_card_is_put_right_at_once_under_a_fade() -> None:
    mixer = Mixer()
    playout = Playout(mixer)
    _start(mixer, WaveSource())
    before = _render(playout, START, 9_600)
    leap = (REANCHOR_NS // 1_000_000 * SAMPLES_PER_MS) + 3_000
    after = _render(playout, START + 9_600 + leap, 9_600)
    assert playout.reanchors == 1
    assert np.allclose(after[960:], wave(START + 9_600 + leap + 960, 9_600 - 960), atol=1e-4)
    assert steps(np.concatenate((before, after))) <= STEP_MAX + FADE_STEP * 1.1


@given(
    moves=st.lists(st.tuples(st.integers(1, 2_000), st.integers(-4_000, 4_000)), min_size=1, max_size=40),
)
@settings(max_examples=60)
@example(moves=[(1, -2289), (1, -2289), (4, 777), (2000, -3999), (1, 1020)])
@example(moves=[(1, -2289), (479, -2289), (1, 777), (2000, -3999), (600, 1422)])
def test_no_clock_makes_it_click_fail_or_give_a_wrong_shape(moves: list[tuple[int, int]]) -> None:
    mixer = Mixer()
    playout = Playout(mixer)
    _start(mixer, WaveSource())
    parts, place = [_render(playout, START, 4_800)], START + 4_800
    for block, leap in moves:
        place += leap if leap % 3 == 0 else leap % 5
        frames = playout.render(block, instant(place))
        assert frames.shape == (block, 1)
        assert frames.dtype == np.int16
        parts.append((frames.reshape(-1) / 32767.0).astype(np.float32))
        place += block
    assert steps(np.concatenate(parts)) <= 2 * STEP_MAX


def test_statistics_say_what_was_audible_concealed_and_silent_and_outlive_the_voice() -> None:
    mixer = Mixer()
    playout = Playout(mixer)
    source = StreamSource(stream=STREAM, decoder=WaveDecoder(), starts_at=SharedSample(START))
    for sequence in (0, 1, 3):
        source.push(wave_packet(sequence), arrived_at_ns=instant(START - 20_000))
    mixer.start("a", source, from_sample=SharedSample(START), until_sample=SharedSample(START + 48_000))
    _render(playout, START, 49_000)
    found = mixer.statistics("a")
    assert (found.audible_ms, found.concealed_ms, found.silent_ms) == pytest.approx((300, 200, 500), abs=1)
    assert found.level_dbfs == pytest.approx(-9.0, abs=0.5)
    assert mixer.statistics("nobody") == VoiceStatistics()


def test_silence_that_was_sent_is_not_counted_as_audible() -> None:
    mixer = Mixer()
    playout = Playout(mixer)
    _start(mixer, ConstantSource(0.0))
    _render(playout, START, 48_000)
    assert mixer.statistics("a").audible_ms == 0
    assert mixer.statistics("a").silent_ms == pytest.approx(1_000, abs=3)
    assert playout.level_dbfs == -120.0


def test_unknown_voices_and_a_playout_without_voices_do_no_harm() -> None:
    mixer = Mixer()
    playout = Playout(mixer)
    mixer.stop("nobody")
    assert playout.cursor is None
    assert not _render(playout, START, 2_000).any()
    assert playout.cursor == START + 2_000
