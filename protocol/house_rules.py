"""The rules of a place at an instant: what they forbid to sound, why, and how loud the rest may be.

Pure and the same on both sides: the guard on the node asks it before and while something sounds, the desk's dry run
asks it of what is planned, so what is said beforehand is what happens. It leaves to the guard what only a node knows
(silence that was ordered, the button, the clock) and to its callers the count of what has sounded (`air_time`).

Rules kept: a real emergency is never forbidden and only bound by the loudest that a horn may be; what is stale is not
heard, from its very millisecond on; of several reasons the one that no waiting mends comes first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from protocol.air_time import NOTHING_AIRED, Aired, Limit, ends_ms, local_day, refused
from protocol.candidate import Candidate
from protocol.messages import BroadcastClass, QuietHours, Reality
from protocol.policy import AirTime, VolumeCap
from protocol.quiet import is_quiet, next_quiet_change_ms
from protocol.units import SharedMs

BOUND_BY_AIR_TIME: Final = frozenset({BroadcastClass.ROUTINE, BroadcastClass.PRIORITY})
"""Whose sound uses air time and is refused without any; an emergency and a drill neither."""


class Forbidden(StrEnum):
    """Why something may not sound by the rules of its place; the names stand in records and on screens."""

    STALE = "stale"
    QUIET_HOURS = "quiet_hours"
    AIR_TIME_SESSION = Limit.SESSION.value
    AIR_TIME_SESSIONS = Limit.SESSIONS.value
    AIR_TIME_DAY = Limit.DAY.value


@dataclass(frozen=True, slots=True, kw_only=True)
class HouseRules:
    """What an assignment lays down, as far as it is a question of time and loudness."""

    time_zone: str
    quiet_hours: QuietHours | None = None
    air_time: AirTime | None = None
    volume_caps: tuple[VolumeCap, ...] = ()


def is_real_emergency(candidate: Candidate) -> bool:
    """Whether nothing here forbids it."""
    return candidate.broadcast_class is BroadcastClass.EMERGENCY and candidate.reality is Reality.REAL


def uses_air_time(candidate: Candidate) -> bool:
    """Whether it counts and is bound by the place's air time."""
    return candidate.broadcast_class in BOUND_BY_AIR_TIME and not candidate.is_self_test


def forbids(
    rules: HouseRules, candidate: Candidate, at_ms: SharedMs, *, aired: Aired = NOTHING_AIRED, is_on_air: bool = False
) -> Forbidden | None:
    """What forbids something to sound at an instant.

    `aired` is all that has used air time up to that instant (an item that sounds now included), `is_on_air` whether
    the item itself is what sounds up to there.
    """
    if is_real_emergency(candidate):
        return None
    if candidate.valid_until_ms is not None and at_ms >= candidate.valid_until_ms:
        return Forbidden.STALE
    if is_quiet(rules.quiet_hours, rules.time_zone, at_ms) or _is_round_quiet(rules, candidate):
        return Forbidden.QUIET_HOURS
    if not uses_air_time(candidate):
        return None
    limit = refused(
        aired, rules.air_time, rules.time_zone, starts_at_ms=candidate.starts_at_ms, at_ms=at_ms, is_on_air=is_on_air
    )
    return None if limit is None else Forbidden(limit.value)


def next_change_ms(
    rules: HouseRules, candidates: Iterable[Candidate], at_ms: SharedMs, *, aired: Aired = NOTHING_AIRED
) -> SharedMs | None:
    """The first instant after `at_ms` at which `forbids` or `gain_db_max` may answer otherwise for any of them.

    What sounds at `at_ms` goes on without a pause until then; a stretch in between may be looked at again sooner.
    """
    changes: list[int | None] = [
        next_quiet_change_ms(rules.quiet_hours, rules.time_zone, at_ms),
        next_volume_change_ms(rules, at_ms),
    ]
    bound = [candidate for candidate in candidates if not is_real_emergency(candidate)]
    changes += [candidate.valid_until_ms for candidate in bound]
    if rules.air_time is not None and any(uses_air_time(candidate) for candidate in bound):
        changes.append(local_day(rules.time_zone, at_ms)[1])
        changes += [
            ends_ms(aired, rules.air_time, rules.time_zone, starts_at_ms=candidate.starts_at_ms, at_ms=at_ms)
            for candidate in bound
            if uses_air_time(candidate)
        ]
    change_ms = min((change for change in changes if change is not None and change > at_ms), default=None)
    return None if change_ms is None else SharedMs(change_ms)


def gain_db_max(rules: HouseRules, candidate: Candidate, at_ms: SharedMs) -> float | None:
    """How loud (dB above the calibrated level) something may be at an instant; None: no cap of the place binds it."""
    if is_real_emergency(candidate):
        return None
    return min((cap.gain_db_max for cap in rules.volume_caps if _caps(cap, rules, at_ms)), default=None)


def next_volume_change_ms(rules: HouseRules, at_ms: SharedMs) -> SharedMs | None:
    """The first instant after `at_ms` at which a volume cap begins or ends."""
    changes = (next_quiet_change_ms(_hours(cap), rules.time_zone, at_ms) for cap in rules.volume_caps)
    return min((change for change in changes if change is not None), default=None)


def _caps(cap: VolumeCap, rules: HouseRules, at_ms: SharedMs) -> bool:
    hours = _hours(cap)
    return hours is None or is_quiet(hours, rules.time_zone, at_ms)


def _hours(cap: VolumeCap) -> QuietHours | None:
    """The span of a cap, as the wall clock is followed for quiet hours; None: all day."""
    if cap.begin_minute == cap.end_minute:
        return None
    return QuietHours(begin_minute=cap.begin_minute, end_minute=cap.end_minute)


def _is_round_quiet(rules: HouseRules, candidate: Candidate) -> bool:
    """Whether any part of the round of what is heard in turns falls into the quiet hours."""
    if candidate.round_begins_ms is None or candidate.round_ends_ms is None:
        return False
    begins_ms = SharedMs(candidate.round_begins_ms)
    change_ms = next_quiet_change_ms(rules.quiet_hours, rules.time_zone, begins_ms)
    return is_quiet(rules.quiet_hours, rules.time_zone, begins_ms) or (
        change_ms is not None and change_ms < candidate.round_ends_ms
    )
