"""Carrying out fault plans: at their instant, to their target, over when the last one is."""

from __future__ import annotations

import pytest

from simulator.faults.fault_ports import BrokerFaults, ClockFaults, FaultRunner, NetworkFaults
from simulator.faults.faults import Fault, FaultError, FaultPlan, Room
from tests.support.simulated_province import S_NS, Province


def _suffering(province: Province) -> FaultRunner:
    runner = FaultRunner(province.world)
    node = province.nodes[0]
    runner.connect(Room.BROKER, "broker", BrokerFaults(province.world, province.broker))
    runner.connect(Room.CLOCK, "N001", ClockFaults(province.world, node.clock))
    runner.connect(Room.NETWORK, "N001", NetworkFaults(province.world, province.network, node.host))
    return runner


def _fault(at_s: int, kind: str, target: str = "N001", **parameters: int) -> Fault:
    return Fault(at_ms=at_s * 1_000, kind=kind, target=target, parameters=parameters)


def test_overlapping_cuts_end_with_the_last_one() -> None:
    province = Province()
    plan = (_fault(1, "network_cut", for_ms=5_000), _fault(4, "network_cut", for_ms=6_000))
    _suffering(province).schedule(FaultPlan(faults=plan))
    cut = []
    for _ in range(12):
        province.run(1)
        cut.append(province.nodes[0].host.is_cut)
    assert cut == [True] * 9 + [False] * 3


def test_a_slow_cell_is_slow_and_then_as_usual() -> None:
    province = Province()
    usual = province.nodes[0].host.access
    slow = _fault(0, "network_slow", delay_ms=2_000, loss_ppm=0, kbps=32, for_ms=60_000)
    _suffering(province).schedule(FaultPlan(faults=(slow,)))
    province.run(1)
    assert province.nodes[0].host.access.down.jitter_mean_ns == usual.down.jitter_mean_ns + 2 * S_NS
    assert province.nodes[0].host.access.up_bps == 32_000
    province.run(60)
    assert province.nodes[0].host.access == usual


def test_a_spent_volume_cuts_off_until_it_is_renewed() -> None:
    province = Province()
    _suffering(province).schedule(FaultPlan(faults=(_fault(1, "network_cap", for_ms=300_000),)))
    province.run(200)
    assert "N001" not in province.broker.connected
    province.run(200)
    assert "N001" in province.broker.connected


@pytest.mark.parametrize(
    ("kind", "more"), [("broker_restart", {}), ("broker_kill", {}), ("broker_power_loss", {"loses_disk": 1})]
)
def test_the_broker_is_away_and_comes_back(kind: str, more: dict[str, int]) -> None:
    province = Province()
    plan = (_fault(1, kind, "broker", for_ms=30_000, **more), _fault(5, "broker_kill", "broker", for_ms=1_000))
    _suffering(province).schedule(FaultPlan(faults=plan))
    running = []
    for seconds in (10, 25):
        province.run(seconds)
        running.append(province.broker.is_running)
    assert running == [False, True]
    province.run(170)
    assert len(province.broker.connected) == 4


def test_clocks_step_drift_and_are_put_right() -> None:
    province = Province()
    clock = province.nodes[0].clock
    plan = (
        _fault(1, "clock_unsynchronised", for_ms=100_000),
        _fault(2, "clock_step", by_ms=-7_000),
        _fault(3, "clock_drift", ppb=100_000, for_ms=60_000),
    )
    _suffering(province).schedule(FaultPlan(faults=plan))
    province.run(2.5)
    assert abs(clock.shared_error_ns + 7 * S_NS) < 1_000_000
    province.run(80)
    assert abs(clock.shared_error_ns + 7 * S_NS - 6_000_000) < 1_000_000
    province.run(30)
    assert clock.shared_error_ns == 0


def test_faults_are_written_in_the_log() -> None:
    province = Province()
    _suffering(province).schedule(FaultPlan(faults=(_fault(1, "network_reset"),)))
    province.run(2)
    assert any(b'"N001","fault",{"kind":"network_reset"}' in line for line in province.world.log.newest())


def test_a_fault_without_a_port_is_refused_before_anything_happens() -> None:
    province = Province()
    runner = _suffering(province)
    with pytest.raises(FaultError, match="N002"):
        runner.schedule(FaultPlan(faults=(_fault(1, "network_reset", "N002"),)))
    with pytest.raises(ValueError, match="already"):
        runner.connect(Room.BROKER, "broker", BrokerFaults(province.world, province.broker))
    assert runner.targets == {Room.BROKER: ("broker",), Room.CLOCK: ("N001",), Room.NETWORK: ("N001",)}
