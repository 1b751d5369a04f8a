"""Key files on a disk: read within bounds, written whole or not at all, never over another key.

Opens both kinds: sealed files (`keys.sealed_key`) and PEM without a password, which development folders and systemd
credentials hold. A key is handed out as what can sign, beside its public half.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from controller.errors import KeyFileError
from controller.keys.sealed_key import (
    NONCE_BYTES,
    SALT_BYTES,
    Cost,
    Purpose,
    SealedKey,
    is_sealed_key,
    open_sealed_key,
    parse_sealed_key,
    seal_key,
)
from protocol.adapters.durable_file import write_durably

PUBLIC_BYTES_MAX: Final = 64 * 1024
"""Keysets, chains, drafts: none is larger than a message, a draft a few times that."""


def read_public(path: Path, what: str, *, bytes_max: int = PUBLIC_BYTES_MAX) -> bytes:
    """A small file that is no secret; raises KeyFileError."""
    try:
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
    except OSError as error:
        raise KeyFileError(f"{what}: {path} cannot be read: {error.strerror or error}") from error
    if len(data) > bytes_max:
        raise KeyFileError(f"{what}: {path} is larger than {bytes_max} bytes; is it the right file?")
    return data


def read_sealed(path: Path) -> SealedKey:
    """The readable part of a sealed key file; raises KeyFileError."""
    return parse_sealed_key(read_public(path, "key file"), name=str(path))


def open_key(data: bytes, passphrase: Callable[[SealedKey], bytes], *, name: str) -> Ed25519PrivateKey:
    """The key in a file's bytes; the passphrase is asked for only where there is one. Raises KeyFileError."""
    if is_sealed_key(data):
        sealed = parse_sealed_key(data, name=name)
        return open_sealed_key(sealed, passphrase(sealed), name=name)
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        what = "is neither a sealed key file nor a PEM private key without a password"
        raise KeyFileError(f"{name} {what}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{name} is no Ed25519 key")
    return key


def pem_of(key: Ed25519PrivateKey | EllipticCurvePrivateKey) -> bytes:
    """A key without a passphrase, for whoever keeps or seals it himself."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def sealed_file(key: Ed25519PrivateKey, passphrase: bytes, *, key_id: str, purpose: Purpose, cost: Cost) -> bytes:
    """A key's file with fresh salt and nonce; raises KeyFileError."""
    return seal_key(
        key,
        passphrase,
        key_id=key_id,
        purpose=purpose,
        cost=cost,
        salt=secrets.token_bytes(SALT_BYTES),
        nonce=secrets.token_bytes(NONCE_BYTES),
    )


def write_new(path: Path, data: bytes, *, mode: int) -> None:
    """Write a file that must not be there yet; raises KeyFileError."""
    if path.exists():
        raise KeyFileError(f"{path} is there already; give another name, or move it away if it is no longer needed")
    replace_file(path, data, mode=mode)


def replace_file(path: Path, data: bytes, *, mode: int) -> None:
    """Write a file whole or not at all; raises KeyFileError."""
    try:
        write_durably(path, data, mode=mode)
    except OSError as error:
        raise KeyFileError(f"{path} cannot be written: {error.strerror or error}") from error
