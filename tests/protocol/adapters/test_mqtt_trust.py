"""Whom a link trusts, and who trusts it: certificates of a real Mosquitto, its name, and files that cannot be used."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate

from controller.adapters.certificate_profile import SERVER, Issuer, service_certificate
from protocol.adapters.mqtt_link import LinkError, MqttLink
from tests.support.broker import RealBroker
from tests.support.linked import Heard, linked
from tests.support.pki import DevelopmentKeys, make_pki
from tests.support.waiting import until


async def test_a_certificate_of_another_authority_is_refused(
    broker: RealBroker, pki: DevelopmentKeys, tmp_path: Path
) -> None:
    foreign = make_pki(tmp_path / "foreign")
    settings = foreign.mqtt_settings("N001", broker.port, ca_path=pki.folder / "ca.pem")
    with linked(settings) as (_, heard):
        await until(lambda: heard.disconnected)
    assert "refuses our certificate" in heard.disconnected[0]
    assert not heard.connected


async def test_a_node_whose_clock_is_behind_the_servers_certificate_is_connected_and_others_are_not(
    broker: RealBroker, pki: DevelopmentKeys, tmp_path: Path
) -> None:
    tomorrow = tmp_path / "tomorrow"
    shutil.copytree(pki.folder, tomorrow)
    key = load_pem_private_key((tomorrow / "server.key").read_bytes(), password=None)
    authority_key = load_pem_private_key((tomorrow / "ca.key").read_bytes(), password=None)
    assert isinstance(key, EllipticCurvePrivateKey)
    assert isinstance(authority_key, EllipticCurvePrivateKey)
    issuer = Issuer(key=authority_key, certificate=load_pem_x509_certificate((tomorrow / "ca.pem").read_bytes()))
    begins = datetime.now(UTC) + timedelta(days=2)
    not_yet_valid = service_certificate(
        key.public_key(), issuer=issuer, name="server", usage=SERVER, now=begins, hosts=["localhost"]
    )
    (tomorrow / "server.pem").write_bytes(not_yet_valid.public_bytes(Encoding.PEM))
    broker.stop()
    broker.start(server_pki=tomorrow, await_ready=False)
    with (
        linked(pki.mqtt_settings("N001", broker.port, is_time_checked=False)) as (_, behind),
        linked(pki.mqtt_settings("N002", broker.port)) as (_, strict),
    ):
        await until(lambda: behind.connected)
        await until(lambda: any("not to be trusted" in reason for reason in strict.disconnected))
        assert not strict.connected
    with linked(pki.mqtt_settings("N001", broker.port, is_time_checked=False, host="127.0.0.2")) as (_, elsewhere):
        await until(lambda: elsewhere.disconnected)
        assert not elsewhere.connected, "the name is checked all the same"


async def test_a_broker_of_another_authority_is_not_trusted(
    broker: RealBroker, pki: DevelopmentKeys, tmp_path: Path
) -> None:
    foreign = make_pki(tmp_path / "foreign")
    settings = pki.mqtt_settings("N001", broker.port, ca_path=foreign.folder / "ca.pem")
    with linked(settings) as (_, heard):
        await until(lambda: heard.disconnected)
    assert "not to be trusted" in heard.disconnected[0]
    assert not heard.connected


async def test_a_broker_that_restarts_with_another_certificate_is_not_trusted(
    broker: RealBroker, pki: DevelopmentKeys, tmp_path: Path
) -> None:
    foreign = make_pki(tmp_path / "foreign")
    with linked(pki.mqtt_settings("N001", broker.port)) as (_, heard):
        await until(lambda: heard.connected)
        broker.stop()
        broker.start(server_pki=foreign.folder)
        await until(lambda: any("not to be trusted" in reason for reason in heard.disconnected), seconds=15)
        assert len(heard.connected) == 1


async def test_a_renewal_brings_the_authority_that_the_broker_changes_to(
    broker: RealBroker, pki: DevelopmentKeys, tmp_path: Path
) -> None:
    """The node's file of authorities gets a second one with its renewed certificate; the link goes on running."""
    foreign = make_pki(tmp_path / "foreign")
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes((foreign.folder / "ca.pem").read_bytes())
    settings = pki.mqtt_settings("N001", broker.port, ca_path=trusted)
    with linked(settings) as (link, heard):
        await until(lambda: any("not to be trusted" in reason for reason in heard.disconnected))
        trusted.write_bytes(trusted.read_bytes() + (pki.folder / "ca.pem").read_bytes())
        link.use_certificate(settings.certificate_path, settings.private_key_path)
        await until(lambda: heard.connected, seconds=15)


async def test_a_broker_of_another_name_is_not_trusted(broker: RealBroker, pki: DevelopmentKeys) -> None:
    with linked(pki.mqtt_settings("N001", broker.port, host="127.0.0.2")) as (_, heard):
        await until(lambda: heard.disconnected)
    assert not heard.connected


def test_unusable_files_are_named_before_anything_starts(pki: DevelopmentKeys, tmp_path: Path) -> None:
    heard = Heard()
    for field_name in ("ca_path", "certificate_path", "private_key_path"):
        path = tmp_path / f"{field_name}.pem"
        path.write_text("not a key")
        for candidate in (path, tmp_path / "absent.pem"):
            with pytest.raises(LinkError, match=candidate.name):
                MqttLink(
                    pki.mqtt_settings("N001", 1, **{field_name: candidate}),
                    on_connected=heard.on_connected,
                    on_disconnected=heard.on_disconnected,
                    on_message=heard.on_message,
                )
