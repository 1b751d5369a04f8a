"""A programme of ours that comes back from another program: what was changed there goes before what it was; pure.

Other programs write the same dates in other words: another zone, an UNTIL in place of a COUNT, single dates for a lunar
rule (so do we, for them). So not the text is compared but the begins: where they are the same for the time that both
speak of, the programme keeps its own rules.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

import msgspec

from controller.programmes.exchange.event_times import written
from controller.programmes.holidays import Holidays
from controller.programmes.occurrences import day_judge, is_valid
from controller.programmes.programme import Override, Programme, Recurrence, local_of
from controller.programmes.recurrence import Rules, known_zone, rules_of

COMPARED: Final = dt.timedelta(days=400)
"""How far rules are compared that go on for ever."""


def merged(
    kept: Programme,
    recurrence: Recurrence,
    dates: Sequence[Override],
    *,
    title: str,
    time_zone: str,
    holidays: Holidays,
) -> Programme:
    """The programme with the title, and with the times and dates of the other program where they are others."""
    ours, theirs = rules_of(kept.recurrence.rules, time_zone), rules_of(recurrence.rules, time_zone)
    if not _is_same(kept, ours, theirs, holidays=holidays):
        return msgspec.structs.replace(
            kept, title=title, recurrence=recurrence, overrides=tuple(dates), valid_from=None, valid_until=None
        )
    found = [_in_zone(override, theirs.zone, ours.zone) for override in dates]
    named = {local_of(override.of) for override in found}
    rest = [
        override
        for override in kept.overrides
        if local_of(override.of) not in named and not _is_shown(kept, override, ours, holidays=holidays)
    ]
    overrides = (*rest, *found)
    return msgspec.structs.replace(
        kept, title=title, overrides=kept.overrides if set(overrides) == set(kept.overrides) else overrides
    )


def _is_shown(kept: Programme, override: Override, rules: Rules, *, holidays: Holidays) -> bool:
    """Whether another program was told of a date that differs: not where it is silent, out of season or over."""
    of = local_of(override.of)
    at = local_of(override.begins) if override.begins else of
    is_begin = of in rules.between(of.date(), of.date(), is_wanted=day_judge(kept.recurrence, holidays))
    return override.items != () and is_begin and is_valid(kept.valid_from, kept.valid_until, at)


def _in_zone(override: Override, theirs: str, ours: str) -> Override:
    """A date that differs, in local times of our rules."""
    if theirs == ours:
        return override

    def moved(text: str | None) -> str | None:
        if text is None:
            return None
        at = local_of(text).replace(tzinfo=known_zone(theirs)).astimezone(known_zone(ours))
        return written(at.replace(tzinfo=None))

    return msgspec.structs.replace(override, of=moved(override.of), begins=moved(override.begins))


def _is_same(kept: Programme, ours: Rules, theirs: Rules, *, holidays: Holidays) -> bool:
    """Whether rules say the same begins; silent dates are no begins for others, nor are those out of season."""
    our_zone, their_zone = known_zone(ours.zone), known_zone(theirs.zone)
    first = theirs.start.date()
    last = first + COMPARED if theirs.rules else max(theirs.dates).date()
    gone = {local_of(override.of) for override in kept.overrides if override.items == ()}
    moved = {local_of(override.of): local_of(override.begins) for override in kept.overrides if override.begins}
    day = dt.timedelta(days=1)
    our_days = ours.between(first - day, last + day, is_wanted=day_judge(kept.recurrence, holidays))
    wanted = {
        at.replace(tzinfo=our_zone).timestamp()
        for at in our_days
        if at not in gone and is_valid(kept.valid_from, kept.valid_until, moved.get(at, at))
    }
    begin = dt.datetime.combine(first, dt.time.min, their_zone).timestamp()
    end = dt.datetime.combine(last, dt.time.max, their_zone).timestamp()
    found = {at.replace(tzinfo=their_zone).timestamp() for at in theirs.between(first, last)}
    return {at for at in wanted if begin <= at <= end} == found
