"""Ten thousand messages a second: random bytes, orders with a wrong signature, orders by a key that nobody gave."""

from __future__ import annotations

import random
import time
from pathlib import Path

from protocol.topics import TopicName, topic
from simulator.load.mqtt_bytes import publish
from tests.support import forgery as forged
from tests.support.besieged import NODE, VILLAGE, Besieged
from tests.support.intruder import Intruder

RATE_HZ = 10_000
WRITE = 10
"""Messages in one write: a millisecond's."""
MADE = 1_000
BYTES_MAX = 300


def garbage(ground: Besieged) -> list[bytes]:
    """Packets for topics that the node obeys; of ten one is well signed but for a bit, and one by a stranger."""
    dice = random.Random(1)  # noqa: S311 - garbage, no secret
    name = topic(TopicName.AREA_SILENCE, area=VILLAGE)
    stranger = forged.silence(ground, key="stranger")[1]
    broken = forged.flipped(forged.silence(ground, key="genuine-1")[1], -1)
    names = (name, topic(TopicName.NODE_SILENCE, node=NODE))
    special = {0: broken, 1: stranger}
    return [
        publish(names[number % 2], special.get(number % 10) or dice.randbytes(dice.randrange(1, BYTES_MAX)))
        for number in range(MADE)
    ]


def of_a_node(node: str) -> list[bytes]:
    """What a node may say and what it may not, as much as it can: reports, telemetry, an area's orders."""
    dice = random.Random(2)  # noqa: S311 - garbage, no secret
    own = [topic(name, node=node) for name in (TopicName.REPORT, TopicName.TELEMETRY, TopicName.TIME_REQUEST)]
    names = [*own, forged.emergency_topic()]
    return [publish(names[number % 4], dice.randbytes(dice.randrange(1, BYTES_MAX))) for number in range(MADE)]


def pour(ground: Besieged, intruder: Intruder, packets: list[bytes], *, seconds: float) -> int:
    """Send at the rate, supervising meanwhile; how many were sent."""
    writes = [b"".join(packets[at : at + WRITE]) for at in range(0, len(packets), WRITE)]
    began_s, sent = time.monotonic(), 0
    while (passed_s := time.monotonic() - began_s) < seconds:
        if sent >= passed_s * RATE_HZ:
            ground.during(0.001)
            continue
        intruder.pour(writes[sent // WRITE % len(writes)])
        sent += WRITE
    return sent


def memory_kib(pid: int | None) -> int:
    """The most memory that a process has held (VmHWM)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])
