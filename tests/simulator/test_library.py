"""The library in CI: every scenario that is quick, with a few seeds, and nothing may be found.

Those with `seeds_max` are large and run by `loaxa-sim run all` alone.
"""

from __future__ import annotations

import pytest

from simulator.runner import perform
from simulator.scenario import library, load_scenario

SEEDS = (1, 2)
QUICK = [name for name in library() if load_scenario(name)[1].seeds_max is None]
DRAWN = [name for name in QUICK if load_scenario(name)[1].faults is not None]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", QUICK)
def test_nothing_is_found(name: str, seed: int) -> None:
    verdict = perform(name, load_scenario(name)[1], seed=seed).verdict
    assert not verdict.violations, "\n".join(verdict.line(each) for each in verdict.violations)


@pytest.mark.parametrize("seed", range(3, 23))
@pytest.mark.parametrize("name", DRAWN)
def test_nothing_is_found_under_drawn_faults(name: str, seed: int) -> None:
    verdict = perform(name, load_scenario(name)[1], seed=seed).verdict
    assert verdict.plan.faults
    assert not verdict.violations, "\n".join(verdict.line(each) for each in verdict.violations)


def test_the_library_covers_the_accidents_of_the_field() -> None:
    assert len(library()) >= 20
    assert DRAWN
