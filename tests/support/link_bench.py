"""The two benches of the link's contract: a broker with links, once in virtual time and once for real.

A test says what happens (`cut`, `restore`, `stop_broker` ...) and waits by `until` or `elapse`; on the fake these move
true time, on the real one they wait, with a bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from protocol.adapters.mqtt_link import MqttLink, Will
from protocol.topics import access_rules
from simulator.broker.broker import Broker, BrokerSettings
from simulator.clock import ClockSettings, NodeClock
from simulator.network.delay import DATA_CENTRE, WIRED
from simulator.network.link import Link, LinkSettings
from simulator.network.network import Network
from simulator.world import World
from tests.support.broker import RealBroker, real_broker
from tests.support.linked import Heard
from tests.support.pki import CONTROLLER, DevelopmentKeys
from tests.support.severable_path import SeverablePath
from tests.support.waiting import until

PATIENCE_S = 20.0
"""Longest wait for something that must happen: two failed attempts with their backoff."""
_S = 1_000_000_000
_STEP_NS = _S // 100


class AnyLink(Protocol):
    """What `MqttLink` and the simulated link have in common."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def publish(
        self, topic: str, payload: bytes, qos: int = 1, retain: bool = False, expiry_s: int | None = None
    ) -> None: ...
    def subscribe(self, topics: Sequence[tuple[str, int]]) -> None: ...
    def unsubscribe(self, topics: Sequence[str]) -> None: ...
    def set_herd_window_s(self, herd_window_s: float) -> None: ...


class Bench(Protocol):
    """A running broker, and links to it by name."""

    async def link(self, name: str, *, will: Will | None = None, session_expiry_s: int = 300) -> tuple[AnyLink, Heard]:
        """A started link that is connected."""

    async def stop(self, link: AnyLink) -> None:
        """Stop a link."""

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        """Wait for something that must happen."""

    async def elapse(self, seconds: float) -> None:
        """Let time pass."""

    def cut(self, name: str) -> None:
        """Reset a client's connections and let nothing through."""

    def restore(self, name: str) -> None:
        """Let it through again."""

    def stop_broker(self) -> None:
        """An orderly stop."""

    def kill_broker(self) -> None:
        """Kill the process."""

    def start_broker(self) -> None:
        """Start it again, with whatever it has saved."""


class FakeBench:
    """The simulated broker, network and links."""

    def __init__(self, *, is_persistent: bool) -> None:
        self.world = World(seed=1)
        self.network = Network(self.world)
        rules = access_rules(controllers=(CONTROLLER,))
        self.broker = Broker(
            self.world, self.network, "broker", BrokerSettings(access_rules=rules, is_persistent=is_persistent)
        )
        self.broker.start()

    async def link(self, name: str, *, will: Will | None = None, session_expiry_s: int = 300) -> tuple[AnyLink, Heard]:
        heard = Heard()
        host = self.network.hosts.get(name)
        if host is None:
            host = self.network.add_host(name, DATA_CENTRE if name == CONTROLLER else WIRED)
        link = Link(
            self.world,
            self.network,
            host,
            NodeClock(self.world, name, ClockSettings(drift_ppb=20_000)),
            LinkSettings(address="broker", client_id=name, herd_window_s=0.2, session_expiry_s=session_expiry_s),
            will,
            on_connected=heard.on_connected,
            on_disconnected=heard.on_disconnected,
            on_message=heard.on_message,
        )
        link.start()
        await self.until(lambda: heard.connected, f"{name} connects")
        return link, heard

    async def stop(self, link: AnyLink) -> None:
        link.stop()

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        end_ns = self.world.now_ns + int(PATIENCE_S * _S)
        while not condition():
            if self.world.now_ns > end_ns:
                raise AssertionError(f"still not true after {PATIENCE_S} s: {what}")
            self.world.run_for(_STEP_NS)

    async def elapse(self, seconds: float) -> None:
        self.world.run_for(int(seconds * _S))

    def cut(self, name: str) -> None:
        self.network.cut(name)
        self.network.reset(name)

    def restore(self, name: str) -> None:
        self.network.heal(name)

    def stop_broker(self) -> None:
        self.broker.stop()

    def kill_broker(self) -> None:
        self.broker.kill()

    def start_broker(self) -> None:
        self.broker.start()


class RealBench:
    """Mosquitto over TLS, and the product's link; a severable path for each client."""

    def __init__(self, broker: RealBroker, keys: DevelopmentKeys) -> None:
        self._broker, self._keys = broker, keys
        self._links: list[MqttLink] = []
        self._paths: dict[str, SeverablePath] = {}

    async def link(self, name: str, *, will: Will | None = None, session_expiry_s: int = 300) -> tuple[AnyLink, Heard]:
        path = self._paths.get(name)
        if path is None:
            door = self._broker.services_port if name == CONTROLLER else self._broker.port
            path = self._paths[name] = SeverablePath(door)
            await path.open()
        heard = Heard()
        link = MqttLink(
            self._keys.mqtt_settings(name, path.port, session_expiry_s=session_expiry_s),
            will,
            on_connected=heard.on_connected,
            on_disconnected=heard.on_disconnected,
            on_message=heard.on_message,
        )
        self._links.append(link)
        link.start()
        await self.until(lambda: heard.connected, f"{name} connects")
        return link, heard

    async def stop(self, link: AnyLink) -> None:
        await asyncio.to_thread(link.stop)  # the path runs on this loop and must carry the farewell

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        await until(condition, seconds=PATIENCE_S, what=what)

    async def elapse(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def cut(self, name: str) -> None:
        self._paths[name].cut()

    def restore(self, name: str) -> None:
        self._paths[name].restore()

    def stop_broker(self) -> None:
        self._broker.stop()

    def kill_broker(self) -> None:
        self._broker.kill()

    def start_broker(self) -> None:
        self._broker.start()

    async def close(self) -> None:
        """Stop every link, then the paths."""
        for link in self._links:
            await asyncio.to_thread(link.stop)
        for path in self._paths.values():
            await path.close()


@asynccontextmanager
async def link_bench(kind: str, folder: Path, keys: DevelopmentKeys, *, is_persistent: bool) -> AsyncIterator[Bench]:
    """A bench of one kind, gone when the block ends."""
    if kind == "fake":
        yield FakeBench(is_persistent=is_persistent)
        return
    with real_broker(folder, keys.folder, controllers=(CONTROLLER,), is_persistent=is_persistent) as broker:
        bench = RealBench(broker, keys)
        try:
            yield bench
        finally:
            await bench.close()
