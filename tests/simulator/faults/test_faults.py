"""Fault plans: seeded, within bounds, serialisable, and valid whatever is removed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.faults.faults import (
    KINDS,
    Fault,
    FaultBounds,
    FaultError,
    FaultPlan,
    Room,
    check_faults,
    decode_faults,
    encode_faults,
    generate_faults,
)

_HOUR_MS = 3_600_000
_BOUNDS = FaultBounds(
    horizon_ms=24 * _HOUR_MS,
    count_max=30,
    targets={
        Room.CLOCK: ("N001", "N002"),
        Room.NETWORK: ("N001", "controller1"),
        Room.BROKER: ("broker",),
        Room.CARD: ("N001",),
        Room.PINS: ("N001",),
        Room.STORAGE: ("N001",),
        Room.NODE: ("N001",),
        Room.MEDIA: ("media",),
        Room.CONTROLLER: ("controller1",),
    },
)


@given(st.integers(0, 2**64), st.sets(st.integers(0, 29)))
def test_plans_are_valid_within_bounds_and_stay_so_whatever_is_removed(seed: int, removed: set[int]) -> None:
    plan = generate_faults(seed, _BOUNDS)
    assert plan == generate_faults(seed, _BOUNDS)
    assert len(plan.faults) <= 30
    assert [fault.at_ms for fault in plan.faults] == sorted(fault.at_ms for fault in plan.faults)
    for fault in plan.faults:
        assert fault.target in _BOUNDS.targets[fault.room]
        assert 0 <= fault.at_ms <= fault.ends_at_ms <= _BOUNDS.horizon_ms
    check_faults(plan.without(frozenset(removed)))
    assert decode_faults(encode_faults(plan)) == plan


def test_every_kind_is_generated_and_no_seed_repeats_another() -> None:
    plans = [generate_faults(seed, _BOUNDS) for seed in range(60)]
    assert {fault.kind for plan in plans for fault in plan.faults} == set(KINDS)
    assert len({encode_faults(plan) for plan in plans}) == 60


def test_a_seed_gives_the_same_plan_on_every_machine() -> None:
    bounds = FaultBounds(
        horizon_ms=_HOUR_MS, count_min=2, count_max=2, targets={Room.BROKER: ("broker",), Room.NETWORK: ("N001",)}
    )
    assert encode_faults(generate_faults(1, bounds)) == (
        b'{"faults":[{"at_ms":3020,"kind":"network_half_open","target":"N001","parameters":{}},{"at_'
        b'ms":2082340,"kind":"broker_kill","target":"broker","parameters":{"for_ms":100}}]}'
    )


def test_short_and_long_durations_both_occur() -> None:
    bounds = FaultBounds(
        horizon_ms=1_000 * 24 * _HOUR_MS,
        count_min=400,
        count_max=400,
        targets={Room.NETWORK: ("N001",)},
        kinds=("network_cut",),
    )
    durations = [fault.parameters["for_ms"] for fault in generate_faults(5, bounds).faults]
    assert sum(duration < 10_000 for duration in durations) > 60
    assert sum(duration > 10 * _HOUR_MS for duration in durations) > 30


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Fault(at_ms=0, kind="earthquake", target="N001"), "no kind"),
        (Fault(at_ms=0, kind="network_cut", target="N001"), "exactly these parameters"),
        (Fault(at_ms=-1, kind="network_reset", target="N001"), "at_ms"),
        (Fault(at_ms=0, kind="network_reset", target="N001", parameters={"for_ms": 1}), "exactly these"),
        (Fault(at_ms=0, kind="network_cut", target="N001", parameters={"for_ms": 0}), "from 1 to"),
        (Fault(at_ms=0, kind="pins_stuck", target="N001", parameters={"for_ms": 9, "level": 2}), "level"),
    ],
)
def test_faults_that_cannot_be_meant_are_refused_with_their_entry(fault: Fault, text: str) -> None:
    with pytest.raises(FaultError, match=text):
        check_faults(FaultPlan(faults=(fault,)))


@pytest.mark.parametrize("data", [b"", b"[]", b'{"faults":[{"kind":"network_reset"}]}', b'{"faults":[],"more":1}'])
def test_other_bytes_are_no_plan(data: bytes) -> None:
    with pytest.raises(FaultError, match="not a fault plan"):
        decode_faults(data)


@pytest.mark.parametrize(
    "bounds",
    [
        FaultBounds(horizon_ms=10, count_max=1, targets={}),
        FaultBounds(horizon_ms=10, count_max=1, targets={Room.CLOCK: ()}),
        FaultBounds(horizon_ms=10, count_max=1, targets={Room.CLOCK: ("N001",)}, kinds=("network_cut",)),
        FaultBounds(horizon_ms=0, count_max=1, targets={Room.CLOCK: ("N001",)}),
        FaultBounds(horizon_ms=10, count_min=2, count_max=1, targets={Room.CLOCK: ("N001",)}),
    ],
)
def test_bounds_that_allow_nothing_are_refused(bounds: FaultBounds) -> None:
    with pytest.raises(FaultError, match="allow nothing"):
        generate_faults(1, bounds)
