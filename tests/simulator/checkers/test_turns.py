"""Zones in turn: a pole that does not wait for its turn, or misses it, is found; nothing is found without it."""

from __future__ import annotations

from functools import cache

from edge.agent import Agent
from simulator.checkers.turns import TURNS
from simulator.runs.runner import Performance, perform
from simulator.runs.scenario import Scenario, load_scenario
from tests.support import faulty_agents as faulty


@cache
def scenario() -> Scenario:
    return load_scenario("zones_in_turn")[1]


def played(agent: type[Agent]) -> Performance:
    return perform("zones_in_turn", scenario(), seed=3, agents={"N0003": agent})


def found(agent: type[Agent]) -> list[str]:
    return [each.evidence for each in played(agent).verdict.violations if each.checker == TURNS.name]


def test_nothing_is_found_where_everybody_waits() -> None:
    assert played(Agent).verdict.violations == ()


def test_who_does_not_wait_speaks_into_anothers_turn() -> None:
    evidence = found(faulty.Impatient)
    assert [line for line in evidence if "together with N0001" in line]
    assert [line for line in evidence if "beside its turn" in line]


def test_who_never_hears_of_it_is_missed_in_each_round() -> None:
    assert [line for line in found(faulty.Unaware) if "heard 0 times in a round" in line]
