"""What a place lays down for its node and what of it is used today, in words for `loaxa-edge show`.

Only words; the counts are those that the node itself keeps, up to a minute ahead while something sounds.
"""

from __future__ import annotations

from typing import Final

from edge.assignment import Place
from edge.events import Restored
from edge.fetch_budget import FetchBudget
from edge.house import House
from protocol.units import Now

_MS_PER_MINUTE: Final = 60_000


def policy_lines(place: Place, restored: Restored, now: Now) -> list[str]:
    """Quiet hours, and of the rest what the place has."""
    quiet = "none"
    if place.quiet_hours is not None:
        quiet = f"{_span(place.quiet_hours.begin_minute, place.quiet_hours.end_minute)} {place.time_zone}"
    caps = [
        f"volume cap: {cap.gain_db_max:+.1f} dB, {_span(cap.begin_minute, cap.end_minute)}" for cap in place.volume_caps
    ]
    return [f"quiet hours: {quiet}", *_air_time(place, restored, now), *caps, *_budget(place, restored, now)]


def _air_time(place: Place, restored: Restored, now: Now) -> list[str]:
    rule = place.air_time
    if rule is None:
        return []
    limits = [
        f"{limit} {what}"
        for limit, what in (
            (rule.session_minutes_max, "min a session"),
            (rule.sessions_a_day_max, "sessions a day"),
            (rule.minutes_a_day_max, "min a day"),
        )
        if limit is not None
    ]
    house = House()
    house.use(place.house_rules)
    house.restore(restored)
    used = ""
    if now.is_time_known:
        sessions, sounded_ms = house.used(now.shared_ms)
        used = f"; begun today: {sessions}, {sounded_ms / _MS_PER_MINUTE:.1f} min of sound"
    return [f"air time: at most {', '.join(limits)} (a pause of {rule.pause_minutes} min ends a session){used}"]


def _budget(place: Place, restored: Restored, now: Now) -> list[str]:
    budget = FetchBudget()
    budget.use(place)
    budget.restore(restored)
    left_bytes = budget.left_bytes(now)
    if left_bytes is None:
        return []
    return [f"fetch budget: {budget.fetched_bytes} of {budget.limit_bytes} bytes used today"]


def _span(begin_minute: int, end_minute: int) -> str:
    if begin_minute == end_minute:
        return "all day"
    return f"{begin_minute // 60:02d}:{begin_minute % 60:02d} to {end_minute // 60:02d}:{end_minute % 60:02d}"
