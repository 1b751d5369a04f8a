"""Opens what is signed in a simulated province, each thing once: a thousand poles receive the same bytes.

Opening is a pure function of bytes and keys, so its answer for one pole is its answer for all; and a signature that a
key of this very province has just made over some bytes is good for exactly these bytes (RFC 8032: what a key signs, its
public half verifies). Everything else is worked out by the product's own functions. Refusals are never remembered.

Rules kept:
- a remembered signature counts only where public key, signature and signed bytes are all equal to the last bit; a
  forged, altered or misdirected one is none of these, and is verified for real;
- everything is bounded, and what was forgotten is worked out again, with the same answer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol.codec import json_decode, json_encode
from protocol.envelope import SealedDocument, Sign, Signer, verify_signature
from protocol.keyring import RootKeys
from protocol.messages import AnyDocument, Keyset, Occurrence
from protocol.opening import Opener
from protocol.stream import AudioPacket, unpack_audio

SIGNATURES_REMEMBERED: Final = 16_384
"""Signatures that are on their way at once: several reports and an acknowledgement of each of some thousand poles;
about 10 MB."""
MESSAGES_REMEMBERED: Final = 2_048
"""Documents that reach a province within some seconds, mostly the same few; 1 MB, and 32 MB at the very worst."""
PACKETS_REMEMBERED: Final = 512
"""Packets that reach a province within some seconds; 0.5 MB."""
KEYSETS_REMEMBERED: Final = 8
BODIES_REMEMBERED: Final = 64
"""Bodies of plans of some communes at once; 32 MB."""


class RememberingOpener(Opener):
    """One province's; hand `signer` and `sign` the keys that sign in it."""

    def __init__(self) -> None:
        self._good: dict[tuple[bytes, bytes], bytes] = {}
        self._keyset = lru_cache(maxsize=KEYSETS_REMEMBERED)(self._open_keyset)
        self._packet = lru_cache(maxsize=PACKETS_REMEMBERED)(self._unpack)
        self._envelope = lru_cache(maxsize=MESSAGES_REMEMBERED)(self._open_envelope)
        self._document = lru_cache(maxsize=MESSAGES_REMEMBERED)(super().document)
        self._body = lru_cache(maxsize=BODIES_REMEMBERED)(super().body)

    @property
    def signatures(self) -> int:
        """How many are remembered, for whoever watches that nothing grows."""
        return len(self._good)

    def sign(self, private_key: Ed25519PrivateKey) -> Sign:
        """The act of signing with a key of this province; what it signs is known to be good."""
        return partial(self._sign, private_key.sign, private_key.public_key().public_bytes_raw())

    def signer(self, key_id: str, private_key: Ed25519PrivateKey) -> Signer:
        """The same, with its name."""
        return Signer(key_id=key_id, sign=self.sign(private_key))

    def verify(self, public_key: bytes, signature: bytes, data: bytes) -> None:
        """See `envelope.verify_signature`."""
        if self._good.get((public_key, signature)) != data:
            verify_signature(public_key, signature, data)
            self._remember(public_key, signature, data)

    def envelope(self, data: bytes, *, topic: str) -> SealedDocument:
        """See `Opener.envelope`."""
        return self._envelope(data, topic)

    def payload(self, sealed: SealedDocument, public_key: bytes) -> bytes:
        """See `Opener.payload`."""
        self.verify(public_key, sealed.signature, sealed.signed_bytes)
        return sealed.payload

    def document(self, payload: bytes) -> AnyDocument:
        """See `Opener.document`; what it gives is frozen, and so may be everybody's."""
        return self._document(payload)

    def body(self, content: bytes) -> tuple[Occurrence, ...]:
        """See `Opener.body`."""
        return self._body(content)

    def keyset(self, data: bytes, *, topic: str, root: RootKeys) -> Keyset:
        """See `Opener.keyset`."""
        return self._keyset(data, topic, json_encode(root))

    def open_packet(self, data: bytes, *, public_key: bytes, topic: str, stream: str) -> AudioPacket:
        """See `stream.unpack_audio` (`edge.streams.OpenPacket`)."""
        return self._packet(data, public_key, topic, stream)

    def _sign(self, sign: Callable[[bytes], bytes], public_key: bytes, data: bytes) -> bytes:
        signature = sign(data)
        self._remember(public_key, signature, data)
        return signature

    def _remember(self, public_key: bytes, signature: bytes, data: bytes) -> None:
        good = self._good
        if len(good) >= SIGNATURES_REMEMBERED:
            del good[next(iter(good))]
        good[public_key, signature] = data

    def _open_envelope(self, data: bytes, topic: str) -> SealedDocument:
        return super().envelope(data, topic=topic)

    def _open_keyset(self, data: bytes, topic: str, root: bytes) -> Keyset:
        return super().keyset(data, topic=topic, root=json_decode(root, RootKeys))

    def _unpack(self, data: bytes, public_key: bytes, topic: str, stream: str) -> AudioPacket:
        return unpack_audio(data, public_key=public_key, topic=topic, stream=stream, verify=self.verify)
