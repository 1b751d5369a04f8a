"""The link against a broker that is an enemy: whatever it sends, the link is there again, and holds little of it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.topics import TopicName, topic
from simulator.demo.broker import free_port
from simulator.load.mqtt_bytes import publish
from tests.support.hostile_broker import HostileBroker
from tests.support.linked import linked
from tests.support.pki import DevelopmentKeys
from tests.support.waiting import until

PLAN = topic(TopicName.PLAN, area="thon-dong")
HUGE = b"\x30\xff\xff\xff\x7f"
"""A PUBLISH of 256 MiB begins."""


@pytest.fixture
def hostile(pki: DevelopmentKeys) -> Iterator[HostileBroker]:
    port = free_port()
    with HostileBroker(port, certificate=pki.folder / "server.pem", ca=pki.folder / "ca.pem") as broker:
        yield broker


def kept_bytes() -> int:
    """What this process holds in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def test_a_packet_that_is_far_too_large_ends_the_connection_and_not_the_memory(
    hostile: HostileBroker, pki: DevelopmentKeys
) -> None:
    with linked(pki.mqtt_settings("N001", hostile.port)) as (_, heard):
        await until(lambda: heard.connected, what="the link is there")
        before = kept_bytes()
        hostile.pour("N001", HUGE + bytes(65_536))
        await until(lambda: heard.disconnected, what="the link hangs up")
        assert kept_bytes() - before < 32 * 1024**2
        assert "268435455 bytes" in heard.disconnected[0]
        await until(lambda: len(heard.connected) > 1, what="the link comes back", seconds=10)


@pytest.mark.parametrize("seed", range(6))
async def test_after_any_bytes_the_link_is_there_again(hostile: HostileBroker, pki: DevelopmentKeys, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - garbage, no secret
    good = publish(PLAN, b"a plan")
    kinds = (
        lambda: dice.randbytes(dice.randrange(2, 400)),
        lambda: bytes([0x30 | dice.randrange(16)]) + bytes([dice.randrange(128)]) + dice.randbytes(128),
        lambda: b"\x30" + bytes([6]) + b"\x00\x02\xff\xfe\x00x",
        lambda: good[: dice.randrange(1, len(good))] + dice.randbytes(40),
        lambda: bytes([dice.randrange(256), 0]),
        lambda: b"\xe0\x02\x8e\x00",
    )
    with linked(pki.mqtt_settings("N001", hostile.port)) as (_, heard):
        await until(lambda: hostile.has("N001"), what="the link is there")
        hostile.pour("N001", kinds[seed]())

        def hears() -> bool:
            if hostile.has("N001"):
                hostile.pour("N001", good)
            return (PLAN, b"a plan") in heard.messages

        await until(hears, what="a good message is heard", seconds=20)
