"""How far two real nodes' clocks are apart, idle and with a relay on air, and what the exchange costs.

Broker, controller and nodes are processes as they are delivered; each node writes after each burst what its shared
clock read at an instant of CLOCK_MONOTONIC (`loaxa-edge show` prints it), which both have in common with this machine's
own clock, and that is the truth. Quantiles are of all bursts. Cost: processor time of a process that does nothing but
exchange, and of controller and broker beyond what they use without it. Run: `./scripts/bench clock_pair`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import yaml

from benchmarks.commune import Changes, Commune, await_true, commune
from benchmarks.measure import ProcessWatch, print_table, quantile
from edge.adapters.clock_file import read_record
from edge.adapters.node_clock import ClockSurroundings, NodeClock
from edge.adapters.preflight import prepare
from edge.adapters.time_link import TimeLink, time_settings
from edge.clock.record import ClockRecord
from edge.clock.shared_clock import SourceChoice
from edge.clock.time_exchange import ExchangeSettings, Learned
from protocol.adapters.system_clock import read_now
from protocol.clock_filter import ClockFilter
from protocol.keyring import Keyring, open_keyset
from protocol.topics import TopicName, topic
from simulator.demo.processes import Children
from simulator.demo.site import DemoSite

POLES = ("N001", "N002")
LOOK_S = 0.2
COST_S = 20.0
ASKED_A_MINUTE_MAX = 600
"""The most that may be configured; with fewer the service would refuse to be measured."""
PACE_S = 0.1
"""From burst to burst when the cost is measured; a node's pause is ten seconds and more."""


@dataclass(slots=True, kw_only=True)
class Found:
    """What the nodes' records said in one phase, in microseconds."""

    apart_us: list[float] = field(default_factory=list)
    wrong_us: list[float] = field(default_factory=list)
    stated_us: list[float] = field(default_factory=list)
    round_trip_us: list[float] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="length of each phase (default: 120)")
    seconds = parser.parse_args(arguments).seconds
    with commune(node_count=2, changes=Changes(before_start=_by_exchange_alone)) as world:
        await_true(lambda: all(_record(world, name) is not None for name in POLES), "the records of both clocks")
        found = {"idle": _watch(world, seconds)}
        world.start_relay("station")
        await_true(lambda: all(world.hears(name) for name in POLES), "sound on both")
        found["relay on air"] = _watch(world, seconds)
        world.console.stop_relays()
        world.children.stop_one(POLES[1])
        costs = _cost(world)
    print_table(f"Two nodes' clocks, {seconds:.0f} s each", [_row(*each) for each in found.items()])
    print_table(f"What an exchange costs, {COST_S:.0f} s without a pause between bursts", [costs])
    return 0


def _by_exchange_alone(site: DemoSite, _children: Children) -> None:
    desk = yaml.safe_load(site.controller_configuration.read_text())
    desk["time_service"] = {"requests_a_minute_max": ASKED_A_MINUTE_MAX}
    site.controller_configuration.write_text(yaml.safe_dump(desk, allow_unicode=True, sort_keys=False))
    for name in POLES:
        file = site.node_folder(name) / "edge.yaml"
        file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"clock": {"source": "exchange"}}))


def _record(world: Commune, name: str) -> ClockRecord | None:
    return read_record(name, str(world.site.node_folder(name) / "state"))[0]


def _watch(world: Commune, seconds: float) -> Found:
    """Look at both records until the time is over; each new one is compared with the other's newest."""
    found, newest = Found(), dict.fromkeys(POLES, -1)
    until_s = time.monotonic() + seconds
    offsets: dict[str, int] = {}
    while time.monotonic() < until_s:
        for name in POLES:
            record = _record(world, name)
            if record is None or record.monotonic_ns == newest[name]:
                continue
            is_first, newest[name] = newest[name] < 0, record.monotonic_ns
            now = read_now()
            offsets[name] = record.shared_ns - record.monotonic_ns
            if is_first or len(offsets) < len(POLES):
                continue
            found.apart_us.append(abs(offsets[POLES[0]] - offsets[POLES[1]]) / 1_000)
            found.wrong_us.append(abs(offsets[name] - (now.shared_ns - now.monotonic_ns)) / 1_000)
            found.stated_us.append((record.error_ms or 0.0) * 1_000)
            found.round_trip_us.append((record.round_trip_ms or 0.0) * 1_000)
        time.sleep(LOOK_S)  # nobody tells when a record is written: it is looked for
    return found


def _row(phase: str, found: Found) -> dict[str, str]:
    quantiles = {"apart": found.apart_us, "from the truth": found.wrong_us, "stated": found.stated_us}
    return {
        "phase": phase,
        "bursts": str(len(found.apart_us)),
        **{f"{name} p50 / p95 / max µs": _quantiles(values) for name, values in quantiles.items()},
        "round trip p50 µs": f"{quantile(found.round_trip_us, 0.5):.0f}",
    }


def _quantiles(values: Sequence[float]) -> str:
    return f"{quantile(values, 0.5):.0f} / {quantile(values, 0.95):.0f} / {max(values):.0f}"


def _cost(world: Commune) -> dict[str, str]:
    """Processor time an exchange, here (the node's half and an idle loop), in the controller and in the broker."""
    config = prepare(world.site.node_folder(POLES[1]) / "edge.yaml").config
    keyset = (world.site.pki / "keyset.cose").read_bytes()
    root = prepare(world.site.node_folder(POLES[1]) / "edge.yaml").root
    keyring = Keyring.from_keyset(open_keyset(keyset, topic=topic(TopicName.KEYSET), root=root))
    quick = ExchangeSettings(quick_every_s=PACE_S, active_every_s=PACE_S, steady_every_s=PACE_S, idle_every_s=PACE_S)

    def make_link(clock_filter: ClockFilter, on_learned: Callable[[Learned], None]) -> TimeLink:
        settings = time_settings(config)
        return TimeLink(
            settings, node=config.node, clock_filter=clock_filter, on_learned=on_learned, exchange_settings=quick
        )

    clock = NodeClock(node=config.node, choice=SourceChoice.EXCHANGE, trusted=read_now, make_link=make_link)
    before = _used(world, lambda: time.sleep(COST_S))  # what they cost without the exchange, as long
    asked: list[int] = []
    node_s = time.process_time()
    after = _used(world, lambda: asked.append(asyncio.run(_exchange(clock, keyring))))
    node_s = time.process_time() - node_s
    used = {"node": node_s, **{name: max(after[name] - before[name], 0.0) for name in after}}
    return {"exchanges": str(asked[0]), **{f"{name} µs each": f"{s / asked[0] * 1e6:.0f}" for name, s in used.items()}}


def _used(world: Commune, act: Callable[[], object]) -> dict[str, float]:
    """Processor seconds of controller and broker while something is done."""
    watches = {name: ProcessWatch([world.pid(name)]) for name in ("controller", "broker")}
    act()
    return {name: watch.read().cpu_s for name, watch in watches.items()}


async def _exchange(clock: NodeClock, keyring: Keyring) -> int:
    clock.start(ClockSurroundings(keyring=lambda: keyring, is_sounding=lambda: True, wake=lambda: None))
    await asyncio.sleep(COST_S)
    answered = clock.record.answered
    await asyncio.to_thread(clock.stop)
    return answered


if __name__ == "__main__":
    sys.exit(main())
