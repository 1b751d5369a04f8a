"""What the records that reached the controller say of each airing, put together: begin, end, how long it was audible.

By the nodes' own clocks, and in good faith; `proof` and `heard` judge it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from edge.player.arbiter import Reason
from protocol.messages import LOOSE_FROM, AiringRecord, AiringState
from protocol.units import NS_PER_MS
from simulator.checkers.evidence import Evidence


@dataclass(slots=True)
class Airing:
    """One airing of one node; `ends_ns` is None while it lasts and where a power cut left its end unknown.

    A node that wakes up after a power cut says `cut_offs` of what it knows to have begun. It cannot know that the end
    was sent already, if its card had refused to keep that: a real end beside it counts, when it came outside the chain.
    """

    source_id: str
    begins_ns: int
    ends_ns: int | None = None
    starts: int = 0
    finishes: int = 0
    audible_ms: int = 0
    cut_offs: int = 0
    is_start_loose: bool = False
    is_end_loose: bool = False

    @property
    def is_end_unknown(self) -> bool:
        """Whether it ended in a power cut; if the card had kept not even its begin, nobody says so."""
        return self.ends_ns is None and (self.cut_offs > 0 or self.is_start_loose)

    @property
    def is_twice(self) -> bool:
        """Whether something is on record twice."""
        ends = self.finishes + (0 if self.is_end_loose else self.cut_offs)
        return self.starts > 1 or self.finishes > 1 or self.cut_offs > 1 or ends > 1


def airings_of(evidence: Evidence) -> dict[str, dict[str, Airing]]:
    """Node and airing: what its records say together."""
    found: dict[str, dict[str, Airing]] = defaultdict(dict)
    for stored in sorted(evidence.records, key=lambda each: (each.node, each.report_key, each.number)):
        record: AiringRecord = stored.record
        if record.state not in {AiringState.STARTED, AiringState.FINISHED}:
            continue
        at_ns = record.at_ms * NS_PER_MS
        airing = found[stored.node].setdefault(record.airing, Airing(source_id=record.source_id, begins_ns=at_ns))
        if record.state is AiringState.STARTED:
            airing.starts += 1
            airing.begins_ns = at_ns
            airing.is_start_loose = stored.number >= LOOSE_FROM
        elif record.reason == Reason.POWER_CUT:
            airing.cut_offs += 1
        else:
            airing.finishes += 1
            airing.ends_ns = at_ns
            airing.audible_ms = record.audible_ms
            airing.is_end_loose = stored.number >= LOOSE_FROM
    return found
