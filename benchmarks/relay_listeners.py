"""Controller CPU for one relay with 1 and with 200 listeners: it must not grow with the audience.

The listeners are light MQTT clients in a process of their own (see `simulator.load`): real TLS sessions that
read every byte. Both cases run in turn within one commune, A B A B, so that the machine's mood cancels out; the
broker's CPU, which does grow, stands beside. Run: `./scripts/bench relay_listeners`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from statistics import median

from benchmarks.commune import BenchmarkError, Commune, await_true, commune
from benchmarks.measure import ProcessWatch, print_table
from protocol.topics import TopicName, topic
from simulator.load.crowd import Crowd, CrowdSettings
from simulator.load.identities import Identity
from simulator.load.light_node import LightKind, LightSettings

ROUNDS = 3
SETTLE_S = 3.0
COUNTS = (1, 200)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One measurement with some listeners."""

    listeners: int
    controller_percent: float
    broker_percent: float
    messages_per_s: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each round (default: 20)")
    seconds = parser.parse_args(arguments).seconds
    with commune(node_count=1) as world:
        stream = world.start_relay("station")
        await_true(lambda: world.hears("N001"), "sound on the node")
        rounds = [measure(world, stream, count, seconds) for _ in range(ROUNDS) for count in COUNTS]
    rows = [_row(count, [entry for entry in rounds if entry.listeners == count]) for count in COUNTS]
    few, many = ([e.controller_percent for e in rounds if e.listeners == count] for count in COUNTS)
    pairs = [b / a for a, b in zip(few, many, strict=True)]
    print_table(
        f"One relay, {ROUNDS} rounds of {seconds:.0f} s",
        rows,
        note=f"controller CPU, {COUNTS[1]} : {COUNTS[0]} listeners = {median(pairs):.2f} "
        f"(pairs {min(pairs):.2f} to {max(pairs):.2f}; target: 1 within noise)",
    )
    return 0


def measure(world: Commune, stream: str, count: int, seconds: float) -> Round:
    """CPU of controller and broker over `seconds` with `count` light listeners beside the one node."""
    shown = world.site.authority / "controller"  # at the services' door one certificate may come in many times
    settings = CrowdSettings(
        host="127.0.0.1",
        port=world.site.ports.services,
        ca_path=str(world.site.authority / "ca.pem"),
        nodes=[
            LightSettings(identity=Identity(f"light{number}", f"{shown}.pem", f"{shown}.key"), kind=_LISTENS)
            for number in range(count)
        ],
        audio_topics=(topic(TopicName.AUDIO, stream=stream),),
    )
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=listen, args=(settings, theirs), daemon=True)
    process.start()
    try:
        if not ours.poll(READY_S) or ours.recv() != "ready":
            raise BenchmarkError(f"{count} listeners did not connect")
        time.sleep(SETTLE_S)
        controller, broker = (ProcessWatch([world.pid(name)]) for name in ("controller", "broker"))
        time.sleep(seconds)
        used = controller.read(), broker.read()
        ours.send("stop")
        if not ours.poll(READY_S):
            raise BenchmarkError("the listeners did not answer")
        messages, listened_s = ours.recv()
    finally:
        process.kill()
        process.join()
    return Round(
        listeners=count,
        controller_percent=used[0].cpu_percent,
        broker_percent=used[1].cpu_percent,
        messages_per_s=messages / listened_s,
    )


READY_S = 30.0
_LISTENS = LightKind.LISTENER


def listen(settings: CrowdSettings, pipe: Connection) -> None:
    """The listeners' process: says "ready" when all are subscribed, then counts until it is told to stop."""
    crowd = Crowd(settings)
    while not crowd.is_complete:
        crowd.serve(0.1)
    pipe.send("ready")
    before, since_s = crowd.counts.messages, time.monotonic()
    while not pipe.poll():
        crowd.serve(0.1)
    pipe.send((crowd.counts.messages - before, time.monotonic() - since_s))
    crowd.close()


def _row(count: int, rounds: Sequence[Round]) -> dict[str, str]:
    return {
        "listeners": str(count),
        "controller % of a core": f"{median(entry.controller_percent for entry in rounds):.2f}",
        "broker % of a core": f"{median(entry.broker_percent for entry in rounds):.2f}",
        "messages received / s": f"{median(entry.messages_per_s for entry in rounds):.0f}",
    }


if __name__ == "__main__":
    sys.exit(main())
