"""Which clocks a node believes."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.adapters.trusted_clock import TrustedClock, was_set_by_chip
from protocol.adapters.system_clock import UNDISCIPLINED_ERROR_NS, Discipline
from protocol.units import NS_PER_S, MonotonicNs, Now, SharedNs

NOW_S = 1_800_000_000


def read_clock() -> Now:
    return Now(monotonic_ns=MonotonicNs(1), shared_ns=SharedNs(NOW_S * NS_PER_S), error_ns=UNDISCIPLINED_ERROR_NS)


class Kernel:
    """What the kernel says of its clock, as time servers come and go."""

    def __init__(self) -> None:
        self.is_synchronised = False

    def __call__(self) -> Discipline:
        return Discipline(is_synchronised=self.is_synchronised, error_ns=UNDISCIPLINED_ERROR_NS)


def chip(folder: Path, *, reads_s: object, has_set: str = "1") -> Path:
    chip = folder / "rtc0"
    chip.mkdir()
    (chip / "hctosys").write_text(f"{has_set}\n")
    (chip / "since_epoch").write_text(f"{reads_s}\n")
    return folder


def clock(chips: Path, kernel: Kernel, *, believes_any: bool = False) -> TrustedClock:
    return TrustedClock(believes_any=believes_any, chips=chips, read_clock=read_clock, read_kernel=kernel)


def test_a_plausible_date_alone_is_not_believed_and_a_time_server_is_for_good(tmp_path: Path) -> None:
    kernel = Kernel()
    found = clock(tmp_path, kernel)
    assert not found().is_time_known
    assert found().shared_ns == NOW_S * NS_PER_S
    kernel.is_synchronised = True
    assert found().is_time_known
    kernel.is_synchronised = False
    assert found().is_time_known


def test_a_chip_that_set_the_clock_is_believed(tmp_path: Path) -> None:
    assert clock(chip(tmp_path, reads_s=NOW_S - 1), Kernel())().is_time_known


@pytest.mark.parametrize(
    ("reads_s", "has_set"),
    [(NOW_S, "0"), (946_684_800, "1"), (NOW_S - 3_600, "1"), ("", "1"), ("rubbish", "1")],
)
def test_a_chip_that_is_dead_wrong_or_had_no_part_in_it_is_not(tmp_path: Path, reads_s: object, has_set: str) -> None:
    assert not was_set_by_chip(chip(tmp_path, reads_s=reads_s, has_set=has_set), NOW_S * NS_PER_S)


def test_a_machine_whose_clock_somebody_keeps_may_say_so(tmp_path: Path) -> None:
    assert clock(tmp_path, Kernel(), believes_any=True)().is_time_known
