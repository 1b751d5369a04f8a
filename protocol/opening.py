"""Opens what a peer has signed: the envelope, the signature, the content, each a pure function of bytes and keys.

For whoever receives: a node's guard, the controller's report desk. It gathers the steps of `envelope` and `keyring`
in one value that is handed in, so that a process that holds thousands of receivers of the same bytes (the
simulator) can remember what it has worked out. It leaves every judgement to its caller: which key counts, what it may
sign, replay, time and place.

Rules kept:
- a payload is given out only when the key that the caller names has signed it;
- what is remembered is keyed by everything that the answer depends on, so remembering changes no answer.
"""

from __future__ import annotations

from typing import Final

from protocol.codec import cbor_decode
from protocol.envelope import SealedDocument, open_sealed
from protocol.keyring import RootKeys, open_keyset
from protocol.messages import AnyDocument, Keyset, Occurrence, Report
from protocol.plan_body import decode_body


class Opener:
    """Works everything out anew; its methods raise Refusal as the functions do that they stand for."""

    def envelope(self, data: bytes, *, topic: str) -> SealedDocument:
        """See `envelope.open_sealed`: parsed, not yet believed."""
        return open_sealed(data, topic=topic)

    def payload(self, sealed: SealedDocument, public_key: bytes) -> bytes:
        """See `SealedDocument.verify`: the payload, if `public_key` signed it."""
        return sealed.verify(public_key)

    def document(self, payload: bytes) -> AnyDocument:
        """The document in a payload that was verified."""
        document: AnyDocument = cbor_decode(payload, AnyDocument)
        return document

    def body(self, content: bytes) -> tuple[Occurrence, ...]:
        """See `plan_body.decode_body`: what stands in a plan's body, not yet believed."""
        return decode_body(content)

    def report(self, payload: bytes) -> Report:
        """The report in a payload that was verified."""
        return cbor_decode(payload, Report)

    def keyset(self, data: bytes, *, topic: str, root: RootKeys) -> Keyset:
        """See `keyring.open_keyset`."""
        return open_keyset(data, topic=topic, root=root)


OPENER: Final = Opener()
"""For a process that has one receiver: it remembers nothing."""
