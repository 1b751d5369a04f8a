"""What each kind of identity may write and read, proven from outside on a real Mosquitto with the product's files.

The expectation is written out here by hand, row by row as docs/protocol.md has it, and not taken from the table that
the rules are made of; a new row that nobody has decided about fails. A node has two doors, each with its own rows.
"""

from __future__ import annotations

import asyncio
import itertools
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from protocol.adapters.mqtt_link import MqttLink, MqttSettings
from protocol.topics import ROOT, TopicName, shard_of, topic
from tests.support.broker import RealBroker
from tests.support.pki import CONTROLLER, DevelopmentKeys, make_pki
from tests.support.waiting import until

NODE, OTHER = "N001", "N002"
DOORS = ("port", "time_port", "services_port")
NODES_OWN = {TopicName.NODE_STATE, TopicName.TELEMETRY, TopicName.REPORT}
"""What a node writes, under its own name only; nobody else writes there, and no node reads there."""
TO_ONE_NODE = {TopicName.ASSIGNMENT, TopicName.ACKNOWLEDGEMENT, TopicName.NODE_SILENCE}
"""What the controller writes to a node by name; no other node reads it."""
ASKED_AT_THE_TIMES_DOOR = {TopicName.TIME_REQUEST}
"""What a node writes there, under its certificate's subject only, and nowhere else."""
ANSWERED_AT_THE_TIMES_DOOR = {TopicName.TIME_REPLY}
"""What it reads there, and nowhere else."""
TO_ALL_NODES = {
    TopicName.ROOT,
    TopicName.KEYSET,
    TopicName.PLAN,
    TopicName.EMERGENCY,
    TopicName.AREA_SILENCE,
    TopicName.STREAM,
    TopicName.AUDIO,
}
"""What the controller writes and every node may read: public broadcasting."""
AMONG_CONTROLLERS = {TopicName.CONTROLLER_STATE}


def every_topic(name: TopicName, node: str) -> str:
    values = {"area": "thon-dong", "stream": "0123456789abcdef", "controller": CONTROLLER, "node": node}
    if name is TopicName.TIME_REQUEST:
        return f"{ROOT}/time/{shard_of(node)}/CN={node}"
    if name is TopicName.TIME_REPLY:
        return f"{ROOT}/node/CN={node}/time"
    path = {TopicName.TELEMETRY: "telemetry", TopicName.REPORT: "report"}.get(name)
    if path is not None:
        return f"{ROOT}/{path}/{shard_of(node)}/{node}"
    fields = {
        TopicName.ROOT: (),
        TopicName.KEYSET: (),
        TopicName.PLAN: ("area",),
        TopicName.EMERGENCY: ("area",),
        TopicName.AREA_SILENCE: ("area",),
        TopicName.STREAM: ("area", "stream"),
        TopicName.AUDIO: ("stream",),
        TopicName.CONTROLLER_STATE: ("controller",),
    }.get(name, ("node",))
    return topic(name, **{field: values[field] for field in fields})


class Client:
    """A link that keeps what it was sent."""

    def __init__(self, settings: MqttSettings) -> None:
        self.heard: set[tuple[str, bytes]] = set()
        self.connections = 0
        self.reasons: list[str] = []
        self.link = MqttLink(
            settings,
            on_connected=self._connected,
            on_disconnected=self.reasons.append,
            on_message=lambda on, payload: self.heard.add((on, payload)),
        )

    def _connected(self, _present: bool, _incarnation: int) -> None:
        self.connections += 1


@asynccontextmanager
async def connected(settings: MqttSettings) -> AsyncIterator[Client]:
    client = Client(settings)
    client.link.start()
    try:
        await until(lambda: client.connections > 0, what="the client is let in")
        yield client
    finally:
        await asyncio.to_thread(client.link.stop)


def test_every_row_of_the_table_is_decided_here() -> None:
    of_the_time = (ASKED_AT_THE_TIMES_DOOR, ANSWERED_AT_THE_TIMES_DOOR)
    kinds = (NODES_OWN, TO_ONE_NODE, TO_ALL_NODES, AMONG_CONTROLLERS, *of_the_time)
    assert set(TopicName) == set().union(*kinds)
    assert not any(one & other for one, other in itertools.combinations(kinds, 2))


async def test_a_node_writes_what_is_its_own_and_nothing_else(broker: RealBroker, pki: DevelopmentKeys) -> None:
    attempts = {(name, who): every_topic(name, who) for name in TopicName for who in (NODE, OTHER)}
    stray = [f"{ROOT}/anything", "elsewhere", f"{ROOT}/report/{shard_of(OTHER)}/{NODE}/x", "$SYS/broker/x"]
    async with (
        connected(pki.mqtt_settings(CONTROLLER, broker.services_port)) as witness,
        connected(pki.mqtt_settings(NODE, broker.port)) as node,
    ):
        witness.link.subscribe([("#", 1), (f"{ROOT}/#", 1)])
        await until_subscribed(witness)
        stray += [path.replace(NODE, f"CN={NODE}") for path in attempts.values()]
        for attempted in [*attempts.values(), *stray]:
            node.link.publish(attempted, b"from a node")
        last = every_topic(TopicName.NODE_STATE, NODE)
        node.link.publish(last, b"last")
        await until(lambda: (last, b"last") in witness.heard, what="what the node sent last arrives")
        arrived = {on for on, payload in witness.heard if payload == b"from a node"}
    assert arrived == {attempts[name, NODE] for name in NODES_OWN}


async def test_a_node_reads_what_is_for_everybody_and_for_itself(broker: RealBroker, pki: DevelopmentKeys) -> None:
    from_controller = {
        (name, who): every_topic(name, who)
        for name in TO_ONE_NODE | TO_ALL_NODES | AMONG_CONTROLLERS | ANSWERED_AT_THE_TIMES_DOOR
        for who in (NODE, OTHER)
    }
    async with (
        connected(pki.mqtt_settings(CONTROLLER, broker.services_port)) as controller,
        connected(pki.mqtt_settings(OTHER, broker.port)) as other,
        connected(pki.mqtt_settings(NODE, broker.port)) as node,
    ):
        node.link.subscribe([("#", 1), (f"{ROOT}/#", 1), *((each, 1) for each in from_controller.values())])
        node.link.subscribe([(every_topic(name, OTHER), 1) for name in NODES_OWN])
        last = every_topic(TopicName.ASSIGNMENT, NODE)
        await until(lambda: probe(controller, node, last), what="the subscriptions stand")
        for name in NODES_OWN:
            other.link.publish(every_topic(name, OTHER), b"from another node")
        for each in from_controller.values():
            controller.link.publish(each, b"from the controller")
        controller.link.publish(last, b"last")
        await until(lambda: (last, b"last") in node.heard, what="what the controller sent last arrives")
        heard = {(on, payload) for on, payload in node.heard if payload.startswith(b"from")}
    expected = {from_controller[name, who] for name in TO_ALL_NODES for who in (NODE, OTHER)}
    expected |= {from_controller[name, NODE] for name in TO_ONE_NODE}
    assert heard == {(on, b"from the controller") for on in expected}


async def test_the_controller_writes_what_is_its_own_and_not_what_nodes_say(
    broker: RealBroker, pki: DevelopmentKeys
) -> None:
    attempts = {name: every_topic(name, NODE) for name in TopicName}
    async with connected(pki.mqtt_settings(CONTROLLER, broker.services_port)) as controller:
        controller.link.subscribe([(f"{ROOT}/#", 1)])
        await until_subscribed(controller)
        foreign = topic(TopicName.CONTROLLER_STATE, controller="controller2")
        for attempted in [*attempts.values(), foreign]:
            controller.link.publish(attempted, b"from the controller")
        last = every_topic(TopicName.KEYSET, NODE)
        controller.link.publish(last, b"last")
        await until(lambda: (last, b"last") in controller.heard, what="what was sent last arrives")
        arrived = {on for on, payload in controller.heard if payload == b"from the controller"}
    assert arrived == {on for name, on in attempts.items() if name not in NODES_OWN | ASKED_AT_THE_TIMES_DOOR}


async def test_no_node_pushes_another_out_whatever_it_calls_itself(broker: RealBroker, pki: DevelopmentKeys) -> None:
    async with (
        connected(pki.mqtt_settings(CONTROLLER, broker.services_port)) as witness,
        connected(pki.mqtt_settings(OTHER, broker.port)) as victim,
    ):
        witness.link.subscribe([(f"{ROOT}/#", 1)])
        await until_subscribed(witness)
        async with connected(pki.mqtt_settings(NODE, broker.port, client_id=OTHER)) as thief:
            thief.link.publish(every_topic(TopicName.NODE_STATE, OTHER), b"as another")
            thief.link.publish(every_topic(TopicName.NODE_STATE, NODE), b"as itself")
            await until(
                lambda: any(payload == b"as itself" for _, payload in witness.heard), what="the thief is itself"
            )
        victim.link.publish(every_topic(TopicName.NODE_STATE, OTHER), b"still here")
        await until(lambda: any(payload == b"still here" for _, payload in witness.heard), what="the victim is heard")
        assert victim.connections == 1
        assert not victim.reasons
        assert not any(payload == b"as another" for _, payload in witness.heard)


async def test_at_the_door_of_the_time_a_node_asks_in_its_own_name_and_writes_nothing_else(
    broker: RealBroker, pki: DevelopmentKeys
) -> None:
    paths = {(name, who): every_topic(name, who) for name in TopicName for who in (NODE, OTHER)}
    attempts = {*paths.values(), *(path.replace(NODE, f"CN={NODE}") for path in paths.values())}
    stray = {f"{ROOT}/anything", f"{ROOT}/time/{shard_of(NODE)}/{NODE}", "$SYS/broker/x", f"CN={NODE}"}
    asked = f"{ROOT}/time/{shard_of(NODE)}/CN={NODE}"
    async with (
        connected(pki.mqtt_settings(CONTROLLER, broker.services_port)) as witness,
        connected(pki.mqtt_settings(NODE, broker.time_port)) as node,
    ):
        witness.link.subscribe([("#", 1), (f"{ROOT}/#", 1)])
        await until_subscribed(witness)
        for attempted in (*attempts, *stray):
            node.link.publish(attempted, b"from a node", retain=True)
        node.link.publish(asked, b"last")
        await until(lambda: (asked, b"last") in witness.heard, what="what the node sent last arrives")
        arrived = {on for on, payload in witness.heard if payload == b"from a node"}
    assert arrived == {asked}


async def test_at_the_door_of_the_time_a_node_reads_its_own_answers_and_nothing_else(
    broker: RealBroker, pki: DevelopmentKeys
) -> None:
    paths = {every_topic(name, who) for name in TopicName for who in (NODE, OTHER)}
    own = f"{ROOT}/node/CN={NODE}/time"
    async with (
        connected(pki.mqtt_settings(CONTROLLER, broker.services_port)) as controller,
        connected(pki.mqtt_settings(OTHER, broker.port)) as other,
        connected(pki.mqtt_settings(OTHER, broker.time_port)) as others_time,
        connected(pki.mqtt_settings(NODE, broker.time_port)) as node,
    ):
        node.link.subscribe([("#", 1), (f"{ROOT}/#", 1), ("$SYS/#", 1), *((each, 1) for each in paths)])
        await until(lambda: probe(controller, node, own), what="the subscriptions stand")
        for path in paths:
            controller.link.publish(path, b"from the controller", retain=True)
            other.link.publish(path, b"from another node")
            others_time.link.publish(path, b"from another node")
        controller.link.publish(own, b"last")
        await until(lambda: (own, b"last") in node.heard, what="what the controller sent last arrives")
        heard = {on for on, payload in node.heard if payload != b"probe"}
    assert heard == {own}


@pytest.mark.parametrize("client_id", [NODE, f"CN={NODE}", OTHER, f"CN={OTHER}", CONTROLLER, f"{CONTROLLER}-time", ""])
async def test_a_connection_for_the_time_pushes_nobody_out_whatever_it_calls_itself(
    broker: RealBroker, pki: DevelopmentKeys, client_id: str
) -> None:
    """Neither its own first connection, nor anything of another node or of the controller."""
    async with (
        connected(pki.mqtt_settings(CONTROLLER, broker.services_port)) as controller,
        connected(pki.mqtt_settings(CONTROLLER, broker.services_port, client_id=f"{CONTROLLER}-time")) as service,
        connected(pki.mqtt_settings(NODE, broker.port)) as own,
        connected(pki.mqtt_settings(OTHER, broker.port)) as others,
        connected(pki.mqtt_settings(OTHER, broker.time_port)) as others_time,
    ):
        standing = {CONTROLLER: controller, "service": service, NODE: own, OTHER: others, f"{OTHER} time": others_time}
        service.link.subscribe([(f"{ROOT}/#", 1)])
        async with connected(pki.mqtt_settings(NODE, broker.time_port, client_id=client_id)) as thief:
            asked = every_topic(TopicName.TIME_REQUEST, NODE)
            await until(lambda: probe(thief, service, asked), what="the thief is heard as itself")
            others_asked = every_topic(TopicName.TIME_REQUEST, OTHER)
            await until(lambda: probe(others_time, service, others_asked), what="the other's connection is heard")
            for node, name in ((own, NODE), (others, OTHER)):
                state = every_topic(TopicName.NODE_STATE, name)
                await until(partial(probe, node, service, state), what=f"{name} is heard")
        assert {who: (each.connections, each.reasons) for who, each in standing.items()} == {
            who: (1, []) for who in standing
        }


async def test_a_first_connection_pushes_no_connection_for_the_time_out(
    broker: RealBroker, pki: DevelopmentKeys
) -> None:
    async with (
        connected(pki.mqtt_settings(OTHER, broker.time_port)) as others_time,
        connected(pki.mqtt_settings(NODE, broker.time_port)) as own_time,
    ):
        for client_id in (f"CN={OTHER}", f"CN={NODE}"):
            async with connected(pki.mqtt_settings(NODE, broker.port, client_id=client_id)):
                pass
        for client, name in ((others_time, OTHER), (own_time, NODE)):
            reply = every_topic(TopicName.TIME_REPLY, name)
            client.link.subscribe([(reply, 0)])
            async with connected(pki.mqtt_settings(CONTROLLER, broker.services_port)) as controller:
                await until(
                    partial(probe, controller, client, reply),
                    what=f"{name} is answered",
                )
            assert (client.connections, client.reasons) == (1, [])


@pytest.mark.parametrize("door", DOORS)
def test_nobody_comes_in_without_a_certificate_of_our_authority(
    broker: RealBroker, pki: DevelopmentKeys, tmp_path: Path, door: str
) -> None:
    foreign = make_pki(tmp_path / "foreign").folder
    ca = str(pki.folder / "ca.pem")
    port = str(getattr(broker, door))
    for name, identity in identities(pki.folder, foreign):
        for version in ("311", "5"):
            command = ["mosquitto_pub", "-h", "localhost", "-p", port, "-V", version, "-t", "x", "-m", "x", *identity]
            command += ["--cafile", ca]
            done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
            assert (done.returncode == 0) is (name == "our own"), (name, version, done.stderr)
    plain = ["mosquitto_pub", "-h", "127.0.0.1", "-p", port, "-t", "x", "-m", "x", "-u", "admin", "-P", "admin"]
    assert subprocess.run(plain, capture_output=True, timeout=20, check=False).returncode != 0


def identities(ours: Path, foreign: Path) -> Iterator[tuple[str, list[str]]]:
    for name, stem in (
        ("our own", ours / "nodes" / NODE / "node"),
        ("another authority's node", foreign / "nodes" / NODE / "node"),
        ("another authority's controller", foreign / "controller"),
    ):
        yield name, ["--cert", f"{stem}.pem", "--key", f"{stem}.key"]
    yield "no certificate", []
    yield "a password", ["-u", NODE, "-P", "mosquitto"]


async def until_subscribed(client: Client) -> None:
    """Until what it publishes on a topic that it may write and read comes back."""
    on = topic(TopicName.CONTROLLER_STATE, controller=CONTROLLER)
    await until(lambda: probe(client, client, on), what="the subscription stands")


def probe(sender: Client, receiver: Client, on: str) -> bool:
    sender.link.publish(on, b"probe")
    return (on, b"probe") in receiver.heard
