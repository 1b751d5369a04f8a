"""The attention signals: three that nobody confuses, the same on every pole, with the content whole behind them."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import ClipError
from edge.player.chime import BREATH_MS, PEAK, Chime, ChimedClip, ChimedStream, chime_of, signal
from edge.player.clip_source import ClipSource
from protocol.attention import CHIME_MS_MAX, EMERGENCY_CHIME_MS, NOTICE_CHIME_MS
from protocol.messages import BroadcastClass, Reality
from protocol.units import SAMPLE_RATE_HZ, SAMPLES_PER_MS, SharedSample
from tests.support.sound import ORIGIN, MemoryClip, WaveSource, wave

GOLDEN = {
    (Chime.NOTICE, NOTICE_CHIME_MS): "7a86d537422574b7",
    (Chime.EMERGENCY, EMERGENCY_CHIME_MS): "179ce864e93ee6d9",
    (Chime.DRILL, EMERGENCY_CHIME_MS): "9a75737c46e56fa2",
}
"""SHA-256 of the signals in the card's own int16, its begin: what poles of another version sound beside this one."""


def main_tones(chime: Chime, from_ms: int, until_ms: int) -> float:
    piece = signal(chime, 5_000)[from_ms * SAMPLES_PER_MS : until_ms * SAMPLES_PER_MS]
    spectrum = np.abs(np.fft.rfft(piece * np.hanning(len(piece)), 4 * len(piece)))
    return float(spectrum.argmax()) * SAMPLE_RATE_HZ / (4 * len(piece))


@pytest.mark.parametrize(("kind", "digest"), GOLDEN.items())
def test_the_usual_signals_are_those_that_were_agreed(kind: tuple[Chime, int], digest: str) -> None:
    samples = np.round(signal(*kind) * 2**15).astype("<i2")
    assert hashlib.sha256(samples.tobytes()).hexdigest()[:16] == digest


def test_which_signal_follows_from_class_and_reality_alone() -> None:
    for broadcast_class in BroadcastClass:
        assert chime_of(broadcast_class, Reality.DRILL) is Chime.DRILL
    assert chime_of(BroadcastClass.EMERGENCY, Reality.REAL) is Chime.EMERGENCY
    assert chime_of(BroadcastClass.PRIORITY, Reality.REAL) is Chime.NOTICE
    assert chime_of(BroadcastClass.ROUTINE, Reality.REAL) is Chime.NOTICE


def test_a_gong_that_falls_an_alarm_of_two_tones_and_pips_of_one() -> None:
    assert main_tones(Chime.NOTICE, 100, 600) == pytest.approx(659, abs=4)
    assert main_tones(Chime.NOTICE, 1_300, 1_900) == pytest.approx(523, abs=4)
    for turn_ms in range(0, 4_000, 520):
        assert main_tones(Chime.EMERGENCY, turn_ms, turn_ms + 250) == pytest.approx(970, abs=4)
        assert main_tones(Chime.EMERGENCY, turn_ms + 260, turn_ms + 510) == pytest.approx(800, abs=4)
    assert [main_tones(Chime.DRILL, at, at + 200) for at in (0, 400, 800)] == pytest.approx([1_000] * 3, abs=4)
    assert not signal(Chime.DRILL, 5_000)[1_000 * SAMPLES_PER_MS :].any()


@given(chime=st.sampled_from(Chime), duration_ms=st.integers(0, CHIME_MS_MAX))
@settings(max_examples=40)
def test_of_any_length_it_is_whole_quiet_enough_and_ends_in_a_breath(chime: Chime, duration_ms: int) -> None:
    samples = signal(chime, duration_ms)
    assert len(samples) == duration_ms * SAMPLES_PER_MS
    assert np.abs(samples).max(initial=0.0) <= PEAK + 2**-15
    assert not samples[max(0, duration_ms - BREATH_MS) * SAMPLES_PER_MS :].any()
    steps = np.abs(np.diff(samples, prepend=np.float32(0.0), append=np.float32(0.0)))
    assert steps.max(initial=0.0) <= 0.12
    assert not samples.flags.writeable


def test_a_clip_behind_its_chime_repeats_with_it_whatever_the_pieces() -> None:
    content = wave(0, 9_600)
    clip = ChimedClip(MemoryClip(content), Chime.NOTICE, 1_000)
    source = ClipSource(reader=clip, starts_at=SharedSample(ORIGIN), repeat_every_samples=72_000)
    period = np.concatenate((signal(Chime.NOTICE, 1_000), content, np.zeros(72_000 - 57_600, np.float32)))
    whole = np.concatenate((period, period))
    for block in (333, 960, 48_001):
        parts = [
            source.read(SharedSample(ORIGIN + at), min(block, 144_000 - at)).copy() for at in range(0, 144_000, block)
        ]
        assert np.array_equal(np.concatenate(parts), whole)


def test_a_clip_that_breaks_behind_its_chime_is_a_failure_of_the_source() -> None:
    source = ClipSource(
        reader=ChimedClip(MemoryClip(wave(0, 4_800), breaks_at=100), Chime.DRILL, 500), starts_at=SharedSample(ORIGIN)
    )
    assert source.read(SharedSample(ORIGIN), 24_000).any()
    assert not source.read(SharedSample(ORIGIN + 24_000), 960).any()
    assert source.failure == "the card is worn out"
    with pytest.raises(ClipError):
        ChimedClip(MemoryClip(wave(0, 4_800), breaks_at=100), Chime.DRILL, 500).read(24_000, np.zeros(960, np.float32))


def test_closing_it_closes_the_file() -> None:
    reader = MemoryClip(wave(0, 960))
    ChimedClip(reader, Chime.NOTICE, 500).close()
    assert reader.is_closed


@given(block=st.integers(1, 3_000), early=st.integers(0, 5_000))
@settings(max_examples=30)
def test_a_stream_behind_its_chime_is_the_streams_own_sound_from_that_sample_on(block: int, early: int) -> None:
    source = ChimedStream(WaveSource(), Chime.NOTICE, 600, starts_at=SharedSample(ORIGIN))
    first, last = ORIGIN - early, ORIGIN + 600 * SAMPLES_PER_MS + 5_000
    parts = [source.read(SharedSample(at), min(block, last - at)).copy() for at in range(first, last, block)]
    content = wave(ORIGIN + 28_800, 5_000)
    expected = np.concatenate((np.zeros(early, np.float32), signal(Chime.NOTICE, 600), content))
    assert np.array_equal(np.concatenate(parts), expected)
    assert (source.counters.silent, source.counters.real) == (early, 33_800)
