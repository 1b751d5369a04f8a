"""Zones that sound in turn do not sound together, and each is heard once a round, in its own turn.

A pole is judged in the rounds in which nothing was wrong with it. Where samples are asked for only now and then, it is
judged by whether anything was heard of it in another's turn, less what the probes leave open.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from protocol.turns import Turns
from protocol.units import NS_PER_MS
from simulator.checkers.evidence import (
    S_NS,
    Evidence,
    Heard,
    Permit,
    PoleFacts,
    Violation,
    blind_poles,
    first_ones,
    overlap_ns,
    seconds,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InTurn:
    """`slack_ns`: clocks and fades; `settle_ns`: a document is obeyed this long after it was signed."""

    name: str = "turns"
    slack_ns: int = 200_000_000
    settle_ns: int = 4 * S_NS

    def judge(self, evidence: Evidence) -> list[Violation]:
        """See `Checker`."""
        found = blind_poles(self.name, evidence)
        for permit in evidence.permits:
            if permit.turns is None:
                continue
            for begins_ns, ends_ns in _rounds(permit, permit.turns, evidence):
                if begins_ns >= permit.issued_ns + (0 if permit.is_real_emergency else self.settle_ns):
                    found += self._round(evidence, permit, permit.turns, begins_ns, ends_ns)
        return first_ones(found)

    def _round(
        self, evidence: Evidence, permit: Permit, turns: Turns, begins_ns: int, ends_ns: int
    ) -> Iterator[Violation]:
        """One round, by the poles that were well in it."""
        sounds: dict[int, list[Heard]] = defaultdict(list)
        for facts in evidence.judged():
            place = _place_of(evidence, permit, turns, facts, begins_ns, ends_ns)
            if place is None or not evidence.is_calm(facts.name, permit.issued_ns, ends_ns):
                continue
            own = [each for each in facts.heard if each.source == permit.source and each.is_powered]
            heard = [each for each in own if begins_ns <= (each.begins_ns + each.ends_ns) // 2 < ends_ns]
            sounds[place] += heard
            yield from self._pole(permit, turns, facts, place, heard, begins_ns)
        for one, other in combinations(sorted(sounds), 2):
            for here in sounds[one]:
                for there in sounds[other]:
                    together_ns = overlap_ns(here, there)
                    if together_ns > self.slack_ns:
                        what = f"{permit.id}: {seconds(together_ns)} together with {here.pole}, which has another turn"
                        yield Violation(checker=self.name, at_ns=there.begins_ns, pole=there.pole, evidence=what)

    def _pole(
        self, permit: Permit, turns: Turns, facts: PoleFacts, place: int, heard: list[Heard], begins_ns: int
    ) -> Iterator[Violation]:
        """One pole in one round: heard once, in its own turn."""
        if facts.edge_ns:
            return
        due_ns = begins_ns + place * turns.length_ms * NS_PER_MS + permit.lead_ns
        if len(heard) != 1:
            what = f"{permit.id}: heard {len(heard)} times in a round"
            yield Violation(checker=self.name, at_ns=begins_ns, pole=facts.name, evidence=what)
        elif abs(heard[0].begins_ns - due_ns) > self.slack_ns:
            what = f"{permit.id}: {seconds(heard[0].begins_ns - due_ns)} beside its turn"
            yield Violation(checker=self.name, at_ns=due_ns, pole=facts.name, evidence=what)


def _rounds(permit: Permit, turns: Turns, evidence: Evidence) -> Iterator[tuple[int, int]]:
    """The whole rounds within what was observed."""
    length_ns = turns.round_ms * NS_PER_MS
    begins_ns = permit.begins_ns
    over_ns = min(permit.over_ns, evidence.ends_ns)
    while begins_ns + length_ns <= over_ns:
        if begins_ns >= evidence.begins_ns:
            yield begins_ns, begins_ns + length_ns
        if permit.repeat_every_ns is None:
            return
        begins_ns += permit.repeat_every_ns


def _place_of(
    evidence: Evidence, permit: Permit, turns: Turns, facts: PoleFacts, begins_ns: int, ends_ns: int
) -> int | None:
    """A pole's place in the round; None where it is of another area, or was posted elsewhere meanwhile."""
    postings = evidence.postings_at(facts.node, begins_ns, ends_ns, pole=facts.name)
    if len(postings) != 1 or permit.area not in postings[0].areas or permit.sha256 not in facts.media:
        return None
    return postings[0].turn % turns.count


TURNS: Final = InTurn()
