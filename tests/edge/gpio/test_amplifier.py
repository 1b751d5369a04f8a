"""The amplifier's table, its times, and its one promise: powered only for a demand or the hold after one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.gpio.amplifier import (
    RETRY_MS,
    TRANSITIONS,
    Amplifier,
    AmplifierEvent,
    AmplifierSettings,
    AmplifierState,
)
from protocol.units import NS_PER_MS, MonotonicNs, Now, SharedNs

SHARED_OFFSET_NS = 1_800_000_000_000_000_000
SETTINGS = AmplifierSettings(warm_up_ms=300, hold_ms=2_000)


def at(ms: float) -> Now:
    monotonic_ns = int(ms * NS_PER_MS)
    return Now(monotonic_ns=MonotonicNs(monotonic_ns), shared_ns=SharedNs(monotonic_ns + SHARED_OFFSET_NS))


def state_of(amplifier: Amplifier) -> AmplifierState:
    return amplifier.state


def test_warms_up_then_is_on_then_holds_then_goes_off() -> None:
    amplifier = Amplifier(SETTINGS)
    assert amplifier.update(is_demanded=True, now=at(0))
    assert state_of(amplifier) is AmplifierState.WARMING
    assert amplifier.sound_from == at(300).shared_ns
    assert amplifier.next_deadline() == at(300).monotonic_ns
    assert not amplifier.update(is_demanded=True, now=at(300))
    assert state_of(amplifier) is AmplifierState.ON
    assert amplifier.next_deadline() is None
    assert not amplifier.update(is_demanded=False, now=at(1_000))
    assert state_of(amplifier) is AmplifierState.HOLDING
    assert not amplifier.update(is_demanded=False, now=at(2_999))
    assert amplifier.update(is_demanded=False, now=at(3_000))
    assert state_of(amplifier) is AmplifierState.OFF
    assert amplifier.sound_from is None


def test_a_demand_during_the_hold_needs_no_warm_up() -> None:
    amplifier = Amplifier(SETTINGS)
    for now, is_demanded in ((0, True), (300, True), (1_000, False), (2_000, True)):
        amplifier.update(is_demanded=is_demanded, now=at(now))
    assert state_of(amplifier) is AmplifierState.ON
    assert amplifier.sound_from == at(300).shared_ns


def test_a_demand_at_the_very_end_of_the_hold_warms_up_anew() -> None:
    amplifier = Amplifier(SETTINGS)
    for now, is_demanded in ((0, True), (300, True), (1_000, False)):
        amplifier.update(is_demanded=is_demanded, now=at(now))
    amplifier.update(is_demanded=True, now=at(3_000))
    assert state_of(amplifier) is AmplifierState.WARMING
    assert amplifier.sound_from == at(3_300).shared_ns


def test_released_while_warming_is_held_because_sound_is_on_its_way_and_stays_gated_until_warm() -> None:
    amplifier = Amplifier(SETTINGS)
    amplifier.update(is_demanded=True, now=at(0))
    assert not amplifier.update(is_demanded=False, now=at(100))
    assert state_of(amplifier) is AmplifierState.HOLDING
    amplifier.update(is_demanded=True, now=at(150))
    assert amplifier.sound_from == at(300).shared_ns
    amplifier.update(is_demanded=False, now=at(200))
    assert amplifier.update(is_demanded=False, now=at(2_200))
    assert state_of(amplifier) is AmplifierState.OFF


def test_a_fault_switches_off_and_is_tried_again_after_a_pause() -> None:
    amplifier = Amplifier(SETTINGS)
    amplifier.update(is_demanded=True, now=at(0))
    amplifier.fail(at(10))
    assert state_of(amplifier) is AmplifierState.OFF
    assert amplifier.is_blocked
    assert not amplifier.update(is_demanded=True, now=at(11))
    assert amplifier.next_deadline() == at(10 + RETRY_MS).monotonic_ns
    assert amplifier.update(is_demanded=True, now=at(10 + RETRY_MS))
    assert not amplifier.is_blocked


def test_every_state_knows_a_fault_and_no_event_leads_from_off_to_on() -> None:
    for state in AmplifierState:
        assert TRANSITIONS[state, AmplifierEvent.FAILED] is AmplifierState.OFF
    reachable = {TRANSITIONS.get((AmplifierState.OFF, event)) for event in AmplifierEvent}
    assert reachable <= {None, AmplifierState.OFF, AmplifierState.WARMING}


@given(st.lists(st.tuples(st.integers(1, 1_500), st.booleans()), max_size=40))
def test_is_never_powered_longer_than_the_hold_after_a_demand(steps: list[tuple[int, bool]]) -> None:
    amplifier = Amplifier(SETTINGS)
    now_ms, demanded_ms = 0, -10_000
    for wait_ms, is_demanded in steps:
        now_ms += wait_ms
        if is_demanded:
            demanded_ms = now_ms
        amplifier.update(is_demanded=is_demanded, now=at(now_ms))
        deadline = amplifier.next_deadline()
        assert deadline is None or deadline > at(now_ms).monotonic_ns
        if amplifier.is_powered and not is_demanded:
            assert state_of(amplifier) is AmplifierState.HOLDING
            assert deadline is not None
        assert amplifier.is_powered == (amplifier.sound_from is not None)
        if is_demanded:
            assert amplifier.is_powered
    amplifier.update(is_demanded=False, now=at(now_ms + 1))
    amplifier.update(is_demanded=False, now=at(now_ms + 1 + 2_000))
    assert not amplifier.is_powered
    assert demanded_ms <= now_ms
