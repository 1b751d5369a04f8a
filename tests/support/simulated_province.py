"""A small simulated province of links for tests: a controller and poles that publish, no agent."""

from __future__ import annotations

from protocol.adapters.mqtt_settings import Will
from protocol.topics import TopicName, access_rules, topic
from simulator.broker.broker import Broker, BrokerSettings
from simulator.clock import ClockSettings, NodeClock
from simulator.faults.fault_ports import BrokerFaults, ClockFaults, FaultRunner, NetworkFaults
from simulator.faults.faults import FaultBounds, Room, generate_faults
from simulator.network.delay import DATA_CENTRE, MOBILE
from simulator.network.link import Link, LinkSettings
from simulator.network.network import Network
from simulator.world import World

S_NS = 1_000_000_000
CONTROLLER = "controller1"
PLAN = topic(TopicName.PLAN, area="xa-binh-minh")
ALL_STATES = topic(TopicName.NODE_STATE, node="+")


def state_of(name: str) -> str:
    """The topic of a node's state."""
    return topic(TopicName.NODE_STATE, node=name)


class Station:
    """One machine with its clock and link; it writes down what it hears, and when."""

    def __init__(self, province: Province, name: str) -> None:
        world = province.world
        self.name = name
        self.world = world
        self.clock = NodeClock(
            world, name, ClockSettings(drift_ppb=world.chance(f"drift/{name}").within(-40_000, 40_000))
        )
        is_controller = name == CONTROLLER
        self.host = province.network.add_host(name, DATA_CENTRE if is_controller else MOBILE)
        self.events: list[str] = []
        self.messages: list[tuple[int, str, bytes]] = []
        self.link = Link(
            world,
            province.network,
            self.host,
            self.clock,
            LinkSettings(address="broker", client_id=name),
            None if is_controller else Will(topic=state_of(name), payload=b"lost", delay_s=15),
            on_connected=self._connected,
            on_disconnected=self._disconnected,
            on_message=self._message,
        )
        self.link.start()

    @property
    def payloads(self) -> list[bytes]:
        return [payload for _, _, payload in self.messages]

    def _connected(self, session_present: bool, incarnation: int) -> None:
        self.events.append(f"connected {incarnation}")
        self.world.record(self.name, "link_up", present=session_present, incarnation=incarnation)
        if self.name != CONTROLLER:
            self.link.publish(state_of(self.name), b"ready", 1, True)

    def _disconnected(self, reason: str) -> None:
        self.events.append(reason)
        self.world.record(self.name, "link_down", why=reason)

    def _message(self, at: str, payload: bytes) -> None:
        self.messages.append((self.world.now_ns - self.world.start_ns, at, payload))
        self.world.record(self.name, "heard", topic=at, size=len(payload))


class Province:
    """Begins with everybody connected."""

    def __init__(self, *, seed: int = 1, nodes: int = 3, broker: BrokerSettings | None = None) -> None:
        self.world = World(seed=seed)
        self.network = Network(self.world)
        rules = access_rules(controllers=(CONTROLLER,))
        self.broker = Broker(self.world, self.network, "broker", broker or BrokerSettings(access_rules=rules))
        self.broker.start()
        self.controller = Station(self, CONTROLLER)
        self.controller.link.subscribe([(ALL_STATES, 1)])
        self.nodes = [Station(self, f"N{index:03d}") for index in range(1, nodes + 1)]
        for node in self.nodes:
            node.link.subscribe([(PLAN, 1)])
        self.run(10)

    def run(self, seconds: float) -> None:
        self.world.run_for(int(seconds * S_NS))

    def suffer(self, *, hours: int, count: int) -> None:
        """Run through a seeded plan of faults, while the controller publishes every ten minutes."""
        runner = FaultRunner(self.world)
        runner.connect(Room.BROKER, "broker", BrokerFaults(self.world, self.broker))
        for node in self.nodes:
            runner.connect(Room.CLOCK, node.name, ClockFaults(self.world, node.clock))
            runner.connect(Room.NETWORK, node.name, NetworkFaults(self.world, self.network, node.host))
        bounds = FaultBounds(horizon_ms=hours * 3_600_000, count_min=count, count_max=count, targets=runner.targets)
        runner.schedule(generate_faults(self.world.seed, bounds))
        for turn in range(hours * 6):
            self.controller.link.publish(PLAN, b"plan %d" % turn, 1, True)
            self.run(600)


def run_province(seed: int) -> tuple[int, str]:
    """Three days and forty faults; how many lines, and their digest."""
    province = Province(seed=seed, nodes=8)
    province.suffer(hours=72, count=40)
    province.run(3_600)
    return province.world.log.count, province.world.log.digest
