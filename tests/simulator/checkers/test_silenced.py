"""Silence by order and by button is judged by what is heard: three agents that do not keep it are found out."""

from __future__ import annotations

from functools import cache

import pytest

from edge.agent import Agent
from simulator.runs.runner import Performance, perform
from simulator.runs.scenario import Scenario, parse_scenario
from tests.support import faulty_agents as faulty

TEXT = """
title: A short morning with silence in it
title_vi: Một buổi sáng có lệnh im lặng
start: 2026-03-04 06:00
minutes: 9
sound: full
settle_s: 60
controller:
  areas: [{id: xa, title: Xã}]
  nodes:
    - {id: N0001, title: Cụm loa 1, area: xa}
    - {id: N0002, title: Cụm loa 2, area: xa}
  programmes:
    - {id: news, title: Tin, area: xa, at: "06:01", items: [{file: news.mp3}]}
media:
  news.mp3: {seconds: 600}
steps:
  - {do: silence, at: "06:02", area: xa, reason: thử}
  - {do: fault, at: "06:02:30", kind: network_cut, targets: [N0002], parameters: {for_ms: 40000}}
  - {do: fault, at: "06:02:35", kind: node_restart, targets: [N0002], parameters: {}}
  - {do: release, at: "06:04", area: xa}
  - {do: press, at: "06:06", poles: [N0002]}
"""


@cache
def scenario() -> Scenario:
    return parse_scenario(TEXT, name="silenced.yaml")


def found(agent: type[Agent]) -> set[tuple[str, str]]:
    performance: Performance = perform("silenced", scenario(), seed=3, agents={"N0002": agent})
    return {(each.checker, each.pole) for each in performance.verdict.violations}


def test_nothing_is_found_where_nothing_is_planted() -> None:
    assert found(Agent) == set()


@pytest.mark.parametrize("agent", [faulty.Unruly, faulty.Numb, faulty.Forgetful])
def test_an_agent_that_does_not_keep_silence_is_found(agent: type[Agent]) -> None:
    assert ("silenced", "N0002") in found(agent)
