"""What a restart of the broker keeps and what it forgets: part of the link's contract, on the fake and the real one.

See test_link_contract.py for the rest.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from protocol.adapters.mqtt_link import Will
from protocol.topics import TopicName, topic
from tests.support.link_bench import Bench, link_bench
from tests.support.pki import CONTROLLER, DevelopmentKeys

STATE = topic(TopicName.NODE_STATE, node="N001")
ASSIGNMENT = topic(TopicName.ASSIGNMENT, node="N001")
PLAN = topic(TopicName.PLAN, area="thon-dong")

QUIET_S = 0.4
"""How long nothing must come for "nothing came" to be believed."""


@pytest_asyncio.fixture
async def persistent_bench(kind: str, tmp_path: Path, pki: DevelopmentKeys) -> AsyncIterator[Bench]:
    async with link_bench(kind, tmp_path / "broker", pki, is_persistent=True) as running:
        yield running


async def test_a_restart_without_persistence_forgets_everything(bench: Bench) -> None:
    controller, controller_heard = await bench.link(CONTROLLER)
    controller.publish(PLAN, b"plan", retain=True)
    node, heard = await bench.link("N001")
    node.subscribe([(PLAN, 1)])
    await bench.until(lambda: heard.payloads == [b"plan"])
    bench.stop_broker()
    await bench.until(lambda: heard.disconnected and controller_heard.disconnected)
    bench.start_broker()
    await bench.until(lambda: len(heard.connected) == 2 and len(controller_heard.connected) == 2)
    await bench.elapse(QUIET_S)
    assert heard.connected[1] == (False, 2)
    assert heard.payloads == [b"plan"]
    controller.publish(PLAN, b"again", retain=True)
    await bench.until(lambda: heard.payloads == [b"plan", b"again"])


@pytest.mark.parametrize("is_resumed", [True, False])
async def test_an_orderly_restart_with_persistence_keeps_sessions_that_were_resumed_once(
    persistent_bench: Bench, is_resumed: bool
) -> None:
    """Mosquitto writes no session to disk whose last CONNECT was a clean start, as a process's first one is."""
    bench = persistent_bench
    controller, controller_heard = await bench.link(CONTROLLER)
    controller.publish(PLAN, b"plan", retain=True)
    node, heard = await bench.link("N001")
    node.subscribe([(PLAN, 1), (ASSIGNMENT, 1)])
    await bench.until(lambda: heard.payloads == [b"plan"])
    await bench.elapse(QUIET_S)
    if is_resumed:
        bench.cut("N001")
        bench.restore("N001")
        await bench.until(lambda: len(heard.connected) == 2)
    bench.cut("N001")
    await bench.until(lambda: len(heard.disconnected) == len(heard.connected))
    controller.publish(ASSIGNMENT, b"waits on disk")
    await bench.elapse(QUIET_S)
    bench.stop_broker()
    await bench.until(lambda: controller_heard.disconnected)
    before = len(heard.connected)
    bench.start_broker()
    bench.restore("N001")
    await bench.until(lambda: len(heard.connected) > before and len(heard.messages) == 2)
    await bench.elapse(QUIET_S)
    assert heard.connected[-1][0] is is_resumed
    assert heard.payloads == [b"plan", b"waits on disk" if is_resumed else b"plan"]


async def test_an_orderly_stop_leaves_every_will_as_the_retained_state(persistent_bench: Bench) -> None:
    """A habit of Mosquitto that looks like a hundred lost poles after each restart, until they are back."""
    bench = persistent_bench
    controller, heard = await bench.link(CONTROLLER)
    node, node_heard = await bench.link("N001", will=Will(topic=STATE, payload=b"lost", delay_s=60))
    node.publish(STATE, b"ready", retain=True)
    await bench.elapse(QUIET_S)
    bench.cut("N001")
    bench.restore("N001")
    await bench.until(lambda: len(node_heard.connected) == 2)
    bench.stop_broker()
    await bench.until(lambda: heard.disconnected and len(node_heard.disconnected) == 2)
    bench.start_broker()
    await bench.until(lambda: len(heard.connected) == 2)
    controller.subscribe([(STATE, 1)])
    await bench.until(lambda: heard.messages)
    assert heard.payloads[0] == b"lost"


async def test_a_killed_broker_forgets_what_it_had_not_saved(persistent_bench: Bench) -> None:
    bench = persistent_bench
    controller, heard = await bench.link(CONTROLLER)
    controller.publish(PLAN, b"plan", retain=True)
    await bench.elapse(QUIET_S)
    bench.kill_broker()
    await bench.until(lambda: heard.disconnected)
    bench.start_broker()
    await bench.until(lambda: len(heard.connected) == 2)
    assert heard.connected[1] == (False, 2)
    node, node_heard = await bench.link("N001")
    node.subscribe([(PLAN, 1)])
    await bench.elapse(QUIET_S)
    assert node_heard.messages == []
