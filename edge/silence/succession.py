"""Which order to be silent, and which release, may follow what stands on its topic.

It leaves verification to the guard, storing to `documents`, and what the orders in force silence to `silences`.

Rules kept:
- an order has no end but its release: no time, restart, expiry or revoked key lifts it;
- a release names its order, and its key reaches at least as high as the key that ordered; so does the key of an order
  that takes another's place, for else a village could lift the province's silence by ordering and releasing its own;
- an old order never comes back after its release, nor an old release after a new order, whoever signed them.
"""

from __future__ import annotations

from edge.guard import Accepted
from protocol.errors import Refusal, RefusalReason
from protocol.keyring import Keyring, Parents
from protocol.messages import Silence, SilenceRelease


def refuse_unfit(accepted: Accepted, standing: Accepted | None, keyring: Keyring, parents: Parents) -> None:
    """Raise Refusal for an order or a release that must not follow what stands on its topic."""
    document = accepted.document
    if not isinstance(document, Silence | SilenceRelease) or standing is None:
        return
    if standing.sha256 == accepted.sha256:
        return
    if accepted.is_duplicate:
        raise Refusal(RefusalReason.REPLAYED, f"the {document.document_type} {document.id} was followed by another")
    match standing.document, document:
        case SilenceRelease(order=over), Silence(order=order) if over == order:
            raise Refusal(RefusalReason.REPLAYED, f"the silence {order} was released")
        case Silence(order=order), SilenceRelease(order=named) if named != order:
            raise Refusal(RefusalReason.UNEXPECTED_TYPE, f"the release of {named} while the silence {order} stands")
        case Silence(order=order), _ if not keyring.reaches(
            accepted.key_id, standing.key_id, document.audience, parents
        ):
            detail = f"the silence {order} was ordered by {standing.key_id}; {accepted.key_id} does not reach as high"
            raise Refusal(RefusalReason.WRONG_SCOPE, detail)
