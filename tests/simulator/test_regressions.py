"""Faults that once found something, as plans: a seed means other faults as soon as a scenario draws from more kinds.

Each says what was wrong. The scenario is `bad_hour`: programme at 05:30, emergency at 05:48.
"""

from __future__ import annotations

from typing import Final

import pytest

from simulator.faults.faults import Fault, FaultPlan
from simulator.runs.runner import perform
from simulator.runs.scenario import load_scenario, with_plan

FOUND: Final[dict[str, list[tuple[int, str, str, dict[str, int]]]]] = {
    "a report that a full card refused was never sent: it sounded and was called missed": [
        (1_312_204, "storage_full", "N0003", {"for_ms": 680_179}),
        (1_914_088, "node_power_cut", "N0003", {"at_write": 0, "for_ms": 605_912, "rtc_is_dead": 1}),
    ],
    "what a full card refused was lost with the power": [
        (611_901, "storage_full", "N0003", {"for_ms": 979_035}),
        (879_881, "node_power_cut", "N0003", {"at_write": 20, "for_ms": 15_588, "rtc_is_dead": 1}),
        (1_322_053, "node_power_cut", "N0003", {"at_write": 4, "for_ms": 1_197_947, "rtc_is_dead": 0}),
    ],
    "what a card refused was lost with the process": [
        (320_806, "storage_read_only", "N0003", {"for_ms": 1_858_011}),
        (1_373_193, "node_restart", "N0003", {}),
    ],
    "an end that was sent and not stored was told again as a power cut's": [
        (977_729, "storage_read_only", "N0002", {"for_ms": 1_542_271}),
        (2_244_140, "node_restart", "N0002", {}),
    ],
    "a card that could be read and not written made the numbers jump to the clock": [
        (172_808, "storage_read_only", "N0001", {"for_ms": 2_347_192}),
        (1_149_634, "node_restart", "N0001", {}),
    ],
    "a full card, a restart of the broker and a power cut in a write": [
        (151_728, "storage_full", "N0001", {"for_ms": 2_368_272}),
        (639_421, "broker_restart", "broker", {"for_ms": 441_114}),
        (2_089_138, "node_restart", "N0001", {}),
        (2_410_799, "node_power_cut", "N0001", {"at_write": 4, "for_ms": 30_230, "rtc_is_dead": 1}),
    ],
    "what a clock skipped that was set an hour ahead, and put right after five minutes, had no record": [
        (432_251, "clock_step", "N0002", {"by_ms": 4_293_353}),
    ],
    "a slow card held the emergency up for its whole delay": [
        (1_600_000, "storage_slow", "N0002", {"delay_ms": 30_000, "for_ms": 400_000}),
    ],
}


@pytest.mark.parametrize("what", FOUND)
def test_what_was_found_once_stays_away(what: str) -> None:
    faults = (Fault(at_ms=at_ms, kind=kind, target=on, parameters=given) for at_ms, kind, on, given in FOUND[what])
    name, scenario = load_scenario("bad_hour")
    verdict = perform(name, with_plan(scenario, FaultPlan(faults=tuple(faults))), seed=1).verdict
    assert [violation.evidence for violation in verdict.violations] == []
