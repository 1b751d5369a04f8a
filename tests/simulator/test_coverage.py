"""Nothing of the simulated world lies idle: each fault, step, expectation and key is used by a scenario of the library.

What is not stands below with its reason; a reason that no longer holds must go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec
import pytest

from simulator.faults.faults import KINDS
from simulator.runs.scenario import Scenario, library, load_scenario
from simulator.runs.steps import Expectation, Fault, Step

UNUSED_FAULTS: dict[str, str] = {}
UNUSED_KEYS = {
    "plan": "what `shrink` writes: a scenario of the library draws its faults or names them as steps",
    "without": "every scenario of the library bears every checker",
}

SCENARIOS = {name: load_scenario(name)[1] for name in library()}
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in library().items()}


def faults_of(scenario: Scenario) -> set[str]:
    drawn = set() if scenario.faults is None else set(scenario.faults.kinds)
    return drawn | {step.kind for step in scenario.steps if isinstance(step, Fault)}


def idle(all_of_them: set[str], used: set[str], excused: Mapping[str, str]) -> tuple[set[str], set[str]]:
    """What is neither used nor excused, and what is excused though it is used or is not there."""
    return all_of_them - used - set(excused), set(excused) & used | set(excused) - all_of_them


def test_every_fault_strikes_somewhere() -> None:
    used = {kind for scenario in SCENARIOS.values() for kind in faults_of(scenario)}
    assert idle(set(KINDS), used, UNUSED_FAULTS) == (set(), set())


def test_every_key_is_set_somewhere() -> None:
    keys = {field.encode_name for field in msgspec.structs.fields(Scenario)}
    used = {key for text in TEXTS.values() for key in re.findall(r"^(\w+):", text, re.MULTILINE)}
    assert idle(keys, used, UNUSED_KEYS) == (set(), set())


@pytest.mark.parametrize("kind", [*Step.__args__, *Expectation.__args__], ids=lambda kind: kind.__struct_config__.tag)
def test_every_step_and_expectation_occurs(kind: type) -> None:
    there = (each for scenario in SCENARIOS.values() for each in (*scenario.steps, *scenario.expect))
    assert any(isinstance(each, kind) for each in there)


def test_what_is_idle_and_what_is_excused_for_nothing_is_told() -> None:
    assert idle({"a", "b", "c"}, {"a", "b"}, {"b": "why", "d": "why"}) == ({"c"}, {"b", "d"})
