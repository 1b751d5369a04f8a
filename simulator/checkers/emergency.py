"""An emergency reaches every pole that can be reached, in time; the screen names the others; its end is heard too.

A pole in trouble has as long after its trouble as the others had after the press. Nobody waits for anybody: each pole
is judged by itself, so a chain that delays its last members shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from protocol.messages import Reality
from protocol.quiet import is_quiet
from protocol.units import NS_PER_MS, SharedMs
from simulator.checkers.evidence import (
    EVERYBODY,
    S_NS,
    UNSENSED,
    EmergencyFact,
    Evidence,
    Heard,
    PoleFacts,
    Violation,
    blind_poles,
    first_ones,
    missing,
    seconds,
)

CARD_FAULTS: Final = frozenset({"storage_full", "storage_slow", "storage_read_only"})


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergencyReach:
    """`bound_ns`: from the press to the first sound of a reachable pole; `clear_ns`: from the all-clear to silence."""

    name: str = "emergency"
    bound_ns: int = 3 * S_NS
    clear_ns: int = 3 * S_NS
    answered_ns: int = 60 * S_NS

    def judge(self, evidence: Evidence) -> list[Violation]:
        """See `Checker`."""
        found = blind_poles(self.name, evidence)
        for fact in evidence.emergencies:
            if not fact.expected:
                found.append(missing(self.name, evidence, EVERYBODY, f"nobody was expected to sound {fact.id}"))
            heard_at: dict[str, int | None] = {}
            for node in fact.expected:
                poles = [facts for facts in evidence.judged() if facts.node == node]
                if not poles:
                    found.append(missing(self.name, evidence, node, f"expected to sound {fact.id}, and not observed"))
                for facts in poles:
                    sounds = [
                        heard
                        for heard in facts.heard
                        if heard.source in {fact.source, fact.signal} and heard.is_powered
                    ]
                    own = [each for each in sounds if _belongs(fact, each, facts.edge_ns)]
                    heard_at[node] = min((each.begins_ns for each in own), default=heard_at.get(node))
                    found += self._reach(evidence, fact, facts, own)
                    found += self._silence(evidence, fact, facts, own)
            found += self._names(evidence, fact, heard_at)
        return first_ones(found)

    def _reach(
        self, evidence: Evidence, fact: EmergencyFact, facts: PoleFacts, sounds: list[Heard]
    ) -> Iterator[Violation]:
        over_ns = fact.ends_ns if fact.cleared_ns is None else fact.cleared_ns
        despite = self._must_not_matter(evidence, fact, facts)
        from_ns = evidence.calm_since(facts.name, fact.raised_ns, despite=despite)
        by_ns = from_ns + self.bound_ns + 2 * facts.edge_ns  # one probe may fall into a pause
        if from_ns == fact.raised_ns:
            by_ns = max(by_ns, fact.plays_ns + self.bound_ns) + fact.shifts_ms.get(facts.node, 0) * NS_PER_MS
        else:
            by_ns += fact.round_ms * NS_PER_MS  # its turn may just have passed
        is_calm = evidence.is_calm(facts.name, from_ns, by_ns, despite=despite)
        is_reachable = is_calm and by_ns < min(over_ns, evidence.ends_ns)
        if not is_reachable or self._is_forbidden(evidence, fact, facts, by_ns):
            return
        first_ns = min((heard.begins_ns for heard in sounds if heard.ends_ns >= from_ns), default=None)
        if first_ns is None or first_ns > by_ns:
            late = "did not sound" if first_ns is None else f"sounded after {seconds(first_ns - from_ns)}"
            since = seconds(from_ns - fact.raised_ns)
            what = f"{fact.id} ({fact.source}): reachable since {since} after the press, {late}"
            yield Violation(checker=self.name, at_ns=from_ns, pole=facts.name, evidence=what)

    def _silence(
        self, evidence: Evidence, fact: EmergencyFact, facts: PoleFacts, sounds: list[Heard]
    ) -> Iterator[Violation]:
        over_ns = fact.ends_ns if fact.cleared_ns is None else fact.cleared_ns
        despite = self._must_not_matter(evidence, fact, facts)
        heard_of_ns = evidence.calm_since(facts.name, over_ns, despite=despite) + self.clear_ns + facts.edge_ns
        for heard in sounds:
            if heard.ends_ns > heard_of_ns:
                what = f"{fact.id} ({fact.source}) still sounds {seconds(heard.ends_ns - over_ns)} after its end"
                yield Violation(checker=self.name, at_ns=over_ns, pole=facts.name, evidence=what)
                return

    def _must_not_matter(self, evidence: Evidence, fact: EmergencyFact, facts: PoleFacts) -> frozenset[str]:
        """A card that is full, slow or refuses to write holds no real emergency up whose clip is on it already."""
        clips = {permit.sha256 for permit in evidence.permits if permit.id == fact.id}
        has_clip = any(sha256 in clips and since_ns < fact.raised_ns for sha256, since_ns in facts.media.items())
        return CARD_FAULTS if has_clip and fact.reality is Reality.REAL else frozenset()

    def _is_dumb(self, evidence: Evidence, fact: EmergencyFact, pole: str) -> bool:
        """Whether its amplifier had no power in a way that nothing on a pole senses, or nobody listened closely."""
        for facts in evidence.poles.values():
            was_powered = any(is_on and fact.raised_ns <= at_ns <= fact.ends_ns for at_ns, is_on in facts.power)
            if facts.node == pole and facts.edge_ns and was_powered:
                return True
        return any(
            trouble.what in UNSENSED and trouble.begins_ns <= fact.ends_ns and trouble.ends_ns >= fact.raised_ns
            for trouble in evidence.troubles_of(pole)
        )

    def _names(self, evidence: Evidence, fact: EmergencyFact, heard_at: dict[str, int | None]) -> Iterator[Violation]:
        """Who did not sound stands on the screen by name, and nobody else, once all reports are in."""
        over_ns = fact.ends_ns if fact.cleared_ns is None else fact.cleared_ns
        if evidence.ends_ns < max(evidence.healed_ns, fact.raised_ns + self.answered_ns):
            return
        for node, first_ns in heard_at.items():
            is_named = node in fact.missed
            what = None
            if first_ns is None and not is_named and not self._is_dumb(evidence, fact, node):
                what = f"{fact.id}: this pole did not sound and nobody is told"
            elif first_ns is not None and is_named and first_ns < over_ns - S_NS:
                what = f"{fact.id}: this pole sounded and is called missed"
            if what is not None:
                yield Violation(checker=self.name, at_ns=fact.raised_ns, pole=node, evidence=what)

    def _is_forbidden(self, evidence: Evidence, fact: EmergencyFact, facts: PoleFacts, at_ns: int) -> bool:
        """A drill keeps quiet in quiet hours."""
        postings = evidence.postings_at(facts.node, fact.raised_ns, at_ns, pole=facts.name)
        return fact.reality is Reality.DRILL and any(
            is_quiet(posting.quiet_hours, posting.time_zone, SharedMs(at_ns // NS_PER_MS)) for posting in postings
        )


def _belongs(fact: EmergencyFact, heard: Heard, edge_ns: int) -> bool:
    """Two emergencies may use one clip: a sound belongs to the one in whose time it began."""
    over_ns = fact.ends_ns if fact.cleared_ns is None else fact.cleared_ns
    return fact.raised_ns - S_NS <= heard.begins_ns <= over_ns + 60 * S_NS + edge_ns


EMERGENCY: Final = EmergencyReach()
