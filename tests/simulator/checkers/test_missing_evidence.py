"""What nobody observed is no success: each checker fails on empty evidence."""

from __future__ import annotations

import pytest

from simulator.checkers.evidence import Evidence, PoleFacts
from simulator.checkers.table import CHECKERS


@pytest.mark.parametrize("name", CHECKERS)
def test_a_province_without_poles_is_no_success(name: str) -> None:
    assert "missing evidence" in CHECKERS[name].judge(Evidence(begins_ns=0))[0].evidence


@pytest.mark.parametrize("name", CHECKERS)
def test_a_pole_that_nobody_looked_at_is_no_success(name: str) -> None:
    unseen = PoleFacts(name="N0001", node="N0001", edge_ns=0, warm_up_ns=0, hold_ns=0)
    found = CHECKERS[name].judge(Evidence(begins_ns=0, poles={"N0001": unseen}))
    assert any(each.pole == "N0001" and "missing evidence" in each.evidence for each in found)
