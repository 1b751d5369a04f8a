"""What a pole's records claim, its microphone has heard: the sound was in the air, not only in the card.

The other checkers ask whether the agent kept its word as far as the card and the relay; this one asks whether anybody
heard it, and loud enough to have come from this pole's own horn. The product has no microphone yet: while something is
wrong that nothing on the pole senses (`evidence.UNSENSED`), its records are in good faith and are not judged; a
scenario that is about such a time says so by the expectation `claims`. A time whose length is not known (a power cut)
claims nothing; where samples are asked for now and then, short airings may fall between.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from protocol.units import NS_PER_MS
from simulator.checkers.airings import Airing, airings_of
from simulator.checkers.evidence import (
    S_NS,
    UNSENSED,
    Evidence,
    PoleFacts,
    Violation,
    blind_poles,
    first_ones,
    seconds,
)
from simulator.pole.microphone import Arrival, Microphone

OWN_DB_MIN: Final = 75.0
"""A horn a metre away, driven at -45 dBFS; a neighbour's at full scale comes to that from 180 m."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardThere:
    """`share_percent_min`: of what is claimed; fades, a relay that warms up and gaps of a stream take a part."""

    name: str = "heard"
    slack_ns: int = S_NS
    claim_ns_min: int = 2 * S_NS
    share_percent_min: int = 60

    def judge(self, evidence: Evidence) -> list[Violation]:
        """See `Checker`."""
        found = blind_poles(self.name, evidence)
        sources: dict[str, set[str]] = {}
        for permit in evidence.permits:
            sources.setdefault(permit.id, set()).add(permit.source)
        for node, airings in airings_of(evidence).items():
            poles = [facts for facts in evidence.judged() if facts.node == node]
            for name, airing in airings.items():
                found += self._judge(evidence, poles, name, airing, sources.get(airing.source_id, set()))
        return first_ones(found)

    def _judge(
        self, evidence: Evidence, poles: list[PoleFacts], name: str, airing: Airing, sources: set[str]
    ) -> Iterator[Violation]:
        """Of a node with two machines (one was replaced) either may have sounded it."""
        claimed_ns, ends_ns = airing.audible_ms * NS_PER_MS, airing.ends_ns
        edge_ns = max((facts.edge_ns for facts in poles), default=0)
        if ends_ns is None or claimed_ns < self.claim_ns_min + 2 * edge_ns:
            return
        if not poles or any(_is_unsensed(evidence, facts, airing.begins_ns, ends_ns) for facts in poles):
            return
        heard_ns = max(self._heard_ns(facts, airing.begins_ns, ends_ns, sources) for facts in poles)
        is_calm = all(evidence.is_calm(facts.name, airing.begins_ns, ends_ns) for facts in poles)
        is_enough = heard_ns * 100 >= claimed_ns * self.share_percent_min if is_calm else heard_ns > 0
        if not is_enough:
            what = f"{name}: {seconds(claimed_ns)} on record, {seconds(heard_ns)} heard by its microphone"
            yield Violation(checker=self.name, at_ns=airing.begins_ns, pole=poles[-1].name, evidence=what)

    def _heard_ns(self, facts: PoleFacts, begins_ns: int, ends_ns: int, sources: set[str]) -> int:
        """At the most; records are by the node's clock, which may have been wrong at any time of the run."""
        slack_ns = self.slack_ns + facts.edge_ns + max((abs(error) for _, error in facts.clock_errors), default=0)
        return sum(
            arrival.ends_ns - arrival.begins_ns + 2 * facts.edge_ns
            for arrival in own_arrivals(facts, begins_ns - slack_ns, ends_ns + slack_ns)
            if arrival.source in sources
        )


def own_arrivals(facts: PoleFacts, begins_ns: int, ends_ns: int) -> list[Arrival]:
    """What a pole's microphone hears of its own horn: no neighbour is loud enough to be taken for it."""
    microphone = Microphone(facts.name, {facts.name: facts.place}, {facts.name: facts.heard})
    return [each for each in microphone.arrivals(begins_ns, ends_ns) if each.level_db >= OWN_DB_MIN]


def _is_unsensed(evidence: Evidence, facts: PoleFacts, begins_ns: int, ends_ns: int) -> bool:
    return any(
        trouble.what in UNSENSED and trouble.begins_ns <= ends_ns and begins_ns < trouble.ends_ns
        for trouble in evidence.troubles_of(facts.name)
    )


HEARD: Final = HeardThere()
