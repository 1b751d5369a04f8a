"""Certificates for light nodes: each its own key, name and certificate, by a development authority.

A broker's cost of a handshake, its access rules by name and the wills depend on who connects, so ten thousand
light nodes are ten thousand identities. Key and certificate of a node share one PEM file; nothing is synced to the
disk, for the folder is thrown away with the run. P-256 throughout, as on a pole.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from controller.adapters.certificate_profile import CLIENT, Issuer, service_certificate
from controller.adapters.keys.key_files import pem_of

VALID_DAYS: Final = 2
"""A run takes minutes; nobody should find these years later."""


class IdentityError(Exception):
    """The authority's key is not there or cannot be used; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A client: its name, and its certificate with its key; `key_path` empty where both are in one file."""

    name: str
    certificate_path: str
    key_path: str = ""


def load_authority(folder: Path) -> Issuer:
    """The authority in a folder of development keys; raises IdentityError."""
    key_path, certificate_path = folder / "ca.key", folder / "ca.pem"
    try:
        key = load_pem_private_key(key_path.read_bytes(), None)
        if not isinstance(key, EllipticCurvePrivateKey):
            raise IdentityError(f"{key_path} is no P-256 key")
        certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
    except OSError as error:
        raise IdentityError(
            f"{error.filename} cannot be read ({error.strerror}): light nodes need certificates, and so the key of a "
            "development authority beside its certificate (see loaxa-controller development-pki)"
        ) from error
    except (ValueError, TypeError) as error:
        raise IdentityError(f"{key_path} and {certificate_path} cannot be used: {error}") from error
    if certificate.public_key() != key.public_key():
        raise IdentityError(f"{certificate_path} is for another key than {key_path}")
    return Issuer(key=key, certificate=certificate)


def make_identities(authority: Issuer, names: Sequence[str], folder: Path) -> list[Identity]:
    """A certificate with its key for each name, in `folder` (about 0.4 ms each)."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    made, now = [], datetime.now(UTC)
    for name in names:
        key = generate_private_key(SECP256R1())
        certificate = service_certificate(
            key.public_key(), issuer=authority, name=name, usage=CLIENT, now=now, days=VALID_DAYS
        )
        path = folder / f"{name}.pem"
        path.write_bytes(certificate.public_bytes(Encoding.PEM) + pem_of(key))
        made.append(Identity(name, str(path)))
    return made


def client_context(identity: Identity, ca_path: str) -> ssl.SSLContext:
    """TLS 1.3 with the identity's certificate, as a node's link has it; it is made for each connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(ca_path)
    context.load_cert_chain(identity.certificate_path, identity.key_path or None)
    return context


def new_report_key_hex() -> str:
    """A public report key for the controller's list of nodes; nobody keeps its other half, for nothing is reported."""
    return Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
