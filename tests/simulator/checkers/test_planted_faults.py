"""Each checker finds the fault that is planted for it, and finds nothing in the same world without it."""

from __future__ import annotations

from functools import cache

import pytest

from edge.agent import Agent
from simulator.checkers.table import CHECKERS
from simulator.runs.runner import CRASH, Performance, perform
from simulator.runs.scenario import Scenario, parse_scenario
from tests.support import faulty_agents as faulty

TEXT = """
title: A short morning with everything in it
title_vi: Một buổi sáng ngắn
start: 2026-03-04 20:56
minutes: 8
sound: full
settle_s: 90
controller:
  areas:
    - {id: tinh, title: Tỉnh}
    - {id: xa, title: Xã, parent: tinh}
  nodes:
    - {id: N0001, title: Cụm loa 1, area: xa}
    - {id: N0002, title: Cụm loa 2, area: xa}
  clips: [{id: flood, title: Lũ, file: flood.wav}]
  programmes:
    - {id: news, title: Tin, area: xa, at: "20:57", items: [{file: news.mp3}]}
    - {id: upper, title: Tin tỉnh, area: tinh, at: "20:57:20", broadcast_class: priority, items: [{file: upper.mp3}]}
    - {id: late, title: Tin muộn, area: xa, at: "20:59:40", items: [{file: late.mp3}, {file: upper.mp3}]}
media:
  flood.wav: {seconds: 4}
  news.mp3: {seconds: 60}
  upper.mp3: {seconds: 20}
  late.mp3: {seconds: 40}
steps:
  - {do: raise, at: "20:58:20", area: xa, clip: flood, minutes: 5}
  - {do: clear, at: "20:58:50", reason: Hết lũ}
  - {do: fault, at: "21:01", kind: network_reset, targets: [N0001, N0002], parameters: {}}
"""
PLANTED = [
    ("unauthorised", faulty.Foreign),
    ("quiet_hours", faulty.Sleepless),
    ("skew", faulty.Echo),
    ("priority", faulty.Deaf),
    ("priority", faulty.Boastful),
    ("punctual", faulty.Late),
    ("items", faulty.Discreet),
    ("items", faulty.Wordy),
    ("items", faulty.Secretive),
    ("proof", faulty.Secretive),
    ("proof", faulty.Boastful),
    ("heard", faulty.Boastful),
    ("heard", faulty.Unpowered),
    ("heard", faulty.Whispering),
    ("power", faulty.Humming),
    ("power", faulty.Unpowered),
    ("emergency", faulty.Unaware),
    ("emergency", faulty.Slow),
    ("emergency", faulty.Endless),
    ("recovery", faulty.Sulking),
    ("memory", faulty.Hoarding),
    (CRASH, faulty.Crashing),
]


@cache
def scenario() -> Scenario:
    return parse_scenario(TEXT, name="planted.yaml")


def played(agent: type[Agent]) -> Performance:
    return perform("planted", scenario(), seed=3, agents={"N0002": agent})


def test_nothing_is_found_where_nothing_is_planted() -> None:
    assert played(Agent).verdict.violations == ()


@pytest.mark.parametrize(("checker", "agent"), PLANTED, ids=lambda each: getattr(each, "__name__", str(each)))
def test_the_planted_fault_is_found_at_its_pole(checker: str, agent: type[Agent]) -> None:
    found = [each for each in played(agent).verdict.violations if each.checker == checker]
    assert found
    if checker != CRASH:
        assert {each.pole for each in found} <= {"N0002", ""}


def test_every_checker_has_a_planted_fault() -> None:
    elsewhere = {
        "silenced",
        "turns",
        "stale",
        "air_time",
        "fetch_budget",
        "self_test",
    }  # worlds of their own: `test_silenced` ...
    assert set(CHECKERS) <= {checker for checker, _ in PLANTED} | elsewhere
