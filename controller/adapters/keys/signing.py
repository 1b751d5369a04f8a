"""The controller's keys as files: the root's pinned keys, the keyset, the keys to sign with, keys for streams.

Rules kept: a keyset that the root did not sign is not used; a signing key must be the one that the keyset
names; a private key that others can read is refused; a stream's key lives only in this process.
"""

from __future__ import annotations

import logging
import secrets
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller.adapters.keys.signing_keys import open_signer
from controller.configuration.config import TrustConfig
from controller.dispatch import Authority
from controller.errors import ConfigError, KeyFileError
from controller.keys.key_config import SigningKeyConfig
from protocol.envelope import Signer
from protocol.errors import ProtocolError, Refusal, RefusalReason
from protocol.keyring import Keyring, RootKeys, open_keyset, parse_root_keys
from protocol.messages import DOCUMENT_BYTES_MAX
from protocol.root_chain import follow_chain
from protocol.topics import TopicName, topic

log = logging.getLogger("controller.signing")

_EMERGENCY_ID_BYTES: Final = 5
_STREAM_ID_BYTES: Final = 8


def load_authority(trust: TrustConfig) -> Authority:
    """Everything to sign with, checked against one another; raises ConfigError.

    A key that the keyset revokes, or does not name yet, is left out and told of: a controller must be able to publish
    the revocation of its own key, and to be given the next key before the keyset that names it.
    """
    keyset, chain, version, keyring = load_public(trust)
    root_version = load_root(trust)[1].version
    signers: list[Signer] = []
    left_out: list[Refusal] = []
    for key in trust.signing_keys:
        try:
            signers.append(_signer(key, keyring.public_key(key.key_id)))
        except Refusal as refusal:
            left_out.append(refusal)
            log.warning("trust.signing_keys: %s; it is left out", refusal.detail)
    if not signers and all(refusal.reason is RefusalReason.UNKNOWN_KEY for refusal in left_out):
        details = "; ".join(refusal.detail for refusal in left_out)
        raise ConfigError(f"trust.signing_keys: {details} ({trust.keyset}); give a key that the keyset names")
    return Authority(
        keyset=keyset, scopes=keyring, signers=signers, root_chain=chain, version=version, root_version=root_version
    )


def load_public(trust: TrustConfig) -> tuple[bytes, bytes | None, int, Keyring]:
    """What the root signed: the keyset and its chain as they travel, its version, its keyring; raises ConfigError."""
    data = read_file(trust.keyset, "trust.keyset", bytes_max=DOCUMENT_BYTES_MAX)
    chain, root = load_root(trust)
    try:
        keyset = open_keyset(data, topic=topic(TopicName.KEYSET), root=root)
        return data, chain, keyset.counter, Keyring.from_keyset(keyset)
    except Refusal as error:
        message = (
            f"trust.keyset: {trust.keyset} is not a keyset that the root in {trust.root_keys} signed: {error.detail}"
        )
        raise ConfigError(message) from error


def load_root(trust: TrustConfig) -> tuple[bytes | None, RootKeys]:
    """The chain as it travels, if the root was ever changed, and the root in force; raises ConfigError."""
    try:
        root = parse_root_keys(read_file(trust.root_keys, "trust.root_keys", bytes_max=DOCUMENT_BYTES_MAX))
    except ProtocolError as error:
        raise ConfigError(f"trust.root_keys: {trust.root_keys}: {error}") from error
    if not trust.root_chain or not Path(trust.root_chain).exists():
        return None, root
    chain = read_file(trust.root_chain, "trust.root_chain", bytes_max=DOCUMENT_BYTES_MAX)
    try:
        return chain, follow_chain(chain, topic=topic(TopicName.ROOT), pinned=root)[-1]
    except Refusal as error:
        message = f"trust.root_chain: {trust.root_chain} does not follow from {trust.root_keys}: {error.detail}"
        raise ConfigError(message) from error


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


def _signer(key: SigningKeyConfig, public_key: bytes) -> Signer:
    try:
        return open_signer(key, public_key)[0]
    except KeyFileError as error:
        raise ConfigError(f"trust.signing_keys {key.key_id}: {error}") from error


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
