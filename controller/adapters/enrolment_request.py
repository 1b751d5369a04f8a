"""Reads what a unit sends to be enrolled: a PKCS#10 request in base64, with two proofs of possession.

The request is signed by the P-256 key that it is for, and names the unit's Ed25519 report key in an extension; that
key signs the request's bytes. So neither key can be joined to another's. All that comes in is bounded; what does not
fit is a RequestRefused that says what is wrong.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from controller.enrolment.lifecycle import Application
from controller.errors import RequestCode, RequestError
from protocol.enrolment import (
    HARDWARE_CHARACTERS_MAX,
    REPORT_KEY_OID,
    REQUEST_BYTES_MAX,
    proof_bytes,
    unit_fingerprint,
)
from protocol.identity import NODE_PATTERN

_REPORT_KEY_BYTES: Final = 32
_CLAIM_CHARACTERS_MAX: Final = 40
_NODE: Final = re.compile(NODE_PATTERN)
_HARDWARE: Final = re.compile(rf"[0-9A-Za-z.:-]{{0,{HARDWARE_CHARACTERS_MAX}}}\Z")
_BROKEN: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What the library raises at bytes from outside; its own errors have no common root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitRequest:
    """A verified request: what is asked for, and the keys that it is asked for."""

    application: Application
    tls_key: EllipticCurvePublicKey
    report_key: bytes


def read_request(body: bytes, *, proof: str, claim: str, address: str) -> UnitRequest:
    """The request in an EST body; raises RequestError(BAD_REQUEST)."""
    if len(body) > REQUEST_BYTES_MAX:
        raise _bad(f"the request is larger than {REQUEST_BYTES_MAX} bytes")
    try:
        der = base64.b64decode(b"".join(body.split()), validate=True)
        signature = base64.b64decode(proof, validate=True)
        request = x509.load_der_x509_csr(der)
        tls_key = request.public_key()
        is_proven = request.is_signature_valid
        _ = request.subject  # broken text is found here
        named = request.extensions.get_extension_for_oid(x509.ObjectIdentifier(REPORT_KEY_OID)).value
    except (binascii.Error, *_BROKEN) as error:
        raise _bad(f"not a PKCS#10 request in base64 with a report key: {error}") from error
    if not isinstance(tls_key, EllipticCurvePublicKey) or not isinstance(tls_key.curve, SECP256R1):
        raise _bad("the request is for another kind of key than P-256")
    if not is_proven:
        raise _bad("the request is not signed by the key that it is for")
    report_key = named.value if isinstance(named, x509.UnrecognizedExtension) else b""
    _require_proof(report_key, signature, der)
    spki = tls_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return UnitRequest(
        application=Application(
            node=_subject(request, NameOID.COMMON_NAME, _NODE, "a node's name"),
            report_key=report_key.hex(),
            fingerprint=unit_fingerprint(report_key),
            tls_key_sha256=hashlib.sha256(spki).hexdigest(),
            hardware=_subject(request, NameOID.SERIAL_NUMBER, _HARDWARE, "a box's serial number"),
            address=address,
            claim=claim[:_CLAIM_CHARACTERS_MAX],
        ),
        tls_key=tls_key,
        report_key=report_key,
    )


def claim_of(authorization: str) -> str:
    """The claim in a header `Authorization: Basic`, as its password; empty without one. Raises RequestError."""
    if not authorization:
        return ""
    scheme, _, given = authorization.partition(" ")
    try:
        text = base64.b64decode(given.strip(), validate=True).decode()
    except ValueError as error:
        raise _bad("the header Authorization is not HTTP Basic") from error
    if scheme.lower() != "basic":
        raise _bad("the header Authorization is not HTTP Basic")
    return text.partition(":")[2]


def _require_proof(report_key: bytes, signature: bytes, der: bytes) -> None:
    if len(report_key) != _REPORT_KEY_BYTES:
        raise _bad(f"the report key has {len(report_key)} bytes, not {_REPORT_KEY_BYTES}")
    try:
        Ed25519PublicKey.from_public_bytes(report_key).verify(signature, proof_bytes(der))
    except (InvalidSignature, ValueError) as error:
        raise _bad("the report key has not signed this request") from error


def _subject(
    request: x509.CertificateSigningRequest, oid: x509.ObjectIdentifier, pattern: re.Pattern[str], what: str
) -> str:
    values = [str(part.value) for part in request.subject.get_attributes_for_oid(oid)]
    if not values:
        return ""
    if len(values) > 1 or not pattern.match(values[0]):
        raise _bad(f"the request's subject names no {what}")
    return values[0]


def _bad(message: str) -> RequestError:
    return RequestError(RequestCode.BAD_REQUEST, message)
