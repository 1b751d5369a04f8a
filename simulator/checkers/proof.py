"""Every audible stretch has exactly one airing on record at the controller, and no record is without its sound.

Judged once the world is healed: what a node put on record has had time to arrive. A stretch that the loss of power cut
off as it began may be without one, for nothing was durable yet; how long one sounded that it ended is not known, so its
record says nothing of that. What a card could not keep and the network could not carry is lost with the power; then
the node must have said that it was cut off.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from protocol.messages import Over
from protocol.units import NS_PER_MS
from simulator.checkers.airings import Airing, airings_of
from simulator.checkers.evidence import (
    EVERYBODY,
    S_NS,
    UNREADABLE,
    Evidence,
    Heard,
    PoleFacts,
    Violation,
    blind_poles,
    first_ones,
    missing,
    seconds,
)
from simulator.evidence.signals import SELF_TEST

REFUSES: Final = "storage_read_only"
SLOW: Final = "storage_slow"
SIGNAL: Final = "chime:"
AWAY: Final = ("network_", "broker_")
"""A report leaves no pole while one of these holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """`slack_ns`: fades, rendering ahead, a late timer; `unkept_ns`: less before a power cut may be lost."""

    name: str = "proof"
    slack_ns: int = 700_000_000
    unkept_ns: int = 2 * S_NS

    def judge(self, evidence: Evidence) -> list[Violation]:
        """See `Checker`."""
        found = blind_poles(self.name, evidence)
        if not evidence.is_controller_up:
            found.append(missing(self.name, evidence, EVERYBODY, "the controller does not run at the end"))
        for node, number, kind in evidence.report_gaps:
            if node in evidence.cloned:
                continue  # two units that number their reports alike contradict each other
            what = f"report {number} of {node}: {kind}"
            found.append(Violation(checker=self.name, at_ns=evidence.ends_ns, pole=node, evidence=what))
        airings = airings_of(evidence)
        for facts in evidence.judged():
            if facts.node in evidence.cloned:
                continue
            own = airings.get(facts.node, {})
            found += self._sounds(evidence, facts, own)
        for node, own in airings.items():
            if node in evidence.cloned:
                continue
            found += self._records(evidence, node, own)
        return first_ones(found)

    def _sounds(self, evidence: Evidence, facts: PoleFacts, airings: dict[str, Airing]) -> Iterator[Violation]:
        for heard in facts.heard:
            if heard.source in {UNREADABLE, SELF_TEST} or self._may_be_lost(evidence, facts, heard):
                continue
            ids = self._ids(evidence, facts, heard)
            covering = [name for name, airing in airings.items() if self._covers(facts, airing, heard, ids)]
            if len(covering) > 1:  # one that was cut off has no known end: a later one tells where it was
                covering = [name for name in covering if not airings[name].is_end_unknown] or covering
            if not covering or (len(covering) > 1 and self._slack_ns(facts, heard.begins_ns, heard.ends_ns) < S_NS):
                many = f"{len(covering)} airings ({', '.join(covering)})" if covering else "no airing"
                what = f"{heard.source} sounded {seconds(heard.ends_ns - heard.begins_ns)} and {many} on record says so"
                yield Violation(checker=self.name, at_ns=heard.begins_ns, pole=facts.name, evidence=what)

    def _ids(self, evidence: Evidence, facts: PoleFacts, heard: Heard) -> set[str]:
        """What it may have been: of those that begin with the same attention signal, the one whose signal was due."""
        permits = evidence.permits_of(heard)
        slack_ns = self._slack_ns(facts, heard.begins_ns, heard.ends_ns) + facts.edge_ns
        due = [
            permit
            for permit in permits
            if permit.begins_ns - slack_ns <= heard.begins_ns <= permit.begins_ns + (permit.duration_ns or 0) + slack_ns
        ]
        is_signal = heard.source.startswith(SIGNAL)
        return {permit.id for permit in (due if is_signal and due else permits)}

    def _covers(self, facts: PoleFacts, airing: Airing, heard: Heard, ids: set[str]) -> bool:
        slack_ns = self._slack_ns(facts, heard.begins_ns, heard.ends_ns)
        if airing.source_id not in ids or airing.begins_ns > heard.begins_ns + slack_ns:
            return False
        return airing.ends_ns is None or airing.ends_ns >= heard.ends_ns - slack_ns

    def _slack_ns(self, facts: PoleFacts, begins_ns: int, ends_ns: int) -> int:
        """Records are by the node's clock; one that was wrong in this run may have been wrong at either end."""
        worst_ns = max((abs(error) for _, error in facts.clock_errors), default=0)
        return self.slack_ns + (worst_ns if worst_ns > S_NS else facts.clock_error_ns(begins_ns, ends_ns))

    def _may_be_lost(self, evidence: Evidence, facts: PoleFacts, heard: Heard) -> bool:
        is_short = heard.ends_ns - heard.begins_ns < self.unkept_ns
        if is_short and not evidence.is_calm(facts.name, heard.begins_ns, heard.ends_ns + self.slack_ns):
            return True
        said_ns = evidence.cut_off_after(facts.node, heard.begins_ns)
        if said_ns is None:
            return False
        troubles = [
            each.what
            for each in evidence.troubles_of(facts.name)
            if each.begins_ns <= heard.ends_ns and heard.begins_ns < each.ends_ns
        ]
        return SLOW in troubles or (REFUSES in troubles and any(what.startswith(AWAY) for what in troubles))

    def _records(self, evidence: Evidence, node: str, airings: dict[str, Airing]) -> Iterator[Violation]:
        poles = [facts for facts in evidence.poles.values() if facts.node == node]
        for name, airing in airings.items():
            has_end = airing.finishes or airing.cut_offs
            was_lost = airing.is_start_loose and evidence.cut_off_after(node, airing.begins_ns) is not None
            if airing.starts == 0 or airing.is_twice:
                finishes = airing.finishes + airing.cut_offs
                what = f"{name}: {airing.starts} started and {finishes} finished records"
                yield Violation(checker=self.name, at_ns=airing.begins_ns, pole=node, evidence=what)
            elif not (has_end or was_lost or any(self._still_sounds(evidence, facts) for facts in poles)):
                what = f"{name} has begun and no record says that it ended"
                yield Violation(checker=self.name, at_ns=airing.begins_ns, pole=node, evidence=what)
            if airing.audible_ms > S_NS // NS_PER_MS and not any(
                self._was_heard(evidence, facts, airing) for facts in poles
            ):
                what = f"{name}: {airing.audible_ms} ms on record, and nothing was heard"
                yield Violation(checker=self.name, at_ns=airing.begins_ns, pole=node, evidence=what)

    def _still_sounds(self, evidence: Evidence, facts: PoleFacts) -> bool:
        return any(heard.ends_ns >= evidence.ends_ns - facts.edge_ns - 10 * S_NS for heard in facts.heard[-1:])

    def _was_heard(self, evidence: Evidence, facts: PoleFacts, airing: Airing) -> bool:
        ends_ns = evidence.ends_ns if airing.ends_ns is None else airing.ends_ns
        slack_ns = self._slack_ns(facts, airing.begins_ns, ends_ns) + facts.edge_ns
        return any(
            heard.begins_ns <= ends_ns + slack_ns
            and heard.ends_ns >= airing.begins_ns - slack_ns
            and (
                airing.source_id in {permit.id for permit in evidence.permits_of(heard)}
                or (facts.edge_ns > 0 and _may_hide_a_bed(evidence, heard, airing))
            )
            for heard in facts.heard
        )


def _may_hide_a_bed(evidence: Evidence, heard: Heard, airing: Airing) -> bool:
    """Where sound is looked at now and then, an ear finds no bed that it never heard alone."""
    speaks = any(permit.over is Over.DUCK for permit in evidence.permits_of(heard))
    return speaks and airing.ends_ns is not None and heard.begins_ns <= airing.begins_ns + S_NS


PROOF: Final = Proof()
