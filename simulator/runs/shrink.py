"""The smallest fault plan that still fails: delta debugging over a predicate.

Zeller and Hildebrandt's ddmin (2002) removes ever smaller parts of the plan, then durations are halved; both repeat
until nothing helps or the runs are used up. The predicate runs the scenario with a plan and says whether it still
fails in the same way; it must be deterministic, which the world is. The same plan is never run twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from simulator.faults.faults import Fault, FaultPlan, encode_faults

RUNS_MAX: Final = 400
"""Runs that a search may take: a plan of 40 faults needs about 100."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrunk:
    """What was found; `is_minimal` says that no single entry can be left out any more."""

    plan: FaultPlan
    runs: int
    is_minimal: bool


class _RunsUsedUpError(Exception):
    """The search has to stop."""


class _Search:
    """Runs the predicate, remembers its answers, counts."""

    def __init__(self, fails: Callable[[FaultPlan], bool], runs_max: int) -> None:
        self._fails = fails
        self._runs_max = runs_max
        self._answers: dict[bytes, bool] = {}

    @property
    def runs(self) -> int:
        """How often the predicate was run."""
        return len(self._answers)

    def fails(self, plan: FaultPlan) -> bool:
        """Whether this plan fails."""
        key = encode_faults(plan)
        answer = self._answers.get(key)
        if answer is None:
            if self.runs >= self._runs_max:
                raise _RunsUsedUpError
            answer = self._answers[key] = self._fails(plan)
        return answer


def shrink(plan: FaultPlan, fails: Callable[[FaultPlan], bool], *, runs_max: int = RUNS_MAX) -> Shrunk:
    """The smallest failing plan that was found; raises ValueError when the whole plan does not fail."""
    search = _Search(fails, runs_max)
    if not search.fails(plan):
        message = "this plan does not fail: nothing to shrink (is the scenario deterministic?)"
        raise ValueError(message)
    best = [plan]
    is_minimal = False
    try:
        _remove_parts(search, best)
        _shorten(search, best)
        _remove_parts(search, best)
        is_minimal = True
    except _RunsUsedUpError:
        pass
    return Shrunk(plan=best[0], runs=search.runs, is_minimal=is_minimal)


def _remove_parts(search: _Search, best: list[FaultPlan]) -> None:
    """Remove parts, ever smaller ones (ddmin); `best` always holds the smallest failing plan so far."""
    if best[0].faults and search.fails(FaultPlan()):
        best[0] = FaultPlan()
    parts = 2
    while len(best[0].faults) > 1:
        count = len(best[0].faults)
        parts = min(parts, count)
        for part in range(parts):
            gone = frozenset(range(part * count // parts, (part + 1) * count // parts))
            smaller = best[0].without(gone)
            if search.fails(smaller):
                best[0] = smaller
                parts = max(parts - 1, 2)
                break
        else:
            if parts == count:
                return
            parts *= 2


def _shorten(search: _Search, best: list[FaultPlan]) -> None:
    """Halve each fault's duration while the plan still fails."""
    for index in range(len(best[0].faults)):
        while (shorter := _halved(best[0], index)) is not None and search.fails(shorter):
            best[0] = shorter


def _halved(plan: FaultPlan, index: int) -> FaultPlan | None:
    fault = plan.faults[index]
    for_ms = fault.parameters.get("for_ms", 1)
    if for_ms <= 1:
        return None
    half = Fault(
        at_ms=fault.at_ms,
        kind=fault.kind,
        target=fault.target,
        parameters={**fault.parameters, "for_ms": for_ms // 2},
    )
    return FaultPlan(faults=(*plan.faults[:index], half, *plan.faults[index + 1 :]))
