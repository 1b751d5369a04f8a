"""The stop button's table and times, and its promise: only what stood long enough, and came up before, is a press."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.gpio.inputs import HOLD_MS, STUCK_MS, TRANSITIONS, ButtonNews, ButtonState, StopButton, StopButtonSettings
from protocol.units import NS_PER_MS, MonotonicNs, Now, SharedNs

SETTINGS = StopButtonSettings(bounce_ms=30, silent_minutes=10)
SILENT_MS = 10 * 60_000


def at(ms: int) -> Now:
    return Now(monotonic_ns=MonotonicNs(ms * NS_PER_MS), shared_ns=SharedNs(ms * NS_PER_MS))


def play(button: StopButton, levels: list[tuple[int, bool]], *, until_ms: int) -> list[tuple[int, ButtonNews]]:
    """Move the contact at these times, and ask at every deadline; what came of it, and when."""
    told: list[tuple[int, ButtonNews]] = []
    waiting = [*levels]
    now_ms = 0
    while now_ms <= until_ms:
        due_ns = button.next_deadline()
        due_ms = until_ms + 1 if due_ns is None else due_ns // NS_PER_MS
        now_ms = min([due_ms, until_ms + 1, *(when for when, _ in waiting[:1])])
        while waiting and waiting[0][0] <= now_ms:
            button.moved(is_pressed=waiting.pop(0)[1], now=at(now_ms))
        told += [(now_ms, news) for news in button.update(at(now_ms))]
    return told


def test_a_press_stops_and_its_time_runs_out() -> None:
    button = StopButton(SETTINGS)
    told = play(button, [(0, True), (200, False)], until_ms=SILENT_MS + 100)
    assert told == [(30, ButtonNews.STOPPED), (SILENT_MS + 30, ButtonNews.TIME_UP)]
    assert not button.is_silencing


def test_held_during_the_silence_it_resumes_and_at_the_first_press_it_does_not() -> None:
    button = StopButton(SETTINGS)
    first = play(button, [(0, True), (HOLD_MS + 500, False)], until_ms=HOLD_MS + 1_000)
    assert first == [(30, ButtonNews.STOPPED)]
    assert button.is_silencing
    again = play(button, [(10_000, True), (20_000, False)], until_ms=25_000)
    assert again == [(10_030, ButtonNews.STOPPED), (10_030 + HOLD_MS, ButtonNews.RESUMED)]


def test_what_never_comes_up_is_stuck_and_down_at_the_start_too() -> None:
    button = StopButton(SETTINGS)
    told = play(button, [(0, True)], until_ms=STUCK_MS + 100)
    assert told == [(30, ButtonNews.STOPPED), (STUCK_MS + 30, ButtonNews.STUCK)]
    assert play(button, [(STUCK_MS + 500, False)], until_ms=STUCK_MS + 600) == [(STUCK_MS + 530, ButtonNews.FREE)]
    other = StopButton(SETTINGS)
    other.found(is_pressed=True)
    assert not play(other, [], until_ms=STUCK_MS + 100)
    assert play(other, [(0, False), (100, True)], until_ms=200) == [(30, ButtonNews.FREE), (130, ButtonNews.STOPPED)]


def test_every_state_can_be_left_by_letting_go() -> None:
    assert {after for (_, event), after in TRANSITIONS.items() if event == "let_go"} == {ButtonState.UP}
    assert {state for state, event in TRANSITIONS if event == "let_go"} == set(ButtonState) - {ButtonState.UP}


@given(st.lists(st.integers(1, 29), max_size=60))
def test_no_bounce_ever_stops_anything(steps: list[int]) -> None:
    button = StopButton(SETTINGS)
    levels, now_ms = [], 0
    for index, wait_ms in enumerate(steps):
        now_ms += wait_ms
        levels.append((now_ms, index % 2 == 0))
    if len(levels) % 2:
        levels.append((now_ms + 1, False))
    assert not play(button, levels, until_ms=now_ms + 100)
