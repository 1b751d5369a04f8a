"""From the press of an emergency to its first sample on three nodes, with the parts of the way.

Each press goes through the controller's API. Its parts are seen from outside: another MQTT client receives the
signed order (API, database, sign, broker), the pin trace shows when each node switched its amplifier on (verify,
store, decide, and the wait for the instant at which its warm-up must begin), and the listener stamps the first
sounding sample that leaves the sound path (decode, card), also against the instant that the order names. What
signing, verifying and decoding cost by themselves is measured apart, on the same clip and order. Warm-up is the
amplifier's own (300 ms) and is told apart: it is not ours to shorten. Run: `./scripts/bench emergency_press`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import paho.mqtt.client as mqtt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.commune import Commune, await_true, commune
from benchmarks.measure import print_table, quantile
from edge.adapters.clip_reader import SoundFileReader
from protocol.codec import cbor_decode
from protocol.envelope import open_sealed, seal, signer_from_private_key
from protocol.identity import area_audience
from protocol.messages import AnyDocument, Emergency, MediaReference
from protocol.topics import TopicName, topic
from protocol.units import FRAME_SAMPLES, NS_PER_MS, SharedNs
from simulator.demo.listener import read_pin_trace
from simulator.demo.site import COMMUNE, WARM_UP_MS

NODES = ("N001", "N002", "N003")
SOUND_LEVEL = 200
"""Of 32,768: far above rounding, far below the attention tone."""
PARTS_REPEATED = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """One press on one node, milliseconds from the press."""

    answered_ms: float
    received_ms: float
    amplifier_ms: float
    sounded_ms: float
    against_plan_ms: float


class Observer:
    """An MQTT client beside the nodes that notes when each signed emergency document comes."""

    def __init__(self, world: Commune) -> None:
        self.received: list[tuple[int, AnyDocument]] = []
        keys = world.site.pki / "nodes" / NODES[0]
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="observer", protocol=mqtt.MQTTv5)
        self._client.tls_set(str(keys / "ca.pem"), str(keys / "node.pem"), str(keys / "node.key"))
        self._client.on_message = self._take
        self._client.connect("localhost", world.site.ports.services)
        self._client.subscribe(topic(TopicName.EMERGENCY, area=COMMUNE), qos=1)
        self._client.loop_start()

    def close(self) -> None:
        """Leave the broker."""
        self._client.disconnect()
        self._client.loop_stop()

    def first_after(self, since_ns: int) -> tuple[int, Emergency]:
        """When the first emergency after an instant came, and what it said; raises LookupError."""
        for at_ns, document in self.received:
            if at_ns >= since_ns and isinstance(document, Emergency):
                return at_ns, document
        raise LookupError("the observer received no emergency")

    def _take(self, _client: mqtt.Client, _user: object, message: mqtt.MQTTMessage) -> None:
        at_ns = time.time_ns()
        if message.payload:
            payload = open_sealed(bytes(message.payload), topic=message.topic).payload
            self.received.append((at_ns, cbor_decode(payload, AnyDocument)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presses", type=int, default=200, help="how many presses (default: 200)")
    count = parser.parse_args(arguments).presses
    presses: list[Press] = []
    with commune(node_count=len(NODES)) as world:
        observer = Observer(world)
        try:
            for number in range(count):
                presses += press_once(world, observer)
                if sys.stderr.isatty():
                    sys.stderr.write(f"\rpress {number + 1} of {count}")
        finally:
            observer.close()
        parts = measure_parts(world)
    sys.stderr.write("\n" if sys.stderr.isatty() else "")
    without_warm_up = [entry.sounded_ms - WARM_UP_MS for entry in presses]
    print_table(
        f"{count} presses, {len(NODES)} nodes, milliseconds from the press",
        [
            _row("the API has answered", [entry.answered_ms for entry in presses]),
            _row("the order has passed the broker", [entry.received_ms for entry in presses]),
            _row("amplifier on (order verified, stored, granted)", [entry.amplifier_ms for entry in presses]),
            _row("first sample", [entry.sounded_ms for entry in presses]),
            _row("first sample apart from warm-up", without_warm_up),
            _row("first sample against the named instant", [entry.against_plan_ms for entry in presses]),
        ],
        note=f"first sample apart from warm-up, p99: {quantile(without_warm_up, 0.99):.0f} ms (target <= 250)",
    )
    print_table("Parts by themselves", parts)
    return 0


def press_once(world: Commune, observer: Observer) -> list[Press]:
    """Press, wait for all nodes, clear, wait for silence and cold amplifiers."""
    traces = {node: len(read_pin_trace(world.site.pin_trace(node)) or ()) for node in NODES}
    pressed_ns = time.time_ns()
    emergency = world.console.start_emergency(area=COMMUNE, clip="flood", minutes=5)
    answered_ns = time.time_ns()
    await_true(lambda: all(_first_sound_ns(world, node, pressed_ns) for node in NODES), "the emergency on all nodes")
    world.console.all_clear(emergency, reason="benchmark")
    await_true(
        lambda: all(len(read_pin_trace(world.site.pin_trace(node)) or ()) >= traces[node] + 2 for node in NODES),
        "amplifiers off again",
    )
    received_ns, order = observer.first_after(pressed_ns)
    presses = []
    for node in NODES:
        sounded_ns = _first_sound_ns(world, node, pressed_ns)
        change = (read_pin_trace(world.site.pin_trace(node)) or [])[traces[node]]
        presses.append(
            Press(
                answered_ms=(answered_ns - pressed_ns) / NS_PER_MS,
                received_ms=(received_ns - pressed_ns) / NS_PER_MS,
                amplifier_ms=(change.at_ns - pressed_ns) / NS_PER_MS,
                sounded_ms=(sounded_ns - pressed_ns) / NS_PER_MS,
                against_plan_ms=sounded_ns / NS_PER_MS - order.play_at_ms,
            )
        )
    return presses


def _first_sound_ns(world: Commune, node: str, since_ns: int) -> int:
    """When the first sounding sample after an instant left the node's sound path; 0 while there is none."""
    capture = world.listener.capture(node)
    for segment in capture.segments():
        if capture.stamps_ns[segment.chunk_last - 1] < since_ns:
            continue
        first = max(segment.first, capture.sample_at(SharedNs(since_ns), segment))
        loud = np.flatnonzero(np.abs(capture.samples[first : segment.last].astype(np.int32)) > SOUND_LEVEL)
        if len(loud):
            return int(capture.time_of(first + int(loud[0]), segment))
    return 0


def measure_parts(world: Commune) -> list[dict[str, str]]:
    """Signing, verifying and decoding by themselves, in this process."""
    folder = world.site.folder
    clip = next(path for path in sorted((folder / "controller").rglob("*")) if path.is_file() and len(path.name) == 64)  # noqa: PLR2004 - a SHA-256
    key = Ed25519PrivateKey.generate()
    public_key = key.public_key().public_bytes_raw()
    signer = signer_from_private_key("benchmark-1", key)
    order = _order()
    name = topic(TopicName.EMERGENCY, area=COMMUNE)
    sealed = seal(order, signer=signer, topic=name)

    def verify() -> None:
        cbor_decode(open_sealed(sealed, topic=name).verify(public_key), AnyDocument)

    frame = np.zeros(FRAME_SAMPLES, dtype=np.float32)

    def decode() -> None:
        reader = SoundFileReader(clip)
        reader.read(0, frame)
        reader.close()

    return [
        _timed("sign an order", lambda: seal(order, signer=signer, topic=name)),
        _timed("verify and parse an order", verify),
        _timed("open a clip and decode its first 20 ms", decode),
    ]


def _order() -> Emergency:
    return Emergency(
        id="benchmark",
        issuer="benchmark",
        audience=area_audience(COMMUNE),
        counter=1,
        not_before_ms=0,
        expires_at_ms=1,
        emergency="benchmark",
        area=COMMUNE,
        title="Lũ khẩn cấp",
        clip=MediaReference(sha256="0" * 64, size_bytes=1, duration_ms=1),
        play_at_ms=0,
        repeat_every_ms=1,
        sounds_until_ms=1,
    )


def _timed(what: str, act: Callable[[], object]) -> dict[str, str]:
    taken = []
    for _ in range(PARTS_REPEATED):
        begin_ns = time.perf_counter_ns()
        act()
        taken.append((time.perf_counter_ns() - begin_ns) / NS_PER_MS)
    return _row(what, taken)


def _row(what: str, values: Sequence[float]) -> dict[str, str]:
    return {
        "what": what,
        "p50 ms": f"{quantile(values, 0.5):.2f}",
        "p99 ms": f"{quantile(values, 0.99):.2f}",
        "max ms": f"{max(values):.2f}",
    }


if __name__ == "__main__":
    sys.exit(main())
