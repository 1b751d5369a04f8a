"""The self-test: where a place has an hour for it, each pole with ears makes one a day, in it, and tells what it found.

A sweep is no programme and has no document: it may sound in its own time only, once, and behind everything else (what
holds for all sound holds for it too: `quiet_hours`, `silenced`, `power`). Its hour is the place's minute, a quarter of
an hour in which the poles take turns, and as long as a hindered pole tries again. A pole that was well all the while
owes one record of it, which claims no sound that was not there and blames no horn that is whole. A technician who asks
for one is there when it sounds (`evidence.asked_tests`).
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from protocol.messages import SelfTestVerdict
from protocol.units import NS_PER_MS
from simulator.checkers.evidence import (
    S_NS,
    Evidence,
    Heard,
    PoleFacts,
    Posting,
    Violation,
    blind_poles,
    first_ones,
    seconds,
)
from simulator.checkers.quiet_hours import first_quiet_ns
from simulator.evidence.signals import SELF_TEST

MINUTE_NS: Final = 60 * S_NS
BLAMES: Final = frozenset(
    {
        SelfTestVerdict.WEAK,
        SelfTestVerdict.CHANGED,
        SelfTestVerdict.SILENT,
        SelfTestVerdict.AMPLIFIER,
        SelfTestVerdict.HORN,
        SelfTestVerdict.SHORT,
    }
)
"""What sends a person to the pole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTested:
    """`hour_ns`: turns, and five more tries ten minutes apart; `told_ns`: a record is there; `sweep_ns`: the sound."""

    name: str = "self_test"
    hour_ns: int = (15 + 5 * 10) * MINUTE_NS
    told_ns: int = 60 * S_NS
    sweep_ns: int = 3 * S_NS
    slack_ns: int = 500_000_000
    asked_ns: int = 15 * S_NS
    near_ns: int = 75 * S_NS

    def judge(self, evidence: Evidence) -> list[Violation]:
        """See `Checker`."""
        found = blind_poles(self.name, evidence)
        for facts in evidence.judged():
            hours = list(self._hours(evidence, facts))
            asked = [(at_ns, at_ns + self.asked_ns) for pole, at_ns in evidence.asked_tests if pole == facts.name]
            sweeps = [heard for heard in facts.heard if heard.source == SELF_TEST]
            found += self._sounds(facts, sweeps, [*hours, *asked])
            for begins_ns, ends_ns in hours:
                found += self._owed(evidence, facts, sweeps, begins_ns, ends_ns)
        return first_ones(found)

    def _hours(self, evidence: Evidence, facts: PoleFacts) -> Iterator[tuple[int, int]]:
        """When its self-tests may be, of each day."""
        for posting in evidence.postings.get(facts.node, []):
            minute = posting.self_test_minute
            if minute is None:
                continue
            until_ns = evidence.ends_ns if posting.until_ns is None else posting.until_ns
            for begins_ns in _days(posting, minute, posting.since_ns - self.hour_ns, until_ns):
                yield begins_ns, begins_ns + self.hour_ns

    def _sounds(self, facts: PoleFacts, sweeps: list[Heard], times: list[tuple[int, int]]) -> Iterator[Violation]:
        for heard in sweeps:
            slack_ns = 10 * S_NS + facts.clock_error_ns(heard.begins_ns, heard.ends_ns)
            what = None
            if not any(one - slack_ns <= heard.begins_ns <= other + slack_ns for one, other in times):
                what = "a self-test at a time that is not its own"
            elif heard.ends_ns - heard.begins_ns > self.sweep_ns + self.slack_ns:
                what = f"a self-test of {seconds(heard.ends_ns - heard.begins_ns)}"
            if what is not None:
                yield Violation(checker=self.name, at_ns=heard.begins_ns, pole=facts.name, evidence=what)

    def _owed(
        self, evidence: Evidence, facts: PoleFacts, sweeps: list[Heard], begins_ns: int, ends_ns: int
    ) -> Iterator[Violation]:
        is_whole = evidence.begins_ns + MINUTE_NS < begins_ns and ends_ns + self.told_ns < evidence.ends_ns
        gone_ns = evidence.ends_ns if facts.retired_ns is None else facts.retired_ns
        is_told = facts.has_ears and is_whole and ends_ns < gone_ns and facts.node not in evidence.cloned
        if not is_told or not evidence.is_calm(facts.name, begins_ns - MINUTE_NS, ends_ns + self.told_ns):
            return
        asked = [at_ns for pole, at_ns in evidence.asked_tests if pole == facts.name]
        own = [
            record
            for node, record in evidence.self_tests
            if node == facts.node
            and begins_ns <= record.at_ms * NS_PER_MS < ends_ns
            and not any(at_ns <= record.at_ms * NS_PER_MS < at_ns + self.asked_ns for at_ns in asked)
        ]
        sounded = [heard for heard in sweeps if begins_ns <= heard.begins_ns < ends_ns]
        what = None
        if len(own) != 1:
            what = f"{len(own)} records of the day's self-test"
        elif own[0].verdict in BLAMES:
            what = f"the self-test says {own[0].verdict.value} of a horn that is whole: {own[0].detail}"
        elif own[0].verdict is SelfTestVerdict.NOT_RUN:
            if not self._is_hindered(evidence, facts, own[0].at_ms * NS_PER_MS):
                what = f"nothing hindered the self-test, and it says not_run: {own[0].detail}"
        elif not sounded:
            what = f"the self-test says {own[0].verdict.value}, and nothing sounded"
        if what is not None:
            yield Violation(checker=self.name, at_ns=begins_ns, pole=facts.name, evidence=what)

    def _is_hindered(self, evidence: Evidence, facts: PoleFacts, at_ns: int) -> bool:
        """Whether the last try fell into quiet hours, or beside other sound."""
        one_ns, other_ns = at_ns - self.near_ns, at_ns + self.near_ns
        is_near = any(
            heard.source != SELF_TEST and heard.begins_ns < other_ns and one_ns < heard.ends_ns for heard in facts.heard
        )
        return is_near or any(
            first_quiet_ns(posting.quiet_hours, posting.time_zone, one_ns, other_ns) is not None
            for posting in evidence.postings_at(facts.node, at_ns, at_ns, pole=facts.name)
        )


def _days(posting: Posting, minute: int, from_ns: int, until_ns: int) -> Iterator[int]:
    """The instants at which the wall clock of the place shows a minute."""
    zone = zoneinfo.ZoneInfo(posting.time_zone)
    day = dt.datetime.fromtimestamp(from_ns / S_NS, zone).date()
    while True:
        at = dt.datetime.combine(day, dt.time(minute // 60, minute % 60), tzinfo=zone)
        at_ns = round(at.timestamp()) * S_NS
        if at_ns > until_ns:
            return
        if at_ns >= from_ns:
            yield at_ns
        day += dt.timedelta(days=1)


SELF_TESTED: Final = SelfTested()
