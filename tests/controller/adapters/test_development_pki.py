"""The development keys: whole, private, never replaced, and accepted by TLS and by the keyset's rules."""

from __future__ import annotations

import argparse
import json
import os
import ssl
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509

from controller.adapters import development_pki
from controller.adapters.certificate_profile import common_name, hosts_of
from controller.adapters.development_pki import DevelopmentPkiError, make_development_pki
from protocol.codec import cbor_decode
from protocol.envelope import open_sealed_by_many
from protocol.errors import Refusal
from protocol.messages import Keyset, Reality
from protocol.topics import TopicName, topic

PRIVATE_PARTS = ("ca.key", "server.key", "controller.key", "operations-1.key", "drill-1.key", "root-1.key")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_second_run_changes_nothing_and_adds_a_node(tmp_path: Path) -> None:
    first = make_development_pki(tmp_path, controller="controller1", nodes=["N001"])
    before = contents(tmp_path)
    again = make_development_pki(tmp_path, controller="controller1", nodes=["N001", "N002"])
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
    assert first.nodes[0] == again.nodes[0]
    assert {name.split("/")[1] for name in after.keys() - before.keys()} == {"N002"}


def test_private_files_are_for_the_owner_alone_under_any_mask(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        made = make_development_pki(tmp_path, controller="controller1", nodes=["N001"])
    finally:
        os.umask(mask)
    private = [tmp_path / name for name in PRIVATE_PARTS]
    private += [made.nodes[0].folder / "node.key", made.nodes[0].folder / "report.key"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}


def test_the_keyset_is_signed_by_two_roots_and_keeps_drill_and_real_apart(tmp_path: Path) -> None:
    make_development_pki(tmp_path, controller="controller1", nodes=[])
    pinned = json.loads((tmp_path / "root_keys.json").read_text())
    public = {name: bytes.fromhex(key) for name, key in pinned["keys"].items()}
    sealed = (tmp_path / "keyset.cose").read_bytes()
    payload = open_sealed_by_many(
        sealed, topic=topic(TopicName.KEYSET), public_keys=public, threshold=pinned["threshold"]
    )
    keyset: Keyset = cbor_decode(payload, Keyset)
    assert {key.key_id: key.scope.realities for key in keyset.keys} == {
        "operations-1": (Reality.REAL,),
        "drill-1": (Reality.DRILL,),
    }
    with pytest.raises(Refusal):
        open_sealed_by_many(sealed, topic=topic(TopicName.KEYSET), public_keys=public, threshold=3)


def test_tls_accepts_server_and_node_and_no_stranger(tmp_path: Path) -> None:
    ours = make_development_pki(tmp_path / "ours", controller="controller1", nodes=["N001"]).folder
    other = make_development_pki(tmp_path / "other", controller="controller1", nodes=["N001"]).folder
    assert shake_hands(server=ours, node=ours / "nodes" / "N001") == "N001"
    with pytest.raises(ssl.SSLError):
        shake_hands(server=ours, node=other / "nodes" / "N001")


def test_a_new_host_reissues_the_certificate_and_keeps_the_key(tmp_path: Path) -> None:
    make_development_pki(tmp_path, controller="controller1", nodes=[])
    key = (tmp_path / "server.key").read_bytes()
    make_development_pki(tmp_path, controller="controller1", nodes=[], hosts=["localhost", "10.0.0.7"])
    assert "10.0.0.7" in hosts_of(x509.load_pem_x509_certificate((tmp_path / "server.pem").read_bytes()))
    assert (tmp_path / "server.key").read_bytes() == key


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda folder: (folder / "ca.key").write_text("not a key"), "ca.key is not a private key"),
        (lambda folder: (folder / "ca.pem").write_text("no certificate"), "ca.pem is no certificate"),
        (lambda folder: (folder / "ca.key").unlink(), "ca.pem does not belong"),
        (lambda folder: (folder / "operations-1.key").unlink(), "does not name the operational keys"),
        (lambda folder: (folder / "root-1.key").unlink(), "root_keys.json is there and differs"),
        (lambda folder: (folder / "keyset.cose").write_bytes(b"x"), "keyset.cose was not signed"),
        (lambda folder: (folder / "server.key").unlink(), "server.pem is there without server.key"),
    ],
)
def test_what_is_there_is_never_replaced(tmp_path: Path, spoil: Callable[[Path], object], named: str) -> None:
    make_development_pki(tmp_path, controller="controller1", nodes=["N001"])
    spoil(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(DevelopmentPkiError, match=named):
        make_development_pki(tmp_path, controller="controller1", nodes=["N001"])
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before


def test_another_controller_needs_another_folder(tmp_path: Path) -> None:
    make_development_pki(tmp_path, controller="controller1", nodes=[])
    with pytest.raises(DevelopmentPkiError, match="names 'controller1'"):
        make_development_pki(tmp_path, controller="controller2", nodes=[])


def test_a_name_that_no_broker_takes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DevelopmentPkiError, match="letters and digits"):
        make_development_pki(tmp_path / "new", controller="controller1", nodes=["../N001"])
    assert not (tmp_path / "new").exists()


def test_the_command_names_the_report_key(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    development_pki.add_arguments(parser)
    text = development_pki.run(parser.parse_args([str(tmp_path), "--node", "N001", "--host", "pole.test"]))
    made = make_development_pki(tmp_path, controller="controller1", nodes=["N001"])
    assert f"report_key: {made.nodes[0].report_key_hex}" in text
    assert "pole.test" in hosts_of(x509.load_pem_x509_certificate((tmp_path / "server.pem").read_bytes()))


def shake_hands(*, server: Path, node: Path) -> str:
    """A mutual TLS 1.3 handshake in memory; the name that the server sees. Raises ssl.SSLError."""
    accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    accepting.load_cert_chain(server / "server.pem", server / "server.key")
    accepting.load_verify_locations(server / "ca.pem")
    accepting.verify_mode = ssl.CERT_REQUIRED
    asking = ssl.create_default_context(cafile=str(node / "ca.pem"))
    asking.minimum_version = ssl.TLSVersion.TLSv1_3
    asking.load_cert_chain(node / "node.pem", node / "node.key")
    to_server, to_node = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        asking.wrap_bio(to_node, to_server, server_hostname="localhost"),
        accepting.wrap_bio(to_server, to_node, server_side=True),
    )
    finished: set[int] = set()
    for _ in range(10):
        for index, end in enumerate(ends):
            try:
                end.do_handshake()
                finished.add(index)
            except ssl.SSLWantReadError:
                pass
        if len(finished) == len(ends):
            break
    certificate = ends[1].getpeercert(binary_form=True)
    assert certificate is not None
    return common_name(x509.load_der_x509_certificate(certificate))
