"""Which document may follow which on one topic, where more than one key may sign there.

Counters order what one key has signed. Between keys (two of a rotation, a province's and a commune's) there is no such
order, so what was said before and is over could be said again by whoever holds the broker, counters and all. It leaves
silences to `silence.succession`, verification and counters to the guard.

Rules kept:
- a document that was accepted before and was followed by another does not come back while that one stands;
- an emergency whose end stands is over, whoever signed either, and whether it was heard here or not;
- an all-clear of another emergency than the one that stands changes nothing.
"""

from __future__ import annotations

from edge.guard import Accepted
from protocol.errors import Refusal, RefusalReason
from protocol.messages import AllClear, Emergency, Root


def refuse_out_of_turn(accepted: Accepted, standing: Accepted | None) -> None:
    """Raise Refusal for what must not follow the document that stands on its topic."""
    if standing is None or standing.sha256 == accepted.sha256 or isinstance(accepted.document, Root):
        return
    document = accepted.document
    if accepted.is_duplicate:
        raise Refusal(RefusalReason.REPLAYED, f"the {document.document_type} {document.id} was followed by another")
    match standing.document, document:
        case AllClear(emergency=over), Emergency(emergency=name) if over == name:
            raise Refusal(RefusalReason.REPLAYED, f"the emergency {name} is over")
        case Emergency(emergency=stands), AllClear(emergency=name) if name != stands:
            raise Refusal(RefusalReason.UNEXPECTED_TYPE, f"the all-clear of {name} while {stands} stands")
