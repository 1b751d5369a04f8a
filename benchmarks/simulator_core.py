"""What the simulator's core costs: events of the world, messages through the simulated broker.

Prints events per second of the bare world, of timers on drifting clocks, and of random draws; messages per second
from one controller to a thousand poles and from a thousand poles to one controller, over jittery links; and how
long a week of a usual day's events of 1,000 poles takes on the world and network alone (no agent).
Usage: python -m benchmarks.simulator_core [--quick]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.measure import print_table
from protocol.topics import TopicName, access_rules, topic
from simulator.broker.broker import Broker, BrokerSettings
from simulator.clock import ClockSettings, NodeClock
from simulator.network.delay import DATA_CENTRE, MOBILE
from simulator.network.link import Link, LinkSettings
from simulator.network.network import Network
from simulator.world import World

_S: Final = 1_000_000_000
_PACKET_BYTES: Final = 900
"""A signed 100 ms audio packet at 64 kbit/s."""
_STREAM: Final = "00" * 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    name: str
    count: int
    wall_s: float

    @property
    def row(self) -> dict[str, str]:
        """The line of the table."""
        return {
            "what": self.name,
            "count": f"{self.count:,}",
            "seconds": f"{self.wall_s:.2f}",
            "per second": f"{self.count / self.wall_s:,.0f}",
            "us each": f"{self.wall_s / self.count * 1e6:.2f}",
        }


def _timed(name: str, run: Callable[[], int]) -> _Result:
    begun = time.perf_counter()
    count = run()
    return _Result(name=name, count=count, wall_s=time.perf_counter() - begun)


def _world_events(count: int) -> int:
    world = World(seed=1)

    def tick(left: int) -> None:
        if left:
            world.after(1_000 + left, tick, left - 1)

    for node in range(1_000):
        world.after(node, tick, count // 1_000)
    world.run_for(10_000 * _S)
    return world.events_run


def _clock_timers(count: int) -> int:
    world = World(seed=1)
    clocks = [NodeClock(world, f"N{index}", ClockSettings(drift_ppb=index * 50 - 25_000)) for index in range(1_000)]
    left = [count]

    def wake(clock: NodeClock) -> None:
        if left[0] > 0:
            left[0] -= 1
            clock.call_after(_S, lambda: wake(clock))

    for clock in clocks:
        wake(clock)
    world.run_for(10_000_000 * _S)
    return world.events_run


def _draws(count: int) -> int:
    chance = World(seed=1).chance("draws")
    model = MOBILE.up
    for _ in range(count):
        model.sample_ns(chance, 1)
    return count


class _Province:
    """A controller and poles on a broker, all connected and subscribed."""

    def __init__(self, nodes: int) -> None:
        self.world = World(seed=1)
        self.network = Network(self.world)
        rules = access_rules(controllers=("controller1",))
        self.broker = Broker(self.world, self.network, "broker", BrokerSettings(access_rules=rules))
        self.broker.start()
        self.received = 0
        self.controller = self._link("controller1")
        self.controller.subscribe([(topic(TopicName.REPORT, node="+"), 1), (topic(TopicName.NODE_STATE, node="+"), 1)])
        self.names = [f"N{index:04d}" for index in range(nodes)]
        self.nodes = [self._link(name) for name in self.names]
        for node in self.nodes:
            node.subscribe(
                [(topic(TopicName.PLAN, area="xa-binh-minh"), 1), (topic(TopicName.AUDIO, stream=_STREAM), 0)]
            )
        self.world.run_for(60 * _S)

    def _link(self, name: str) -> Link:
        host = self.network.add_host(name, DATA_CENTRE if name.startswith("c") else MOBILE)
        link = Link(
            self.world,
            self.network,
            host,
            NodeClock(self.world, name, ClockSettings()),
            LinkSettings(address="broker", client_id=name),
            on_connected=lambda _present, _incarnation: None,
            on_disconnected=lambda _reason: None,
            on_message=self._count,
        )
        link.start()
        return link

    def _count(self, _topic: str, _payload: bytes) -> None:
        self.received += 1

    def fan_out(self, packets: int) -> int:
        """Audio packets to every pole, one each 100 ms; the messages received."""
        begun = self.received
        audio = topic(TopicName.AUDIO, stream=_STREAM)
        for _ in range(packets):
            self.controller.publish(audio, bytes(_PACKET_BYTES), 0, expiry_s=2)
            self.world.run_for(_S // 10)
        self.world.run_for(60 * _S)
        return self.received - begun

    def fan_in(self, rounds: int) -> int:
        """Reports from every pole with QoS 1; the messages received."""
        begun = self.received
        for _ in range(rounds):
            for name, node in zip(self.names, self.nodes, strict=True):
                node.publish(topic(TopicName.REPORT, node=name), bytes(300), 1)
                self.world.run_for(_S // 200)
        self.world.run_for(60 * _S)
        return self.received - begun

    def silence(self, days: int) -> int:
        """Days in which nobody says anything but keep-alive; the events that they cost."""
        begun = self.world.events_run
        self.world.run_for(days * 86_400 * _S)
        return self.world.events_run - begun

    def reconnect_all(self) -> int:
        """The broker restarts: how many come back within a minute."""
        self.broker.stop()
        self.broker.start()
        self.world.run_for(60 * _S)
        return len(self.broker.connected)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    scale = 1 if parser.parse_args().quick else 10
    results = [
        _timed("world: events", lambda: _world_events(200_000 * scale)),
        _timed("clocks: timers on drifting crystals", lambda: _clock_timers(50_000 * scale)),
        _timed("network: draws of a 4G delay", lambda: _draws(50_000 * scale)),
    ]
    province = _Province(1_000)
    results += [
        _timed("broker: QoS 0 to 1,000 poles, received", lambda: province.fan_out(20 * scale)),
        _timed("broker: QoS 1 from 1,000 poles, received", lambda: province.fan_in(5 * scale)),
        _timed("broker: restart, 1,000 poles back", province.reconnect_all),
    ]
    begun = time.perf_counter()
    events = province.silence(7)
    print_table("simulator core", [result.row for result in results])
    print(f"a week of 1,000 connected, silent poles: {events:,} events, {time.perf_counter() - begun:.3f} s")


if __name__ == "__main__":
    main()
