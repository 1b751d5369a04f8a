"""Shrinking: finds the faults that matter, shortens them, keeps its bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.faults.faults import Fault, FaultPlan, check_faults
from simulator.runs.shrink import shrink


def _plan(count: int) -> FaultPlan:
    return FaultPlan(
        faults=tuple(
            Fault(at_ms=index, kind="network_cut", target=f"N{index:03d}", parameters={"for_ms": 100_000})
            for index in range(count)
        )
    )


@given(st.integers(1, 40), st.sets(st.integers(0, 39), max_size=4))
def test_exactly_the_faults_that_matter_are_left(count: int, wanted: set[int]) -> None:
    needed = {f"N{index:03d}" for index in wanted if index < count}
    shrunk = shrink(_plan(count), lambda plan: needed <= {fault.target for fault in plan.faults})
    assert {fault.target for fault in shrunk.plan.faults} == needed
    assert shrunk.is_minimal
    assert all(fault.parameters["for_ms"] == 1 for fault in shrunk.plan.faults)
    check_faults(shrunk.plan)


def test_durations_shrink_as_far_as_it_still_fails() -> None:
    def fails(plan: FaultPlan) -> bool:
        return any(fault.target == "N007" and fault.parameters["for_ms"] >= 3_000 for fault in plan.faults)

    shrunk = shrink(_plan(20), fails)
    assert [fault.target for fault in shrunk.plan.faults] == ["N007"]
    assert 3_000 <= shrunk.plan.faults[0].parameters["for_ms"] < 6_250
    assert shrunk.runs < 60


def test_no_plan_is_run_twice_and_the_runs_are_bounded() -> None:
    seen: list[FaultPlan] = []

    def fails(plan: FaultPlan) -> bool:
        seen.append(plan)
        return len(plan.faults) >= 11

    shrunk = shrink(_plan(40), fails, runs_max=12)
    assert len(seen) == len(set(map(repr, seen))) == shrunk.runs == 12
    assert not shrunk.is_minimal
    assert 11 <= len(shrunk.plan.faults) < 40
    assert fails(shrunk.plan)


def test_a_failure_that_needs_no_fault_leaves_none() -> None:
    assert shrink(_plan(9), lambda _plan: True).plan == FaultPlan()


def test_a_plan_that_does_not_fail_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fail"):
        shrink(_plan(3), lambda _plan: False)
