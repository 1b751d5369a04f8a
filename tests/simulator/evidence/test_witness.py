"""What counts as a trouble: a dead grid where a box has no battery, an empty battery, an amplifier that is too hot."""

from __future__ import annotations

from functools import cache

import pytest

from simulator.runs.runner import Performance, perform
from simulator.runs.scenario import parse_scenario

TEXT = """
title: T
title_vi: T
start: 2026-06-08 12:00
minutes: 40
settle_s: 60
weather: heat
commune: {{poles: 2, villages: 1}}
battery_wh: {battery_wh}
steps:
  - {{do: raise, at: "12:02", area: xa-binh-minh, clip: flood, minutes: 38}}
  - {{do: fault, at: "12:05", kind: pins_mains, targets: [N0002], parameters: {{for_ms: 1200000}}}}
"""


@cache
def played(battery_wh: int) -> Performance:
    return perform("troubles", parse_scenario(TEXT.format(battery_wh=battery_wh), name="troubles.yaml"), seed=1)


@pytest.mark.parametrize(
    ("battery_wh", "troubles"), [(0, {"pins_mains"}), (2, {"battery_empty"}), (100, set())], ids=str
)
def test_a_dead_grid_is_a_trouble_when_the_box_has_nothing_to_run_on(battery_wh: int, troubles: set[str]) -> None:
    performance = played(battery_wh)
    assert {each.what for each in performance.evidence.troubles if each.pole == "N0002"} - {"too_hot"} == troubles
    assert performance.verdict.violations == ()


def test_a_box_on_battery_is_held_to_sounding_until_it_is_empty() -> None:
    evidence = played(2).evidence
    (empty,) = (each for each in evidence.troubles if each.what == "battery_empty")
    sounded = [each for each in evidence.poles["N0002"].heard if each.is_powered and each.begins_ns < empty.begins_ns]
    assert max(each.ends_ns for each in sounded) > evidence.poles["N0002"].heard[0].begins_ns + 180 * 10**9


def test_an_amplifier_that_switched_itself_off_is_a_trouble_until_it_is_cool() -> None:
    (hot,) = (each for each in played(0).evidence.troubles if each.what == "too_hot" and each.pole == "N0001")
    assert hot.ends_ns <= played(0).evidence.ends_ns
