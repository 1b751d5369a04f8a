"""A place is on air no longer and no oftener than it laid down, and never louder.

Counted here from what was audible, by the wall clock of the place, without the product's own count: minutes of sound
in a local day; sessions, between which there is a pause; how long a session lasts, pauses included. Only what is
routine or priority counts; an emergency that interrupts holds the session open. Where sound is looked at now and then
it is known to have been at least so long, so nothing is found that was not. Loudness is that of the samples, by the
sound that was made at a known level.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from protocol.house_rules import BOUND_BY_AIR_TIME
from protocol.messages import QuietHours
from protocol.policy import VolumeCap
from protocol.quiet import is_quiet
from protocol.units import NS_PER_MS, SharedMs
from simulator.checkers.evidence import (
    S_NS,
    UNREADABLE,
    Evidence,
    Heard,
    PoleFacts,
    Posting,
    Violation,
    blind_poles,
    first_ones,
    seconds,
)
from simulator.evidence.pattern import LEVEL

FULL_SCALE: Final = 32_767
MINUTE_NS: Final = 60 * S_NS
UNKEPT: Final = ("storage_", "clock_")
"""What was counted may be lost with a card that keeps nothing, and lies in another day by a clock that is wrong."""


@dataclass(slots=True)
class _Session:
    """Bound sound with short pauses; `held_ns` is until when it is held open."""

    begins_ns: int
    ends_ns: int
    held_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AirTimeKept:
    """`slack_ns`: fades, what was rendered ahead, what a power cut took of the count.

    `over_db`: a bed 15 dB below adds a fifth. `resampled_db`: what a card at its own rate adds to steep edges.
    """

    name: str = "air_time"
    slack_ns: int = 10 * S_NS
    over_db: float = 2.0
    resampled_db: float = 3.0
    right_ns: int = S_NS

    def judge(self, evidence: Evidence) -> list[Violation]:
        """See `Checker`."""
        found = blind_poles(self.name, evidence)
        for facts in evidence.judged():
            postings = evidence.postings.get(facts.node, [])
            if len(postings) != 1 or max((abs(error) for _, error in facts.clock_errors), default=0) > self.right_ns:
                continue
            found += self._loud(evidence, facts, postings[0])
            if any(trouble.what.startswith(UNKEPT) for trouble in evidence.troubles_of(facts.name)):
                continue
            found += self._minutes(evidence, facts, postings[0])
            found += self._sessions(evidence, facts, postings[0])
        return first_ones(found)

    def _minutes(self, evidence: Evidence, facts: PoleFacts, posting: Posting) -> Iterator[Violation]:
        limit = None if posting.air_time is None else posting.air_time.minutes_a_day_max
        if limit is None:
            return
        sounded_ns: dict[dt.date, int] = {}
        for begins_ns, ends_ns in _together(_bound(evidence, facts)):
            for day, part_ns in _by_day(begins_ns, ends_ns, posting.time_zone):
                sounded_ns[day] = sounded_ns.get(day, 0) + part_ns
        for day, day_ns in sounded_ns.items():
            if day_ns > limit * MINUTE_NS + self.slack_ns:
                what = f"{seconds(day_ns)} on air on {day}, of {limit} minutes that a day has"
                at_ns = _midnight_ns(day, posting.time_zone)
                yield Violation(checker=self.name, at_ns=at_ns, pole=facts.name, evidence=what)

    def _sessions(self, evidence: Evidence, facts: PoleFacts, posting: Posting) -> Iterator[Violation]:
        air_time = posting.air_time
        if air_time is None:
            return
        unsure_ns = facts.edge_ns + self.slack_ns
        pause_ns = air_time.pause_minutes * MINUTE_NS
        if air_time.session_minutes_max is not None:
            limit_ns = air_time.session_minutes_max * MINUTE_NS
            for session in _parted(evidence, facts, pause_ns - unsure_ns):
                lasts_ns = session.ends_ns - session.begins_ns
                if lasts_ns > limit_ns + self.slack_ns:
                    what = f"a session of {seconds(lasts_ns)}, of {air_time.session_minutes_max} minutes at most"
                    yield Violation(checker=self.name, at_ns=session.begins_ns, pole=facts.name, evidence=what)
        if air_time.sessions_a_day_max is not None:
            begun: dict[dt.date, int] = {}
            for session in _parted(evidence, facts, pause_ns + unsure_ns):
                day = _date(session.begins_ns, posting.time_zone)
                begun[day] = begun.get(day, 0) + 1
                if begun[day] == air_time.sessions_a_day_max + 1:
                    what = f"session {begun[day]} on {day}, of {air_time.sessions_a_day_max} that a day has"
                    yield Violation(checker=self.name, at_ns=session.begins_ns, pole=facts.name, evidence=what)

    def _loud(self, evidence: Evidence, facts: PoleFacts, posting: Posting) -> Iterator[Violation]:
        """What sounds wholly within the hours of a cap, and louder than that."""
        for heard in facts.heard if posting.volume_caps else ():
            permits = evidence.permits_of(heard)
            if heard.source == UNREADABLE or not permits or any(permit.is_real_emergency for permit in permits):
                continue
            if heard.source.startswith("chime:"):
                continue  # its tones have a level of their own
            around = (heard.begins_ns - facts.edge_ns - S_NS, heard.ends_ns)
            caps = [
                cap.gain_db_max
                for cap in posting.volume_caps
                if all(_holds(cap, posting.time_zone, at_ns) for at_ns in around)
            ]
            over_db = self.over_db if facts.edge_ns else self.over_db + self.resampled_db
            most = 2 * LEVEL * FULL_SCALE * 10 ** ((min(caps, default=120.0) + over_db) / 20)
            if heard.amplitude > most:
                what = f"{heard.source} is as loud as {heard.amplitude} of full scale, where {most:.0f} is allowed"
                yield Violation(checker=self.name, at_ns=heard.begins_ns, pole=facts.name, evidence=what)


def _bound(evidence: Evidence, facts: PoleFacts) -> list[Heard]:
    """What uses air time, by its begin."""
    return [heard for heard in sorted(facts.heard, key=lambda each: each.begins_ns) if _is_bound(evidence, heard)]


def _is_bound(evidence: Evidence, heard: Heard) -> bool:
    permits = evidence.permits_of(heard)
    return bool(permits) and all(permit.broadcast_class in BOUND_BY_AIR_TIME for permit in permits)


def _together(sounds: list[Heard]) -> list[tuple[int, int]]:
    """Stretches of sound, in which a bed counts once with what is above it."""
    found: list[tuple[int, int]] = []
    for heard in sounds:
        if found and heard.begins_ns <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], heard.ends_ns)
        else:
            found.append((heard.begins_ns, heard.ends_ns))
    return found


def _parted(evidence: Evidence, facts: PoleFacts, pause_ns: int) -> list[_Session]:
    """Sessions: an item belongs to the one in which its own start lies; what is not bound holds one open."""
    found: list[_Session] = []
    for heard in sorted(facts.heard, key=lambda each: each.begins_ns):
        last = found[-1] if found else None
        if not _is_bound(evidence, heard):
            if last is not None and heard.begins_ns - last.held_ns < pause_ns:
                last.held_ns = max(last.held_ns, heard.ends_ns)
            continue
        starts = [
            each.begins_ns for each in evidence.permits_of(heard) if each.begins_ns <= heard.begins_ns <= each.ends_ns
        ]
        if last is not None and min([heard.begins_ns, *starts]) - last.held_ns < pause_ns:
            last.ends_ns = max(last.ends_ns, heard.ends_ns)
            last.held_ns = max(last.held_ns, heard.ends_ns)
        else:
            found.append(_Session(begins_ns=heard.begins_ns, ends_ns=heard.ends_ns, held_ns=heard.ends_ns))
    return found


def _by_day(begins_ns: int, ends_ns: int, time_zone: str) -> Iterator[tuple[dt.date, int]]:
    day = _date(begins_ns, time_zone)
    while begins_ns < ends_ns:
        day_ends_ns = _midnight_ns(day + dt.timedelta(days=1), time_zone)
        yield day, min(ends_ns, day_ends_ns) - begins_ns
        begins_ns, day = day_ends_ns, day + dt.timedelta(days=1)


def _date(at_ns: int, time_zone: str) -> dt.date:
    return dt.datetime.fromtimestamp(at_ns // S_NS, tz=zoneinfo.ZoneInfo(time_zone)).date()


def _midnight_ns(day: dt.date, time_zone: str) -> int:
    midnight = dt.datetime.combine(day, dt.time.min, tzinfo=zoneinfo.ZoneInfo(time_zone))
    return int(midnight.timestamp()) * S_NS


def _holds(cap: VolumeCap, time_zone: str, at_ns: int) -> bool:
    if cap.begin_minute == cap.end_minute:
        return True
    hours = QuietHours(begin_minute=cap.begin_minute, end_minute=cap.end_minute)
    return is_quiet(hours, time_zone, SharedMs(at_ns // NS_PER_MS))


AIR_TIME: Final = AirTimeKept()
