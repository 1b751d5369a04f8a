"""The X.509 of a deployment: root, issuing authority, servers, services, nodes, and the list of what is revoked.

P-256 and SHA-256 throughout. Pure builders over `cryptography`: the time comes in, no file is read or written;
who may get a certificate is decided elsewhere.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controller.enrolment.lifecycle import RevokedCertificate
from protocol.enrolment import REPORT_KEY_OID

ROOT_DAYS: Final = 20 * 365
"""The root is pinned on boxes that hang for a decade; it is replaced by shipping two ahead."""
ISSUING_DAYS: Final = 5 * 365
SERVICE_DAYS: Final = 2 * 365
"""Servers and the controller: `enrol ca-create` run again renews what has less than a quarter left."""
BACKDATED: Final = timedelta(hours=1)
"""Broker and controller differ a little in time; the node may be asked for its certificate at once."""
REVOKED_LIST_DAYS: Final = 30
"""A broker refuses everybody under a list that has run out, so it outlives a long absence of the controller."""
CLIENT: Final = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER: Final = ExtendedKeyUsageOID.SERVER_AUTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """A key that signs certificates, with its own."""

    key: EllipticCurvePrivateKey
    certificate: x509.Certificate


def root_certificate(
    key: EllipticCurvePrivateKey, *, name: str, now: datetime, days: int = ROOT_DAYS
) -> x509.Certificate:
    """The self-signed root, which signs issuing authorities; on a development machine it issues by itself."""
    builder = _builder(key.public_key(), _name(name), now, timedelta(days=days)).issuer_name(_name(name))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
    return builder.add_extension(_key_usage(is_authority=True), critical=True).sign(key, SHA256())


def issuing_certificate(
    public_key: EllipticCurvePublicKey, *, root: Issuer, name: str, now: datetime
) -> x509.Certificate:
    """The intermediate that a controller works with."""
    builder = _issued(public_key, _name(name), root, now, timedelta(days=ISSUING_DAYS))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return builder.add_extension(_key_usage(is_authority=True), critical=True).sign(root.key, SHA256())


def service_certificate(
    public_key: EllipticCurvePublicKey,
    *,
    issuer: Issuer,
    name: str,
    usage: x509.ObjectIdentifier,
    now: datetime,
    hosts: Iterable[str] = (),
    days: int = SERVICE_DAYS,
) -> x509.Certificate:
    """A certificate of a server (with its hosts) or of a controller; of a node whose report key is known elsewhere."""
    builder = _leaf(_issued(public_key, _name(name), issuer, now, timedelta(days=days)), usage)
    names = [_general_name(host) for host in dict.fromkeys(hosts)]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer.key, SHA256())


def node_certificate(
    public_key: EllipticCurvePublicKey, *, issuer: Issuer, node: str, report_key: bytes, days: int, now: datetime
) -> x509.Certificate:
    """A node's certificate: its name, client authentication only, and the report key that it certifies."""
    builder = _leaf(_issued(public_key, _name(node), issuer, now, timedelta(days=days)), CLIENT)
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(REPORT_KEY_OID), report_key)
    return builder.add_extension(extension, critical=False).sign(issuer.key, SHA256())


def revoked_list(
    revoked: Iterable[RevokedCertificate], *, issuer: Issuer, now: datetime
) -> x509.CertificateRevocationList:
    """Every certificate of this issuer that must not be taken; its number rises with the time."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(now - BACKDATED)
        .next_update(now + timedelta(days=REVOKED_LIST_DAYS))
        .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
    )
    for each in revoked:
        entry = x509.RevokedCertificateBuilder(
            serial_number=int(each.serial, 16),
            revocation_date=datetime.fromtimestamp(each.revoked_at_ms / 1000, UTC),
        )
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(issuer.key, SHA256())


def serial_text(certificate: x509.Certificate) -> str:
    """A serial number as records and Python's `ssl` write it: upper-case hexadecimal, an even number of digits."""
    return serial_digits(certificate.serial_number)


def serial_digits(number: int) -> str:
    """A serial number in that writing."""
    digits = f"{number:X}"
    return digits if len(digits) % 2 == 0 else f"0{digits}"


def common_name(certificate: x509.Certificate) -> str:
    """Whom a certificate names; empty for nobody."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether an authority's key has signed a certificate."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, TypeError, ValueError):
        return False
    return True


def hosts_of(certificate: x509.Certificate) -> frozenset[str]:
    """The hosts that a server's certificate names."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(str(name.value) for name in names)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(
    public_key: EllipticCurvePublicKey, subject: x509.Name, now: datetime, valid: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + valid)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _issued(
    public_key: EllipticCurvePublicKey, subject: x509.Name, issuer: Issuer, now: datetime, valid: timedelta
) -> x509.CertificateBuilder:
    """Never longer than its issuer."""
    valid = min(valid, issuer.certificate.not_valid_after_utc - now)
    builder = _builder(public_key, subject, now, valid).issuer_name(issuer.certificate.subject)
    return builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False
    )


def _leaf(builder: x509.CertificateBuilder, usage: x509.ObjectIdentifier) -> x509.CertificateBuilder:
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(is_authority=False), critical=True)
    return builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )
