"""Who may sign what: the root's keys, the keyset that they sign, and the scope of each operational key.

Two steps of trust, none of them the broker: the root keys are pinned in a file on the node, and a threshold of
them signs the keyset; the keyset names operational keys with scope = document types x areas x classes x
{real, drill} x validity. `Keyring.check` refuses a document whose key is unknown, revoked, out of its time or
out of its scope, and one that is itself out of its time or addressed to another place than it speaks of.

Kept elsewhere: the signature's arithmetic (`envelope`), replay (the guard: it needs memory), and whether the
document is for *this* node (the guard: it knows the assignment).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from protocol.codec import cbor_decode
from protocol.envelope import PUBLIC_KEY_BYTES, SealedDocument, open_sealed_by_many
from protocol.errors import LocalProtocolError, Refusal, RefusalReason
from protocol.identity import DOCUMENT_PATTERN, area_audience, node_audience
from protocol.messages import (
    ROOT_KEYS_MAX,
    Acknowledgement,
    AllClear,
    Assignment,
    BroadcastClass,
    Document,
    Emergency,
    Keyset,
    OperationalKey,
    Plan,
    Reality,
    Root,
    Silence,
    SilenceRelease,
    StreamEnd,
    StreamStart,
)

Parents = Callable[[str], tuple[str, ...]]
"""An area's chain up to the root, itself included; empty for an area that is not known."""

CLOCK_TOLERANCE_MS: Final = 5_000
"""How early a document may seem on a clock that is behind the signer's: an emergency must not wait for NTP."""
ANYWHERE: Final = "*"


class RootKeys(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The pinned root: public Ed25519 keys in hexadecimal by id, and how many must sign.

    `version` rises with each change of the root (`root_chain`); the first root has 1.
    """

    threshold: Annotated[int, Meta(ge=1, le=ROOT_KEYS_MAX)]
    keys: Annotated[
        dict[Annotated[str, Meta(pattern=DOCUMENT_PATTERN)], Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]],
        Meta(min_length=1, max_length=ROOT_KEYS_MAX),
    ]
    version: Annotated[int, Meta(ge=1, le=2**31)] = 1

    @property
    def public_keys(self) -> Mapping[str, bytes]:
        """The public keys by id, 32 bytes each."""
        return {key_id: bytes.fromhex(text) for key_id, text in self.keys.items()}


def parse_root_keys(data: bytes) -> RootKeys:
    """The pinned root from its JSON file's bytes; raises LocalProtocolError that says what is wrong."""
    try:
        root = msgspec.json.decode(data, type=RootKeys, strict=True)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LocalProtocolError(f'root keys: {error}; expected {{"threshold": 2, "keys": {{id: hex}}}}') from error
    if len(set(root.keys.values())) < root.threshold:
        raise LocalProtocolError(
            f"root keys: {root.threshold} signatures needed of {len(set(root.keys.values()))} keys"
        )
    return root


def open_keyset(data: bytes, *, topic: str, root: RootKeys) -> Keyset:
    """The keyset in `data` if a threshold of the root signed it for `topic`; raises Refusal.

    Whether it is newer than the one in use is the caller's to check: `counter` only rises.
    """
    payload = open_sealed_by_many(data, topic=topic, public_keys=root.public_keys, threshold=root.threshold)
    return cbor_decode(payload, Keyset)


class Keyring:
    """The operational keys in force. Immutable: a newer keyset makes a new keyring."""

    def __init__(self, *, version: int, keys: Mapping[str, OperationalKey]) -> None:
        self.version: Final = version
        self._keys: Final = dict(keys)

    @classmethod
    def empty(cls) -> Keyring:
        """A keyring that knows nobody: everything is refused until a keyset arrives."""
        return cls(version=0, keys={})

    @classmethod
    def from_keyset(cls, keyset: Keyset) -> Keyring:
        """The keyring of a verified keyset; raises Refusal(MALFORMED) when a key id stands in it twice."""
        keys = {key.key_id: key for key in keyset.keys}
        if len(keys) != len(keyset.keys):
            raise Refusal(RefusalReason.MALFORMED, "a key id stands twice in the keyset")
        return cls(version=keyset.counter, keys=keys)

    def public_key(self, key_id: str) -> bytes:
        """The key to verify with; raises Refusal(UNKNOWN_KEY or REVOKED_KEY)."""
        return self._usable(key_id).public_key

    def verify(self, sealed: SealedDocument) -> bytes:
        """The payload of a sealed document by the key that it names; raises Refusal.

        A good signature says who; `check` says whether they may.
        """
        return sealed.verify(self.public_key(sealed.key_id))

    def check(self, key_id: str, document: Document, now_ms: int, parents: Parents) -> None:
        """Return if the key may sign this document now; raises Refusal otherwise.

        Reasons: UNKNOWN_KEY, REVOKED_KEY, WRONG_AUDIENCE (it speaks of another place than it addresses),
        WRONG_SCOPE, NOT_YET_VALID, EXPIRED. `now_ms` is shared time; without it nothing can be judged.
        """
        key = self._usable(key_id)
        # time comes last: to whoever overlooks that something has expired, nothing else is overlooked with it
        _check_place(document)
        _check_scope(key, document, parents)
        _check_time(f"the key {key_id}", key.not_before_ms, key.expires_at_ms, now_ms)
        _check_time(
            f"the {document.document_type} {document.id}", document.not_before_ms, document.expires_at_ms, now_ms
        )

    def check_answer(self, key_id: str, kind: str, at_ms: int) -> None:
        """Return if the key may sign answers of this kind at `at_ms`; raises Refusal as `check` does.

        An answer is no `Document`: it is bound to one request of one node, and names neither place, class nor reality.
        So the key must be for everywhere and for what is real, or a commune's key could speak to its neighbours.
        """
        key = self._usable(key_id)
        _check_time(f"the key {key_id}", key.not_before_ms, key.expires_at_ms, at_ms)
        if kind not in key.scope.document_types:
            raise _out_of_scope(key, f"answers of type {kind}")
        if ANYWHERE not in key.scope.areas or Reality.REAL not in key.scope.realities:
            raise _out_of_scope(key, f"answers of type {kind} to nodes anywhere, which are real")

    def reaches(self, key_id: str, other: str, audience: str, parents: Parents) -> bool:
        """Whether a key's scope goes at least as far up from an audience as another's, be that one revoked by now.

        Where the other is no longer known, only a key for everywhere does.
        """
        kind, _, name = audience.partition(":")
        above = parents(name) if kind == "area" else ()
        return _reach(self._keys.get(key_id), above, 0) >= _reach(self._keys.get(other), above, len(above) + 1)

    def next_end_ms(self, now_ms: int) -> int | None:
        """When the next key's time runs out; None where none's does."""
        return min((key.expires_at_ms for key in self._keys.values() if key.expires_at_ms > now_ms), default=None)

    def _usable(self, key_id: str) -> OperationalKey:
        key = self._keys.get(key_id)
        if key is None or len(key.public_key) != PUBLIC_KEY_BYTES:
            raise Refusal(RefusalReason.UNKNOWN_KEY, f"the key {key_id[:64]!r} is not in keyset {self.version}")
        if key.revoked:
            raise Refusal(RefusalReason.REVOKED_KEY, f"the key {key_id} is revoked in keyset {self.version}")
        return key


def _reach(key: OperationalKey | None, above: tuple[str, ...], unknown: int) -> int:
    """How many steps up from a place a key's scope goes; one more than there are for everywhere."""
    if key is None:
        return unknown
    if ANYWHERE in key.scope.areas:
        return len(above) + 1
    return max((step for step, area in enumerate(above, 1) if area in key.scope.areas), default=0)


def _check_time(what: str, not_before_ms: int, expires_at_ms: int, now_ms: int) -> None:
    if now_ms >= expires_at_ms:
        raise Refusal(RefusalReason.EXPIRED, f"{what} ended {now_ms - expires_at_ms} ms ago")
    if now_ms + CLOCK_TOLERANCE_MS < not_before_ms:
        raise Refusal(RefusalReason.NOT_YET_VALID, f"{what} begins in {not_before_ms - now_ms} ms")


def _check_place(document: Document) -> None:
    """What a document speaks of must be what it addresses, or a key's scope could be stepped around."""
    match document:
        case Plan() | StreamStart() | StreamEnd() | Emergency() | AllClear():
            expected = area_audience(document.area)
        case Assignment() | Acknowledgement():
            expected = node_audience(document.node)
        case Silence() | SilenceRelease():
            expected = document.place
        case _:
            return
    if document.audience != expected:
        detail = f"the {document.document_type} {document.id} of {expected} is addressed to {document.audience}"
        raise Refusal(RefusalReason.WRONG_AUDIENCE, detail)


def _check_scope(key: OperationalKey, document: Document, parents: Parents) -> None:
    scope = key.scope
    if isinstance(document, Root | Keyset) or document.document_type not in scope.document_types:
        raise _out_of_scope(key, f"documents of type {document.document_type}")
    for broadcast_class in sorted(_classes_of(document) - set(scope.classes)):
        raise _out_of_scope(key, f"the class {broadcast_class}")
    if document.reality not in scope.realities:
        raise _out_of_scope(key, f"what is {document.reality}")
    if ANYWHERE in scope.areas:
        return
    kind, _, name = document.audience.partition(":")
    if kind != "area" or not set(scope.areas) & {name, *parents(name)}:
        raise _out_of_scope(key, f"the audience {document.audience}")


def _classes_of(document: Document) -> set[BroadcastClass]:
    """Every class that the document would let sound or silence, whatever it says of itself."""
    match document:
        case Emergency() | AllClear() | SilenceRelease():
            return {document.broadcast_class, BroadcastClass.EMERGENCY}
        case Silence():
            spared = set() if document.spares_emergencies else {BroadcastClass.EMERGENCY}
            return {document.broadcast_class, *spared}
        case Plan():
            return set(document.classes)
        case _:
            return {document.broadcast_class}


def _out_of_scope(key: OperationalKey, what: str) -> Refusal:
    return Refusal(RefusalReason.WRONG_SCOPE, f"the key {key.key_id} may not sign {what}")
