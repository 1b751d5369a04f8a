"""A ready programme becomes dated occurrences; pure.

Items follow one another without a gap from each begin. An occurrence's id says which programme, which begin and which
item it is, so that compiling twice gives the same ids: `morning.20261122.0`, or `morning.20261122T170000.0` for a begin
at another time of day than the recurrence's DTSTART. A moved date keeps the id of the date that it was.

Rules kept: where the clock is put forward over a begin, it is as much later as the clock jumped; where it is put back,
it is the first of the two; two begins that fall on one instant are one. An item outside its validity is left out, and
what follows moves up; its end goes along, for a plan may be days old when it sounds. Which of two occurrences sounds is
the node's decision.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from controller.programmes.holidays import VIET_NAM, Holidays
from controller.programmes.programme import ReadyItem, ReadyProgramme, Recurrence, local_end_of, local_of
from controller.programmes.recurrence import HolidayRule, Rules, known_zone, rules_of
from protocol.messages import Occurrence
from protocol.units import SharedMs


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """One time at which a programme begins: its part of ids, when, in which zone, and what sounds then."""

    id: str
    at_ms: int
    zone: zoneinfo.ZoneInfo
    items: tuple[ReadyItem, ...]


def occurrences_of(
    programme: ReadyProgramme,
    *,
    time_zone: str,
    from_ms: SharedMs,
    until_ms: SharedMs,
    holidays: Holidays = VIET_NAM,
) -> list[Occurrence]:
    """The programme's items that end after `from_ms` and begin before `until_ms`, in order."""
    begins = begins_of(programme, time_zone=time_zone, from_ms=from_ms, until_ms=until_ms, holidays=holidays)
    return [
        each
        for begin in begins
        if begin.at_ms < until_ms and begin.at_ms + sum(item.duration_ms for item in begin.items) > from_ms
        for each in _items_of(programme, begin)
        if each.start_at_ms + each.duration_ms > from_ms and each.start_at_ms < until_ms
    ]


def begins_of(
    programme: ReadyProgramme, *, time_zone: str, from_ms: SharedMs, until_ms: SharedMs, holidays: Holidays = VIET_NAM
) -> list[Begin]:
    """When the programme begins so that some of it may sound between two instants, in order."""
    rules = rules_of(programme.recurrence.rules, time_zone)
    zone = known_zone(rules.zone)
    first = _local_date(from_ms, zone) - dt.timedelta(days=_longest(programme).days + 1)
    last = _local_date(until_ms, zone)
    is_wanted = day_judge(programme.recurrence, holidays)
    found: dict[int, Begin] = {}
    for of, at, items in _dates(programme, rules, first, last, is_wanted):
        if is_valid(programme.valid_from, programme.valid_until, at):
            begin = Begin(id=_id_of(of, rules), at_ms=_ms(at, zone), zone=zone, items=items)
            found.setdefault(begin.at_ms, begin)
    return [found[at_ms] for at_ms in sorted(found)]


def _dates(
    programme: ReadyProgramme,
    rules: Rules,
    first: dt.date,
    last: dt.date,
    is_wanted: Callable[[dt.date], bool] | None,
) -> Iterator[tuple[dt.datetime, dt.datetime, tuple[ReadyItem, ...]]]:
    """Which date it is of, when it is, and its items: all that begin between two days, moved or not."""
    overrides = {local_of(of): override for of, override in programme.overrides.items()}
    for of in rules.between(first, last, is_wanted=is_wanted):
        override = overrides.get(of)
        if override is None:
            yield of, of, programme.items
        elif override.begins is None:
            yield of, of, programme.items if override.items is None else override.items
    for of, override in overrides.items():
        if override.begins is None:
            continue
        at = local_of(override.begins)
        if first <= at.date() <= last and of in rules.between(of.date(), of.date(), is_wanted=is_wanted):
            yield of, at, programme.items if override.items is None else override.items


def day_judge(recurrence: Recurrence, holidays: Holidays) -> Callable[[dt.date], bool] | None:
    """Whether a rule's day is in season and, as holidays go, wanted; None where every day is."""
    season, rule = recurrence.season, recurrence.holidays
    if season is None and rule is HolidayRule.AS_USUAL:
        return None

    def is_wanted(day: dt.date) -> bool:
        if season is not None and not season.has(day):
            return False
        return rule is HolidayRule.AS_USUAL or holidays.has(day) == (rule is HolidayRule.ONLY)

    return is_wanted


def _items_of(programme: ReadyProgramme, begin: Begin) -> Iterator[Occurrence]:
    at_ms = begin.at_ms
    for index, item in enumerate(begin.items):
        if (item.valid_from or item.valid_until) and not is_valid(
            item.valid_from, item.valid_until, _local(at_ms, begin.zone)
        ):
            continue
        yield Occurrence(
            id=f"{programme.id}.{begin.id}.{index if item.number is None else item.number}",
            programme=programme.id,
            title=item.title,
            broadcast_class=programme.broadcast_class,
            start_at_ms=at_ms,
            duration_ms=item.duration_ms,
            media=item.media,
            feed=item.feed,
            turns=item.turns,
            chime_ms=item.chime_ms,
            over=item.over,
            before_upper=programme.before_upper,
            valid_until_ms=_ms(local_end_of(item.valid_until), begin.zone) if item.valid_until else None,
        )
        at_ms += item.duration_ms


def _longest(programme: ReadyProgramme) -> dt.timedelta:
    orders = [programme.items, *(override.items or () for override in programme.overrides.values())]
    return dt.timedelta(milliseconds=max(sum(item.duration_ms for item in items) for items in orders))


def _id_of(of: dt.datetime, rules: Rules) -> str:
    day = f"{of.year:04}{of.month:02}{of.day:02}"  # a third of what strftime takes
    if of.time() == rules.start.time():
        return day
    return f"{day}T{of:%H%M%S}" if of.second else f"{day}T{of:%H%M}"


def is_valid(valid_from: str | None, valid_until: str | None, at: dt.datetime) -> bool:
    """Whether a local instant is within what is written."""
    if valid_from is not None and at < local_of(valid_from):
        return False
    return valid_until is None or at < local_end_of(valid_until)


def _local(at_ms: int, zone: zoneinfo.ZoneInfo) -> dt.datetime:
    return dt.datetime.fromtimestamp(at_ms // 1000, tz=zone).replace(tzinfo=None)


def _local_date(at_ms: int, zone: zoneinfo.ZoneInfo) -> dt.date:
    return dt.datetime.fromtimestamp(at_ms // 1000, tz=zone).date()


def _ms(at: dt.datetime, zone: zoneinfo.ZoneInfo) -> int:
    return int(at.replace(tzinfo=zone).timestamp()) * 1000
