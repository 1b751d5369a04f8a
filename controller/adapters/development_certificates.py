"""X.509 for the development authority: one self-signed certificate, and what it issues.

P-256 throughout; clients are told from servers by their extended key usage. It writes no files: see
`development_pki`.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class Purpose(Enum):
    """What a certificate may be used for."""

    SERVER = ExtendedKeyUsageOID.SERVER_AUTH
    CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateNames:
    """Whom a certificate names."""

    common_name: str
    hosts: frozenset[str]


class Authority:
    """A key that issues certificates, with its own certificate. Raises ValueError when they do not fit."""

    def __init__(self, *, key: EllipticCurvePrivateKey, certificate_pem: bytes) -> None:
        self._key = key
        self.certificate = x509.load_pem_x509_certificate(certificate_pem)
        if self.certificate.public_key() != key.public_key():
            message = "the certificate is for another key"
            raise ValueError(message)

    @staticmethod
    def self_signed(key: EllipticCurvePrivateKey, *, valid_days: int, backdated_days: int) -> bytes:
        """The authority's own certificate, in PEM."""
        name = _name("LoaXa development authority")
        builder = _builder(key.public_key(), name, valid_days, backdated_days).issuer_name(name)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_key_usage(is_authority=True), critical=True)
        return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)

    def issue(
        self,
        public_key: EllipticCurvePublicKey,
        *,
        name: str,
        purpose: Purpose,
        hosts: tuple[str, ...],
        valid_days: int,
        backdated_days: int,
    ) -> bytes:
        """A certificate for `name`, in PEM; a server's names its hosts and addresses."""
        builder = _builder(public_key, _name(name), valid_days, backdated_days)
        builder = builder.issuer_name(self.certificate.subject)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(is_authority=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose.value]), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
        )
        if hosts:
            names = [_general_name(host) for host in dict.fromkeys(hosts)]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, SHA256()).public_bytes(Encoding.PEM)


def certificate_names(certificate_pem: bytes) -> CertificateNames:
    """Whom a certificate names; raises ValueError for what is no certificate."""
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts = [str(name.value) for name in alternative]
    except x509.ExtensionNotFound:
        hosts = []
    return CertificateNames(common_name=str(common[0].value) if common else "", hosts=frozenset(hosts))


def is_issued_for(certificate_pem: bytes, *, key: EllipticCurvePrivateKey, authority: Authority) -> bool:
    """Whether a certificate is for this key, by this authority, and still valid for a day."""
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    try:
        certificate.verify_directly_issued_by(authority.certificate)
    except (InvalidSignature, TypeError, ValueError):
        return False
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    return certificate.public_key() == key.public_key() and certificate.not_valid_after_utc > tomorrow


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(
    public_key: EllipticCurvePublicKey, subject: x509.Name, valid_days: int, backdated_days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=backdated_days))
        .not_valid_after(now + timedelta(days=valid_days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


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
