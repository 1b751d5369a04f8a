"""The self-test on a pole with a horn that may break: told apart as far as the sensors can, never in quiet hours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge.effects import AnswerSelfTest
from edge.events import SelfTestAsked
from edge.player.ports import Samples
from edge.proof.desk import UNHEARD_MAX
from edge.proof.self_test import TRANSITIONS, TURN_S, TURNS, SelfTestState, SelfTestStep
from protocol.messages import AiringRecord, FaultRecord, HeardBy, SelfTestRecord
from simulator.pole.horn import Cable, HornState
from tests.support.issuer import HOUR_MS, media, occurrence
from tests.support.pole import T0_MS, Pole
from tests.support.waves import WaveReader, WaveWorkshop

ALL = (HeardBy.MICROPHONE, HeardBy.TAP, HeardBy.CURRENT)
MINUTE_MS = 60_000
SIX_THIRTY = 6 * 60 + 30
NEWS = media("news", seconds=30)


class NoiseReader(WaveReader):
    """A clip that is as little like itself a moment later as speech is."""

    def __init__(self, samples: int) -> None:
        super().__init__("0" * 64, samples)
        self._wave = (0.1 * np.random.default_rng(7).standard_normal(samples)).astype(np.float32)

    def read(self, first: int, into: Samples) -> None:
        """See `ClipReader.read`."""
        into[:] = self._wave[first : first + len(into)]


class NoiseWorkshop(WaveWorkshop):
    """Every clip is noise."""

    def open_clip(self, sha256: str) -> NoiseReader:
        """See `Workshop.open_clip`."""
        return NoiseReader(self.clips[sha256])


def pole_with(*sensors: HeardBy, **assignment: Any) -> Pole:
    """A pole with ears, ready."""
    pole = Pole(sensors=sensors, workshop=NoiseWorkshop())
    pole.provide(NEWS)
    pole.introduce(**assignment)
    return pole


def ask(pole: Pole, *, takes_reference: bool = False) -> SelfTestRecord:
    """What is answered to a technician."""
    pole.post(SelfTestAsked(ticket=len(pole.answers) + 1, takes_reference=takes_reference))
    pole.run_for(12_000)
    answer: AnswerSelfTest = pole.answers[-1]
    assert answer.ticket == len(pole.answers)
    return answer.record


def on_record(pole: Pole) -> list[SelfTestRecord]:
    """Those on record."""
    return [each for each in pole.records() if isinstance(each, SelfTestRecord)]


def test_a_reference_is_taken_when_it_is_asked_for_and_a_whole_horn_passes_against_it() -> None:
    pole = pole_with(*ALL)
    assert ask(pole).verdict == "no_reference"
    taken = ask(pole, takes_reference=True)
    assert taken.verdict == "reference_taken"
    assert taken.heard is not None
    assert taken.heard.delay_ms == pytest.approx(180, abs=2)
    passed = ask(pole)
    assert passed.verdict == "passed"
    assert passed.level_change_db == pytest.approx(0, abs=0.3)
    assert [each.verdict for each in on_record(pole)] == ["no_reference", "reference_taken", "passed"]
    assert not [each for each in pole.records() if isinstance(each, AiringRecord)], "a test is no airing"
    assert pole.unpowered_samples() == 0


@pytest.mark.parametrize(
    ("sensors", "broken", "verdict"),
    [
        (ALL, {"is_amplifier_whole": False}, "amplifier"),
        (ALL, {"cable": Cable.OPEN}, "horn"),
        (ALL, {"cable": Cable.SHORT}, "short"),
        (ALL, {"is_membrane_whole": False}, "horn"),
        (ALL, {"is_dull": True}, "changed"),
        (ALL, {"gain": 0.1}, "weak"),
        ((HeardBy.MICROPHONE,), {"cable": Cable.OPEN}, "silent"),
        ((HeardBy.MICROPHONE,), {"noise": 1.0}, "noisy"),
        ((HeardBy.MICROPHONE, HeardBy.CURRENT), {"is_amplifier_whole": False}, "amplifier"),
        ((HeardBy.TAP,), {"is_amplifier_whole": False}, "amplifier"),
        ((HeardBy.TAP,), {"cable": Cable.OPEN}, "passed"),
        ((HeardBy.TAP, HeardBy.CURRENT), {"cable": Cable.OPEN}, "horn"),
        ((HeardBy.CURRENT,), {"cable": Cable.OPEN}, "silent"),
        ((HeardBy.CURRENT,), {"cable": Cable.SHORT}, "short"),
        ((HeardBy.CURRENT,), {}, "passed"),
    ],
)
def test_what_is_broken_is_told_as_far_as_the_sensors_can(
    sensors: tuple[HeardBy, ...], broken: dict[str, Any], verdict: str
) -> None:
    pole = pole_with(*sensors)
    assert ask(pole, takes_reference=True).verdict == "reference_taken"
    for name, value in broken.items():
        setattr(pole.horn, name, value)
    record = ask(pole)
    assert record.verdict == verdict, record.detail
    is_bad = verdict not in ("passed", "noisy")
    assert ("horn" in pole.telemetry().get("faults", ())) is is_bad
    for name in broken:
        setattr(pole.horn, name, getattr(HornState(), name))
    if verdict != "noisy":
        assert ask(pole).verdict == "passed"
        assert "horn" not in pole.telemetry().get("faults", ())


def test_once_a_day_at_the_minute_of_the_place_and_the_poles_own_turn() -> None:
    pole = pole_with(HeardBy.MICROPHONE, self_test_minute=SIX_THIRTY)
    pole.run_until(T0_MS + 50 * HOUR_MS)
    found = on_record(pole)
    assert len(found) == 2 + 1
    assert {each.verdict for each in found} == {"no_reference"}, (
        "each sounded, though nothing else woke the pole for it"
    )
    first_ms = found[0].at_ms - (T0_MS + 30 * MINUTE_MS)
    assert 0 <= first_ms <= TURNS * TURN_S * 1_000 + 15_000
    assert found[1].at_ms - found[0].at_ms == pytest.approx(24 * HOUR_MS, abs=1_000)


def test_never_in_quiet_hours_and_the_record_says_why_there_is_none() -> None:
    pole = pole_with(HeardBy.MICROPHONE, self_test_minute=23 * 60)
    assert ask(pole, takes_reference=True).verdict == "reference_taken"
    before_ms = pole.now_ms
    pole.run_until(T0_MS + 20 * HOUR_MS)
    assert not pole.heard(T0_MS + 16 * HOUR_MS, T0_MS + 16 * HOUR_MS + 3 * HOUR_MS // 2).any()
    (found,) = [each for each in on_record(pole) if each.at_ms > before_ms]
    assert found.verdict == "not_run"
    assert "quiet_hours" in found.detail


def test_not_before_a_programme_and_not_over_one() -> None:
    pole = pole_with(HeardBy.MICROPHONE)
    pole.send(pole.issuer.plan(occurrence("a", T0_MS + 60_000, NEWS, duration_ms=30_000)))
    pole.run_until(T0_MS + 30_000)
    refused = ask(pole)
    assert (refused.verdict, "sounds" in refused.detail) == ("not_run", True)
    pole.run_until(T0_MS + 120_000)
    assert ask(pole).verdict == "no_reference"


def test_an_emergency_takes_its_air_and_the_test_says_so() -> None:
    pole = pole_with(HeardBy.MICROPHONE, prepared_clips=(NEWS,))
    pole.run_for(2_000)
    pole.post(SelfTestAsked(ticket=1, takes_reference=True))
    pole.run_for(3_000)
    pole.send(pole.issuer.emergency(NEWS, play_at_ms=pole.now_ms + 500))
    pole.run_for(15_000)
    assert pole.answers[-1].record.verdict == "not_run"
    assert "%" in pole.answers[-1].record.detail
    assert pole.airings()[0][1:] == ("started", "on time")


def test_a_second_question_and_a_pole_without_ears_are_answered_at_once() -> None:
    pole = pole_with(HeardBy.MICROPHONE)
    pole.post(SelfTestAsked(ticket=1, takes_reference=False))
    pole.run_for(1_000)
    pole.post(SelfTestAsked(ticket=2, takes_reference=False))
    assert [(each.ticket, each.record.verdict.value) for each in pole.answers] == [(2, "not_run")]
    deaf = pole_with()
    assert ask(deaf).verdict == "no_sensor"
    assert not on_record(deaf)


def test_the_reference_outlives_a_power_cut() -> None:
    pole = pole_with(*ALL)
    assert ask(pole, takes_reference=True).verdict == "reference_taken"
    pole.cut_power()
    pole.run_for(5_000)
    pole.boot()
    pole.connect()
    pole.run_for(2_000)
    assert ask(pole).verdict == "passed"


def test_an_airing_is_heard_and_one_before_a_dead_horn_is_not() -> None:
    pole = pole_with(*ALL)
    ask(pole, takes_reference=True)
    start_ms = pole.now_ms + 30_000
    items = [occurrence(name, start_ms + ahead, NEWS, duration_ms=30_000) for name, ahead in (("a", 0), ("b", 60_000))]
    pole.send(pole.issuer.plan(*items))
    pole.run_until(start_ms + 40_000)
    pole.horn.is_membrane_whole = False
    pole.run_until(start_ms + 120_000)
    ends = [each for each in pole.records() if isinstance(each, AiringRecord) and each.state == "finished"]
    assert [each.heard is not None and (each.heard.by, each.heard.is_heard) for each in ends] == [
        (HeardBy.MICROPHONE, True),
        (HeardBy.MICROPHONE, False),
    ]
    assert ends[0].heard is not None
    assert ends[0].heard.delay_ms == pytest.approx(180, abs=2)


def test_a_horn_that_airing_after_airing_is_not_heard_is_a_fault_until_it_is_heard_again() -> None:
    pole = pole_with(*ALL)
    ask(pole, takes_reference=True)
    start_ms = pole.now_ms + 30_000
    every_ms = 40_000
    count = UNHEARD_MAX + 1
    items = [occurrence(f"i{n}", start_ms + n * every_ms, NEWS, duration_ms=20_000) for n in range(count)]
    pole.send(pole.issuer.plan(*items))
    pole.horn.is_membrane_whole = False
    pole.run_until(start_ms + (UNHEARD_MAX - 1) * every_ms)
    assert faults_of(pole) == []
    pole.run_until(start_ms + UNHEARD_MAX * every_ms - 10_000)
    assert faults_of(pole) == [("horn", True)]
    pole.horn.is_membrane_whole = True
    pole.run_until(start_ms + count * every_ms)
    assert faults_of(pole) == [("horn", True), ("horn", False)]


def bulletins(pole: Pole, count: int) -> None:
    """So many bulletins one after another, and time for them."""
    start_ms = pole.now_ms + 30_000
    items = [occurrence(f"{start_ms}.{n}", start_ms + n * 15_000, NEWS, duration_ms=10_000) for n in range(count)]
    pole.send(pole.issuer.plan(*items))
    pole.run_until(start_ms + count * 15_000)


def test_a_horn_that_tested_badly_is_no_better_because_it_is_heard() -> None:
    """Weak, dull or shorted it is heard all the same: only another test says that it is as at installation."""
    pole = pole_with(HeardBy.MICROPHONE)
    ask(pole, takes_reference=True)
    pole.horn.is_membrane_whole = False
    bulletins(pole, UNHEARD_MAX)
    pole.horn.is_membrane_whole, pole.horn.gain = True, 0.1
    assert ask(pole).verdict == "weak"
    bulletins(pole, 1)
    assert faults_of(pole) == [("horn", True)]
    pole.horn.gain = HornState().gain
    assert ask(pole).verdict == "passed"
    assert faults_of(pole) == [("horn", True), ("horn", False)]


def test_after_a_test_that_passed_airings_that_nobody_hears_are_a_fault_anew() -> None:
    pole = pole_with(HeardBy.MICROPHONE)
    ask(pole, takes_reference=True)
    pole.horn.noise = 1.0
    bulletins(pole, UNHEARD_MAX)
    pole.horn.noise = HornState().noise
    assert ask(pole).verdict == "passed"
    pole.horn.noise = 1.0
    bulletins(pole, UNHEARD_MAX)
    assert faults_of(pole) == [("horn", True), ("horn", False), ("horn", True)]


def faults_of(pole: Pole) -> list[tuple[str, bool]]:
    return [(each.fault, each.active) for each in pole.records() if isinstance(each, FaultRecord)]


def test_every_state_but_idle_is_left_again() -> None:
    for state in SelfTestState:
        assert state is SelfTestState.IDLE or any(before is state for before, _ in TRANSITIONS)
    assert {event for _, event in TRANSITIONS} == set(SelfTestStep)
