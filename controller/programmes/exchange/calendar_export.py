"""Programmes as an iCalendar file that calendars of other programs show; pure.

Each programme is an event, each date that differs another one with the same UID. What other programs cannot compute
(lunar dates, seasons, holidays, an end of validity) is written as single dates for the time to come. The whole
programme goes along in a property of our own: whoever reads the file again has the programme as it was, but for what
somebody has changed in another program.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import msgspec
from icalendar import Calendar, Event, vRecur

from controller.programmes.holidays import VIET_NAM, Holidays
from controller.programmes.lunar_rules import LunarRule
from controller.programmes.occurrences import day_judge, is_valid
from controller.programmes.programme import Item, Programme, local_of
from controller.programmes.recurrence import DATES_MAX, HolidayRule, Rules, known_zone, rules_of, unfolded
from controller.programmes.rules import YEAR_MAX

PRODUCT: Final = "-//LoaXa//LoaXa//VI"
UID_DOMAIN: Final = "loaxa"
PROGRAMME_LINE: Final = "X-LOAXA-PROGRAMME"
WRITTEN_OUT: Final = dt.timedelta(days=400)
"""How far single dates are written: a year and what is planned of the next."""


def calendar_of(
    programmes: Iterable[Programme],
    *,
    time_zone: str,
    now: dt.datetime,
    holidays: Holidays = VIET_NAM,
    lengths_ms: Mapping[str, int] | None = None,
) -> bytes:
    """The file; `now` with its zone; `lengths_ms`: how long a programme is, where that is known."""
    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("x-wr-timezone", time_zone)
    for programme in programmes:
        events = _events_of(programme, time_zone=time_zone, now=now, holidays=holidays)
        length_ms = (lengths_ms or {}).get(programme.id, 0)
        for event in events:
            event.add("uid", f"{programme.id}@{UID_DOMAIN}")
            event.add("dtstamp", now)
            if length_ms >= 1000:  # noqa: PLR2004 - calendars know whole seconds
                event.add("duration", dt.timedelta(seconds=length_ms // 1000))
        master = events[0]
        master.add("description", described(programme.items))
        master.add("categories", [programme.broadcast_class.value])
        master[PROGRAMME_LINE] = base64.b64encode(msgspec.json.encode(programme)).decode()
        for event in events:
            calendar.add_component(event)
    calendar.add_missing_timezones()
    return bytes(calendar.to_ical())


def described(items: Sequence[Item]) -> str:
    """The items for people: one line each."""
    lines = []
    for item in items:
        kinds = (item.file, item.media, item.text, item.bulletin, item.feed)
        what = next(each for each in kinds if each is not None)
        length = f" ({item.duration_s} s)" if item.duration_s is not None else ""
        lines.append(f"{item.title}: {what}{length}" if item.title else f"{what}{length}")
    return "\n".join(lines)


def _events_of(programme: Programme, *, time_zone: str, now: dt.datetime, holidays: Holidays) -> list[Event]:
    """The programme's event, then those of its dates that differ."""
    rules = rules_of(programme.recurrence.rules, time_zone)
    zone = known_zone(rules.zone)
    silent = {local_of(override.of) for override in programme.overrides if override.items == ()}
    master = Event()
    master.add("summary", programme.title)
    if _needs_single_dates(programme, rules):
        dates = _single_dates(programme, rules, now.astimezone(zone).date(), holidays)
        kept = [at for at in dates if at not in silent] or [rules.start]
        master.add("dtstart", kept[0].replace(tzinfo=zone))
        if len(kept) > 1:
            master.add("rdate", [at.replace(tzinfo=zone) for at in kept[1:]])
        if not dates or set(dates) <= silent:
            master.add("exdate", [kept[0].replace(tzinfo=zone)])
    else:
        _add_rules(master, programme, rules, silent)
    events = [master]
    wanted = day_judge(programme.recurrence, holidays)
    for override in programme.overrides:
        of = local_of(override.of)
        at = local_of(override.begins) if override.begins else of
        is_begin = of in rules.between(of.date(), of.date(), is_wanted=wanted)
        if of not in silent and is_begin and is_valid(programme.valid_from, programme.valid_until, at):
            event = Event()
            event.add("recurrence-id", of.replace(tzinfo=zone))
            event.add("dtstart", at.replace(tzinfo=zone))
            event.add("summary", override.title or programme.title)
            if override.items is not None:
                event.add("description", described(override.items))
            events.append(event)
    return events


def _add_rules(master: Event, programme: Programme, rules: Rules, silent: set[dt.datetime]) -> None:
    """The recurrence as it is; other programs take DTSTART for a begin, so it has to be one."""
    zone = known_zone(rules.zone)
    start = _first_begin(rules)
    gone = {*rules.except_times, *silent}
    for day in rules.except_days:
        gone.update(replace(rules, except_days=frozenset()).between(day, day))
    if start is None:
        start = rules.start
        gone.add(start)
    master.add("dtstart", start.replace(tzinfo=zone))
    for line in unfolded(programme.recurrence.rules):
        name, _, value = line.partition(":")
        if name.upper() == "RRULE":
            master.add("rrule", vRecur.from_ical(_with_utc_end(value, rules, zone)))
    named = sorted(rules.dates - {start})
    if named:
        master.add("rdate", [at.replace(tzinfo=zone) for at in named])
    if gone:
        master.add("exdate", [at.replace(tzinfo=zone) for at in sorted(gone)])


def _with_utc_end(value: str, rules: Rules, zone: dt.tzinfo) -> str:
    """A rule whose UNTIL is UTC, as the standard wants it beside a DTSTART with a zone."""
    parts = [part for part in value.upper().strip(";").split(";") if not part.startswith("UNTIL=")]
    ends = [bounded.until for bounded in rules.rules if bounded.until is not None]
    if len(parts) < len(value.strip(";").split(";")) and ends:
        until = ends[0].replace(microsecond=0, tzinfo=zone).astimezone(dt.UTC)
        parts.append(f"UNTIL={until:%Y%m%dT%H%M%SZ}")
    return ";".join(parts)


def _first_begin(rules: Rules) -> dt.datetime | None:
    """The first begin that the rules say, whether or not it is taken away again."""
    whole = replace(rules, except_times=frozenset(), except_days=frozenset(), dates=frozenset())
    if not rules.rules:
        return rules.start
    for year in range(rules.start.year, min(rules.start.year + 30, YEAR_MAX)):
        found = whole.between(max(rules.start.date(), dt.date(year, 1, 1)), dt.date(year, 12, 31))
        if found:
            return found[0]
    return None


def _needs_single_dates(programme: Programme, rules: Rules) -> bool:
    recurrence = programme.recurrence
    return (
        recurrence.season is not None
        or recurrence.holidays is not HolidayRule.AS_USUAL
        or programme.valid_from is not None
        or programme.valid_until is not None
        or len(rules.rules) > 1
        or any(isinstance(bounded.rule, LunarRule) for bounded in rules.rules)
    )


def _single_dates(programme: Programme, rules: Rules, today: dt.date, holidays: Holidays) -> list[dt.datetime]:
    wanted = day_judge(programme.recurrence, holidays)
    moved = {local_of(override.of): local_of(override.begins) for override in programme.overrides if override.begins}
    found = [
        at
        for at in rules.between(today, today + WRITTEN_OUT, is_wanted=wanted)
        if is_valid(programme.valid_from, programme.valid_until, moved.get(at, at))
    ]
    return found[:DATES_MAX]
