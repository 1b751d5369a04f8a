"""Faults are raised once and cleared once, and bounded in length."""

from __future__ import annotations

from edge.gpio.faults import DETAIL_CHARACTERS_MAX, Fault, Faults
from protocol.units import SharedMs

AT = SharedMs(1_800_000_000_000)


def test_a_fault_is_one_record_when_it_comes_and_one_when_it_goes() -> None:
    faults = Faults()
    raised = faults.raise_fault(Fault.DISK_FULL, "no room", AT)
    assert raised is not None
    assert (raised.fault, raised.active, raised.detail) == ("disk_full", True, "no room")
    assert faults.raise_fault(Fault.DISK_FULL, "still no room", AT) is None
    assert list(faults.active) == ["disk_full"]
    cleared = faults.clear(Fault.DISK_FULL, "right again", AT)
    assert cleared is not None
    assert not cleared.active
    assert faults.clear(Fault.DISK_FULL, "right again", AT) is None
    assert list(faults.active) == []


def test_active_faults_stand_in_a_fixed_order() -> None:
    faults = Faults()
    faults.raise_fault(Fault.STORE, "x", AT)
    faults.raise_fault(Fault.AMPLIFIER, "x", AT)
    assert faults.active == ("amplifier", "store")
    assert faults.is_active(Fault.STORE)


def test_a_long_detail_is_cut_to_what_the_wire_takes() -> None:
    record = Faults().raise_fault(Fault.STORE, "x" * 1_000, AT)
    assert record is not None
    assert len(record.detail) == DETAIL_CHARACTERS_MAX
