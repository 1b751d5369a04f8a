"""The demo's steps: in order, inside the time given, long enough for what they show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.demo.timeline import PLAYLIST_S, SECONDS_MIN, TAIL_S, Act, at_of, timeline_for


@given(seconds=st.floats(min_value=SECONDS_MIN, max_value=3600))
def test_every_act_comes_once_in_order_and_ends_in_time(seconds: float) -> None:
    steps = timeline_for(seconds)
    assert [step.act for step in steps] == list(Act)
    times = [step.at_s for step in steps]
    assert times == sorted(times)
    assert times[0] == 0
    assert times[-1] == pytest.approx(seconds, abs=0.01)


@given(seconds=st.floats(min_value=SECONDS_MIN, max_value=3600))
def test_every_stage_has_time_to_sound(seconds: float) -> None:
    steps = timeline_for(seconds)
    assert at_of(steps, Act.RELAY_STOP) >= 5
    assert at_of(steps, Act.PLAYLIST) - at_of(steps, Act.RELAY_STOP) >= 1.5
    assert at_of(steps, Act.RELAY_HLS) - at_of(steps, Act.PLAYLIST) > PLAYLIST_S
    assert at_of(steps, Act.EMERGENCY) - at_of(steps, Act.RELAY_HLS) >= 5
    assert at_of(steps, Act.ALL_CLEAR) - at_of(steps, Act.EMERGENCY) >= 8
    assert at_of(steps, Act.END) - at_of(steps, Act.RELAY_HLS_STOP) == pytest.approx(TAIL_S, abs=0.01)


def test_too_short_a_demo_says_how_long_it_needs() -> None:
    with pytest.raises(ValueError, match=f"at least {SECONDS_MIN} s"):
        timeline_for(SECONDS_MIN - 1)
