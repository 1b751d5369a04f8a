"""The library in CI: a thousand runs by the real command find nothing, and would have found what is planted.

How many seeds each scenario has is the dealing's affair (`simulator.runs.dealing`); here each must have had some, and
what a scenario says that it costs must be about what it cost.
"""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from edge.agent import Agent
from simulator.runs.cli import STATUS_FAILED, status_of
from simulator.runs.dealing import cost_ms, deal
from simulator.runs.runner import perform
from simulator.runs.scenario import library, load_scenario
from tests.support import faulty_agents as faulty

RUNS = 1_000
TIMEOUT_S = 1_800
COST_FACTOR_MAX = 10
"""Machines differ, and neighbours on one; a cost that is off by more deals the seeds wrongly."""
CHEAP_MS = 2_000
"""Weeks and storms are left out here."""
PLANTED = [
    faulty.Foreign,
    faulty.Sleepless,
    faulty.Echo,
    faulty.Boastful,
    faulty.Whispering,
    faulty.Secretive,
    faulty.Humming,
    faulty.Unpowered,
    faulty.Unaware,
    faulty.Slow,
    faulty.Endless,
    faulty.Sulking,
    faulty.Hoarding,
    faulty.Crashing,
]
SCENARIOS = {name: load_scenario(name)[1] for name in library()}
COUNTS = deal(SCENARIOS, RUNS)


@pytest.mark.slow
def test_a_thousand_runs_over_the_library_find_nothing(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    command = [sys.executable, "-m", "simulator.cli", "run", "--seeds", str(RUNS), "--junit", str(junit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{RUNS} runs, 0 with findings" in done.stdout
    suites = {suite.get("name"): suite for suite in ET.parse(junit).getroot()}  # noqa: S314 - our own text
    assert {str(name): len(suite) for name, suite in suites.items()} == COUNTS
    for name, scenario in SCENARIOS.items():
        took_ms = float(suites[name].get("time", "0")) * 1_000 / COUNTS[name]
        stated_ms = cost_ms(scenario)
        assert stated_ms <= COST_FACTOR_MAX * max(took_ms, 50), f"{name}: cost_s is stated too high, {took_ms:.0f} ms"
        assert took_ms <= COST_FACTOR_MAX * max(stated_ms, 50), f"{name}: cost_s is stated too low, {took_ms:.0f} ms"


@pytest.mark.slow
@pytest.mark.parametrize("agent", PLANTED, ids=lambda each: each.__name__)
def test_the_same_runs_find_an_agent_with_a_fault(agent: type[Agent]) -> None:
    """The first seed of each scenario is one of the thousand; one of them finds it, on the last pole."""
    for name in sorted(SCENARIOS, key=lambda each: cost_ms(SCENARIOS[each])):
        scenario = SCENARIOS[name]
        if cost_ms(scenario) > CHEAP_MS:
            break
        verdict = perform(name, scenario, seed=1, agents={scenario.config.nodes[-1].id: agent}).verdict
        if status_of([verdict]) == STATUS_FAILED:
            return
    pytest.fail("nothing was found")


def test_every_scenario_has_several_of_a_thousand_and_those_that_draw_faults_most() -> None:
    assert len(SCENARIOS) >= 20
    assert min(COUNTS.values()) >= 3
    drawn = sum(count for name, count in COUNTS.items() if SCENARIOS[name].faults is not None)
    assert drawn > RUNS * 3 // 4
