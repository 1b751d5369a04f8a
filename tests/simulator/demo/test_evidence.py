"""The evidence of captures: measured on sound that was made here, with faults planted in it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from protocol.units import NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ, SharedNs
from simulator.demo import evidence
from simulator.demo.capture import Capture
from simulator.demo.disturbance import Disturbance, Part
from simulator.demo.evidence import PinChange

BEGIN_NS = SharedNs(1_700_000_000 * NS_PER_S)
CHUNK = 960


def noise(seconds: float, *, seed: int = 1) -> NDArray[np.int16]:
    generator = np.random.default_rng(seed)
    return generator.integers(-8000, 8000, int(seconds * SAMPLE_RATE_HZ), dtype=np.int16)


def silence(seconds: float) -> NDArray[np.int16]:
    return np.zeros(int(seconds * SAMPLE_RATE_HZ), dtype=np.int16)


def captured(samples: NDArray[np.int16], *, begin_ms: float = 0, jitter_ms: float = 0, seed: int = 3) -> Capture:
    """As the listener would have it: chunks of 20 ms, each late by up to `jitter_ms`."""
    generator = np.random.default_rng(seed)
    chunks = []
    for first in range(0, len(samples), CHUNK):
        part = samples[first : first + CHUNK]
        at_ms = begin_ms + first / 48 + generator.uniform(0, jitter_ms)
        chunks.append((BEGIN_NS + round(at_ms * NS_PER_MS), part.tobytes()))
    return Capture.from_chunks(chunks)


def joined(*captures: Capture) -> Capture:
    chunks: list[tuple[int, bytes]] = []
    for capture in captures:
        begins = [0, *capture.ends[:-1].tolist()]
        spans = zip(capture.stamps_ns.tolist(), begins, capture.ends.tolist(), strict=True)
        chunks += [(stamp, capture.samples[first:last].tobytes()) for stamp, first, last in spans]
    return Capture.from_chunks(chunks)


def at(milliseconds: float) -> SharedNs:
    return SharedNs(BEGIN_NS + round(milliseconds * NS_PER_MS))


def test_first_sound_is_found_to_a_millisecond_in_late_chunks() -> None:
    capture = captured(np.concatenate((silence(1.0), noise(1.0))), jitter_ms=15)
    found = evidence.first_sound_ns(capture, after_ns=at(0), before_ns=at(2000))
    assert found is not None
    assert abs(found - at(1000)) < 2 * NS_PER_MS


def test_no_sound_is_no_first_sound() -> None:
    capture = captured(silence(2.0))
    assert evidence.first_sound_ns(capture, after_ns=at(0), before_ns=at(2000)) is None
    assert evidence.level_dbfs(capture, begin_ns=at(0), end_ns=at(2000)) is None
    assert evidence.sounding_ms(capture, begin_ns=at(0), end_ns=at(2000)) == 0


def test_an_empty_capture_proves_nothing() -> None:
    empty = Capture.from_chunks([])
    assert evidence.first_sound_ns(empty, after_ns=at(0), before_ns=at(1)) is None
    assert evidence.spread_ms({"a": empty, "b": empty}, at_ns=at(0)) is None
    assert [gap.length_ms for gap in evidence.gaps(empty, begin_ns=at(0), end_ns=at(500))] == [500]


def test_level_of_a_full_square_wave_is_zero_and_of_half_minus_six() -> None:
    square = np.tile(np.array([32767, -32768], dtype=np.int16), SAMPLE_RATE_HZ // 2)
    assert evidence.level_dbfs(captured(square), begin_ns=at(0), end_ns=at(1000)) == 0.0
    assert evidence.level_dbfs(captured(square // 2), begin_ns=at(0), end_ns=at(1000)) == pytest.approx(-6.0, abs=0.1)


def test_gaps_are_digital_silence_and_missing_chunks_but_not_quiet_music() -> None:
    quiet = (noise(0.5, seed=9) // 1000).astype(np.int16)
    whole = captured(np.concatenate((noise(1.0), quiet, noise(1.0))))
    assert evidence.gaps(whole, begin_ns=at(0), end_ns=at(2500)) == []
    planted = captured(np.concatenate((noise(1.0), silence(0.2), noise(1.0))), jitter_ms=5)
    (gap,) = evidence.gaps(planted, begin_ns=at(20), end_ns=at(2180))
    assert gap.length_ms == pytest.approx(200, abs=6)
    assert abs(gap.at_ns - at(1000)) < 6 * NS_PER_MS
    missing = joined(captured(noise(1.0)), captured(noise(1.0), begin_ms=1400))
    (gap,) = evidence.gaps(missing, begin_ns=at(0), end_ns=at(2400))
    assert gap.length_ms == pytest.approx(400, abs=2)


def test_a_gap_counts_where_the_machine_held_nobody_up() -> None:
    capture = captured(np.concatenate((noise(1.0), silence(0.1), noise(1.0), silence(0.3), noise(1.0))))
    span = {"begin_ns": at(0), "end_ns": at(3400)}

    def held(begin_ms: float, end_ms: float) -> list[Disturbance]:
        return [Disturbance(name="N1", part=Part.NODE, begin_ns=at(begin_ms), end_ns=at(end_ms), waited_ms=50)]

    assert len(evidence.gaps_undisturbed(capture, **span, disturbances=[])) == 2
    assert evidence.gaps_undisturbed(capture, **span, disturbances=held(900, 2500)) == []
    (longer,) = evidence.gaps_undisturbed(capture, **span, disturbances=held(900, 2200))
    assert longer.length_ms == pytest.approx(200, abs=2), "what lasts beyond the disturbance is not the machine's"


def test_a_stop_before_the_end_is_a_gap() -> None:
    capture = captured(noise(1.0))
    (gap,) = evidence.gaps(capture, begin_ns=at(0), end_ns=at(3000))
    assert gap.length_ms == pytest.approx(2000, abs=2)


def test_a_clip_is_found_where_it_lies_and_not_where_it_is_not() -> None:
    clip = noise(0.5, seed=7)
    capture = captured(np.concatenate((noise(1.0), clip, noise(1.0, seed=8))), jitter_ms=3)
    match = evidence.find_clip(capture, clip, after_ns=at(0), before_ns=at(2500))
    assert match is not None
    assert match.likeness > 0.99
    assert abs(match.at_ns - at(1000)) < NS_PER_MS
    other = evidence.find_clip(capture, noise(0.5, seed=99), after_ns=at(0), before_ns=at(2500))
    assert other is not None
    assert other.likeness < 0.2


def test_of_a_repeated_clip_the_first_is_found() -> None:
    clip = noise(0.5, seed=7)
    pause = silence(0.3)
    worse = (clip // 2 + noise(0.5, seed=11) // 16).astype(np.int16)
    capture = captured(np.concatenate((noise(1.0), worse, pause, clip, pause, clip, noise(1.0, seed=8))))
    match = evidence.find_clip(capture, clip, after_ns=at(0), before_ns=at(4000))
    assert match is not None
    assert abs(match.at_ns - at(1000)) < NS_PER_MS


@pytest.mark.parametrize("apart_ms", [0.0, 0.5, 7.0, 60.0])
def test_spread_is_what_was_planted_in_spite_of_late_chunks(apart_ms: float) -> None:
    music = noise(6.0)
    captures = {
        "a": captured(music, jitter_ms=8, seed=1),
        "b": captured(music, begin_ms=apart_ms, jitter_ms=8, seed=2),
        "c": captured(music, begin_ms=apart_ms / 2, jitter_ms=8, seed=4),
    }
    spread = evidence.spread_ms(captures, at_ns=at(2500))
    assert spread == pytest.approx(apart_ms, abs=0.4)


def test_spread_of_different_sounds_is_unknown() -> None:
    captures = {"a": captured(noise(6.0)), "b": captured(noise(6.0, seed=5))}
    assert evidence.spread_ms(captures, at_ns=at(2500)) is None


def test_sound_outside_of_power_is_counted_and_inside_is_not() -> None:
    capture = captured(np.concatenate((silence(0.5), noise(1.0), silence(0.5))))
    covered = [PinChange(at_ns=at(200), is_on=True), PinChange(at_ns=at(1900), is_on=False)]
    late = [PinChange(at_ns=at(800), is_on=True), PinChange(at_ns=at(1900), is_on=False)]

    def unpowered_ms(trace: list[PinChange]) -> int:
        return evidence.unpowered_sound_ms(capture, trace, tolerance_ns=20 * NS_PER_MS, until_ns=at(2000))

    assert unpowered_ms(covered) == 0
    assert unpowered_ms(late) == pytest.approx(280, abs=15)
    assert unpowered_ms([]) == pytest.approx(1000, abs=15)


def test_clicks_are_changes_of_level() -> None:
    levels = [False, True, True, False, True]
    trace = [PinChange(at_ns=at(index), is_on=level) for index, level in enumerate(levels)]
    assert evidence.transitions(trace) == 3
    assert evidence.powered_intervals(trace, until_ns=at(10)) == [(at(1), at(3)), (at(4), at(10))]
