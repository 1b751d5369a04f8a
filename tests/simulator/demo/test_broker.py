"""The broker's configuration, on a real Mosquitto: who may connect, who may write what, how large."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.adapters.development_pki import make_development_pki
from protocol.topics import TopicName, topic
from simulator.demo.broker import BrokerError, BrokerFiles, await_broker, free_port, write_broker_files
from simulator.demo.processes import Children

STATE = topic(TopicName.NODE_STATE, node="N001")
PLAN = topic(TopicName.PLAN, area="thon-dong")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerFiles]:
    folder = tmp_path_factory.mktemp("broker with spaces")
    made = make_development_pki(folder / "pki", controller="controller1", nodes=["N001", "N002"])
    ports = {door: free_port() for door in ("port", "time_port", "services_port")}
    files = BrokerFiles(folder=folder, pki=made.folder, **ports)
    write_broker_files(files, controllers=("controller1",))
    children = Children(folder / "logs")
    children.start("broker", files.command)
    try:
        await_broker(files)
        yield files
    finally:
        children.stop()


def publish(files: BrokerFiles, certificate: Path, to: str, payload: str = "x") -> subprocess.CompletedProcess[str]:
    return client(files, certificate, "mosquitto_pub", "-t", to, "-m", payload, "-r")


def client(
    files: BrokerFiles, certificate: Path | None, program: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    is_service = certificate is not None and certificate.name == "controller"
    command = [
        program,
        "-h",
        "localhost",
        "-p",
        str(files.services_port if is_service else files.port),
        "--cafile",
        str(files.pki / "ca.pem"),
        "-V",
        "5",
        "-q",
        "1",
    ]
    if certificate is not None:
        command += ["--cert", f"{certificate}.pem", "--key", f"{certificate}.key"]
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=20, check=False, env=os.environ
    )


def stands(files: BrokerFiles, on: str) -> bool:
    found = client(files, files.pki / "controller", "mosquitto_sub", "-t", on, "-C", "1", "-W", "1")
    return found.returncode == 0 and bool(found.stdout)


def test_a_node_writes_its_own_state_and_nobody_elses(broker: BrokerFiles) -> None:
    own = broker.pki / "nodes" / "N001" / "node"
    publish(broker, own, STATE)
    assert stands(broker, STATE)
    other = topic(TopicName.NODE_STATE, node="N002")
    publish(broker, own, other)
    assert not stands(broker, other)


def test_only_the_controller_writes_plans(broker: BrokerFiles) -> None:
    publish(broker, broker.pki / "nodes" / "N001" / "node", PLAN)
    assert not stands(broker, PLAN)
    assert publish(broker, broker.pki / "controller", PLAN).returncode == 0
    assert stands(broker, PLAN)


def test_a_stranger_does_not_get_in(broker: BrokerFiles, tmp_path: Path) -> None:
    assert client(broker, None, "mosquitto_pub", "-t", STATE, "-m", "x").returncode != 0
    stranger = make_development_pki(tmp_path, controller="controller1", nodes=[]).folder / "controller"
    assert publish(broker, stranger, PLAN).returncode != 0


def test_a_message_beyond_the_bound_is_not_carried(broker: BrokerFiles) -> None:
    large = topic(TopicName.PLAN, area="large")
    publish(broker, broker.pki / "controller", large, "x" * 20_000)
    assert not stands(broker, large)


def test_a_broker_that_is_not_there_is_named(broker: BrokerFiles) -> None:
    absent = BrokerFiles(
        folder=broker.folder, pki=broker.pki, port=free_port(), time_port=free_port(), services_port=free_port()
    )
    with pytest.raises(BrokerError, match=rf"port {absent.services_port} .*refused"):
        await_broker(absent, seconds=0.3)


def test_a_preferred_port_is_taken_only_when_it_is_free(broker: BrokerFiles) -> None:
    assert free_port(broker.port) != broker.port
    wanted = free_port()
    assert free_port(wanted) == wanted
