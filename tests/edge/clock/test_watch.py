"""When the clock was set, what was refused for its time gets a second chance; and only then."""

from __future__ import annotations

import pytest

from edge.clock.watch import JUMP_NS, ClockWatch
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


def test_a_clock_that_was_set_is_noticed_once() -> None:
    watch = ClockWatch()
    watch.look(now(1, ahead_ns=-3600 * NS_PER_S))
    assert not watch.look(now(2, ahead_ns=-3600 * NS_PER_S))
    assert watch.look(now(3))
    assert not watch.look(now(4))


def test_a_clock_that_comes_is_noticed() -> None:
    watch = ClockWatch()
    assert not watch.look(now(1, is_known=False))
    assert watch.look(now(2))


def test_slewing_is_no_jump() -> None:
    watch = ClockWatch()
    watch.look(now(1))
    assert not watch.look(now(2, ahead_ns=JUMP_NS - 1))


@pytest.mark.parametrize("reason", [RefusalReason.NOT_YET_VALID, RefusalReason.EXPIRED])
def test_what_was_refused_for_its_time_is_remembered_until_it_is_taken(reason: RefusalReason) -> None:
    watch = ClockWatch()
    watch.refused(reason)
    assert watch.take_refused()
    assert not watch.take_refused()


def test_what_was_refused_for_something_else_is_not() -> None:
    watch = ClockWatch()
    watch.refused(RefusalReason.REPLAYED)
    assert not watch.take_refused()
