"""Everything that queues, keeps or remembers stays within its bound, whatever happens and for however long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from simulator.checkers.evidence import Evidence, Violation, blind_poles, first_ones, missing


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryBounds:
    """`needed`: what must have been measured at every pole; without that there is no verdict."""

    name: str = "memory"
    needed: frozenset[str] = frozenset({"reports", "documents", "queue", "voices"})

    def judge(self, evidence: Evidence) -> list[Violation]:
        """See `Checker`."""
        found = blind_poles(self.name, evidence)
        measured: dict[str, set[str]] = {}
        for gauge in evidence.gauges:
            measured.setdefault(gauge.subject, set()).add(gauge.name)
            if gauge.value > gauge.value_max:
                what = f"{gauge.name}: {gauge.value}, and {gauge.value_max} is the bound"
                found.append(Violation(checker=self.name, at_ns=gauge.at_ns, pole=gauge.subject, evidence=what))
        for facts in evidence.judged():
            lacking = self.needed - measured.get(facts.name, set())
            if lacking:
                found.append(missing(self.name, evidence, facts.name, f"never measured: {', '.join(sorted(lacking))}"))
        return first_ones(found)


MEMORY: Final = MemoryBounds()
