"""When the clock was set, what was refused for its time gets a second chance; and only then."""

from __future__ import annotations

import pytest

from edge.clock_watch import JUMP_NS, ClockWatch
from protocol.errors import RefusalReason
from protocol.units import NS_PER_S, MonotonicNs, Now, SharedNs, TimeSource

START_NS = 1_780_000_000 * NS_PER_S


def now(elapsed_s: float, *, ahead_ns: int = 0, is_known: bool = True) -> Now:
    elapsed_ns = int(elapsed_s * NS_PER_S)
    return Now(
        monotonic_ns=MonotonicNs(elapsed_ns),
        shared_ns=SharedNs(START_NS + elapsed_ns + ahead_ns),
        error_ns=0,
        source=TimeSource.SYSTEM if is_known else TimeSource.UNKNOWN,
    )


@pytest.mark.parametrize("reason", [RefusalReason.NOT_YET_VALID, RefusalReason.EXPIRED])
def test_a_clock_that_was_set_asks_again_once(reason: RefusalReason) -> None:
    watch = ClockWatch()
    assert not watch.look(now(1, ahead_ns=-3600 * NS_PER_S))
    watch.refused(reason)
    assert not watch.look(now(2, ahead_ns=-3600 * NS_PER_S))
    assert watch.look(now(3))
    assert not watch.look(now(4))


def test_a_clock_that_comes_asks_again() -> None:
    watch = ClockWatch()
    assert not watch.look(now(1, is_known=False))
    watch.refused(RefusalReason.NOT_YET_VALID)
    assert watch.look(now(2))


def test_without_a_refusal_for_its_time_nothing_is_asked_again() -> None:
    watch = ClockWatch()
    watch.look(now(1, ahead_ns=-3600 * NS_PER_S))
    watch.refused(RefusalReason.REPLAYED)
    assert not watch.look(now(2))


def test_slewing_is_no_jump() -> None:
    watch = ClockWatch()
    watch.look(now(1))
    watch.refused(RefusalReason.EXPIRED)
    assert not watch.look(now(2, ahead_ns=JUMP_NS - 1))
