"""A unit's keys and its request for a certificate; the only code of a node that makes keys or builds X.509.

Both keys are made here and leave the unit never: what is sent is a request signed by the TLS key, which names the
public report key, and the report key's signature over that request. Imported only while a unit enrols or renews, for
the library behind it costs a node 2 MB.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs7,
)
from cryptography.x509.oid import NameOID

from edge.enrolment.lifecycle import Validity
from edge.errors import EnrolmentError
from protocol.enrolment import REPORT_KEY_OID, proof_bytes, unit_fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRequest:
    """What is sent: PKCS#10 and the report key's proof, both in base64."""

    body: bytes
    proof: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """A certificate that is for our key and comes from an authority that we trust, ready to be kept."""

    node: str
    pem: bytes
    validity: Validity


def new_tls_key() -> bytes:
    """A P-256 key in PEM."""
    return _pem(generate_private_key(SECP256R1()))


def new_report_key() -> bytes:
    """An Ed25519 key in PEM."""
    return _pem(Ed25519PrivateKey.generate())


def label_of(report_key_pem: bytes) -> str:
    """What the label on the box says."""
    return unit_fingerprint(_report_key(report_key_pem).public_key().public_bytes_raw())


def make_request(*, tls_key_pem: bytes, report_key_pem: bytes, node: str, hardware: str) -> KeyRequest:
    """A request for a certificate; raises EnrolmentError when a key cannot be used."""
    report_key = _report_key(report_key_pem)
    names = [(NameOID.COMMON_NAME, node), (NameOID.SERIAL_NUMBER, hardware)]
    subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in names if value])
    named = x509.UnrecognizedExtension(
        x509.ObjectIdentifier(REPORT_KEY_OID), report_key.public_key().public_bytes_raw()
    )
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(named, critical=False)
    der = builder.sign(_tls_key(tls_key_pem), SHA256()).public_bytes(Encoding.DER)
    proof = report_key.sign(proof_bytes(der))
    return KeyRequest(body=base64.encodebytes(der), proof=base64.b64encode(proof).decode())


def read_certificates(body: bytes) -> list[x509.Certificate]:
    """The certificates in an EST answer; raises EnrolmentError."""
    try:
        return pkcs7.load_der_pkcs7_certificates(base64.b64decode(b"".join(body.split()), validate=True))
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise EnrolmentError(f"the server's certificates cannot be read: {error}") from error


def pinned_of(certificates: Sequence[x509.Certificate], ca_sha256: str) -> x509.Certificate:
    """The one that the technician's file pins; raises EnrolmentError."""
    for certificate in certificates:
        if certificate.fingerprint(SHA256()).hex() == ca_sha256:
            return certificate
    raise EnrolmentError(
        "máy chủ không phải của ta: không có chứng chỉ gốc mà ca_sha256 chỉ định · the server does not show the "
        "authority that ca_sha256 names; check url and ca_sha256 in the boot partition's file"
    )


def roots_of(certificates: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """Those that have issued themselves: what is trusted from now on."""
    return [each for each in certificates if each.issuer == each.subject and _has_issued(each, each)]


def pem_of(certificates: Sequence[x509.Certificate]) -> bytes:
    """Certificates in PEM, one after another."""
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def validity_of(certificate: x509.Certificate) -> Validity:
    """From when to when a certificate may be used."""
    return Validity(
        not_before_ms=int(certificate.not_valid_before_utc.timestamp() * 1000),
        not_after_ms=int(certificate.not_valid_after_utc.timestamp() * 1000),
    )


def certified(
    issued: Sequence[x509.Certificate], *, chain: Sequence[x509.Certificate], tls_key_pem: bytes
) -> Certified:
    """Key, certificate and what lies between it and a root, in one PEM file; raises EnrolmentError."""
    key = _tls_key(tls_key_pem)
    own = next((each for each in issued if each.public_key() == key.public_key()), None)
    if own is None:
        raise EnrolmentError("the server's certificate is for another key than ours")
    between: list[x509.Certificate] = []
    roots = roots_of(chain)
    at = own
    while not any(_has_issued(root, at) for root in roots):
        issuer = next((each for each in chain if each not in between and _has_issued(each, at)), None)
        if issuer is None:
            raise EnrolmentError("the server's certificate comes from no authority that we trust")
        between.append(issuer)
        at = issuer
    names = own.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(names) != 1:
        raise EnrolmentError("the server's certificate names nobody")
    pem = tls_key_pem + pem_of([own, *between])
    return Certified(node=str(names[0].value), pem=pem, validity=validity_of(own))


def _has_issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, TypeError, ValueError, UnsupportedAlgorithm):
        return False
    return True


def _pem(key: EllipticCurvePrivateKey | Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _tls_key(pem: bytes) -> EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise EnrolmentError(f"the TLS key of this unit is damaged: {error}") from error
    if not isinstance(key, EllipticCurvePrivateKey):
        raise EnrolmentError("the TLS key of this unit is of another kind than P-256")
    return key


def _report_key(pem: bytes) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise EnrolmentError(f"the report key of this unit is damaged: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise EnrolmentError("the report key of this unit is of another kind than Ed25519")
    return key
