"""Sound and the card: in step at the first sample, on any clock without a click, moved under a fade."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.player.card_clock import CardClock
from edge.player.limiter import CEILING
from edge.player.mixer import Mixer
from edge.player.playout import COVER_SAMPLES, Playout
from edge.player.timeline import CORRECTION_PPM_MAX, REANCHOR_NS
from protocol.units import NS_PER_S, SAMPLES_PER_MS, MonotonicNs, SharedNs, SharedSample
from tests.support.sound import (
    AMPLITUDE,
    ORIGIN,
    PERIOD_SAMPLES,
    STEP_MAX,
    ConstantSource,
    WaveSource,
    instant,
    steps,
    wave,
)

BLOCK = 960
ORIGIN_NS = instant(ORIGIN)
RADIANS = 2 * np.pi / PERIOD_SAMPLES
Sound = NDArray[np.float32]


def _player(*, starts_at: int = 0, fade_in_ms: int = 10) -> tuple[Playout, Mixer]:
    mixer = Mixer()
    mixer.start("wave", WaveSource(), from_sample=SharedSample(ORIGIN + starts_at), fade_in_ms=fade_in_ms)
    return Playout(mixer), mixer


def _sound(frames: NDArray[np.int16]) -> Sound:
    return (frames.reshape(-1) / 32767.0).astype(np.float32)


def _at(frame: float, ppm: float = 0.0, later_ns: float = 0.0) -> SharedNs:
    """When a card whose second is `ppm` longer sounds its frame."""
    return SharedNs(ORIGIN_NS + round(frame * NS_PER_S / 48_000 * (1 + ppm * 1e-6) + later_ns))


def _late_us(heard: Sound, first_frame: int, ppm: float, later_ns: float = 0.0) -> float:
    """How much later than the wave itself a piece of it was heard, by the phase of the best sine."""
    frames = first_frame + np.arange(len(heard))
    places = frames * (1 + ppm * 1e-6) + later_ns * 48_000 / NS_PER_S
    basis = np.stack([np.sin(RADIANS * places), np.cos(RADIANS * places)], axis=1)
    sine, cosine = np.linalg.lstsq(basis, heard.astype(np.float64), rcond=None)[0]
    return float(-np.arctan2(cosine, sine) / RADIANS / 48_000 * 1e6)


@pytest.mark.parametrize("later_ns", [0, 3_000, 10_416, 17_700, -9_123])
@pytest.mark.parametrize("block", [333, 960, 2_880])
def test_the_first_period_that_is_heard_is_in_step_to_a_fraction_of_a_sample(later_ns: int, block: int) -> None:
    playout, _ = _player(starts_at=48_000, fade_in_ms=0)
    frames = range(0, 60_000, block)
    heard = np.concatenate([_sound(playout.render(block, _at(frame, later_ns=later_ns))) for frame in frames])
    assert not heard[: 48_000 - 20].any()
    assert _late_us(heard[48_020 : 48_020 + PERIOD_SAMPLES], 48_020, 0.0, later_ns) == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("ppm", [-50.0, 50.0, 100.0])
def test_a_card_that_jitters_and_drifts_is_followed_within_a_twentieth_of_a_millisecond(ppm: float) -> None:
    playout, _ = _player(starts_at=5 * 48_000)
    card, chance, late_us, rates = CardClock(), random.Random(7), [], []  # noqa: S311 - jitter, not a secret
    for frame in range(0, 40 * 48_000, 1_920):
        said_ns = frame * NS_PER_S / 48_000 * (1 + ppm * 1e-6) + chance.uniform(-3e5, 3e5)
        card.observe(frame, MonotonicNs(round(said_ns)))
        heard = _sound(playout.render(1_920, SharedNs(ORIGIN_NS + card.heard_at(frame))))
        if frame >= 6 * 48_000:
            late_us.append(abs(_late_us(heard, frame, ppm)))
            rates.append(playout.correction_ppm)
    assert max(late_us) < 150.0
    assert max(late_us[25 * 14 :]) < 50.0
    assert max(rates) <= CORRECTION_PPM_MAX
    assert np.std(rates[25 * 14 :]) < 15.0
    assert playout.reanchors == 0


def test_a_reanchoring_is_a_fade_down_where_it_was_and_a_fade_up_where_it_belongs() -> None:
    playout, _ = _player(fade_in_ms=0)
    before = [_sound(playout.render(BLOCK, instant(ORIGIN + place))) for place in range(0, 4_800, BLOCK)]
    leap = REANCHOR_NS * 48 // 1_000_000 + 777
    after = [_sound(playout.render(BLOCK, instant(ORIGIN + leap + place))) for place in range(4_800, 9_600, BLOCK)]
    place = np.arange(1, COVER_SAMPLES + 1) / COVER_SAMPLES * np.pi / 2
    golden = np.concatenate(
        (
            wave(ORIGIN, 4_800),
            wave(ORIGIN + 4_800, COVER_SAMPLES) * np.cos(place),
            wave(ORIGIN + leap + 4_800 + COVER_SAMPLES, COVER_SAMPLES) * np.cos(place)[::-1],
            wave(ORIGIN + leap + 4_800 + 2 * COVER_SAMPLES, 4_800 - 2 * COVER_SAMPLES),
        )
    )
    assert np.abs(np.concatenate((*before, *after)) - golden).max() < 1.5 / 32_767
    assert playout.reanchors == 1
    assert playout.correction_ppm == 0.0


def test_a_leap_backwards_repeats_what_was_heard_and_clicks_as_little() -> None:
    playout, _ = _player(fade_in_ms=0)
    parts = [_sound(playout.render(BLOCK, instant(ORIGIN + place))) for place in range(0, 9_600, BLOCK)]
    parts += [_sound(playout.render(BLOCK, instant(ORIGIN + place - 4_000))) for place in range(9_600, 19_200, BLOCK)]
    heard = np.concatenate(parts)
    assert np.allclose(heard[-4_800:], wave(ORIGIN + 19_200 - 4_000 - 4_800, 4_800), atol=1e-4)
    assert steps(heard) <= STEP_MAX + AMPLITUDE * np.pi / 2 / COVER_SAMPLES


def test_what_begins_late_on_a_card_that_has_just_begun_rises_from_silence() -> None:
    mixer = Mixer()
    mixer.start("late", ConstantSource(0.5), from_sample=SharedSample(ORIGIN - 100_000))
    playout = Playout(mixer)
    heard = np.concatenate([_sound(playout.render(BLOCK, _at(frame))) for frame in range(0, 9_600, BLOCK)])
    assert steps(heard) <= 1.1 * AMPLITUDE * np.pi / 2 / (10 * SAMPLES_PER_MS)
    assert np.allclose(heard[600:], 0.5, atol=1e-4)


def test_loud_sums_stay_below_the_ceiling_and_in_their_place() -> None:
    playout, mixer = _player()
    mixer.start("more", WaveSource(1.6), from_sample=SharedSample(ORIGIN), gain_db=3.0)
    heard = np.concatenate([_sound(playout.render(BLOCK, _at(frame))) for frame in range(0, 48_000, BLOCK)])
    assert 0.8 * CEILING < np.abs(heard).max() <= CEILING * 1.001
    assert _late_us(heard[24_000:], 24_000, 0.0) == pytest.approx(0.0, abs=1.0)


def test_after_the_last_sound_the_cursor_is_free_at_once_and_silence_is_zero() -> None:
    playout, mixer = _player()
    mixer.stop("wave", at_sample=SharedSample(ORIGIN + 4_800), fade_ms=10)
    for frame in range(0, 9_600, BLOCK):
        playout.render(BLOCK, _at(frame))
    for leap in (10**9, 10**12, 5 * 10**11):
        assert not playout.render(BLOCK, _at(9_600, later_ns=leap)).any()
        assert playout.error_ns == 0.0
    assert playout.reanchors == 0


BLOCKS = st.integers(1, 4_000)
WORDS = st.integers(-400_000, 400_000) | st.integers(-60_000_000, 60_000_000)


@given(moves=st.lists(st.tuples(BLOCKS, WORDS, st.integers(0, 300)), min_size=1, max_size=50), ppm=st.integers(-90, 90))
@settings(max_examples=25)
def test_any_blocks_and_any_words_of_the_card_give_one_continuous_wave(
    moves: list[tuple[int, int, int]], ppm: int
) -> None:
    playout, _ = _player()
    card, frame, parts = CardClock(), 0, []
    calm = [(9_600, 0, 0)] * (75 * 5)  # 30 ms at 500 ppm take a minute
    for block, word_ns, gap in [*moves, *calm]:
        frame += gap  # an underrun: the card went on without us
        said_ns = frame * NS_PER_S / 48_000 * (1 + ppm * 1e-6) + word_ns
        card.observe(frame, MonotonicNs(round(said_ns)))
        frames = playout.render(block, SharedNs(ORIGIN_NS + card.heard_at(frame)))
        assert frames.shape == (block, 1)
        assert frames.dtype == np.int16
        assert abs(playout.correction_ppm) <= CORRECTION_PPM_MAX
        parts.append(_sound(frames))
        frame += block
    assert steps(np.concatenate(parts)) <= STEP_MAX * 1.01 + AMPLITUDE * np.pi / 2 / COVER_SAMPLES
    assert abs(_late_us(parts[-1], frame - 9_600, ppm)) < 50.0


@given(st.lists(BLOCKS, min_size=1, max_size=30))
@settings(max_examples=20)
def test_what_the_player_keeps_does_not_grow(blocks: list[int]) -> None:
    playout, _ = _player()
    frame = 0
    for block in [*blocks, *([max(blocks)] * 20)]:
        playout.render(block, _at(frame, 60.0))
        frame += block
    kept = len(playout._resampler._tape) + len(playout._limiter._samples) + len(playout._limiter._held)
    assert kept < 3 * (max(blocks) + 2 * BLOCK)
