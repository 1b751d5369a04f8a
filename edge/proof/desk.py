"""What a node can prove: takes in the studio's records, adds what fell into times without power or clock, keeps all.

Composes `judged` (which planned items have a record) with the outbox, which numbers, chains, signs and stores. It
leaves to the studio what sounded and why, to the outbox how records reach the controller.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from edge.effects import Effect, KeepNote, LogDecision
from edge.events import Restored
from edge.outbox import Outbox
from edge.proof.judged import NOTE, Judged
from protocol.candidate import Candidate
from protocol.messages import AiringRecord, AiringState
from protocol.units import MonotonicNs, Now, SharedMs

Settled = tuple[str, SharedMs] | None
"""The planned item that a record settles, by its key, and when that ends; None of what no plan says."""


class ProofDesk:
    """The proof of one node."""

    def __init__(self, *, outbox: Outbox) -> None:
        self._outbox: Final = outbox
        self._judged: Final = Judged()

    def restore(self, restored: Restored, now: Now) -> None:
        """Take in what the run before left: reports that wait, and what was judged."""
        self._outbox.restore(restored, now)
        note = next((each.payload for each in restored.notes if each.name == NOTE), None)
        self._judged.restore(note, now)

    def keep(self, records: Iterable[tuple[AiringRecord, Settled]]) -> list[Effect]:
        """Number, sign and store records; each with what it settles, in one step of the disk."""
        effects: list[Effect] = []
        for record, settled in records:
            if settled is None:
                effects += self._outbox.append(record)
            elif record.state is AiringState.STARTED or not self._judged.knows(settled[0]):
                # of what the run before has begun or refused, a second record would say that it was missed too
                self._judged.recorded(*settled)
                effects += self._outbox.append(record, note=(NOTE, self._judged.note))
        return effects

    def settle(self, planned: tuple[Candidate, ...], now: Now) -> list[Effect]:
        """Put on record what the plans say was due and nothing has become of; after the studio has settled."""
        missed = self._judged.settle(planned, now)
        laid: list[Effect] = [KeepNote(name=NOTE, payload=self._judged.note)] if self._judged.take_new() else []
        if not missed:
            return laid
        log = LogDecision(
            decision="missed",
            fields=(("items", len(missed)), ("first", missed[0][1].title), ("reason", missed[0][1].reason)),
        )
        return [*laid, log, *self.keep((record, (each.key, each.ends_at_ms)) for each, record in missed)]

    def next_deadline(self) -> MonotonicNs | None:
        """When there is more to put on record."""
        return self._judged.next_deadline()
