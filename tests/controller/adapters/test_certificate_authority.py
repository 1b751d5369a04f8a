"""The authority's files: made once, renewed when due, private, and one authority after another; openssl judges."""

from __future__ import annotations

import stat
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from controller.adapters.certificate_authority import (
    CertificateAuthority,
    create_authority,
    load_certificate_authority,
    utc_now,
)
from controller.cli import main
from controller.enrolment.lifecycle import RevokedCertificate
from controller.errors import ConfigError

PASSPHRASE = b"a long enough passphrase"


def make(folder: Path, *, days: int = 0, new_issuing: bool = False) -> list[str]:
    return create_authority(
        folder,
        controller="controller1",
        hosts=["localhost", "127.0.0.1"],
        ask_passphrase=lambda: PASSPHRASE,
        now=utc_now() + timedelta(days=days),
        has_new_issuing=new_issuing,
    )


def load(folder: Path, *, password_file: Path | None = None, earlier: list[Path] | None = None) -> CertificateAuthority:
    return load_certificate_authority(
        certificate=folder / "issuing.pem",
        private_key=folder / "issuing.key",
        password_file=password_file,
        roots=folder / "ca.pem",
        node_days=90,
        earlier=[(each, each.with_suffix(".key"), None) for each in earlier or []],
    )


def openssl(*words: object) -> tuple[int, str]:
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=False, timeout=20)
    return done.returncode, done.stdout + done.stderr


def issue(authority: CertificateAuthority, path: Path) -> str:
    """A node's certificate in a file; its serial number."""
    key = generate_private_key(SECP256R1())
    issued = authority.issue(key.public_key(), node="N001", report_key=bytes(32), now=utc_now())
    path.write_text(issued.pem)
    return issued.certificate.serial


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    make(tmp_path / "ca")
    return tmp_path / "ca"


def test_openssl_takes_what_is_issued_and_refuses_what_is_revoked(ca: Path, tmp_path: Path) -> None:
    authority = load(ca)
    serials = [issue(authority, tmp_path / name) for name in ("good.pem", "stolen.pem")]
    assert len(set(serials)) == 2
    gone = RevokedCertificate(serial=serials[1], node="N001", revoked_at_ms=1_795_000_000_000, not_after_ms=2**42)
    (tmp_path / "list.pem").write_bytes(authority.revoked_list([gone], now=utc_now()))
    check = ("verify", "-CAfile", ca / "ca.pem", "-untrusted", ca / "issuing.pem", "-CRLfile", tmp_path / "list.pem")
    assert openssl(*check, "-crl_check", "-purpose", "sslclient", tmp_path / "good.pem")[0] == 0
    assert "revoked" in openssl(*check, "-crl_check", tmp_path / "stolen.pem")[1]
    assert openssl(*check, "-purpose", "sslserver", tmp_path / "good.pem")[0] != 0, "a node is no server"
    for host in ("localhost", "127.0.0.1"):
        kind = "-verify_ip" if host[0].isdigit() else "-verify_hostname"
        assert openssl(*check[:5], "-purpose", "sslserver", kind, host, ca / "server.pem")[0] == 0


def test_private_files_are_private_and_the_roots_is_encrypted(ca: Path) -> None:
    assert {stat.S_IMODE(path.stat().st_mode) for path in ca.glob("*.key")} == {0o600}
    with pytest.raises(TypeError):
        load_pem_private_key((ca / "root.key").read_bytes(), None)
    assert load_pem_private_key((ca / "root.key").read_bytes(), PASSPHRASE)
    (ca / "issuing.key").chmod(0o640)
    with pytest.raises(ConfigError, match="others may read"):
        load(ca)


def test_a_second_run_changes_nothing_until_something_is_due(ca: Path) -> None:
    before = {path.name: path.read_bytes() for path in ca.iterdir()}
    said, fingerprint = make(ca)
    assert "unchanged" in said
    assert fingerprint.startswith("ca_sha256")
    assert {path.name: path.read_bytes() for path in ca.iterdir()} == before
    make(ca, days=600)
    changed = {path.name for path in ca.iterdir() if before.get(path.name) != path.read_bytes()}
    assert changed == {"server.pem", "controller.pem"}


def test_an_authority_that_has_lost_a_file_is_not_replaced_by_another(ca: Path) -> None:
    (ca / "issuing.pem").unlink()
    before = {path.name: path.read_bytes() for path in ca.iterdir()}
    with pytest.raises(ConfigError, match="shut out every node"):
        make(ca)
    assert {path.name: path.read_bytes() for path in ca.iterdir()} == before


def test_a_new_issuing_authority_leaves_the_old_ones_certificates_good(ca: Path, tmp_path: Path) -> None:
    old = load(ca)
    issue(old, tmp_path / "old.pem")
    old_issuing = (ca / "issuing.pem").read_bytes()
    make(ca, new_issuing=True)
    assert (ca / "issuing.pem").read_bytes() != old_issuing
    (earlier,) = ca.glob("issuing-until-*.pem")
    authority = load(ca, earlier=[earlier])
    issue(authority, tmp_path / "new.pem")
    lists = tmp_path / "list.pem"
    lists.write_bytes(authority.revoked_list([], now=utc_now()))
    for name, issuing in (("old.pem", earlier), ("new.pem", ca / "issuing.pem")):
        check = ("verify", "-CAfile", ca / "ca.pem", "-untrusted", issuing, "-CRLfile", lists, "-crl_check")
        assert openssl(*check, tmp_path / name)[0] == 0, name


def test_an_encrypted_issuing_key_needs_its_password_file(ca: Path, tmp_path: Path) -> None:
    key = load_pem_private_key((ca / "issuing.key").read_bytes(), None)
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame"))
    (ca / "issuing.key").write_bytes(encrypted)
    with pytest.raises(ConfigError, match="password"):
        load(ca)
    (tmp_path / "password").write_text("open sesame\n")
    assert load(ca, password_file=tmp_path / "password")


@pytest.mark.parametrize(("file", "other"), [("issuing.pem", "server.pem"), ("ca.pem", "server.pem")])
def test_files_that_do_not_belong_together_are_named(ca: Path, file: str, other: str) -> None:
    (ca / file).write_bytes((ca / other).read_bytes())
    with pytest.raises(ConfigError, match=r"issuing\.pem"):
        load(ca)


def test_the_command_makes_it_and_refuses_a_short_passphrase(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    passphrase = tmp_path / "passphrase"
    words = ["enrol", "ca-create", str(tmp_path / "ca"), "--controller", "c1", "--host", "c.vn"]
    passphrase.write_text("short")
    assert main([*words, "--root-passphrase-file", str(passphrase)]) == 2
    assert "12 characters" in capsys.readouterr().err
    assert not (tmp_path / "ca" / "ca.pem").exists()
    passphrase.write_bytes(PASSPHRASE)
    assert main([*words, "--root-passphrase-file", str(passphrase)]) == 0
    said = capsys.readouterr().out
    assert "TAKE IT OFF THIS MACHINE" in said
    assert len(said.rpartition("ca_sha256: ")[2].strip()) == 64
    assert main([*words]) == 0, "nothing to be asked for: it only looks what is due"
