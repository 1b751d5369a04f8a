"""The verdict: each planted failure is named, and missing evidence is a failure."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from simulator.demo.verdict import (
    EXCUSED_GAPS_MAX,
    FIRST_STAGES,
    STAGES,
    NodeFindings,
    SpreadFindings,
    judge,
    spread_of,
)

GOOD = NodeFindings(
    node="N001",
    village="thon-dong",
    first_sound_ms=dict.fromkeys(FIRST_STAGES, 450.0),
    likeness=dict.fromkeys(STAGES, 0.97),
    seconds_sounded=47.0,
    gaps=0,
    gaps_undisturbed=0,
    gap_longest_ms=0,
    concealed_frames=0,
    level_dbfs=-20.1,
    relay_transitions=4,
    unpowered_sound_ms=0,
    still_powered=False,
)
TOGETHER = SpreadFindings(p50=0.2, max=0.9, windows=30)


def reasons(found: NodeFindings = GOOD, spread: SpreadFindings = TOGETHER) -> tuple[str, ...]:
    verdict = judge(nodes=[found], spread=spread, seconds=60, restarts={})
    assert verdict.ok == (not verdict.reasons)
    return verdict.reasons


def test_a_good_run_has_no_reason_against_it() -> None:
    assert reasons() == ()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_did_not_sound_is_named(stage: str) -> None:
    silent = msgspec.structs.replace(GOOD, likeness={**GOOD.likeness, stage: None})
    assert reasons(silent) == (f"N001: did not sound: {stage}",)
    absent = {name: value for name, value in GOOD.likeness.items() if name != stage}
    assert reasons(msgspec.structs.replace(GOOD, likeness=absent)) == (f"N001: did not sound: {stage}",)


@pytest.mark.parametrize("stage", FIRST_STAGES)
def test_a_stage_without_a_first_sound_is_named(stage: str) -> None:
    silent = msgspec.structs.replace(GOOD, first_sound_ms={**GOOD.first_sound_ms, stage: None})
    assert reasons(silent) == (f"N001: did not sound: {stage}",)


def test_another_sound_than_the_right_one_is_no_pass() -> None:
    other = msgspec.structs.replace(GOOD, likeness={**GOOD.likeness, "emergency": 0.1})
    (reason,) = reasons(other)
    assert "something else sounded: emergency" in reason


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"unpowered_sound_ms": 30}, "sounded unpowered for 30 ms"),
        ({"still_powered": True}, "stayed powered after the end"),
        ({"relay_transitions": 0}, "its relay never clicked"),
        ({"relay_transitions": None}, "its relay left no trace"),
        ({"unpowered_sound_ms": None}, "its relay left no trace"),
        ({"still_powered": None}, "its relay left no trace"),
    ],
)
def test_each_fault_of_the_relay_is_named(changed: dict[str, Any], named: str) -> None:
    assert reasons(msgspec.structs.replace(GOOD, **changed)) == (f"N001: {named}",)


def test_a_gap_counts_unless_the_machine_or_a_killed_process_explains_it() -> None:
    excused = msgspec.structs.replace(GOOD, gaps=EXCUSED_GAPS_MAX, gap_longest_ms=80)
    assert reasons(excused) == ()
    ours = msgspec.structs.replace(excused, gaps_undisturbed=1)
    assert reasons(ours) == ("N001: 1 gaps that the machine does not excuse (longest 80 ms)",)
    assert judge(nodes=[ours], spread=TOGETHER, seconds=60, restarts={"broker": 1}).ok


def test_a_machine_too_busy_to_prove_anything_is_no_pass() -> None:
    (reason,) = reasons(msgspec.structs.replace(GOOD, gaps=EXCUSED_GAPS_MAX + 1, gap_longest_ms=80))
    assert "too busy" in reason


def test_nodes_far_apart_or_not_measured_are_no_pass() -> None:
    assert "apart" in reasons(spread=SpreadFindings(p50=80.0, max=90.0, windows=3))[0]
    assert "could not be measured" in reasons(spread=SpreadFindings(p50=None, max=None, windows=0))[0]


def test_nobody_listened_to_is_no_pass() -> None:
    verdict = judge(nodes=[], spread=TOGETHER, seconds=60, restarts={})
    assert not verdict.ok


def test_troubles_of_the_run_count() -> None:
    verdict = judge(nodes=[GOOD], spread=TOGETHER, seconds=60, restarts={}, troubles=["the broker did not start"])
    assert verdict.reasons == ("the broker did not start",)
    assert not verdict.ok


def test_spread_of_windows_is_their_median_and_maximum() -> None:
    assert spread_of([0.3, None, 0.1, 5.0]) == SpreadFindings(p50=0.3, max=5.0, windows=3)
    assert spread_of([None]) == SpreadFindings(p50=None, max=None, windows=0)
