"""Random places under random faults, many seeds (lengthy); a thousand runs of the library have some of each in CI.

No routine second in quiet hours, nothing stale, every item with exactly one fate on record, everything on its second,
by every checker of the table; each of them is tried on a planted agent beside this.
"""

from __future__ import annotations

import pytest

from simulator.runs.runner import run_many

SEEDS = 200
JOBS = 2


@pytest.mark.lengthy
@pytest.mark.parametrize("name", ["any_night", "any_outage"])
def test_whatever_is_planned_and_whatever_fails_nothing_is_found(name: str) -> None:
    work = [(name, seed) for seed in range(1, SEEDS + 1)]
    found = [verdict.line(each) for verdict in run_many(work, jobs=JOBS) for each in verdict.violations]
    assert found == []
