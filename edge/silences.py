"""What keeps this node silent: signed orders, and the button on the pole.

It says which order may follow which on one topic, what of all orders in force holds for this box, and what may
sound all the same. It leaves verification and the last word to the guard, storing to `documents`, the button's
physics to `gpio.inputs`.

Rules kept:
- an order has no end but its release: no time, restart, expiry or revoked key lifts it;
- a release names its order, and its key reaches at least as high as the key that ordered; so does the key of an order
  that takes another's place, for else a village could lift the province's silence by ordering and releasing its own;
- an old order never comes back after its release, nor an old release after a new order, whoever signed them;
- the button silences what it was pressed against, emergencies too; a real emergency that is raised afterwards sounds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from edge.player.arbiter import Reason
from edge.player.program import Candidate
from protocol.errors import Refusal, RefusalReason
from protocol.keyring import Keyring, Parents
from protocol.messages import AnyDocument, BroadcastClass, Reality, Silence, SilenceRelease
from protocol.topics import TopicName

if TYPE_CHECKING:
    from edge.guard import Accepted

SILENCE_TOPICS: Final = frozenset({TopicName.AREA_SILENCE, TopicName.NODE_SILENCE})


class Silences:
    """Everything that silences one node. `box` is the digest of this box's serial number, empty where there is none."""

    def __init__(self, *, box: str) -> None:
        self._box = box
        self._orders: tuple[Silence, ...] = ()
        self._stopped: frozenset[str] | None = None

    @property
    def is_silencing(self) -> bool:
        """Whether anything is kept from sounding."""
        return bool(self._orders) or self._stopped is not None

    @property
    def why(self) -> str:
        """By whose order and why, for people; empty where there is none."""
        return "; ".join(f"{each.place} {each.ordered_by}: {each.reason}" for each in self._orders)

    def use(self, documents: Iterable[AnyDocument]) -> None:
        """These documents are in force."""
        silences = (each for each in documents if isinstance(each, Silence))
        self._orders = tuple(each for each in silences if not each.spared_box or each.spared_box != self._box)

    def stop(self, emergencies: Iterable[str]) -> None:
        """The button was pressed while these emergencies stood."""
        self._stopped = frozenset(emergencies)

    def resume(self) -> None:
        """The button's time is up, or it was held."""
        self._stopped = None

    def blocks(self, candidate: Candidate) -> Reason | None:
        """What silences a candidate."""
        is_real_emergency = candidate.broadcast_class is BroadcastClass.EMERGENCY and candidate.reality is Reality.REAL
        if any(not (each.spares_emergencies and is_real_emergency) for each in self._orders):
            return Reason.SILENCED
        if self._stopped is None or (is_real_emergency and candidate.source_id not in self._stopped):
            return None
        return Reason.STOP_BUTTON


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
