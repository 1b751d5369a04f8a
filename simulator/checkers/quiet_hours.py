"""In quiet hours nothing sounds but a real emergency: not a second of routine, not a drill.

Judged by the wall clock of the place, whatever the node's own clock says; a node whose clock is wrong is given its
error, and one that could not hear of new quiet hours may keep the old ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol.messages import QuietHours
from protocol.quiet import is_quiet, next_quiet_change_ms
from protocol.units import NS_PER_MS, SharedMs
from simulator.checkers.evidence import Evidence, Heard, PoleFacts, Posting, Violation, blind_poles, first_ones, seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHoursKept:
    """`slack_ns`: what was rendered ahead, and a fade."""

    name: str = "quiet_hours"
    slack_ns: int = 300_000_000

    def judge(self, evidence: Evidence) -> list[Violation]:
        """See `Checker`."""
        found = blind_poles(self.name, evidence)
        for facts in evidence.judged():
            for heard in facts.heard:
                if any(permit.is_real_emergency for permit in evidence.permits_of(heard)):
                    continue
                postings = evidence.postings_at(facts.node, heard.begins_ns, heard.ends_ns, pole=facts.name)
                disturbed = [self._disturbed_at_ns(facts, heard, posting) for posting in postings]
                at_ns = min((each for each in disturbed if each is not None), default=None)
                if at_ns is not None and None not in disturbed:
                    what = f"{heard.source} sounds {seconds(heard.ends_ns - at_ns)} into quiet hours"
                    found.append(Violation(checker=self.name, at_ns=at_ns, pole=heard.pole, evidence=what))
        return first_ones(found)

    def _disturbed_at_ns(self, facts: PoleFacts, heard: Heard, posting: Posting) -> int | None:
        """The first instant of sound in quiet hours, None when it keeps out of them."""
        slack_ns = self.slack_ns + facts.clock_error_ns(heard.begins_ns, heard.ends_ns)
        begins_ns, ends_ns = heard.begins_ns + slack_ns, heard.ends_ns - slack_ns
        if begins_ns >= ends_ns:
            return None
        return first_quiet_ns(posting.quiet_hours, posting.time_zone, begins_ns, ends_ns)


def first_quiet_ns(quiet_hours: QuietHours | None, time_zone: str, begins_ns: int, ends_ns: int) -> int | None:
    """The first quiet instant between two."""
    begins_ms = SharedMs(begins_ns // NS_PER_MS)
    if is_quiet(quiet_hours, time_zone, begins_ms):
        return begins_ns
    change_ms = next_quiet_change_ms(quiet_hours, time_zone, begins_ms)
    if change_ms is None or change_ms * NS_PER_MS >= ends_ns:
        return None
    return change_ms * NS_PER_MS


QUIET_HOURS: Final = QuietHoursKept()
