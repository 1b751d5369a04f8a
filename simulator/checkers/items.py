"""Every item that was due at a pole has exactly one fate on record: it was on air, or why it was not.

Judged from the plans that the controller made durable, against the records that it holds at the end, once the world is
healed. Held against a pole is what it must have known of: a plan that it could fetch in a calm time before the item,
and that no newer one took back. What became of the pole afterwards is no excuse: also what fell into a power cut, into
a time that it did not know, or into a week without anybody is on record when it is back. An item that sounds again
because a clock was set back is told by `proof`'s names of airings; a second record of one that never sounded is not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from protocol.messages import AiringRecord, AiringState, SourceKind
from protocol.units import NS_PER_MS
from simulator.checkers.evidence import (
    S_NS,
    Due,
    Evidence,
    PoleFacts,
    Violation,
    blind_poles,
    first_ones,
    seconds,
)

LOST_WITH_THE_CARD: Final = frozenset({"storage_full", "storage_slow", "storage_read_only"})
"""While one of these holds a record may be nowhere but in memory, and go with the power: `proof` judges that."""


@dataclass(slots=True)
class _Fate:
    """What the records of one node say of one item."""

    starts: int = 0
    silent: dict[tuple[AiringState, str], int] = field(default_factory=lambda: defaultdict(int))


@dataclass(frozen=True, slots=True, kw_only=True)
class EveryItem:
    """`known_ns`: a plan is on a pole so long after it was signed in a calm time; `told_ns`: and a record of its item.

    `right_ns`: a clock that was farther off in this run may have brought one item at two times.
    """

    name: str = "items"
    known_ns: int = 30 * S_NS
    told_ns: int = 120 * S_NS
    right_ns: int = S_NS

    def judge(self, evidence: Evidence) -> list[Violation]:
        """See `Checker`."""
        found = blind_poles(self.name, evidence)
        fates, relayed = _fates(evidence), _relayed(evidence)
        for facts in evidence.judged():
            if facts.retired_ns is not None or facts.node in evidence.cloned:
                continue
            for due in evidence.dues:
                if self._is_owed(evidence, facts, due):
                    fate = fates[facts.node].get(due.id, _Fate())
                    is_relayed = due.is_relay and any(
                        begins_ns < due.ends_ns and ends_ns > due.begins_ns
                        for begins_ns, ends_ns in relayed[facts.node]
                    )
                    found += self._judge(evidence, facts, due, fate, is_relayed=is_relayed)
        return first_ones(found)

    def _is_owed(self, evidence: Evidence, facts: PoleFacts, due: Due) -> bool:
        """Whether the pole must have known of it, and has had the time to say what became of it."""
        if due.begins_ns < evidence.begins_ns or due.ends_ns + self.told_ns > evidence.ends_ns:
            return False
        if due.withdrawn_ns is not None and due.withdrawn_ns <= due.ends_ns:
            return False
        if evidence.calm_since(facts.name, due.issued_ns) + self.known_ns > due.begins_ns:
            return False
        postings = evidence.postings_at(facts.node, due.issued_ns, due.ends_ns, pole=facts.name)
        return len(postings) == 1 and due.area in postings[0].areas and postings[0].since_ns < due.begins_ns

    def _judge(
        self, evidence: Evidence, facts: PoleFacts, due: Due, fate: _Fate, *, is_relayed: bool
    ) -> Iterator[Violation]:
        what = None
        worst_ns = max((abs(error) for _, error in facts.clock_errors), default=0)
        twice = [f"{state.value} ({reason})" for (state, reason), count in fate.silent.items() if count > 1]
        missed = [reason for state, reason in fate.silent if state is AiringState.MISSED]
        if not (fate.starts or fate.silent or is_relayed):
            if not self._may_be_lost(evidence, facts, due):
                what = (
                    f"{due.id} was due for {seconds(due.ends_ns - due.begins_ns)} and no record says what became of it"
                )
        elif worst_ns <= self.right_ns:
            if twice:
                what = f"{due.id} is on record more than once as {', '.join(twice)}"
            elif missed and fate.starts and not self._may_be_lost(evidence, facts, due):
                what = f"{due.id} was on air and is on record as missed ({', '.join(missed)}) too"
            elif len(missed) > 1:
                what = f"{due.id} is on record as missed for {len(missed)} reasons: {', '.join(missed)}"
        if what is not None:
            yield Violation(checker=self.name, at_ns=due.begins_ns, pole=facts.name, evidence=what)

    def _may_be_lost(self, evidence: Evidence, facts: PoleFacts, due: Due) -> bool:
        """What no card kept goes with the power; then the pole must have said that it was cut off.

        So does that it had begun: its record was sent, and the next run knows of none.
        """
        if evidence.cut_off_after(facts.node, due.begins_ns) is None:
            return False
        return any(
            trouble.what in LOST_WITH_THE_CARD and trouble.begins_ns <= due.ends_ns and due.begins_ns < trouble.ends_ns
            for trouble in evidence.troubles_of(facts.name)
        )


def _fates(evidence: Evidence) -> dict[str, dict[str, _Fate]]:
    """Node and item: what is on record."""
    found: dict[str, dict[str, _Fate]] = defaultdict(dict)
    for stored in evidence.records:
        record: AiringRecord = stored.record
        fate = found[stored.node].setdefault(record.source_id, _Fate())
        if record.state is AiringState.STARTED:
            fate.starts += 1
        elif record.state is not AiringState.FINISHED:
            fate.silent[record.state, record.reason] += 1
    return found


def _relayed(evidence: Evidence) -> dict[str, list[tuple[int, int]]]:
    """Node: when streams were on air there. A planned relay sounds under the name of the stream that fills it."""
    begun: dict[tuple[str, str], int] = {}
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for stored in sorted(evidence.records, key=lambda each: (each.node, each.record.at_ms)):
        record = stored.record
        if record.source is not SourceKind.STREAM:
            continue
        at_ns, place = record.at_ms * NS_PER_MS, (stored.node, record.airing)
        if record.state is AiringState.STARTED:
            begun[place] = at_ns
        elif record.state is AiringState.FINISHED and place in begun:
            found[stored.node].append((begun.pop(place), at_ns + S_NS))
    for (node, _), begins_ns in begun.items():
        found[node].append((begins_ns, evidence.ends_ns))
    return found


ITEMS: Final = EveryItem()
