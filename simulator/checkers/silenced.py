"""Where silence was ordered, or the button pressed, not a sample sounds until it is over.

A pole must have heard of an order first; from then on nothing excuses it, no power cut, no broker that is away. What an
order spares (real emergencies, one box) and what the button does not reach (a real emergency raised later) may sound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from simulator.checkers.evidence import (
    S_NS,
    Evidence,
    Heard,
    Hush,
    PoleFacts,
    Violation,
    blind_poles,
    first_ones,
    seconds,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Silenced:
    """`hearing_ns`: from the order to silence at a pole that can be reached; `stop_ns`: from the press to silence."""

    name: str = "silenced"
    hearing_ns: int = 2 * S_NS
    stop_ns: int = 200_000_000

    def judge(self, evidence: Evidence) -> list[Violation]:
        """See `Checker`."""
        found = blind_poles(self.name, evidence)
        for hush in evidence.hushes:
            for facts in evidence.poles.values():
                if hush.concerns(evidence, facts):
                    found += self._judge(evidence, facts, hush)
        return first_ones(found)

    def _judge(self, evidence: Evidence, facts: PoleFacts, hush: Hush) -> Iterator[Violation]:
        from_ns = hush.begins_ns + self.stop_ns
        if not hush.is_button:
            known_ns = evidence.calm_since(facts.name, hush.begins_ns, despite=frozenset({hush.what}))
            from_ns = known_ns + self.hearing_ns
        until_ns = evidence.ends_ns if hush.ends_ns is None else hush.ends_ns
        for heard in facts.heard:
            first_ns, last_ns = max(heard.begins_ns, from_ns), min(heard.ends_ns, until_ns)
            if heard.is_powered and first_ns < last_ns and not self._is_spared(evidence, hush, heard):
                what = f"{heard.source} sounds {seconds(last_ns - first_ns)} during {hush.what} ({hush.order})"
                yield Violation(checker=self.name, at_ns=first_ns, pole=facts.name, evidence=what)
                return

    def _is_spared(self, evidence: Evidence, hush: Hush, heard: Heard) -> bool:
        real = [permit for permit in evidence.permits_of(heard) if permit.is_real_emergency]
        if hush.is_button:
            return any(permit.issued_ns > hush.begins_ns for permit in real)
        return hush.spares_emergencies and bool(real)


SILENCED: Final = Silenced()
