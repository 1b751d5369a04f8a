"""One zone after another: each pole sounds in its turn only, on its sample, and says so on record."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.messages import QuietHours
from protocol.turns import Turns
from tests.support.issuer import media, occurrence
from tests.support.pole import T0_MS, Pole
from tests.support.waves import clip_wave, differs_by

NEWS = media("news", seconds=4)
FLOOD = media("flood", seconds=4)
RADIO = media("radio", seconds=60)
LENGTH_MS = 5_000
TURNS = Turns(count=3, length_ms=LENGTH_MS)
START_MS = T0_MS + 10_000
PLAY_MS = T0_MS + 20_450


def pole_of_turn(turn: int, **assignment: Any) -> Pole:
    pole = Pole()
    pole.provide(NEWS, FLOOD, RADIO)
    pole.introduce(prepared_clips=(FLOOD,), turn=turn, **assignment)
    pole.run_for(1_000)
    return pole


def plan_in_turns(pole: Pole, start_ms: int = START_MS) -> None:
    pole.send(pole.issuer.plan(occurrence("a", start_ms, NEWS, duration_ms=TURNS.round_ms, turns=TURNS)))


def raise_in_turns(pole: Pole) -> None:
    pole.send(pole.issuer.emergency(FLOOD, play_at_ms=PLAY_MS, repeat_every_ms=TURNS.round_ms, turns=TURNS))


@pytest.mark.parametrize(("turn", "place"), [(0, 0), (1, 1), (2, 2), (4, 1)])
def test_a_planned_item_sounds_in_the_turn_of_the_pole_and_with_power_in_that_turn_only(turn: int, place: int) -> None:
    pole = pole_of_turn(turn)
    plan_in_turns(pole)
    begins = START_MS + place * LENGTH_MS
    pole.run_until(START_MS + TURNS.round_ms + 2_000)
    heard = pole.heard(begins + 50, begins + 3_950)
    assert differs_by(heard, clip_wave(NEWS, begins, begins + 50, begins + 3_950)) <= 1
    for other in {0, 1, 2} - {place}:
        assert not pole.heard(START_MS + other * LENGTH_MS + 50, START_MS + other * LENGTH_MS + 3_950).any()
    assert pole.airings() == [("a", "started", "on time"), ("a", "finished", "finished")]
    assert pole.unpowered_samples() == 0


def test_an_emergency_takes_the_air_at_once_and_sounds_in_its_turn_of_each_round() -> None:
    pole = pole_of_turn(2)
    pole.send(pole.issuer.plan(occurrence("radio", START_MS, RADIO)))
    pole.run_until(PLAY_MS - 450)
    raise_in_turns(pole)
    pole.run_until(PLAY_MS + 2 * TURNS.round_ms)
    first = PLAY_MS + 2 * LENGTH_MS
    assert not pole.heard(PLAY_MS + 50, first - 50).any()
    for begins in (first, first + TURNS.round_ms):
        heard = pole.heard(begins + 50, begins + 3_950)
        assert differs_by(heard, clip_wave(FLOOD, begins, begins + 50, begins + 3_950)) <= 1
    assert not pole.heard(first + 4_050, first + TURNS.round_ms - 50).any()
    started = next(record for record in pole.records() if getattr(record, "source_id", "") == "flood-1")
    assert (started.at_ms, started.reason) == (first, "on time")  # type: ignore[union-attr]


def test_who_hears_of_it_late_joins_its_own_turn() -> None:
    pole = pole_of_turn(1)
    pole.disconnect()
    raise_in_turns(pole)
    pole.run_until(PLAY_MS + TURNS.round_ms + LENGTH_MS + 1_000)
    pole.connect()
    pole.run_for(2_500)
    begins = PLAY_MS + TURNS.round_ms + LENGTH_MS
    late = pole.now_ms - 800
    assert differs_by(pole.heard(late, late + 200), clip_wave(FLOOD, begins, late, late + 200)) <= 1


def test_an_all_clear_before_its_turn_leaves_a_pole_silent_and_claims_nothing() -> None:
    pole = pole_of_turn(2)
    raise_in_turns(pole)
    pole.run_until(PLAY_MS + LENGTH_MS)
    pole.send(pole.issuer.all_clear())
    pole.run_until(PLAY_MS + TURNS.round_ms)
    assert not pole.heard(PLAY_MS, PLAY_MS + TURNS.round_ms - 500).any()
    assert pole.airings() == []


@pytest.mark.parametrize("turn", [0, 2])
def test_a_round_that_runs_into_the_quiet_hours_is_heard_by_no_zone(turn: int) -> None:
    quiet = QuietHours(begin_minute=6 * 60 + 1, end_minute=7 * 60)  # T0 is 06:00 in Hà Nội
    pole = pole_of_turn(turn, quiet_hours=quiet)
    plan_in_turns(pole, T0_MS + 50_000)
    pole.run_until(T0_MS + 50_000 + TURNS.round_ms)
    assert not pole.heard(T0_MS + 49_000, T0_MS + 64_000).any()
    assert pole.airings() == [("a", "refused", "quiet_hours")]


def test_another_turn_counts_from_the_next_assignment_on() -> None:
    pole = pole_of_turn(0)
    plan_in_turns(pole)
    pole.introduce(prepared_clips=(FLOOD,), turn=1)
    pole.run_until(START_MS + TURNS.round_ms)
    begins = START_MS + LENGTH_MS
    assert not pole.heard(START_MS + 50, START_MS + 3_950).any()
    heard = pole.heard(begins + 50, begins + 3_950)
    assert differs_by(heard, clip_wave(NEWS, begins, begins + 50, begins + 3_950)) <= 1
