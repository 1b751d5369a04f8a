"""The broker's files on disk, and a revoked node at a real broker: its session ends, and it does not come back."""

from __future__ import annotations

import datetime as dt
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from controller.adapters.broker_files import BrokerKeeper, tell_broker
from controller.cli import main
from controller.configuration.config import Config
from controller.configuration.parsing import parse_config
from protocol.adapters.mqtt_link import MqttLink, MqttSettings
from tests.support.broker import RealBroker, real_broker
from tests.support.controller_desk import plain_config
from tests.support.pki import CONTROLLER, DevelopmentKeys, make_pki
from tests.support.waiting import until

SERVER = {"certificate": "server.pem", "private_key": "server.key", "ca": "ca.pem"}


def server_section(folder: Path, keys: DevelopmentKeys, **changes: Any) -> dict[str, Any]:
    plain = {name: keys.folder / file for name, file in SERVER.items()}
    return {"folder": str(folder), **{key: str(value) for key, value in {**plain, **changes}.items()}}


def written(path: Path, plain: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(plain, allow_unicode=True))
    return path


def test_write_then_check_then_a_change_by_hand(
    tmp_path: Path, pki: DevelopmentKeys, capsys: pytest.CaptureFixture[str]
) -> None:
    broker = {"port": 8884, "server": server_section(tmp_path / "made", pki)}
    config = str(written(tmp_path / "controller.yaml", plain_config(pki, broker=broker)))
    assert main(["broker", "check", config]) == 1
    assert main(["broker", "write", config]) == 0
    assert main(["broker", "check", config]) == 0
    access = tmp_path / "made" / "services.acl"
    assert stat.S_IMODE(access.stat().st_mode) == 0o640
    assert "user controller1" in access.read_text()
    capsys.readouterr()
    assert main(["broker", "write", config]) == 0
    assert capsys.readouterr().out.count("unchanged") == 8
    access.write_text(access.read_text() + "topic readwrite #\n")
    assert main(["broker", "check", config]) == 1
    assert f"{access} is not as it should be" in capsys.readouterr().err


def test_the_broker_gets_its_own_copies_and_a_renewed_certificate_makes_them_stale(
    tmp_path: Path, pki: DevelopmentKeys, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate = tmp_path / "server.pem"
    certificate.write_bytes((pki.folder / "server.pem").read_bytes())
    made = tmp_path / "made"
    broker = {"port": 8884, "server": server_section(made, pki, certificate=certificate)}
    config = str(written(tmp_path / "controller.yaml", plain_config(pki, broker=broker)))
    assert main(["broker", "write", config]) == 0
    assert f"keyfile {made / 'server.key'}" in (made / "mosquitto.conf").read_text()
    assert stat.S_IMODE((made / "server.key").stat().st_mode) == 0o640
    certificate.write_bytes(certificate.read_bytes() + b"\n")
    assert main(["broker", "check", config]) == 1
    assert f"{made / 'server.pem'} is not as it should be" in capsys.readouterr().err


def test_files_that_the_brokers_group_cannot_read_are_written_again(
    tmp_path: Path, pki: DevelopmentKeys, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "made"
    config = str(
        written(
            tmp_path / "controller.yaml", plain_config(pki, broker={"port": 8884, "server": server_section(made, pki)})
        )
    )
    assert main(["broker", "write", config]) == 0
    (made / "nodes.acl").chmod(0o600)
    capsys.readouterr()
    assert main(["broker", "write", config]) == 0
    assert capsys.readouterr().out.count(": written") == 1
    assert stat.S_IMODE((made / "nodes.acl").stat().st_mode) == 0o640


def test_a_configuration_without_a_broker_of_its_own_says_what_is_missing(
    tmp_path: Path, pki: DevelopmentKeys, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(written(tmp_path / "controller.yaml", plain_config(pki)))
    assert main(["broker", "write", config]) == 2
    assert "broker.server" in capsys.readouterr().err


def revocation_list(keys: DevelopmentKeys, nodes: Sequence[str]) -> bytes:
    authority = x509.load_pem_x509_certificate((keys.folder / "ca.pem").read_bytes())
    private = serialization.load_pem_private_key((keys.folder / "ca.key").read_bytes(), password=None)
    assert isinstance(private, EllipticCurvePrivateKey)
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=authority.subject, last_update=now - dt.timedelta(days=1), next_update=now + dt.timedelta(days=30)
    )
    for node in nodes:
        certificate = x509.load_pem_x509_certificate((keys.folder / "nodes" / node / "node.pem").read_bytes())
        entry = x509.RevokedCertificateBuilder(serial_number=certificate.serial_number, revocation_date=now)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


class Node:
    """A node's connection, and what became of it."""

    def __init__(self, settings: MqttSettings) -> None:
        self.connections, self.reasons = 0, list[str]()
        self.link = MqttLink(
            settings, on_connected=self._connected, on_disconnected=self.reasons.append, on_message=lambda *_: None
        )

    def _connected(self, _present: bool, _incarnation: int) -> None:
        self.connections += 1


@asynccontextmanager
async def connected(settings: MqttSettings) -> AsyncIterator[Node]:
    node = Node(settings)
    node.link.start()
    try:
        await until(lambda: node.connections == 1, what="the node is let in")
        yield node
    finally:
        node.link.stop()


def config_for(broker: RealBroker, folder: Path, keys: DevelopmentKeys) -> Config:
    server = server_section(folder, keys, revoked=folder / "revoked.pem", pid_file=folder / "mosquitto.pid")
    server["services"] = {"address": "127.0.0.1", "port": broker.services_port}
    trust = {name: str(keys.folder / file) for name, file in TRUST.items()}
    plain = plain_config(keys, broker={"host": "localhost", "port": broker.services_port, "server": server})
    plain["trust"] |= trust
    return parse_config(yaml.safe_dump(plain), folder=folder, name="controller.yaml")


TRUST = {"ca": "ca.pem", "certificate": "controller.pem", "private_key": "controller.key"}


@pytest.mark.parametrize("door", ["port", "time_port"])
async def test_a_revoked_nodes_session_ends_and_it_stays_out_while_the_others_stay_in(
    tmp_path: Path, door: str
) -> None:
    keys, folder = make_pki(tmp_path / "keys"), tmp_path / "broker"
    folder.mkdir()
    (folder / "revoked.pem").write_bytes(revocation_list(keys, []))
    with real_broker(folder, keys.folder, controllers=(CONTROLLER,)) as broker:
        keeper = BrokerKeeper(config_for(broker, folder, keys))
        async with (
            connected(keys.mqtt_settings("N001", getattr(broker, door))) as revoked,
            connected(keys.mqtt_settings("N002", getattr(broker, door))) as other,
        ):
            await keeper.revoke(revocation_list(keys, ["N001"]), ["N001"])
            await until(lambda: revoked.reasons, what="the session is ended")
            await until(lambda: len(revoked.reasons) >= 3, seconds=20, what="it tries again and is refused")
            assert revoked.connections == 1
            assert "refuses our certificate" in revoked.reasons[-1]
            assert other.connections == 1
            assert not other.reasons


def test_the_process_that_a_stale_pid_file_names_is_left_alone(tmp_path: Path) -> None:
    stale = tmp_path / "mosquitto.pid"
    assert not tell_broker(stale)
    stale.write_text("1\n")
    assert not tell_broker(stale)
    stale.write_text("no number")
    assert not tell_broker(stale)
