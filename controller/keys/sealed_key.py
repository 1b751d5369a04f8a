"""A private key in a file that is worth nothing without its passphrase.

JSON that a person can read, so that one sees which key it is without opening it: purpose, key id, public key; then
how the passphrase becomes a key (argon2id, RFC 9106, its cost written down) and what that key has sealed
(ChaCha20-Poly1305, RFC 8439). Everything readable is authenticated with the secret, so none of it can be changed.

Pure: salt and nonce come in. Rules kept: a file cannot make its reader use more memory or time than the bounds
here; a wrong passphrase and a changed file are told in one sentence, for nobody can tell them apart; what comes out
is the key that the file names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec
from argon2.exceptions import HashingError
from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from msgspec import Meta, Struct

from controller.errors import KeyFileError
from protocol.identity import KeyId

FILE_BYTES_MAX: Final = 4_096
"""A sealed key takes about 600 bytes."""
FORMAT: Final = "loaxa-key/1"
SALT_BYTES: Final = 16
NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
_MEMORY_KIB_MAX: Final = 1024 * 1024
"""1 GiB: what a machine for ceremonies has to spare. A file that asks for more is hostile or damaged."""
_PASSES_MAX: Final = 16
_LANES_MAX: Final = 16
_MEMORY_KIB_PER_LANE_MIN: Final = 8
"""argon2's own lower bound."""

Purpose = Literal["root", "operational"]
_Hex16 = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
_Hex12 = Annotated[str, Meta(pattern=r"^[0-9a-f]{24}\Z")]
_HexKey = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
_HexSealed = Annotated[str, Meta(pattern=r"^[0-9a-f]{96}\Z")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one try of a passphrase costs: memory, passes over it, and in how many lanes."""

    memory_kib: int
    passes: int
    lanes: int


ROOT_COST: Final = Cost(memory_kib=256 * 1024, passes=4, lanes=4)
"""About a second: a share is opened a few times in its life."""
OPERATIONAL_COST: Final = Cost(memory_kib=64 * 1024, passes=3, lanes=4)
"""RFC 9106's second recommendation: a controller opens its keys at each start, on a machine that does other things."""


class Derivation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the passphrase becomes a key."""

    name: Literal["argon2id"]
    memory_kib: Annotated[int, Meta(ge=_MEMORY_KIB_PER_LANE_MIN, le=_MEMORY_KIB_MAX)]
    passes: Annotated[int, Meta(ge=1, le=_PASSES_MAX)]
    lanes: Annotated[int, Meta(ge=1, le=_LANES_MAX)]
    salt: _Hex16

    def __post_init__(self) -> None:
        """Refuse what argon2 itself would refuse."""
        if self.memory_kib < _MEMORY_KIB_PER_LANE_MIN * self.lanes:
            raise ValueError(f"argon2id needs {_MEMORY_KIB_PER_LANE_MIN} KiB for each of {self.lanes} lanes")


class SealedKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key file. `sealed` is the secret and its tag; all else is readable, and authenticated with it."""

    format: Literal["loaxa-key/1"]
    purpose: Purpose
    key_id: KeyId
    public_key: _HexKey
    derivation: Derivation
    cipher: Literal["chacha20-poly1305"]
    nonce: _Hex12
    sealed: _HexSealed = "00" * 48


def seal_key(
    key: Ed25519PrivateKey,
    passphrase: bytes,
    *,
    key_id: str,
    purpose: Purpose,
    cost: Cost,
    salt: bytes,
    nonce: bytes,
) -> bytes:
    """The file of a key; `passphrase` as `passphrase.checked` gives it. Raises KeyFileError."""
    derivation = Derivation(
        name="argon2id", memory_kib=cost.memory_kib, passes=cost.passes, lanes=cost.lanes, salt=salt.hex()
    )
    unsealed = SealedKey(
        format=FORMAT,
        purpose=purpose,
        key_id=key_id,
        public_key=key.public_key().public_bytes_raw().hex(),
        derivation=derivation,
        cipher="chacha20-poly1305",
        nonce=nonce.hex(),
    )
    cipher = ChaCha20Poly1305(_derive(passphrase, derivation))
    sealed = cipher.encrypt(nonce, key.private_bytes_raw(), _readable(unsealed))
    whole = msgspec.structs.replace(unsealed, sealed=sealed.hex())
    return msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n"


def is_sealed_key(data: bytes) -> bool:
    """Whether this looks like a key file of ours, rather than a PEM."""
    return data.lstrip().startswith(b"{")


def parse_sealed_key(data: bytes, *, name: str) -> SealedKey:
    """The readable part of a file; `name` is the file as errors name it. Raises KeyFileError."""
    if len(data) > FILE_BYTES_MAX:
        raise KeyFileError(f"{name}: {len(data)} bytes; a key file has at most {FILE_BYTES_MAX}. Is it the right file?")
    try:
        return msgspec.json.decode(data, type=SealedKey, strict=True)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise KeyFileError(f"{name} is no sealed key file: {error}") from error


def open_sealed_key(sealed: SealedKey, passphrase: bytes, *, name: str) -> Ed25519PrivateKey:
    """The key of a file; raises KeyFileError for a wrong passphrase or a file that was changed."""
    cipher = ChaCha20Poly1305(_derive(passphrase, sealed.derivation))
    try:
        raw = cipher.decrypt(bytes.fromhex(sealed.nonce), bytes.fromhex(sealed.sealed), _readable(sealed))
    except InvalidTag as error:
        what = "sai cụm mật khẩu, hoặc tệp đã bị sửa / wrong passphrase, or the file was changed"
        raise KeyFileError(f"{name} ({sealed.key_id}): {what}") from error
    key = Ed25519PrivateKey.from_private_bytes(raw)
    if key.public_key().public_bytes_raw().hex() != sealed.public_key:
        raise KeyFileError(f"{name}: it holds another key than the one that it names; use a copy of it")
    return key


def _derive(passphrase: bytes, derivation: Derivation) -> bytes:
    try:
        return hash_secret_raw(
            secret=passphrase,
            salt=bytes.fromhex(derivation.salt),
            time_cost=derivation.passes,
            memory_cost=derivation.memory_kib,
            parallelism=derivation.lanes,
            hash_len=_KEY_BYTES,
            type=Type.ID,
        )
    except HashingError as error:
        mib = derivation.memory_kib // 1024
        raise KeyFileError(
            f"the passphrase could not be worked on ({error}); {mib} MiB of memory are needed"
        ) from error


def _readable(sealed: SealedKey) -> bytes:
    """What the tag covers beside the secret: the file without it, in one fixed form."""
    return msgspec.json.encode(msgspec.structs.replace(sealed, sealed="00" * 48), order="deterministic")
