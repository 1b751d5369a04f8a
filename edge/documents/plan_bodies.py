"""Plans whose occurrences travel apart: they wait here until their body is on the node, and the plan before stays.

A large plan names its body by hash (`protocol.plan_body`). The body is fetched like media, before them, and stored with
the plan in one step. It leaves fetching to `media_need`, and to the guard whether the plan may be obeyed: it is judged
anew when its body has come.

Rules kept:
- nothing of a plan that waits is obeyed or stored, so a power cut leaves the plan before it, and the broker hands out
  the new one again;
- of one topic the latest plan waits; an earlier one of the same key does not push it aside;
- a body counts only under the hash that was signed, and within what the signed plan says of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from edge.guard import Accepted
from protocol.errors import Refusal, RefusalReason
from protocol.messages import Plan
from protocol.opening import Opener
from protocol.plan import BodyReference
from protocol.plan_body import filled

WAITING_MAX: Final = 16
"""Plans that wait at once: a place has at most eight areas above and with it, and twice as many while it is moved."""


class PlanBodies:
    """The plans of one node that wait for their body."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._waiting: dict[str, Accepted] = {}

    @property
    def needed(self) -> tuple[BodyReference, ...]:
        """The bodies to fetch."""
        found = (body_of(accepted) for accepted in self._waiting.values())
        return tuple(dict.fromkeys(body for body in found if body is not None))

    def is_waiting(self, accepted: Accepted) -> bool:
        """Whether these very bytes wait already."""
        waiting = self._waiting.get(accepted.topic)
        return waiting is not None and waiting.sha256 == accepted.sha256

    def wait(self, accepted: Accepted) -> None:
        """A plan waits for its body; raises Refusal when a later one of its key does already."""
        before = self._waiting.get(accepted.topic)
        if before is not None and before.key_id == accepted.key_id:
            later = before.document.counter
            if accepted.document.counter < later:
                raise Refusal(RefusalReason.REPLAYED, f"the plan {before.document.id} waits for its body already")
        if before is None and len(self._waiting) >= WAITING_MAX:
            raise Refusal(RefusalReason.TOO_LARGE, f"{WAITING_MAX} plans are waiting for their bodies")
        self._waiting[accepted.topic] = accepted

    def take(self, sha256: str) -> tuple[Accepted, ...]:
        """The plans that waited for a body that has come; they wait no longer."""
        found = tuple(each for each in self._waiting.values() if _hash_of(each) == sha256)
        for accepted in found:
            del self._waiting[accepted.topic]
        return found

    def followed(self, accepted: Accepted) -> None:
        """A document came into force: an earlier one of its key that still waits is of no use."""
        before = self._waiting.get(accepted.topic)
        is_same_key = before is not None and before.key_id == accepted.key_id
        if before is not None and is_same_key and before.document.counter <= accepted.document.counter:
            del self._waiting[accepted.topic]

    def fill(self, accepted: Accepted, content: bytes) -> Accepted:
        """A plan with its occurrences; anything else as it is. Raises Refusal for what is not the signed body."""
        document = accepted.document
        if not isinstance(document, Plan) or document.body is None:
            return accepted
        if document.occurrences:
            raise Refusal(RefusalReason.MALFORMED, f"the plan {document.id} has occurrences beside its body")
        plan = filled(document, content, self._opener.body(content))
        return replace(accepted, document=plan, body=content)


def body_of(accepted: Accepted) -> BodyReference | None:
    """The body that a document's occurrences stand in; None when they stand in itself, or it has none."""
    return accepted.document.body if isinstance(accepted.document, Plan) else None


def _hash_of(accepted: Accepted) -> str:
    body = body_of(accepted)
    return "" if body is None else body.sha256
