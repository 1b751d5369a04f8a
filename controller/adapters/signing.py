"""The controller's keys as files: the root's pinned keys, the keyset, the keys to sign with, keys for streams.

Rules kept: a keyset that the root did not sign is not used; a signing key must be the one that the keyset
names; a private key that others can read is refused; a stream's key lives only in this process.
"""

from __future__ import annotations

import secrets
import stat
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from controller.config import SigningKeyConfig, TrustConfig
from controller.dispatch import Authority
from controller.errors import ConfigError
from protocol.envelope import Signer, signer_from_private_key
from protocol.errors import ProtocolError, Refusal
from protocol.keyring import Keyring, open_keyset, parse_root_keys
from protocol.messages import DOCUMENT_BYTES_MAX
from protocol.topics import TopicName, topic

_EMERGENCY_ID_BYTES: Final = 5
_STREAM_ID_BYTES: Final = 8


def load_authority(trust: TrustConfig) -> Authority:
    """Everything to sign with, checked against one another; raises ConfigError."""
    keyset = read_file(trust.keyset, "trust.keyset", bytes_max=DOCUMENT_BYTES_MAX)
    try:
        root = parse_root_keys(read_file(trust.root_keys, "trust.root_keys", bytes_max=DOCUMENT_BYTES_MAX))
        keyring = Keyring.from_keyset(open_keyset(keyset, topic=topic(TopicName.KEYSET), root=root))
    except Refusal as error:
        message = (
            f"trust.keyset: {trust.keyset} is not a keyset that the root in {trust.root_keys} signed: {error.detail}"
        )
        raise ConfigError(message) from error
    except ProtocolError as error:
        raise ConfigError(f"trust.root_keys: {trust.root_keys}: {error}") from error
    signers = [_signer(key, keyring, trust.keyset) for key in trust.signing_keys]
    return Authority(keyset=keyset, scopes=keyring, signers=signers)


def read_file(path: str, key: str, *, bytes_max: int) -> bytes:
    """A small file named by a key of the configuration; raises ConfigError."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(bytes_max + 1)
    except OSError as error:
        raise ConfigError(f"{key}: {path} cannot be read: {error.strerror or error}") from error
    if len(data) > bytes_max:
        raise ConfigError(f"{key}: {path} is larger than {bytes_max} bytes; is it the right file?")
    return data


def _signer(key: SigningKeyConfig, keyring: Keyring, keyset_path: str) -> Signer:
    name = f"trust.signing_keys {key.key_id}"
    data = read_file(key.path, name, bytes_max=DOCUMENT_BYTES_MAX)
    if Path(key.path).stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"{name}: others may read {key.path}; chmod 600 it, and replace the key if they might have")
    try:
        private_key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{name}: {key.path} is no PEM private key without a password") from error
    if not isinstance(private_key, Ed25519PrivateKey):
        raise ConfigError(f"{name}: {key.path} is no Ed25519 key")
    try:
        named = keyring.public_key(key.key_id)
    except Refusal as error:
        raise ConfigError(f"{name}: {error.detail} ({keyset_path})") from error
    if named != private_key.public_key().public_bytes_raw():
        raise ConfigError(f"{name}: {key.path} is another key than the keyset {keyset_path} names {key.key_id}")
    return signer_from_private_key(key.key_id, private_key)


class FreshSecrets:
    """`ports.Fresh` from the operating system's randomness; keeps stream keys until their worker takes them."""

    def __init__(self) -> None:
        self._keys: dict[str, Ed25519PrivateKey] = {}

    def emergency_id(self) -> str:
        """Short enough to be read out on the telephone."""
        return f"e{secrets.token_hex(_EMERGENCY_ID_BYTES)}"

    def stream_id(self) -> str:
        """8 bytes in hexadecimal."""
        return secrets.token_hex(_STREAM_ID_BYTES)

    def stream_key(self, stream: str) -> bytes:
        """Make a stream's key; returns its public half."""
        self._keys[stream] = Ed25519PrivateKey.generate()
        return self._keys[stream].public_key().public_bytes_raw()

    def take_key(self, stream: str) -> Ed25519PrivateKey | None:
        """Hand the key to the stream's worker; once."""
        return self._keys.pop(stream, None)
