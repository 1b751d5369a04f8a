"""After the last fault and a time to settle, everything works again: nobody has to drive out.

Every pole has power and a connection, the controller knows it as ready, and nothing waits to be delivered. What should
sound then is the affair of `priority`, which judges every calm time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from simulator.checkers.evidence import EVERYBODY, Evidence, Violation, blind_poles, first_ones, missing, seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """`reports_max`: a few may be on their way at any moment."""

    name: str = "recovery"
    reports_max: int = 4

    def judge(self, evidence: Evidence) -> list[Violation]:
        """See `Checker`."""
        found = blind_poles(self.name, evidence)
        if evidence.ends_ns < evidence.healed_ns:
            what = f"the run ends {seconds(evidence.healed_ns - evidence.ends_ns)} before the last fault has settled"
            found.append(missing(self.name, evidence, EVERYBODY, what))
        if not evidence.is_controller_up:
            found.append(self._violation(evidence, EVERYBODY, "the controller does not run"))
        for facts in evidence.judged():
            if facts.retired_ns is not None:
                continue
            if not facts.is_on:
                found.append(self._violation(evidence, facts.name, "has no power or no program"))
            elif not facts.is_connected:
                found.append(self._violation(evidence, facts.name, "is not known as ready: it is not connected"))
            elif facts.reports_waiting > self.reports_max:
                what = f"{facts.reports_waiting} reports still wait for the controller"
                found.append(self._violation(evidence, facts.name, what))
        return first_ones(found)

    def _violation(self, evidence: Evidence, pole: str, what: str) -> Violation:
        return Violation(checker=self.name, at_ns=evidence.ends_ns, pole=pole, evidence=what)


RECOVERY: Final = Recovery()
