"""What stands is signed again when the key that signed it may not any more.

A keyset that revokes a key makes every node drop what that key ordered, at once. What *this* controller has ordered is
meant all the same: it is said again with another key, emergencies and streams first, so that a revocation costs a
second of silence and no plan. The same is done at the instant at which a key's time runs out, for nodes that come after
it. An order to be silent is meant until its release: it is said again long before its document runs out.

Rules kept: the content stays as it was; a document that nobody here may sign is left as it stands, and a person is
told; the work goes in slices, so that five thousand assignments do not hold up an emergency.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Final

import msgspec

from controller.documents.notary import Notary
from controller.documents.standing import Standing
from controller.effects import Effect, Level, Note
from controller.errors import SigningError
from controller.events import AuthorityChanged
from controller.ledger import Ledger
from controller.orders.silence import VALID_MS
from controller.people.audit import Actor, Deed, act_of
from controller.records import StandingDocument
from protocol.errors import ProtocolError, Refusal
from protocol.messages import AllClear, AnyDocument, Emergency, Silence
from protocol.units import Now, SharedMs

SLICE_DOCUMENTS: Final = 200
"""Looked at in one turn of the desk: some milliseconds."""
SLICE_SIGNED: Final = 10
"""Signed in one turn: by a signer of its own on a busy machine some 70 ms, for which an emergency would wait."""
SLICE_EVERY_MS: Final = 50
LOOK_AGAIN_MS: Final = 3600 * 1000
"""How often the keys of what stands are looked at without any news."""
TRY_AGAIN_MS: Final = 10_000
"""After the signer was away, or the database did not take it."""
SILENCE_LEFT_MS_MIN: Final = VALID_MS // 2
"""An order to be silent that is good for less is said again for the whole span."""
_SYSTEM: Final = Actor(who="system")
"""Keys come by a command on the machine; who signed the keyset stands in the ceremony's papers."""


class Resigning:
    """See the module's text. Composes the notary's keys and what stands; it decides nothing about content."""

    def __init__(self, *, notary: Notary, standing: Standing, ledger: Ledger) -> None:
        self._notary = notary
        self._standing = standing
        self._ledger = ledger
        self._waiting: deque[str] = deque()
        self._next_at_ms = SharedMs(0)
        self._has_failed = False

    @property
    def next_at_ms(self) -> SharedMs:
        """When to look again."""
        return self._next_at_ms

    def authority_changed(self, event: AuthorityChanged, now: Now) -> list[Effect]:
        """Other keys are in force: publish them, and look at everything that stands; news goes on record."""
        is_news = not self._standing.is_trusted(keyset=event.keyset, root_chain=event.root_chain)
        self._notary.use(signers=event.signers, scopes=event.scopes)
        self._waiting.clear()
        self._next_at_ms = now.shared_ms
        note = Note(level=Level.INFO, what="keys_in_force", facts={"keyset": event.version})
        published = self._standing.replace_trust(keyset=event.keyset, root_chain=event.root_chain)
        if not is_news:
            return [note, *published]
        signs = ", ".join(sorted(each.key_id for each in event.signers)) or "nothing"
        said = f"keyset {event.version}, root {event.root_version}; signs with {signs}"
        act = act_of(Deed.KEYS, by=_SYSTEM, at_ms=now.shared_ms, detail=said)
        return [note, *published, *self._ledger.commit([act])]

    def look(self, now: Now) -> list[Effect]:
        """The next slice of what is due."""
        if now.shared_ms < self._next_at_ms:
            return []
        if not self._waiting:
            self._waiting.extend(self._standing.topics)
            self._has_failed = False
        effects: list[Effect] = []
        renewed: list[StandingDocument] = []
        for _ in range(min(SLICE_DOCUMENTS, len(self._waiting))):
            if len(renewed) == SLICE_SIGNED:
                break
            document, note = self._renew(self._waiting.popleft(), now)
            renewed += [document] if document else []
            effects += [note] if note else []
        if renewed:
            effects += self._keep(renewed)
        wait_ms = SLICE_EVERY_MS if self._waiting else TRY_AGAIN_MS if self._has_failed else LOOK_AGAIN_MS
        ends_ms = self._notary.next_end_ms(now.shared_ms) or now.shared_ms + wait_ms
        self._next_at_ms = SharedMs(min(now.shared_ms + wait_ms, ends_ms))
        return effects

    def _renew(self, topic: str, now: Now) -> tuple[StandingDocument | None, Note | None]:
        sealed, document = self._standing.sealed(topic), self._standing.signed(topic)
        if sealed is None or document is None or document.expires_at_ms <= now.shared_ms:
            return None, None
        refusal = self._notary.refusal(sealed.key_id, document, now.shared_ms)
        lasting = _lasting(document, now.shared_ms)
        if refusal is None and lasting is document:
            return None, None
        try:
            make = partial(_again, lasting)
            return self._notary.sign(topic, make, now.shared_ms, body=sealed.body), None
        except (SigningError, ProtocolError) as error:
            is_first, self._has_failed = not self._has_failed, True
            return None, _complaint(refusal, error) if is_first else None

    def _keep(self, documents: list[StandingDocument]) -> list[Effect]:
        def kept(now: Now) -> list[Effect]:
            return [self._standing.put(document, now.shared_ms) for document in documents]

        def not_kept(reason: str, now: Now) -> list[Effect]:
            self._next_at_ms = SharedMs(min(self._next_at_ms, now.shared_ms + TRY_AGAIN_MS))
            urgent = [each for each in documents if _is_urgent(self._standing.signed(each.topic))]
            note = Note(level=Level.ERROR, what="signed_again_not_stored", reason=reason)
            return [*(self._standing.put(document, now.shared_ms) for document in urgent), note]

        note = Note(level=Level.INFO, what="signed_again", facts={"documents": len(documents)})
        return [note, *self._ledger.commit(documents, then=kept, otherwise=not_kept)]


def _again(document: AnyDocument, counter: int) -> AnyDocument:
    return msgspec.structs.replace(document, counter=counter)


def _lasting(document: AnyDocument, now_ms: SharedMs) -> AnyDocument:
    """An order to be silent that outlasts its document; anything else as it is, for it ends when it says."""
    if not isinstance(document, Silence) or document.expires_at_ms - now_ms >= SILENCE_LEFT_MS_MIN:
        return document
    return msgspec.structs.replace(document, expires_at_ms=now_ms + VALID_MS)


def _is_urgent(document: AnyDocument | None) -> bool:
    return isinstance(document, Emergency | AllClear | Silence)


def _complaint(refusal: Refusal | None, error: Exception) -> Note:
    why = refusal or "the order to be silent runs out"
    return Note(level=Level.ERROR, what="not_signed_again", reason=f"{why}; {error}")
