"""Nothing stale sounds: not a moment of an item from the instant on from which it is no longer true.

Also where a pole has been alone since the item was planned: the instant travels with the item. A pole whose clock was
wrong is given its error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol.messages import SourceKind
from simulator.checkers.evidence import S_NS, Evidence, Heard, PoleFacts, Violation, blind_poles, first_ones, seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingStale:
    """`slack_ns`: what was rendered ahead, and a fade."""

    name: str = "stale"
    slack_ns: int = 600_000_000

    def judge(self, evidence: Evidence) -> list[Violation]:
        """See `Checker`."""
        found = blind_poles(self.name, evidence)
        for facts in evidence.judged():
            for heard in facts.heard:
                late_ns = self._late_ns(evidence, facts, heard)
                if late_ns is not None:
                    what = f"{heard.source} sounds {seconds(late_ns)} after it has become stale"
                    at_ns = heard.ends_ns - late_ns
                    found.append(Violation(checker=self.name, at_ns=at_ns, pole=facts.name, evidence=what))
        return first_ones(found)

    def _late_ns(self, evidence: Evidence, facts: PoleFacts, heard: Heard) -> int | None:
        """By how much it sounds too long by every document that lets it sound then; None: some document bears it."""
        slack_ns = self.slack_ns + facts.clock_error_ns(heard.begins_ns, heard.ends_ns)
        late_ns = []
        for permit in evidence.permits_of(heard):
            if not permit.begins_ns - S_NS <= heard.begins_ns <= permit.ends_ns + S_NS:
                continue
            if permit.kind is not SourceKind.MEDIA or permit.valid_until_ns is None:
                return None
            late_ns.append(heard.ends_ns - permit.valid_until_ns - slack_ns)
        return min(late_ns) if late_ns and min(late_ns) > 0 else None


STALE: Final = NothingStale()
