"""A live voice on a pole: rendered as late as can be while it has the air, and nobody hears the change.

The card of these poles holds 120 ms and is rendered 180 ms ahead of, as one that is shipped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from protocol.messages import VOICE_STALL_MS, Over
from tests.support.issuer import media, occurrence
from tests.support.pole import T0_MS, Pole
from tests.support.waves import STREAM_LEVEL, clip_wave, differs_by, stream_wave

STREAM = "0123456789abcdef"
BEGIN_MS = T0_MS + 10_000
BLOCK_MS = 60
NEAR_AHEAD_MS = 160
"""The device's 40 ms, the block that it has just taken, the ring's 80, and what limiter and resampler look ahead."""
MUSIC = media("music", seconds=12)
FLOOD = media("flood", seconds=3)
SPOKEN = VOICE_STALL_MS
RELAYED = 5_000


def pole_with(*clips: Any, **assignment: Any) -> Pole:
    pole = Pole(block_ms=BLOCK_MS)
    pole.provide(*clips)
    pole.introduce(**assignment)
    return pole


def speak(pole: Pole, *, packets: int, delay_ms: int = 1_000, **changes: Any) -> None:
    pole.send(pole.issuer.stream_start(STREAM, starts_at_ms=BEGIN_MS, **changes))
    pole.stream(STREAM, origin_ms=BEGIN_MS, packets=range(packets), delay_ms=delay_ms)


def ahead_ms(pole: Pole) -> float:
    return float(pole.telemetry()["streams"][0]["ahead_ms"])


def voice_in_music(stall_ms: int, over: Over, *, begins_after_ms: int = 3_000, packets: int = 40) -> NDArray[np.int16]:
    """A voice that comes into what sounds, and what the horn gave of both."""
    pole = pole_with(MUSIC)
    pole.send(pole.issuer.plan(occurrence("m", BEGIN_MS - begins_after_ms, MUSIC)))
    speak(pole, packets=packets, stall_ms_max=stall_ms, over=over, broadcast_class="priority")
    pole.run_until(BEGIN_MS + packets * 100 - 300)
    pole.send(pole.issuer.stream_end(STREAM, ends_at_ms=BEGIN_MS + packets * 100))
    pole.run_until(BEGIN_MS + 9_000)
    return pole.heard(BEGIN_MS - 4_000, BEGIN_MS + 9_000)


def test_a_voice_is_rendered_late_and_a_relay_long_before() -> None:
    aheads = {}
    for stall_ms in (SPOKEN, RELAYED):
        pole = pole_with()
        speak(pole, packets=120, stall_ms_max=stall_ms)
        pole.run_until(BEGIN_MS + 11_000)
        aheads[stall_ms] = ahead_ms(pole)
        heard = pole.heard(BEGIN_MS + 50, BEGIN_MS + 10_900)
        assert differs_by(heard, stream_wave(BEGIN_MS, BEGIN_MS + 50, BEGIN_MS + 10_900)) <= 1
        assert pole.card.statistics.underruns == 0
    assert aheads[SPOKEN] <= NEAR_AHEAD_MS
    assert aheads[RELAYED] > 2 * NEAR_AHEAD_MS


def test_a_word_that_comes_170_ms_before_its_instant_is_whole_on_a_card_that_was_opened_for_it() -> None:
    pole = pole_with()
    begin = BEGIN_MS + 2_000
    pole.send(pole.issuer.stream_start(STREAM, starts_at_ms=BEGIN_MS, stall_ms_max=SPOKEN))
    pole.stream(STREAM, origin_ms=BEGIN_MS, packets=range(20), delay_ms=1_500)
    pole.stream(STREAM, origin_ms=BEGIN_MS, packets=range(20, 60), delay_ms=170)
    pole.run_until(BEGIN_MS + 6_000)
    assert differs_by(pole.heard(begin, begin + 3_900), stream_wave(BEGIN_MS, begin, begin + 3_900)) <= 1


@pytest.mark.parametrize("over", [Over.DUCK, Over.REPLACE])
def test_the_depth_changes_in_play_without_a_trace_in_what_is_heard(over: Over) -> None:
    near, far = voice_in_music(SPOKEN, over), voice_in_music(RELAYED, over)
    assert differs_by(near, far) <= 1
    assert np.abs(near).max() > STREAM_LEVEL * 32_000


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(
    begins_after_ms=st.integers(1, 3_999), packets=st.integers(5, 60), over=st.sampled_from([Over.DUCK, Over.REPLACE])
)
def test_whenever_a_voice_comes_and_goes_the_grid_is_unbroken(begins_after_ms: int, packets: int, over: Over) -> None:
    """Before and after it the music is where it belongs, sample by sample."""
    heard = voice_in_music(SPOKEN, over, begins_after_ms=begins_after_ms, packets=packets)
    music_at_ms, first_ms = BEGIN_MS - begins_after_ms, BEGIN_MS - 4_000
    spans = ((music_at_ms + 400, BEGIN_MS - 400), (BEGIN_MS + packets * 100 + 2_000, music_at_ms + 11_500))
    for from_ms, until_ms in spans:
        if from_ms < min(until_ms, BEGIN_MS + 9_000):
            until = min(until_ms, BEGIN_MS + 9_000)
            piece = heard[(from_ms - first_ms) * 48 : (until - first_ms) * 48]
            assert differs_by(piece, clip_wave(MUSIC, music_at_ms, from_ms, until)) <= 1


def test_in_music_only_what_is_rendered_ahead_is_less_and_afterwards_all_is_as_before() -> None:
    pole = pole_with(MUSIC)
    pole.send(pole.issuer.plan(occurrence("m", BEGIN_MS - 3_000, MUSIC)))
    speak(pole, packets=60, stall_ms_max=SPOKEN, over=Over.DUCK, broadcast_class="priority")
    pole.run_until(BEGIN_MS + 5_900)
    voice_ahead_ms = ahead_ms(pole)
    assert NEAR_AHEAD_MS < voice_ahead_ms < 300, "the device was opened for music and holds what it held"
    pole.send(pole.issuer.stream_end(STREAM, ends_at_ms=BEGIN_MS + 6_000))
    pole.run_until(BEGIN_MS + 7_000)
    pole.card.hold_up(170_000_000)  # more than was held for the voice: a gap if it still were
    pole.run_until(BEGIN_MS + 8_000)
    assert pole.card.statistics.underruns == 0


def test_an_emergency_over_a_voice_is_on_time_and_alone() -> None:
    pole = pole_with(FLOOD, prepared_clips=(FLOOD,))
    speak(pole, packets=100, stall_ms_max=SPOKEN)
    pole.run_until(BEGIN_MS + 3_000)
    play_ms = BEGIN_MS + 3_300
    pole.send(pole.issuer.emergency(FLOOD, play_at_ms=play_ms))
    pole.run_until(BEGIN_MS + 6_500)
    heard = pole.heard(play_ms + 30, play_ms + 2_900)
    assert differs_by(heard, clip_wave(FLOOD, play_ms, play_ms + 30, play_ms + 2_900)) <= 1
