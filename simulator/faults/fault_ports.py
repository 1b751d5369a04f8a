"""Carries out a fault plan: hands each fault, at its instant, to the port of its room and target.

A port is any callable that takes the fault and sees to its end. Here are those of the clocks, the network and
the broker; the rooms that have other owners bring their own. Faults of one target may overlap: what holds for a
while is counted, and over only when the last one is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from simulator.broker.broker import Broker
from simulator.clock import NodeClock
from simulator.faults.faults import Fault, FaultError, FaultPlan, Room, check_faults
from simulator.network.delay import AccessSettings, DelayModel
from simulator.network.network import Host, Network
from simulator.world import World

FaultPort = Callable[[Fault], None]

NS_PER_MS: Final = 1_000_000
_BITS_PER_KBIT: Final = 1_000
_LOSS_PPM_MAX: Final = 500_000


class FaultRunner:
    """Knows the ports; schedules plans."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ports: dict[tuple[Room, str], FaultPort] = {}

    def connect(self, room: Room, target: str, port: FaultPort) -> None:
        """Faults of this room and target go to this port; raises ValueError when they have one."""
        if (room, target) in self._ports:
            message = f"the faults of {room} on {target} have a port already"
            raise ValueError(message)
        self._ports[room, target] = port

    @property
    def targets(self) -> dict[Room, tuple[str, ...]]:
        """What can be hit, for `FaultBounds`."""
        found: dict[Room, tuple[str, ...]] = {}
        for room, target in self._ports:
            found[room] = (*found.get(room, ()), target)
        return found

    def schedule(self, plan: FaultPlan) -> None:
        """Have every fault happen, counted from now; raises FaultError for one without a port."""
        check_faults(plan)
        for index, fault in enumerate(plan.faults):
            port = self._ports.get((fault.room, fault.target))
            if port is None:
                message = f"fault {index} ({fault.kind}) has no target {fault.target!r} in this world"
                raise FaultError(message)
            self._world.after(fault.at_ms * NS_PER_MS, self._strike, port, fault)

    def _strike(self, port: FaultPort, fault: Fault) -> None:
        self._world.record(fault.target, "fault", kind=fault.kind, **fault.parameters)
        port(fault)


class Holding:
    """States that hold while at least one fault wants them; the newest wins when they differ."""

    def __init__(self, world: World, begin: Callable[[Fault], None], end: Callable[[str], None]) -> None:
        self._world = world
        self._begin = begin
        self._end = end
        self._held: dict[str, int] = {}

    def hold(self, fault: Fault) -> None:
        """Begin, and end after `for_ms` unless another fault of this kind still holds."""
        self._held[fault.kind] = self._held.get(fault.kind, 0) + 1
        self._begin(fault)
        self._world.after(fault.parameters["for_ms"] * NS_PER_MS, self._release, fault.kind)

    def _release(self, kind: str) -> None:
        self._held[kind] -= 1
        if not self._held[kind]:
            self._end(kind)


class ClockFaults:
    """A machine's clock (`Room.CLOCK`); being synchronised again ends every error of the system clock."""

    def __init__(self, world: World, clock: NodeClock, *, usual_drift_ppb: int = 0) -> None:
        self._clock = clock
        self._usual_drift_ppb = usual_drift_ppb
        self._holding = Holding(world, self._begin, self._end)

    def __call__(self, fault: Fault) -> None:
        """Step at once; the others hold."""
        if fault.kind == "clock_step":
            self._clock.step(fault.parameters["by_ms"] * NS_PER_MS)
        else:
            self._holding.hold(fault)

    def _begin(self, fault: Fault) -> None:
        if fault.kind == "clock_drift":
            self._clock.set_drift(fault.parameters["ppb"])
        else:
            self._clock.lose_discipline()

    def _end(self, kind: str) -> None:
        if kind == "clock_drift":
            self._clock.set_drift(self._usual_drift_ppb)
        else:
            self._clock.synchronise()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slow:
    delay_ns: int
    loss_ppm: int
    bps: int

    def of(self, model: DelayModel) -> DelayModel:
        """A direction of the link as it is now."""
        return replace(
            model,
            jitter_mean_ns=model.jitter_mean_ns + self.delay_ns,
            loss_ppm=min(_LOSS_PPM_MAX, model.loss_ppm + self.loss_ppm),
        )


class NetworkFaults:
    """A machine's access (`Room.NETWORK`)."""

    def __init__(self, world: World, network: Network, host: Host) -> None:
        self._network = network
        self._host = host
        self._usual: AccessSettings = host.access
        self._holding = Holding(world, self._begin, self._end)

    def __call__(self, fault: Fault) -> None:
        """Resets and forgotten connections happen at once; the others hold."""
        if fault.kind == "network_reset":
            self._network.reset(self._host.name)
        elif fault.kind == "network_half_open":
            self._network.break_silently(self._host.name)
        else:
            self._holding.hold(fault)

    def _begin(self, fault: Fault) -> None:
        given = fault.parameters
        if fault.kind == "network_cut":
            self._network.cut(self._host.name)
        elif fault.kind == "network_cap":
            self._host.spend_data()
        else:
            slow = _Slow(
                delay_ns=given["delay_ms"] * NS_PER_MS,
                loss_ppm=given["loss_ppm"],
                bps=given["kbps"] * _BITS_PER_KBIT,
            )
            usual = self._usual
            self._host.access = replace(
                usual, up=slow.of(usual.up), down=slow.of(usual.down), up_bps=slow.bps, down_bps=slow.bps
            )

    def _end(self, kind: str) -> None:
        if kind == "network_cut":
            self._network.heal(self._host.name)
        elif kind == "network_cap":
            self._host.renew_data()
        else:
            self._host.access = self._usual


class BrokerFaults:
    """The broker (`Room.BROKER`): away for a while, in three ways."""

    def __init__(self, world: World, broker: Broker) -> None:
        self._world = world
        self._broker = broker
        self._away = 0

    def __call__(self, fault: Fault) -> None:
        """Take it away and bring it back when no fault keeps it away any more."""
        if fault.kind == "broker_restart":
            self._broker.stop()
        elif fault.kind == "broker_kill":
            self._broker.kill()
        else:
            self._broker.lose_power()
            if fault.parameters["loses_disk"]:
                self._broker.forget_saved()
        self._away += 1
        self._world.after(fault.parameters["for_ms"] * NS_PER_MS, self._bring_back)

    def _bring_back(self) -> None:
        self._away -= 1
        if not self._away:
            self._broker.start()
