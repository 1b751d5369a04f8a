"""The certificate authority's files: made once by a command, read by the controller that issues.

`create_authority` makes a root, whose key leaves the machine afterwards, the issuing authority that the controller
works with, and the certificates of its own servers; run again it renews those and changes nothing else.
`load_authority` reads what a controller needs to issue and to revoke: never the root's key.

Rules kept: private files are 0600 from their first byte; the root's key is written under a passphrase; a key that
others may read is not used; a file that exists is replaced only when it is a certificate about to end.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from controller.adapters.certificate_profile import (
    CLIENT,
    SERVER,
    Issuer,
    common_name,
    hosts_of,
    is_issued_by,
    issuing_certificate,
    node_certificate,
    revoked_list,
    root_certificate,
    serial_text,
    service_certificate,
)
from controller.adapters.keys.key_files import pem_of
from controller.enrolment.lifecycle import IssuedCertificate, RevokedCertificate
from controller.errors import ConfigError
from protocol.adapters.durable_file import write_durably

PASSPHRASE_CHARACTERS_MIN: Final = 12
FILE_BYTES_MAX: Final = 256 * 1024
_RENEWED_AT: Final = 0.25
"""Servers' certificates are renewed when so much of their life is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A node's certificate: in PEM for the record, in PKCS#7 for the answer."""

    certificate: IssuedCertificate
    pem: str


class CertificateAuthority:
    """Issues nodes' certificates and signs the lists of those revoked. `roots` are all that nodes shall trust.

    `earlier` are issuing authorities whose certificates are still out: each has to sign a list of its own.
    """

    def __init__(
        self, *, issuer: Issuer, roots: Sequence[x509.Certificate], node_days: int, earlier: Sequence[Issuer] = ()
    ) -> None:
        self._issuer = issuer
        self._earlier = tuple(earlier)
        self._roots = tuple(roots)
        self._node_days = node_days
        self._chain = pkcs7.serialize_certificates([issuer.certificate, *roots], Encoding.DER)

    @property
    def ca_sha256(self) -> str:
        """The fingerprint of the first root, which a technician's file pins."""
        return self._roots[0].fingerprint(SHA256()).hex()

    @property
    def chain_pkcs7(self) -> bytes:
        """Issuing authority and roots, as EST's `cacerts` gives them (DER)."""
        return self._chain

    def issue(self, public_key: EllipticCurvePublicKey, *, node: str, report_key: bytes, now: datetime) -> Issued:
        """A node's certificate."""
        made = node_certificate(
            public_key, issuer=self._issuer, node=node, report_key=report_key, days=self._node_days, now=now
        )
        not_after_ms = int(made.not_valid_after_utc.timestamp() * 1000)
        return Issued(
            certificate=IssuedCertificate(serial=serial_text(made), not_after_ms=not_after_ms),
            pem=made.public_bytes(Encoding.PEM).decode(),
        )

    def revoked_list(self, revoked: Iterable[RevokedCertificate], *, now: datetime) -> bytes:
        """The lists of revoked certificates, in PEM, one of each issuing authority."""
        every = tuple(revoked)
        issuers = (self._issuer, *self._earlier)
        return b"".join(revoked_list(every, issuer=each, now=now).public_bytes(Encoding.PEM) for each in issuers)


def certificate_pkcs7(pem: str) -> bytes:
    """One certificate as EST gives it: certs-only PKCS#7 (DER)."""
    return pkcs7.serialize_certificates([x509.load_pem_x509_certificate(pem.encode())], Encoding.DER)


def load_certificate_authority(
    *,
    certificate: Path,
    private_key: Path,
    password_file: Path | None,
    roots: Path,
    node_days: int,
    earlier: Sequence[tuple[Path, Path, Path | None]] = (),
) -> CertificateAuthority:
    """What a controller issues with; raises ConfigError that names the key of the configuration."""
    trusted = _certificates(roots, "trust.ca")
    named = [(certificate, private_key, password_file), *earlier]
    issuers = [
        _issuer(*each, "enrolment.earlier_issuers" if at else "enrolment.issuer") for at, each in enumerate(named)
    ]
    if not any(is_issued_by(issuers[0].certificate, root) for root in trusted):
        message = f"enrolment.issuer_certificate: no authority in trust.ca ({roots}) has issued {certificate}"
        raise ConfigError(message)
    return CertificateAuthority(issuer=issuers[0], roots=trusted, node_days=node_days, earlier=issuers[1:])


def create_authority(
    folder: Path,
    *,
    controller: str,
    hosts: Sequence[str],
    ask_passphrase: Callable[[], bytes],
    now: datetime,
    has_new_issuing: bool = False,
) -> list[str]:
    """Make what the folder lacks and renew what is about to end; says what was done. Raises ConfigError."""
    done: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (folder / "issuing.pem").exists():
            _refuse_a_second_root(folder)
            done += _make_authorities(folder, controller=controller, passphrase=_checked(ask_passphrase()), now=now)
        elif has_new_issuing:
            done += _make_issuing_anew(folder, controller=controller, passphrase=ask_passphrase(), now=now)
        issuer = Issuer(
            key=_private_key(folder / "issuing.key", None, "issuing.key"),
            certificate=_certificates(folder / "issuing.pem", "issuing.pem")[0],
        )
        done += _service(folder / "server", issuer, name="server", usage=SERVER, hosts=hosts, now=now)
        done += _service(folder / "controller", issuer, name=controller, usage=CLIENT, hosts=(), now=now)
        if not (folder / "revoked.crl").exists():
            empty = revoked_list((), issuer=issuer, now=now).public_bytes(Encoding.PEM)
            write_durably(folder / "revoked.crl", empty, mode=0o644)
            done.append(f"{folder / 'revoked.crl'}: the empty list of revoked certificates")
    except OSError as error:
        raise ConfigError(f"the authority cannot be made in {folder}: {error}") from error
    root = _certificates(folder / "ca.pem", "ca.pem")[0]
    unchanged = f"{folder}: không đổi · unchanged; nothing is about to end"
    return [*(done or [unchanged]), f"ca_sha256: {root.fingerprint(SHA256()).hex()}"]


def _refuse_a_second_root(folder: Path) -> None:
    """Where something was issued already, the root is out in the world."""
    issued = [folder / name for name in ("server.pem", "controller.pem", "revoked.crl") if (folder / name).exists()]
    if issued:
        raise ConfigError(
            f"{issued[0]} is there, but {folder / 'issuing.pem'} is not: this authority is in use, and another root "
            "would shut out every node. Put issuing.pem and issuing.key back from the backup; for another root, name "
            "another folder"
        )


def _make_authorities(folder: Path, *, controller: str, passphrase: bytes, now: datetime) -> list[str]:
    """Root, then the issuing authority; its certificate comes last, so that a run that was cut off begins anew."""
    root_key, key = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    root = Issuer(key=root_key, certificate=root_certificate(root_key, name=f"LoaXa root of {controller}", now=now))
    issuing = issuing_certificate(key.public_key(), root=root, name=f"LoaXa issuing of {controller}", now=now)
    encrypted = root_key.private_bytes(
        Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(passphrase)
    )
    write_durably(folder / "root.key", encrypted, mode=0o600)
    write_durably(folder / "ca.pem", root.certificate.public_bytes(Encoding.PEM), mode=0o644)
    write_durably(folder / "issuing.key", pem_of(key), mode=0o600)
    write_durably(folder / "issuing.pem", issuing.public_bytes(Encoding.PEM), mode=0o644)
    return [
        f"{folder / 'root.key'}: the root's key, under your passphrase. TAKE IT OFF THIS MACHINE now, to two places",
        f"{folder / 'ca.pem'}: the root's certificate, which nodes, broker and controller trust",
        f"{folder / 'issuing.key'}, issuing.pem: what the controller issues with (0600; better a systemd credential)",
    ]


def _make_issuing_anew(folder: Path, *, controller: str, passphrase: bytes, now: datetime) -> list[str]:
    """Another issuing authority under the same root, whose key is brought back for it; the present one is kept."""
    key = generate_private_key(SECP256R1())
    root = Issuer(
        key=_private_key(folder / "root.key", passphrase, "root.key"),
        certificate=_certificates(folder / "ca.pem", "ca.pem")[0],
    )
    if root.certificate.public_key() != root.key.public_key():
        raise ConfigError(f"{folder / 'root.key'} is not the key of {folder / 'ca.pem'}")
    made = issuing_certificate(key.public_key(), root=root, name=f"LoaXa issuing of {controller}", now=now)
    earlier = f"issuing-until-{now:%Y%m%dT%H%M%S}"
    for suffix, mode in ((".key", 0o600), (".pem", 0o644)):
        write_durably(folder / f"{earlier}{suffix}", _read(folder / f"issuing{suffix}", "issuing"), mode=mode)
    write_durably(folder / "issuing.key", pem_of(key), mode=0o600)
    write_durably(folder / "issuing.pem", made.public_bytes(Encoding.PEM), mode=0o644)
    return [
        f"{folder / 'issuing.pem'}: a new issuing authority. TAKE root.key AWAY AGAIN, restart the controller",
        "until every node has renewed (enrolment.certificate_days), keep under enrolment:",
        f"  earlier_issuers: [{{certificate: {folder / earlier}.pem, private_key: {folder / earlier}.key}}]",
    ]


def _issuer(certificate: Path, private_key: Path, password_file: Path | None, key: str) -> Issuer:
    own = _certificates(certificate, f"{key}: certificate")[0]
    password = None if password_file is None else _read(password_file, f"{key}: password file").strip()
    secret = _private_key(private_key, password, f"{key}: key")
    if own.public_key() != secret.public_key():
        raise ConfigError(f"{key}: {certificate} is not for the key {private_key}")
    return Issuer(key=secret, certificate=own)


def _service(
    stem: Path, issuer: Issuer, *, name: str, usage: x509.ObjectIdentifier, hosts: Sequence[str], now: datetime
) -> list[str]:
    """`stem`.key and `stem`.pem (with the issuing authority behind it); the certificate alone is made again."""
    key_path, path = stem.with_suffix(".key"), stem.with_suffix(".pem")
    if not key_path.exists():
        write_durably(key_path, pem_of(generate_private_key(SECP256R1())), mode=0o600)
    key = _private_key(key_path, None, key_path.name)
    if path.exists():
        present = _certificates(path, path.name)[0]
        life = present.not_valid_after_utc - present.not_valid_before_utc
        is_fresh = present.not_valid_after_utc - now > life * _RENEWED_AT
        is_same = common_name(present) == name and hosts_of(present) >= frozenset(hosts)
        if (
            is_fresh
            and is_same
            and present.public_key() == key.public_key()
            and is_issued_by(present, issuer.certificate)
        ):
            return []
        hosts = tuple(dict.fromkeys([*hosts, *sorted(hosts_of(present))]))
    made = service_certificate(key.public_key(), issuer=issuer, name=name, usage=usage, hosts=hosts, now=now)
    chain = made.public_bytes(Encoding.PEM) + issuer.certificate.public_bytes(Encoding.PEM)
    write_durably(path, chain, mode=0o644)
    return [f"{path}: {name}" + (f" ({', '.join(hosts)})" if hosts else "")]


def _checked(passphrase: bytes) -> bytes:
    if len(passphrase) < PASSPHRASE_CHARACTERS_MIN:
        raise ConfigError(f"the root's passphrase needs at least {PASSPHRASE_CHARACTERS_MIN} characters")
    return passphrase


def _private_key(path: Path, password: bytes | None, key: str) -> EllipticCurvePrivateKey:
    data = _read(path, key)
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"{key}: others may read {path}; chmod 600 it, and replace the key if they might have")
    try:
        loaded = serialization.load_pem_private_key(data, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{key}: {path} is no PEM private key, or its password is wrong: {error}") from error
    if not isinstance(loaded, EllipticCurvePrivateKey) or not isinstance(loaded.curve, SECP256R1):
        raise ConfigError(f"{key}: {path} is no P-256 key")
    return loaded


def _certificates(path: Path, key: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(path, key))
    except ValueError as error:
        raise ConfigError(f"{key}: {path} holds no PEM certificate: {error}") from error


def _read(path: Path, key: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{key}: {path} cannot be read: {error.strerror or error}") from error
    if len(data) > FILE_BYTES_MAX:
        raise ConfigError(f"{key}: {path} is larger than {FILE_BYTES_MAX} bytes; is it the right file?")
    return data


def utc_now() -> datetime:
    """The clock, to whole seconds as certificates have it."""
    return datetime.now(UTC).replace(microsecond=0)
