"""Fifty light nodes on a real broker and controller; and what a load generator refuses."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from controller.adapters.development_pki import make_development_pki
from protocol.topics import TopicName, topic
from simulator import cli
from simulator.demo.broker import BrokerFiles, await_broker, free_port, write_broker_files
from simulator.demo.processes import Children
from simulator.load.crowd import Crowd, CrowdSettings
from simulator.load.identities import Identity, IdentityError, load_authority, make_identities
from simulator.load.light_node import LightSettings
from simulator.load.run import LoadOptions, run_own
from simulator.load.target import TargetError, require_loopback

pytestmark = pytest.mark.alone


def test_fifty_nodes_say_how_they_are_learn_the_time_and_receive_an_order() -> None:
    result = run_own(LoadOptions(nodes=50, seconds=2, status_every_s=1, time_every_s=2, orders=1), say=lambda _: None)
    assert result.ok, result
    assert (result.ready, result.lost, result.known_to_controller) == (50, 0, 50)
    assert result.known_s is not None
    assert result.known_s < 10
    assert set(result.usage) == {"connecting", "status and time", "orders"}
    assert all(set(programs) == {"broker", "controller", "generator"} for programs in result.usage.values())
    assert result.time is not None
    assert (result.time.refused, result.time.lost, result.time.beyond_bound) == ({}, 0, 0)
    assert result.time.asked == result.time.answered >= 40
    assert result.time.error_ms_p50 is not None
    assert result.time.error_ms_p50 < 50
    assert result.statuses_per_s is not None
    assert 25 < result.statuses_per_s < 75
    assert result.orders is not None
    assert result.orders.received == 50
    assert result.orders.received_ms_p99 is not None
    assert 0 < result.orders.received_ms_p99 < 2_000


@pytest.mark.slow
@pytest.mark.lengthy
def test_fifty_nodes_on_a_stream_hear_every_packet_and_come_back_after_a_restart() -> None:
    result = run_own(
        LoadOptions(nodes=50, seconds=3, has_stream=True, has_restart=True, processes=2), say=lambda _: None
    )
    assert result.ok, result
    assert result.stream is not None
    assert result.stream.received == result.stream.expected >= 50 * 20
    assert result.stream.spare_ms_min is not None
    assert result.stream.spare_ms_min > 0
    assert result.restart is not None
    assert result.restart.all_back_s is not None
    assert result.restart.all_back_s < 60
    assert set(result.usage) == {"connecting", "stream", "restart"}


@pytest.fixture
def lone_broker(tmp_path: Path) -> BrokerFiles:
    make_development_pki(tmp_path / "pki", controller="controller1", nodes=["N001"])
    ports = {door: free_port() for door in ("port", "time_port", "services_port")}
    files = BrokerFiles(folder=tmp_path / "broker", pki=tmp_path / "pki", **ports)
    write_broker_files(files, controllers=("controller1",))
    return files


def test_what_is_not_received_is_not_counted_and_a_foreign_name_may_say_nothing(
    tmp_path: Path, lone_broker: BrokerFiles
) -> None:
    """A certificate of another authority is refused; the crowd says why, and goes on trying."""
    stranger = make_development_pki(tmp_path / "other", controller="controller1", nodes=["N001"])
    children = Children(tmp_path / "logs")
    children.start("broker", lone_broker.command)
    keys = stranger.folder / "nodes" / "N001"
    known = lone_broker.pki / "nodes" / "N001"
    try:
        await_broker(lone_broker)
        crowd = Crowd(
            CrowdSettings(
                host="127.0.0.1",
                port=lone_broker.port,
                ca_path=str(lone_broker.pki / "ca.pem"),
                nodes=[
                    LightSettings(identity=Identity("N001", str(known / "node.pem"), str(known / "node.key"))),
                    LightSettings(identity=Identity("N002", str(keys / "node.pem"), str(keys / "node.key"))),
                ],
                audio_topics=(topic(TopicName.AUDIO, stream="0123456789abcdef"),),
            )
        )
        deadline_s = time.monotonic() + 10
        while (crowd.counts.ready < 1 or not crowd.counts.failed) and time.monotonic() < deadline_s:
            crowd.serve(0.05)
        crowd.close()
    finally:
        children.stop()
    assert crowd.counts.ready == 1
    assert crowd.counts.failed >= 1
    assert crowd.counts.first_failure
    assert not crowd.is_complete
    assert crowd.counts.audio == {}


def test_each_light_node_has_a_certificate_of_its_own(tmp_path: Path, lone_broker: BrokerFiles) -> None:
    begin_s = time.process_time()
    made = make_identities(load_authority(lone_broker.pki), [f"L{n:05d}" for n in range(100)], tmp_path / "light")
    assert time.process_time() - begin_s < 5
    assert len({Path(each.certificate_path).read_bytes() for each in made}) == 100
    with pytest.raises(IdentityError, match="cannot be read"):
        load_authority(tmp_path)


@pytest.mark.parametrize("host", ["192.0.2.7", "10.0.0.1"])
def test_another_machine_is_refused(host: str) -> None:
    with pytest.raises(TargetError, match="another machine"):
        require_loopback(host)
    assert require_loopback("localhost").startswith("127.")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["load", "--nodes", "13000"], "is not between 1 and 12000"),
        (["load", "--for", "500"], "is not between 1 and 120"),
        (["load", "--own", "--controller", "x.yaml"], "not allowed with"),
        (["fleet", "--nodes", "x"], "is no number"),
    ],
)
def test_what_has_no_bound_is_refused(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_a_configuration_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["load", "--nodes", "1", "--controller", str(tmp_path / "none.yaml")]) == 1
    said = capsys.readouterr()
    assert "none.yaml cannot be read" in said.err
    with pytest.raises(json.JSONDecodeError):
        json.loads(said.out)
