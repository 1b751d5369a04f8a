"""How many items of a programme can begin on one day: an upper bound, without asking any day; pure.

A plan is compiled on the controller's loop, and carries so many occurrences and no more (`protocol.plan_body`). Who may
write programmes for one place must not hold up emergencies for all, so a place's programmes are bounded by what they
can begin together (`AREA_ITEMS_A_DAY_MAX`), whatever their rules look like.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from controller.programmes.lunar_rules import LunarRule
from controller.programmes.programme import Programme, local_of
from controller.programmes.recurrence import rules_of
from controller.programmes.rules import HOURS, MINUTES, Frequency, Rule

AREA_ITEMS_A_DAY_MAX: Final = 2_048
"""Of one area. A plan of eight days carries 512 a day; not every programme is of every day."""


def items_a_day_max(programme: Programme, *, time_zone: str) -> int:
    """No day has more of its items. Raises RecurrenceError."""
    rules = rules_of(programme.recurrence.rules, time_zone)
    named = Counter(at.date() for at in rules.dates)
    moved = Counter(local_of(each.begins).date() for each in programme.overrides if each.begins is not None)
    begins = sum(_begins_a_day(bounded.rule) for bounded in rules.rules)
    begins += max(named.values(), default=0) + max(moved.values(), default=0)
    return begins * max(len(programme.items), *(len(each.items or ()) for each in programme.overrides), 1)


def _begins_a_day(rule: Rule | LunarRule) -> int:
    hours, minutes, seconds = len(rule.hours) or HOURS, len(rule.minutes) or MINUTES // HOURS, len(rule.seconds) or 1
    if rule.frequency is Frequency.MINUTELY:
        return min(hours * minutes, -(-MINUTES // rule.interval)) * seconds
    if rule.frequency is Frequency.HOURLY:
        hours = min(hours, -(-HOURS // rule.interval))
    return hours * minutes * seconds
