"""What keeps this node silent: signed orders, and the button on the pole.

It says what of all orders in force holds for this box, and what may sound all the same. It leaves which order may
follow which to `succession`, the last word to the guard, the button's physics to `gpio.inputs`.

Rule kept: the button silences what it was pressed against, emergencies too; a real emergency raised afterwards sounds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from edge.player.arbiter import Reason
from protocol.candidate import Candidate
from protocol.messages import AnyDocument, BroadcastClass, Reality, Silence
from protocol.topics import TopicName

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
