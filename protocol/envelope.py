"""Signed envelopes: COSE (RFC 9052) with Ed25519, the topic as external data.

A `COSE_Sign1` (tag 18) carries every document and report; a `COSE_Sign` (tag 98) carries the keyset, which
needs several of the root's signatures. The topic enters each signature, so bytes that were signed for
one topic say nothing on another. What is verified is the bytes received, never a re-encoding.

Who may sign what is not decided here: see `keyring`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from protocol.codec import TAG_SIGN, TAG_SIGN1, cbor_decode_plain, cbor_encode_checked, require_sendable
from protocol.errors import Refusal, RefusalReason

Sign = Callable[[bytes], bytes]
"""Signs bytes with one key that stays where it is: a file today, a hardware module tomorrow."""
Verify = Callable[[bytes, bytes, bytes], None]
"""Returns if a public key made a signature over data, as `verify_signature`."""

SIGNATURE_BYTES: Final = 64
PUBLIC_KEY_BYTES: Final = 32
_HEADER_ALGORITHM: Final = 1
_HEADER_KEY_ID: Final = 4
_ALGORITHM_EDDSA: Final = -8
KEY_IDS_REMEMBERED: Final = 64
"""As many as a keyset has keys."""
SIGNERS_MAX: Final = 16
"""Signatures on one document: all keys of an old and of a new root. Bounds the work of verifying a hostile one."""
PUBLIC_KEYS_KEPT: Final = 128
"""Keysets hold 64 keys at most; the rest is for streams and, on the controller, nodes that report together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A key that can sign: its id, as the keyset names it, and the act of signing."""

    key_id: str
    sign: Sign


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedDocument:
    """A parsed but not yet verified COSE_Sign1."""

    key_id: str
    payload: bytes
    signature: bytes
    signed_bytes: bytes

    def verify(self, public_key: bytes) -> bytes:
        """Return the payload if `public_key` signed it; raises Refusal(BAD_SIGNATURE)."""
        verify_signature(public_key, self.signature, self.signed_bytes)
        return self.payload


def signer_from_private_key(key_id: str, private_key: Ed25519PrivateKey) -> Signer:
    """A signer over a key held in this process."""
    return Signer(key_id=key_id, sign=private_key.sign)


def verify_signature(public_key: bytes, signature: bytes, data: bytes) -> None:
    """Check one Ed25519 signature (RFC 8032); raises Refusal(BAD_SIGNATURE)."""
    try:
        _public_key(public_key).verify(signature, data)
    except (InvalidSignature, ValueError) as error:
        raise Refusal(RefusalReason.BAD_SIGNATURE, "the signature does not fit the bytes") from error


@lru_cache(maxsize=PUBLIC_KEYS_KEPT)
def _public_key(public_key: bytes) -> Ed25519PublicKey:
    """The parsed key; a stream's is used ten times a second. Raises ValueError for bytes that are none."""
    return Ed25519PublicKey.from_public_bytes(public_key)


def seal(payload: Struct, *, signer: Signer, topic: str) -> bytes:
    """Sign a struct for one topic; raises LocalProtocolError when no peer would take it: too large, out of bounds."""
    body = cbor_encode_checked(payload)
    protected = _protected(signer.key_id)
    signature = signer.sign(_to_be_signed(["Signature1", protected, topic.encode(), body]))
    return require_sendable(cbor2.dumps(cbor2.CBORTag(TAG_SIGN1, [protected, {}, body, signature]), canonical=True))


def open_sealed(data: bytes, *, topic: str) -> SealedDocument:
    """Parse a COSE_Sign1 received on `topic`; raises Refusal(TOO_LARGE or MALFORMED)."""
    parts = _tagged_parts(data, TAG_SIGN1)
    match parts:
        case [bytes(protected), {**unprotected}, bytes(payload), bytes(signature)] if not unprotected:
            return SealedDocument(
                key_id=_key_id(protected),
                payload=payload,
                signature=signature,
                signed_bytes=_to_be_signed(["Signature1", protected, topic.encode(), payload]),
            )
        case _:
            raise Refusal(RefusalReason.MALFORMED, "not a COSE_Sign1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToBeSigned:
    """What one signature is asked for: the key that is named, the topic, the document's bytes."""

    key_id: str
    topic: str
    payload: bytes


def open_to_be_signed(data: bytes) -> ToBeSigned:
    """Read the bytes that a `Sign` is given for a COSE_Sign1; raises Refusal(TOO_LARGE or MALFORMED)."""
    match cbor_decode_plain(data):
        case ["Signature1", bytes(protected), bytes(topic), bytes(payload)]:
            try:
                return ToBeSigned(key_id=_key_id(protected), topic=topic.decode(), payload=payload)
            except UnicodeDecodeError as error:
                raise Refusal(RefusalReason.MALFORMED, "the topic is not UTF-8") from error
        case _:
            raise Refusal(RefusalReason.MALFORMED, "not the Sig_structure of a COSE_Sign1")


def seal_by_many(payload: Struct, *, signers: Sequence[Signer], topic: str) -> bytes:
    """Sign a struct with several keys (COSE_Sign), as the root signs the keyset."""
    return cosign(cosigned(payload), signers=signers, topic=topic).data


@dataclass(frozen=True, slots=True, kw_only=True)
class CosignedDocument:
    """A COSE_Sign: what several keys sign, one after the other and perhaps on several machines.

    Parsed but not verified; with fewer signatures than are needed it is the partly signed file that goes from hand
    to hand.
    """

    payload: bytes
    signatures: tuple[tuple[str, bytes], ...] = ()

    @property
    def data(self) -> bytes:
        """The bytes as they travel; raises LocalProtocolError when they are too many."""
        parts = [[_protected(key_id), {}, signature] for key_id, signature in self.signatures]
        return require_sendable(cbor2.dumps(cbor2.CBORTag(TAG_SIGN, [b"", {}, self.payload, parts]), canonical=True))

    def signed_by(self, *, topic: str, public_keys: Mapping[str, bytes]) -> frozenset[str]:
        """The keys of `public_keys` that signed; raises Refusal(BAD_SIGNATURE) when one of them did not.

        A key that has two names is one key. Signatures of other keys say nothing.
        """
        valid: dict[bytes, str] = {}
        for key_id, signature in self.signatures:
            if key_id in public_keys:
                to_be_signed = _to_be_signed_by_many(key_id, topic, self.payload)
                verify_signature(public_keys[key_id], signature, to_be_signed)
                valid.setdefault(public_keys[key_id], key_id)
        return frozenset(valid.values())

    def verify(self, *, topic: str, public_keys: Mapping[str, bytes], threshold: int) -> bytes:
        """Return the payload if at least `threshold` different keys signed it; raises Refusal(BAD_SIGNATURE)."""
        valid = self.signed_by(topic=topic, public_keys=public_keys)
        if len(valid) < threshold:
            raise Refusal(RefusalReason.BAD_SIGNATURE, f"{len(valid)} of the {threshold} root signatures needed")
        return self.payload


def cosigned(payload: Struct) -> CosignedDocument:
    """A struct that nobody has signed yet; raises LocalProtocolError when its own schema refuses it."""
    return CosignedDocument(payload=cbor_encode_checked(payload))


def cosign(document: CosignedDocument, *, signers: Sequence[Signer], topic: str) -> CosignedDocument:
    """The document with these keys' signatures beside those that it has."""
    added = tuple(
        (signer.key_id, signer.sign(_to_be_signed_by_many(signer.key_id, topic, document.payload)))
        for signer in signers
    )
    return CosignedDocument(payload=document.payload, signatures=(*document.signatures, *added))


def open_cosigned(data: bytes) -> CosignedDocument:
    """Parse a COSE_Sign; raises Refusal(TOO_LARGE or MALFORMED)."""
    match _tagged_parts(data, TAG_SIGN):
        case [b"", {**unprotected}, bytes(payload), list() | tuple() as signatures] if not unprotected:
            if len(signatures) > SIGNERS_MAX:
                raise Refusal(RefusalReason.MALFORMED, f"{len(signatures)} signatures; at most {SIGNERS_MAX}")
        case _:
            raise Refusal(RefusalReason.MALFORMED, "not a COSE_Sign")
    found: list[tuple[str, bytes]] = []
    for entry in signatures:
        match entry:
            case [bytes(protected), {**unprotected}, bytes(signature)] if not unprotected:
                found.append((_key_id(protected), signature))
            case _:
                raise Refusal(RefusalReason.MALFORMED, "not a COSE_Signature")
    return CosignedDocument(payload=payload, signatures=tuple(found))


def open_sealed_by_many(data: bytes, *, topic: str, public_keys: Mapping[str, bytes], threshold: int) -> bytes:
    """Return the payload of a COSE_Sign that at least `threshold` different keys of `public_keys` signed.

    Raises Refusal: MALFORMED, or BAD_SIGNATURE when a named key's signature is wrong or too few are right.
    """
    return open_cosigned(data).verify(topic=topic, public_keys=public_keys, threshold=threshold)


def _to_be_signed_by_many(key_id: str, topic: str, payload: bytes) -> bytes:
    return _to_be_signed(["Signature", b"", _protected(key_id), topic.encode(), payload])


@lru_cache(maxsize=KEY_IDS_REMEMBERED)
def _protected(key_id: str) -> bytes:
    return cbor2.dumps({_HEADER_ALGORITHM: _ALGORITHM_EDDSA, _HEADER_KEY_ID: key_id.encode()}, canonical=True)


@lru_cache(maxsize=KEY_IDS_REMEMBERED)
def _key_id(protected: bytes) -> str:
    """The key that a protected header names; the same few headers come all the time."""
    match cbor_decode_plain(protected):
        case {1: -8, 4: bytes(key_id), **rest} if not rest:
            try:
                return key_id.decode("ascii")
            except UnicodeDecodeError as error:
                raise Refusal(RefusalReason.MALFORMED, "the key id is not ASCII") from error
        case _:
            raise Refusal(RefusalReason.MALFORMED, "the protected header is not {alg: EdDSA, kid}")


def _to_be_signed(structure: list[Any]) -> bytes:
    return cbor2.dumps(structure, canonical=True)


def _tagged_parts(data: bytes, tag: int) -> list[Any]:
    value = cbor_decode_plain(data)
    if not isinstance(value, cbor2.CBORTag) or value.tag != tag or not isinstance(value.value, (list, tuple)):
        raise Refusal(RefusalReason.MALFORMED, f"not a CBOR array with tag {tag}")
    return list(value.value)
