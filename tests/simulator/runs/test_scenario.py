"""Scenario files: what is documented, what is refused, and that the library says what it means."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from simulator.checkers.table import CHECKERS
from simulator.faults.faults import KINDS
from simulator.runs import steps as scenario_steps
from simulator.runs.runner import scenario_yaml
from simulator.runs.scenario import Scenario, ScenarioError, library, load_scenario, parse_scenario
from simulator.runs.steps import Expectation, Step

DOCUMENT = (Path(__file__).resolve().parents[3] / "docs" / "simulator.md").read_text(encoding="utf-8")
HEAD = "title: T\ntitle_vi: T\nstart: 2026-03-04 05:00\nminutes: 5\n"
USUAL = HEAD + "commune: {poles: 2}\n"


@pytest.mark.parametrize("name", library())
def test_the_library_reads_and_stands_in_the_document(name: str) -> None:
    scenario = load_scenario(name)[1]
    assert scenario.about
    assert f"`{name}`" in DOCUMENT


def keys_of(kind: type) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(kind)]


@pytest.mark.parametrize("key", keys_of(Scenario))
def test_every_key_is_documented(key: str) -> None:
    assert f"`{key}`" in DOCUMENT


@pytest.mark.parametrize("tag", [each.__struct_config__.tag for each in (*Step.__args__, *Expectation.__args__)])
def test_every_step_and_expectation_is_documented(tag: str) -> None:
    assert f"`{tag}`" in DOCUMENT


@pytest.mark.parametrize("name", [*CHECKERS, *KINDS])
def test_every_checker_and_fault_is_documented(name: str) -> None:
    assert f"`{name}`" in DOCUMENT


def test_every_key_of_a_step_is_documented() -> None:
    rows: dict[str, str] = {}
    for name, row in re.findall(r"^\| `(\w+)` \|(.*)$", DOCUMENT, re.MULTILINE):
        rows[name] = rows.get(name, "") + row  # a scenario may bear the name of a step
    for kind in (*Step.__args__, *Expectation.__args__):
        row = rows[str(kind.__struct_config__.tag)]
        for key in keys_of(kind):
            assert key in {"at", "day", "poles"} or f"`{key}`" in row, (kind, key)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (USUAL + "colour: red\n", "unknown key colour"),
        (USUAL + 'steps: [{do: raise, at: "05:01", area: xa-binh-minh, clip: flood, loud: 1}]\n', "loud"),
        (USUAL + 'steps: [{do: shout, at: "05:01"}]\n', "shout"),
        (USUAL + 'expect: [{that: sounds, at: "25:01", source: x}]\n', "expect"),
        (HEAD, "commune"),
        (USUAL + "without: {priority: ''}\n", "without.priority"),
        (USUAL + "faults: {count_max: 3, minutes: 5, kinds: [earthquake]}\n", "earthquake"),
        (USUAL + "plan: {faults: [{at_ms: 1, kind: clock_step, target: N0001, parameters: {}}]}\n", "by_ms"),
        (USUAL.replace("2026", "2001"), "start"),
        ("- a list", "mapping"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(text: str, says: str) -> None:
    with pytest.raises(ScenarioError, match=re.escape(says)):
        parse_scenario(text, name="s.yaml")


def test_an_unknown_name_is_told_what_is_near_or_where_the_library_is_listed() -> None:
    with pytest.raises(ScenarioError, match="`loaxa-sim scenarios` lists the library"):
        load_scenario("no-such-thing")
    with pytest.raises(ScenarioError, match="did you mean bad_hour"):
        load_scenario("bad_huor")


@pytest.mark.parametrize("name", library())
def test_written_as_yaml_it_reads_back_as_itself(name: str) -> None:
    scenario = load_scenario(name)[1]
    assert parse_scenario(scenario_yaml(scenario), name="again.yaml") == scenario


def test_times_are_strings_that_yaml_does_not_take_for_numbers() -> None:
    assert scenario_steps.Storm(at="08:01").at == "08:01"
