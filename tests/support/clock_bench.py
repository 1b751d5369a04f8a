"""A node's clock over a real broker: the node's half as it is delivered, with a quick exchange."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from edge.adapters.node_clock import ClockSurroundings, NodeClock
from edge.adapters.time_link import TimeLink, time_settings
from edge.clock.record import ClockRecord
from edge.clock.shared_clock import SourceChoice
from edge.clock.time_exchange import ExchangeSettings, Learned
from edge.config import BrokerConfig, ClockConfig, EdgeConfig, TrustConfig
from protocol.adapters.system_clock import read_now
from protocol.clock_filter import ClockFilter
from protocol.keyring import Keyring
from protocol.units import NS_PER_MS, Now
from tests.support.pki import DevelopmentKeys

NODE = "N001"
QUICK = ExchangeSettings(burst_samples=4, quick_every_s=0.2, active_every_s=0.2, steady_every_s=0.2, idle_every_s=0.2)
ERROR_NS_MAX = 200 * NS_PER_MS
"""What a round trip on a busy machine may take."""


class Surroundings:
    """A node around a clock."""

    def __init__(self, keyring: Keyring) -> None:
        self.keyring = keyring
        self.is_sounding = False
        self.woken = 0
        self.records: list[ClockRecord] = []

    def wake(self) -> None:
        self.woken += 1

    @property
    def told(self) -> ClockSurroundings:
        return ClockSurroundings(
            keyring=lambda: self.keyring,
            is_sounding=lambda: self.is_sounding,
            wake=self.wake,
            show=self.records.append,
        )


def config_of(pki: DevelopmentKeys, time_port: int) -> EdgeConfig:
    own = pki.folder / "nodes" / NODE
    names = {"root_keys": "root_keys.json", "ca": "ca.pem", "certificate": "node.pem", "private_key": "node.key"}
    return EdgeConfig(
        node=NODE,
        broker=BrokerConfig(time_port=time_port),
        trust=TrustConfig(**{field: str(own / name) for field, name in names.items()}),
        clock=ClockConfig(source="exchange"),
    )


def clock_of(
    config: EdgeConfig,
    *,
    choice: SourceChoice = SourceChoice.EXCHANGE,
    trusted: Callable[[], Now] = read_now,
    settings: ExchangeSettings = QUICK,
) -> NodeClock:
    def make_link(clock_filter: ClockFilter, on_learned: Callable[[Learned], None]) -> TimeLink:
        return TimeLink(
            time_settings(config),
            node=NODE,
            clock_filter=clock_filter,
            on_learned=on_learned,
            exchange_settings=settings,
        )

    return NodeClock(node=NODE, choice=choice, trusted=trusted, make_link=make_link, watch_s=0.2)


@asynccontextmanager
async def going(clock: NodeClock, keyring: Keyring) -> AsyncIterator[Surroundings]:
    surroundings = Surroundings(keyring)
    clock.start(surroundings.told)
    try:
        yield surroundings
    finally:
        await asyncio.to_thread(clock.stop)


def ahead_ns(clock: NodeClock) -> int:
    """How far the node's time is ahead of this machine's, the reading between the two aside."""
    before_ns, now, after_ns = read_now().shared_ns, clock(), read_now().shared_ns
    return now.shared_ns - (before_ns + after_ns) // 2
