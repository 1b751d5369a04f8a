"""The ears' judgement: near and far, late and echoing, beside noise and other sound; tones, pauses, tapes, sweeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.proof.ears import Ears
from edge.proof.hearing import NEAR_MS, WINDOW_MS, Look, judge, look, window_of
from edge.proof.sweep import LEAD_MS, TEST_MS, SweepSource, measure, sent_share, sweep
from edge.proof.tape import Tape
from protocol.messages import HeardBy
from protocol.units import SAMPLE_RATE_HZ, SAMPLES_PER_MS, SharedSample

MICROPHONE = HeardBy.MICROPHONE
WINDOW = WINDOW_MS * SAMPLES_PER_MS
MARGIN = 2 * SAMPLE_RATE_HZ
Signal = NDArray[np.float64]


def syllables(seed: int, seconds: float) -> Signal:
    """Noise in the band of speech, in syllables of a fifth of a second: as unlike itself as words are."""
    rng = np.random.default_rng(seed)
    count = round(seconds * SAMPLE_RATE_HZ)
    spectrum = np.fft.rfft(rng.standard_normal(count))
    frequency = np.fft.rfftfreq(count, 1 / SAMPLE_RATE_HZ)
    spectrum *= 1 / (1 + (frequency / 600) ** 2)
    loud = np.repeat(rng.uniform(0, 1, count // 9_600 + 1), 9_600)[:count]
    out = np.fft.irfft(spectrum, count) * loud
    return np.asarray(out / np.sqrt(np.mean(out * out)))


def int16(samples: Signal, rms: float) -> NDArray[np.int16]:
    """At an RMS below full scale."""
    return np.clip(np.rint(samples * rms * 32_767), -32_768, 32_767).astype(np.int16)


def looks(sent: Signal, came: Signal) -> list[Look]:
    """All windows."""
    one, other = int16(sent, 0.1), int16(came, 0.02)
    found = []
    for first in range(MARGIN, len(sent) - MARGIN - WINDOW, WINDOW):
        begin, needed = window_of(first)
        found.append(look(one[begin : begin + needed], other[first : first + WINDOW], first_sample=first))
    return found


def late(samples: Signal, ms: float) -> Signal:
    """Later by so much."""
    return np.roll(samples, round(ms * SAMPLES_PER_MS))


@pytest.mark.parametrize("delay_ms", [-150, 0, 3, 400, 990])
def test_a_delay_up_to_a_second_is_found(delay_ms: float) -> None:
    sent = syllables(1, 14)
    heard = judge(looks(sent, late(sent, delay_ms) + 0.5 * syllables(2, 14)), MICROPHONE)
    assert heard.is_heard
    assert heard.delay_ms == pytest.approx(delay_ms, abs=0.5)
    assert heard.likeness is not None
    assert 0.7 < heard.likeness < 1


def test_echoes_and_noise_ten_times_stronger_hide_it_not_and_its_own_level_is_told() -> None:
    rng = np.random.default_rng(3)
    sent = syllables(1, 20)
    tail = rng.standard_normal(SAMPLE_RATE_HZ // 2) * 10 ** (
        -3 * np.arange(SAMPLE_RATE_HZ // 2) / (SAMPLE_RATE_HZ // 2)
    )
    tail *= 1 / np.sqrt((tail * tail).sum())
    echoing = np.fft.irfft(np.fft.rfft(sent, 2**21) * (1 + np.fft.rfft(tail, 2**21)), 2**21)[: len(sent)]
    heard = judge(looks(sent, late(echoing, 220) + 4.5 * rng.standard_normal(len(sent))), MICROPHONE)
    assert heard.is_heard
    assert heard.delay_ms == pytest.approx(220, abs=2)


@pytest.mark.parametrize("seed", range(6))
def test_other_sound_is_not_taken_for_it(seed: int) -> None:
    other = (
        syllables(100 + seed, 20) if seed % 2 else np.random.default_rng(50 + seed).standard_normal(20 * SAMPLE_RATE_HZ)
    )
    heard = judge(looks(syllables(seed, 20), other), MICROPHONE)
    assert heard.is_heard is False
    assert heard.delay_ms is None
    assert heard.level_dbfs == pytest.approx(-34, abs=12)


def test_a_neighbours_horn_is_not_taken_for_our_own_once_its_delay_is_known() -> None:
    sent = syllables(1, 14)
    found = looks(sent, late(sent, 700))
    assert judge(found, MICROPHONE).is_heard
    assert judge(found, MICROPHONE, near_ms=700 - NEAR_MS + 1).is_heard
    assert judge(found, MICROPHONE, near_ms=180.0).is_heard is False


def test_a_siren_has_no_delay_but_is_heard_and_is_not_where_it_is_silent() -> None:
    tone = np.sqrt(2) * np.sin(2 * np.pi * 1_000 * np.arange(14 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ)
    noise = np.random.default_rng(5).standard_normal(len(tone))
    heard = judge(looks(tone, tone + 0.3 * noise), MICROPHONE)
    assert (heard.is_heard, heard.delay_ms) == (True, None)
    assert judge(looks(tone, noise), MICROPHONE).is_heard is False


def test_pauses_and_what_is_too_short_say_nothing() -> None:
    silent = np.zeros(14 * SAMPLE_RATE_HZ)
    assert judge(looks(silent, syllables(1, 14)), MICROPHONE).is_heard is None
    assert judge(looks(syllables(1, 7), syllables(1, 7)), MICROPHONE).is_heard is None
    assert judge([], MICROPHONE).level_dbfs is None


def test_a_muted_input_says_nothing_of_the_horn() -> None:
    sent = syllables(1, 14)
    assert judge(looks(sent, np.zeros(len(sent))), MICROPHONE).is_heard is None


def test_the_ears_are_told_in_pieces_of_any_size_and_asked_for_an_airing() -> None:
    sent = int16(syllables(1, 20), 0.1)
    came = int16(late(syllables(1, 20), 50), 0.02)
    ears = Ears(sensors=(MICROPHONE,))
    sizes, at, turn = (960, 4_800, 1_337, 7_200), 0, 0
    first = 48_000 * 1_800_000_000
    while at < len(sent):
        size = sizes[turn % len(sizes)]
        ears.sent(first + at, sent[at : at + size])
        ears.came(MICROPHONE, first + at, came[at : at + size])
        at, turn = at + size, turn + 1
    heard = ears.heard(first + 2 * SAMPLE_RATE_HZ, 15 * SAMPLE_RATE_HZ, {})
    assert heard is not None
    assert heard.is_heard
    assert heard.delay_ms == pytest.approx(50, abs=0.5)
    nothing = ears.heard(first + 900 * SAMPLE_RATE_HZ, SAMPLE_RATE_HZ, {})
    assert nothing is not None
    assert nothing.is_heard is None
    assert Ears(sensors=()).heard(first, 48_000, {}) is None


@given(pieces=st.lists(st.tuples(st.integers(-300, 900), st.integers(1, 700)), min_size=1, max_size=12))
def test_a_tape_holds_the_last_of_what_was_written_and_silence_between(pieces: list[tuple[int, int]]) -> None:
    capacity = 1_000
    tape = Tape(capacity)
    model: dict[int, int] = {}
    at = 10_000
    for number, (leap, count) in enumerate(pieces):
        first = max(0, at + leap)
        tape.write(first, np.full(count, number + 1, np.int16))
        if abs(first - at) >= capacity:
            model.clear()
        model.update(dict.fromkeys(range(first, first + count), number + 1))
        at = first + count
        model = {place: value for place, value in model.items() if at - capacity <= place < at}
    read = tape.read(at - 100, 100)
    assert read is not None
    if at - 100 > 10_000:
        assert [int(each) for each in read] == [model.get(place, 0) for place in range(at - 100, at)]
    assert tape.read(at - 99, 100) is None
    assert tape.read(at - capacity - 1, 10) is None


def rendered() -> NDArray[np.int16]:
    """A test as the card gets it, read in blocks."""
    source = SweepSource(starts_at=SharedSample(5_000))
    blocks = [source.read(SharedSample(5_000 + at), 960).copy() for at in range(0, TEST_MS * SAMPLES_PER_MS, 960)]
    return int16(np.concatenate(blocks).astype(np.float64), 1.0)


def test_the_sweep_is_where_it_should_be_and_known_again() -> None:
    whole = rendered()
    assert sent_share(whole) > 0.999
    assert sent_share(np.where(np.arange(len(whole)) < 2 * SAMPLE_RATE_HZ, whole, 0)) < 0.9
    assert not whole[: LEAD_MS * SAMPLES_PER_MS].any()
    assert float(np.sqrt(np.mean(sweep() ** 2))) == pytest.approx(0.1, rel=0.03)


@pytest.mark.parametrize("noise_rms", [0.0001, 0.01, 0.1])
def test_a_sweep_is_measured_far_below_the_noise(noise_rms: float) -> None:
    sent = rendered()
    came = late(sent / 32_767, 300) * 0.3
    noise = np.random.default_rng(1).standard_normal(len(sent)) * noise_rms
    found = measure(sent, int16(came + noise, 1.0), MICROPHONE)
    assert found.is_heard
    assert found.delay_ms == pytest.approx(300, abs=0.3)
    assert found.level_dbfs == pytest.approx(-31, abs=0.8)
    assert all(band == pytest.approx(-10.5, abs=2.5) for band in found.bands_db)
    silent = measure(sent, int16(noise, 1.0), MICROPHONE)
    assert not silent.is_heard
