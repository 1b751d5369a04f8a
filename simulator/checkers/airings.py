"""What the records that reached the controller say of each airing, put together: begin, end, how long it was audible.

By the nodes' own clocks, and in good faith; `proof` and `heard` judge it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from edge.player.arbiter import Reason
from protocol.messages import AiringRecord, AiringState
from protocol.units import NS_PER_MS
from simulator.checkers.evidence import Evidence


@dataclass(slots=True)
class Airing:
    """One airing of one node; `ends_ns` is None while it lasts and where a power cut left its end unknown."""

    source_id: str
    begins_ns: int
    ends_ns: int | None = None
    starts: int = 0
    finishes: int = 0
    audible_ms: int = 0
    is_cut_off: bool = False


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
        else:
            airing.finishes += 1
            airing.is_cut_off = record.reason == Reason.POWER_CUT
            airing.ends_ns = None if airing.is_cut_off else at_ns
            airing.audible_ms = record.audible_ms
    return found
