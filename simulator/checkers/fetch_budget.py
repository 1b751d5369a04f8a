"""A SIM's budget is kept: of planned media no more comes over a pole's line in a local day than its place allows.

Counted at the line, byte by byte as they arrive, and not from what the pole says. What an emergency needs is free of
the budget and not counted, and neither are plans themselves. A pole whose clock was wrong in this run is left out: its
days are others.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from protocol.messages import SourceKind
from simulator.checkers.evidence import S_NS, Evidence, Violation, blind_poles, first_ones
from simulator.services.media_server import FOLD_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchBudgetKept:
    """`slack_bytes`: simulated files come in whole folded bytes."""

    name: str = "fetch_budget"
    slack_bytes: int = 4 * FOLD_BYTES
    right_ns: int = S_NS

    def judge(self, evidence: Evidence) -> list[Violation]:
        """See `Checker`."""
        found = blind_poles(self.name, evidence)
        planned = {permit.sha256 for permit in evidence.permits if permit.kind is SourceKind.MEDIA}
        for facts in evidence.judged():
            postings = evidence.postings.get(facts.node, [])
            limit = postings[0].fetch_bytes_max if len(postings) == 1 else None
            if limit is None or max((abs(error) for _, error in facts.clock_errors), default=0) > self.right_ns:
                continue
            zone = zoneinfo.ZoneInfo(postings[0].time_zone)
            came: dict[dt.date, int] = defaultdict(int)
            for at_ns, sha256, count in facts.came:
                if sha256 not in planned or at_ns < postings[0].since_ns:
                    continue
                day = dt.datetime.fromtimestamp(at_ns // S_NS, tz=zone).date()
                came[day] += count
                if came[day] - count <= limit + self.slack_bytes < came[day]:
                    what = f"{came[day]} bytes of media on {day}, of {limit} that a day has"
                    found.append(Violation(checker=self.name, at_ns=at_ns, pole=facts.name, evidence=what))
        return first_ones(found)


FETCH_BUDGET: Final = FetchBudgetKept()
