"""Deals a number of runs out over the scenarios of a library: which scenario runs with which seeds.

A run of one scenario costs a hundred times what a run of another does, so the same number of seeds for each would spend
nearly everything on the dearest. Here each has its floor, and the rest goes by what a run can find for what it costs.
Rules kept: the same scenarios and numbers give the same runs in the same order; nobody is left out; the runs of each
scenario are spread over the whole, so that one that is stopped half way has seen half of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Final

from simulator.pole.parts import SoundMode
from simulator.runs.scenario import Scenario

FLOOR_PER_THOUSAND: Final = 3
"""Of a thousand runs each scenario has so many whatever it costs: an hour of chance is not one history."""
CHEAPEST_MS: Final = 100
"""What costs less is no better for it."""
FAULTS_COUNTED_MAX: Final = 8
"""Each fault that a seed may draw is one more thing to find; of more than these one hides the other."""
_SILENT_MS: Final = 1
_FULL_MS: Final = 40
"""A minute of one pole, where a scenario says nothing of its cost: as the library's were measured."""


def cost_ms(scenario: Scenario) -> int:
    """Processor time of one run: what the scenario says, or else by its minutes and poles."""
    if scenario.cost_s is not None:
        return max(1, int(scenario.cost_s * 1_000))
    each_ms = _SILENT_MS if scenario.sound is SoundMode.SILENT else _FULL_MS
    return max(1, int(scenario.minutes * len(scenario.config.nodes) * each_ms))


def weight(scenario: Scenario) -> int:
    """What a seed varies: without drawn faults networks, clocks and crystals only, else each fault besides."""
    return 1 if scenario.faults is None else 1 + min(scenario.faults.count_max, FAULTS_COUNTED_MAX)


def deal(scenarios: Mapping[str, Scenario], runs: int) -> dict[str, int]:
    """How many seeds each scenario has; together `runs`, or one each where there are more scenarios than runs."""
    floor = max(1, runs * FLOOR_PER_THOUSAND // 1_000)
    counts = dict.fromkeys(scenarios, floor)
    left = runs - sum(counts.values())
    if left <= 0:
        return counts
    shares = {
        name: Fraction(weight(scenario), max(CHEAPEST_MS, cost_ms(scenario))) for name, scenario in scenarios.items()
    }
    whole = sum(shares.values())
    wanted = {name: left * share / whole for name, share in shares.items()}
    for name, share in wanted.items():
        counts[name] += int(share)
    rest = runs - sum(counts.values())
    for name in sorted(wanted, key=lambda each: (int(wanted[each]) - wanted[each], each))[:rest]:
        counts[name] += 1  # the largest remainders
    return counts


def in_turn(counts: Mapping[str, int], *, first_seed: int) -> list[tuple[str, int]]:
    """Every scenario and seed, each scenario's spread evenly over the whole."""
    places = [
        ((2 * index + 1) / (2 * count), name, first_seed + index)
        for name, count in counts.items()
        for index in range(count)
    ]
    return [(name, seed) for _, name, seed in sorted(places)]
