"""What a pole's horn gives while one sound follows another, as waveforms: golden envelopes of each, and never a click.

Each clip is a tone of its own pitch, so that the level of every voice is measured in the mixture, window by window.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.player.switching import ATTACK_MS, CROSSFADE_JOIN_MS, DUCK_DB, RELEASE_MS, TAKEOVER_MS
from protocol.messages import Over
from tests.support.issuer import COMMUNE, VILLAGE, media, occurrence
from tests.support.pole import T0_MS, Pole
from tests.support.waves import TONE_WINDOW_MS, ToneWorkshop, levels_of

GOLDEN = Path(__file__).with_name("golden_switching.json")
NEAR_DB = 0.5
"""Rounding to the card's int16; a fade that is missing or moved by a window differs by 1 and more."""
HEARD_DB = -40.0
CLIPS = {
    name: media(name, seconds=seconds) for name, seconds in (("music", 9), ("other", 6), ("speech", 2), ("flood", 2))
}
TONES = {clip.sha256: hz for clip, hz in zip(CLIPS.values(), (600, 1_000, 1_600, 2_200), strict=True)}
START_MS = T0_MS + 5_000
STEP_MAX = round(2 * np.pi * 2_200 / 48_000 * 0.25 * 32_767 * 1.8)
"""The steepest tone, with half as much again for what sounds beside it and for the fades' own slope."""


def tuned_pole(**assignment: Any) -> Pole:
    pole = Pole(workshop=ToneWorkshop(TONES))
    pole.provide(*CLIPS.values())
    pole.introduce(prepared_clips=(CLIPS["flood"],), **assignment)
    return pole


def envelopes(pole: Pole, from_ms: int, until_ms: int) -> dict[str, list[float]]:
    """The level of each clip, window by window; clips that are not heard at all are left out."""
    heard = pole.heard(from_ms, until_ms)
    found = {name: levels_of(TONES[clip.sha256], heard) for name, clip in CLIPS.items()}
    return {name: levels for name, levels in found.items() if max(levels) > HEARD_DB}


def ducked() -> tuple[Pole, int]:
    pole = tuned_pole()
    speech = occurrence("s", START_MS + 2_000, CLIPS["speech"], over=Over.DUCK, broadcast_class="priority")
    pole.send(pole.issuer.plan(occurrence("m", START_MS, CLIPS["music"]), speech))
    pole.run_until(START_MS + 10_000)
    return pole, START_MS + 2_000


def crossed() -> tuple[Pole, int]:
    """The upper area's item takes over in the middle, and the village's is joined in its middle afterwards."""
    pole = tuned_pole()
    pole.send(pole.issuer.plan(occurrence("m", START_MS, CLIPS["music"]), area=VILLAGE))
    pole.send(pole.issuer.plan(occurrence("s", START_MS + 2_000, CLIPS["speech"], duration_ms=1_500), area=COMMUNE))
    pole.run_until(START_MS + 10_000)
    return pole, START_MS + 2_000


def taken_over() -> tuple[Pole, int]:
    pole, play_ms = tuned_pole(), START_MS + 2_000
    pole.send(pole.issuer.plan(occurrence("m", START_MS, CLIPS["music"])))
    pole.run_until(play_ms - 400)
    pole.send(pole.issuer.emergency(CLIPS["flood"], play_at_ms=play_ms, sounds_until_ms=play_ms + 1_800))
    pole.run_until(START_MS + 10_000)
    return pole, play_ms


def aimed() -> tuple[Pole, int]:
    """The programme 100 ms late, the emergency not at all: it takes over at its own instant all the same."""
    pole, play_ms = tuned_pole(aiming_delay_us=100_000), START_MS + 2_000
    pole.send(pole.issuer.plan(occurrence("m", START_MS, CLIPS["music"])))
    pole.run_until(play_ms - 400)
    pole.send(pole.issuer.emergency(CLIPS["flood"], play_at_ms=play_ms, sounds_until_ms=play_ms + 1_800))
    pole.run_until(START_MS + 10_000)
    return pole, play_ms


CASES = {"ducked": ducked, "crossed": crossed, "taken over": taken_over, "aimed": aimed}
SPANS_MS = {"ducked": (-50, 2_700), "crossed": (-50, 1_700), "taken over": (-50, 2_050), "aimed": (-50, 2_050)}


def step_max(heard: NDArray[np.int16]) -> int:
    return int(np.abs(np.diff(heard.astype(np.int32), prepend=0, append=0)).max())


def test_switching_sounds_as_it_did_when_the_golden_envelopes_were_made() -> None:
    """The golden file is compared by level; without the file this test writes it, and fails."""
    measured: dict[str, dict[str, list[float]]] = {}
    for name, case in CASES.items():
        pole, at_ms = case()
        low, high = SPANS_MS[name]
        measured[name] = envelopes(pole, at_ms + low, at_ms + high)
        assert step_max(pole.heard(START_MS - 100, START_MS + 9_500)) <= STEP_MAX, name
    if not GOLDEN.exists():
        GOLDEN.write_text(json.dumps(measured, separators=(",", ":")).replace("],", "],\n") + "\n")
        pytest.fail(f"{GOLDEN.name} was missing and has been written; look at it, then run again")
    golden = json.loads(GOLDEN.read_text())
    assert {name: set(clips) for name, clips in golden.items()} == {
        name: set(clips) for name, clips in measured.items()
    }
    for name, clips in measured.items():
        for clip, levels in clips.items():
            far = [
                (place * TONE_WINDOW_MS + SPANS_MS[name][0], was, now)
                for place, (was, now) in enumerate(zip(golden[name][clip], levels, strict=True))
                if abs(was - now) > NEAR_DB and max(was, now) > HEARD_DB
            ]
            assert not far, (name, clip, far)


def at(levels: list[float], ms: int) -> float:
    return levels[(ms + 50) // TONE_WINDOW_MS]


def test_the_golden_envelopes_are_what_was_promised() -> None:
    golden: dict[str, dict[str, list[float]]] = json.loads(GOLDEN.read_text())
    music = golden["ducked"]["music"]
    assert max(abs(level) for level in music[:9]) < 0.1
    assert {round(at(music, ms), 0) for ms in range(ATTACK_MS, 2_000, 50)} == {DUCK_DB}
    assert abs(at(music, 2_000 + RELEASE_MS)) < 0.1
    assert at(music, 2_000 + RELEASE_MS // 2) < -4
    flood, before = golden["taken over"]["flood"], golden["taken over"]["music"]
    assert at(before, TAKEOVER_MS) < HEARD_DB
    assert abs(at(flood, TAKEOVER_MS)) < 0.1
    joined = golden["crossed"]
    both = [10 ** (one / 10) + 10 ** (other / 10) for one, other in zip(joined["music"], joined["speech"], strict=True)]
    inside = both[(1_500 + 50) // TONE_WINDOW_MS : (1_500 + CROSSFADE_JOIN_MS + 50) // TONE_WINDOW_MS]
    assert min(inside) > 0.9
    assert max(inside) < 1.1
    late, soon = golden["aimed"]["music"], golden["aimed"]["flood"]
    assert (at(late, TAKEOVER_MS) < HEARD_DB, abs(at(soon, TAKEOVER_MS)) < 0.1) == (True, True)


items = st.lists(
    st.tuples(
        st.sampled_from(["music", "other", "speech"]),
        st.integers(0, 6_000),
        st.sampled_from(["routine", "priority"]),
        st.sampled_from(list(Over)),
        st.sampled_from([COMMUNE, VILLAGE]),
        st.integers(200, 9_000),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(planned=items, raised=st.none() | st.integers(-500, 6_000), aim_ms=st.sampled_from([0, 37]))
def test_whatever_comes_together_two_sound_at_most_and_nothing_ever_clicks(
    planned: list[tuple[str, int, str, Over, str, int]], raised: int | None, aim_ms: int
) -> None:
    pole = tuned_pole(aiming_delay_us=aim_ms * 1_000)
    for area in (COMMUNE, VILLAGE):
        here = [
            occurrence(
                f"i{number}",
                START_MS + start,
                CLIPS[name],
                broadcast_class=kind,
                over=over,
                duration_ms=min(length, CLIPS[name].duration_ms),
            )
            for number, (name, start, kind, over, where, length) in enumerate(planned)
            if where == area
        ]
        pole.send(pole.issuer.plan(*here, area=area))
    if raised is not None:
        pole.run_until(START_MS + max(0, raised - 600))
        pole.send(pole.issuer.emergency(CLIPS["flood"], play_at_ms=START_MS + raised, sounds_until_ms=START_MS + 8_000))
    pole.run_until(START_MS + 14_000)
    heard = pole.heard(START_MS - 500, START_MS + 14_000)
    assert step_max(heard) <= STEP_MAX
    assert pole.unpowered_samples() == 0
    levels = np.array([levels_of(hz, heard) for hz in TONES.values()])
    crossing = 2 * CROSSFADE_JOIN_MS // TONE_WINDOW_MS
    full = np.lib.stride_tricks.sliding_window_view(levels > -1.0, crossing, axis=1).all(axis=2)
    assert full.sum(axis=0).max(initial=0) <= 1
    there = np.lib.stride_tricks.sliding_window_view(levels > -20.0, crossing, axis=1).all(axis=2)
    assert there.sum(axis=0).max(initial=0) <= 2
