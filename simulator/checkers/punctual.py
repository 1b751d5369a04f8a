"""What is planned begins on its second: a pole with the right time is at most a second off, where nothing holds it up.

Two things are measured. The place in the source: when its first sample sounded, or would have, beside the instant that
the plan gives it; that is known however seldom a pole is listened to, and also of one that joins late. And the first
sound itself, where every sample is heard and nothing stood in its way. A pole in trouble, and one whose clock is wrong,
is not held to it; who sounds what is `priority`'s affair.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from protocol.messages import SourceKind
from protocol.quiet import is_quiet
from protocol.units import NS_PER_MS, SharedMs
from simulator.checkers.evidence import (
    S_NS,
    Evidence,
    Heard,
    Permit,
    PoleFacts,
    Posting,
    Violation,
    blind_poles,
    first_ones,
    seconds,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Punctual:
    """`bound_ns`: from the planned instant; `settle_ns`: a document is obeyed this long after it was signed."""

    name: str = "punctual"
    bound_ns: int = S_NS
    settle_ns: int = 4 * S_NS
    unheard_ns: int = 10 * S_NS
    """An item that a pole misses for so long, and then never sounds, is `priority`'s to judge."""

    def judge(self, evidence: Evidence) -> list[Violation]:
        """See `Checker`."""
        found = blind_poles(self.name, evidence)
        planned = [permit for permit in evidence.permits if permit.kind is SourceKind.MEDIA]
        for facts in evidence.judged():
            postings = evidence.postings.get(facts.node, [])
            if len(postings) != 1:
                continue
            for heard in facts.heard:
                found += self._place(evidence, facts, postings[0], heard)
            if facts.edge_ns < S_NS:
                for permit in planned:
                    found += self._begin(evidence, facts, postings[0], permit.of_turn(postings[0].turn))
        return first_ones(found)

    def _place(self, evidence: Evidence, facts: PoleFacts, posting: Posting, heard: Heard) -> Iterator[Violation]:
        """How far the source is from where the plan has it, by the plan that fits best."""
        if heard.origin_ns is None or not self._is_right(evidence, facts, heard.begins_ns, heard.ends_ns):
            return
        permits = evidence.permits_of(heard)
        if not permits or any(permit.kind is not SourceKind.MEDIA for permit in permits):
            return
        off_ns = []
        for permit in (each.of_turn(posting.turn) for each in permits):
            if permit.begins_ns - S_NS <= heard.begins_ns <= permit.ends_ns + S_NS:
                begins_ns = permit.begins_ns + permit.lead_ns + posting.aim_ns(permit.broadcast_class)
                off_ns.append(abs(heard.origin_ns - begins_ns))
        if off_ns and min(off_ns) > self.bound_ns:
            what = f"{heard.source} sounds {seconds(min(off_ns))} beside where its plan has it"
            yield Violation(checker=self.name, at_ns=heard.begins_ns, pole=facts.name, evidence=what)

    def _begin(self, evidence: Evidence, facts: PoleFacts, posting: Posting, permit: Permit) -> Iterator[Violation]:
        """When the first sound of an item came, that nothing held up."""
        begins_ns = permit.begins_ns + permit.lead_ns + posting.aim_ns(permit.broadcast_class)
        until_ns = min(begins_ns + self.unheard_ns, permit.over_ns)
        from_ns = begins_ns - self.settle_ns
        if permit.area not in posting.areas or permit.issued_ns > from_ns or until_ns > evidence.ends_ns:
            return
        if facts.media.get(permit.sha256 or "", evidence.ends_ns) > from_ns:
            return
        if not self._is_right(evidence, facts, from_ns, until_ns):
            return
        quiet = (posting.quiet_hours, posting.time_zone)
        if any(is_quiet(*quiet, SharedMs(at_ns // NS_PER_MS)) for at_ns in (from_ns, until_ns)):
            return
        sounds = [each for each in facts.heard if each.begins_ns <= until_ns and each.ends_ns > begins_ns]
        if any(each.source != permit.source for each in sounds) or not sounds:
            return
        late_ns = min(each.begins_ns for each in sounds) - begins_ns
        if late_ns > self.bound_ns + facts.edge_ns:
            what = f"{permit.source} ({permit.id}) is first heard {seconds(late_ns)} after its instant"
            yield Violation(checker=self.name, at_ns=begins_ns, pole=facts.name, evidence=what)

    def _is_right(self, evidence: Evidence, facts: PoleFacts, begins_ns: int, ends_ns: int) -> bool:
        """Whether nothing was wrong with the pole and its clock told the true time."""
        is_timed = facts.clock_error_ns(begins_ns, ends_ns) <= self.bound_ns // 2
        return is_timed and evidence.is_calm(facts.name, begins_ns, ends_ns)


PUNCTUAL: Final = Punctual()
