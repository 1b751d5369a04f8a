"""Nothing sounds that no genuine document allows: not for this place, not at this time, not before it was signed.

What a pole could not hear of (an end, a changed plan, a move) is held against it only from when it could.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from simulator.checkers.evidence import (
    S_NS,
    UNREADABLE,
    Evidence,
    Heard,
    Permit,
    PoleFacts,
    Violation,
    blind_poles,
    first_ones,
    seconds,
)
from simulator.evidence.signals import SELF_TEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Unauthorised:
    """`slack_ns`: fades and what was rendered ahead; `hearing_ns`: how soon an end is heard of."""

    name: str = "unauthorised"
    slack_ns: int = 600_000_000
    hearing_ns: int = 5 * S_NS
    unreadable_ns_max: int = 100_000_000

    def judge(self, evidence: Evidence) -> list[Violation]:
        """See `Checker`."""
        found = blind_poles(self.name, evidence)
        for facts in evidence.judged():
            for heard in facts.heard:
                found += self._judge(evidence, facts, heard)
        return first_ones(found)

    def _judge(self, evidence: Evidence, facts: PoleFacts, heard: Heard) -> Iterator[Violation]:
        if heard.source == UNREADABLE:
            if heard.ends_ns - heard.begins_ns > self.unreadable_ns_max:
                yield self._violation(heard, f"{seconds(heard.ends_ns - heard.begins_ns)} of sound that no source made")
            return
        if heard.source == SELF_TEST:
            return  # `self_tested` judges it
        permits = evidence.permits_of(heard)
        why = [self._against(evidence, facts, heard, permit) for permit in permits]
        if not why:
            yield self._violation(heard, f"{heard.source} sounds and no document names it")
        elif all(why):
            yield self._violation(heard, f"{heard.source} sounds, but {why[-1]}")

    def _against(self, evidence: Evidence, facts: PoleFacts, heard: Heard, permit: Permit) -> str | None:
        slack_ns = self.slack_ns + facts.clock_error_ns(heard.begins_ns, heard.ends_ns)
        chains = [
            posting.areas
            for posting in evidence.postings_at(facts.node, heard.begins_ns, heard.ends_ns, pole=facts.name)
        ]
        if not any(permit.area in areas for areas in chains):
            return f"{permit.id} is for {permit.area}, and this pole stands in {chains or 'no area'}"
        if heard.begins_ns < permit.issued_ns:
            return f"{permit.id} was signed {seconds(permit.issued_ns - heard.begins_ns)} later"
        if heard.begins_ns < permit.begins_ns - slack_ns:
            return f"{permit.id} begins {seconds(permit.begins_ns - heard.begins_ns)} later"
        if heard.ends_ns > permit.ends_ns + slack_ns:
            return f"{permit.id} had ended {seconds(heard.ends_ns - permit.ends_ns)} before"
        withdrawn_ns = permit.withdrawn_ns
        if withdrawn_ns is not None:
            heard_of_ns = evidence.calm_since(facts.name, withdrawn_ns) + self.hearing_ns
            if heard.ends_ns > heard_of_ns:
                return f"{permit.id} was withdrawn {seconds(heard.ends_ns - withdrawn_ns)} before"
        return None

    def _violation(self, heard: Heard, what: str) -> Violation:
        return Violation(checker=self.name, at_ns=heard.begins_ns, pole=heard.pole, evidence=what)


UNAUTHORISED: Final = Unauthorised()
