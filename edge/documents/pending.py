"""A document that is on its way to the disk: what waits, since when, and whether it can wait any longer.

Documents come into force once they are durable (`documents`). Only a real emergency and its end are obeyed without the
disk, when that has failed or stayed silent for PATIENCE_MS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.events import LastCounter
from edge.guard import Accepted
from protocol.messages import AllClear, AnyDocument, Emergency, Reality
from protocol.units import NS_PER_MS, MonotonicNs

PENDING_MAX: Final = 64
"""Documents on their way to the disk at once: more come only from a flood, or in days with a card that never answers.
What is urgent is counted apart, and never more than is raised within PATIENCE_MS."""
PATIENCE_MS: Final = 300
"""A usual card answers within 50 ms, a cheap one within 200; a real emergency waits no longer for one."""


def is_urgent(document: AnyDocument) -> bool:
    """Whether a document is a real emergency or its end."""
    return isinstance(document, (Emergency, AllClear)) and document.reality is Reality.REAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """On its way to the disk; `before` is the counter that stood before it."""

    accepted: Accepted
    before: LastCounter | None
    since: MonotonicNs

    @property
    def cannot_wait(self) -> bool:
        """Whether it is obeyed without the disk if need be."""
        return is_urgent(self.accepted.document)

    @property
    def patience_until(self) -> MonotonicNs:
        """Until when the disk may take."""
        return MonotonicNs(self.since + PATIENCE_MS * NS_PER_MS)

    def is_late(self, now: MonotonicNs) -> bool:
        """Whether it is obeyed now, whatever the disk does."""
        return self.cannot_wait and now >= self.patience_until
