"""Signs what the controller says, each document with a key whose scope allows it.

A drill is signed by a drill key because no other key's scope holds it; that is the keyset's decision, made by
the root, and the notary only looks for a key that fits. Counters: one more than the last of that key on that
topic, and at least the shared time in milliseconds, so that even a lost database does not go back.
The counter of a returned document must be made durable before the document is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from controller.errors import SigningError
from controller.records import StandingDocument
from protocol.envelope import Signer, seal
from protocol.errors import Refusal
from protocol.messages import AnyDocument, Document
from protocol.units import SharedMs

Parents = Callable[[str], tuple[str, ...]]
"""From an area up to its root, itself first."""

CLOCK_TOLERANCE_MS: Final = 60_000
"""How far `not_before` lies back, so that a node whose clock is behind does not refuse what is meant for now."""


class Scopes(Protocol):
    """Which key may sign what: the keyring."""

    def check(self, key_id: str, document: Document, now_ms: int, parents: Parents) -> None:
        """Raises Refusal when the key may not sign the document."""

    def check_answer(self, key_id: str, kind: str, at_ms: int) -> None:
        """Raises Refusal when the key may not sign answers of this kind."""

    def next_end_ms(self, now_ms: int) -> int | None:
        """When the next key's time runs out."""


class Notary:
    """Holds the signers; `counters` are those already used, by key and topic."""

    def __init__(
        self,
        *,
        signers: Sequence[Signer],
        scopes: Scopes,
        parents: Parents,
        counters: dict[tuple[str, str], int],
    ) -> None:
        self._signers = tuple(signers)
        self._scopes = scopes
        self._parents = parents
        self._counters = counters

    @property
    def key_ids(self) -> frozenset[str]:
        """The keys that can sign."""
        return frozenset(signer.key_id for signer in self._signers)

    def set_parents(self, parents: Parents) -> None:
        """The tree of places has changed."""
        self._parents = parents

    def use(self, *, signers: Sequence[Signer], scopes: Scopes) -> None:
        """Sign with these keys from now on; the counters go on."""
        self._signers, self._scopes = tuple(signers), scopes

    def refusal(self, key_id: str, document: Document, now_ms: SharedMs) -> Refusal | None:
        """Why a key may not sign a document now; None when it may."""
        try:
            self._scopes.check(key_id, document, now_ms, self._parents)
        except Refusal as refusal:
            return refusal
        return None

    def next_end_ms(self, now_ms: SharedMs) -> int | None:
        """When what some key has signed is good no more."""
        return self._scopes.next_end_ms(now_ms)

    def sign(
        self, topic: str, make: Callable[[int], AnyDocument], now_ms: SharedMs, *, body: bytes | None = None
    ) -> StandingDocument:
        """The document that `make` builds from its counter, sealed; raises SigningError when no key may sign it.

        `body` is what a large plan names by its hash, and is kept with it.
        """
        refusals = []
        for signer in self._signers:
            used = (signer.key_id, topic)
            counter = max(self._counters.get(used, 0) + 1, now_ms)
            document = make(counter)
            try:
                self._scopes.check(signer.key_id, document, now_ms, self._parents)
            except Refusal as refusal:
                refusals.append(f"{signer.key_id}: {refusal.reason.value}")
                continue
            try:
                payload = seal(document, signer=signer, topic=topic)
            except SigningError as error:
                refusals.append(f"{signer.key_id}: {error}")
                continue
            self._counters[used] = counter
            return StandingDocument(
                topic=topic,
                key_id=signer.key_id,
                counter=counter,
                payload=payload,
                expires_at_ms=document.expires_at_ms,
                body=body,
            )
        message = (
            f"no key of trust.signing_keys may sign what {topic} needs ({'; '.join(refusals) or 'there is none'}); "
            "give the controller a key whose scope in the keyset allows it"
        )
        raise SigningError(message)
