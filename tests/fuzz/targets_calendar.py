"""Targets of programmes: recurrences, calendars and playlists, as other programs and people write them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from controller.errors import ExchangeError, RecurrenceError
from controller.programmes.exchange.calendar_export import calendar_of
from controller.programmes.exchange.calendar_import import Foreign, read_calendar
from controller.programmes.exchange.m3u import read_m3u, write_m3u
from controller.programmes.exchange.playlist import Sources, items_of
from controller.programmes.exchange.xspf import read_xspf, write_xspf
from controller.programmes.programme import Item, Programme, Recurrence
from controller.programmes.recurrence import rules_of
from tests.fuzz.target import Target

CALENDARS = Path(__file__).parent.parent / "controller" / "programmes" / "calendars"
HANOI = "Asia/Ho_Chi_Minh"
RULES = (
    "DTSTART;TZID=Asia/Ho_Chi_Minh:20261122T053000\nRRULE:FREQ=MONTHLY;INTERVAL=2;BYDAY=1MO,-1FR;BYSETPOS=1,-1;COUNT=9",
    "DTSTART:20261122T053000Z\nRRULE:FREQ=YEARLY;BYWEEKNO=1,-1;BYMONTHDAY=-1\nEXDATE;VALUE=DATE:20261225",
    "DTSTART:20261122T053000\nRRULE:RSCALE=X-VIETNAMESE;FREQ=YEARLY;BYMONTH=6L,12;BYMONTHDAY=-1,30;SKIP=BACKWARD",
    "DTSTART:20261122T053000\nRRULE:FREQ=MINUTELY;INTERVAL=20;BYHOUR=5,6;UNTIL=20270101\nRDATE:20261224T190000",
)
ITEMS = (
    Item(text="xin chào", language="vi", chime=True),
    Item(feed="vov1", duration_s=60, title="Thời sự"),
    Item(media="ab" * 32, valid_until="2026-12-31"),
)
FEEDS = {"vov1": "https://example.com/master.m3u8"}
SOURCES = Sources(feeds={FEEDS["vov1"]: "vov1"}, media={"a": "ab" * 32})


def _programme(rules: str) -> Programme:
    return Programme(id="sang", title="Buổi sáng", area="xa", items=ITEMS, recurrence=Recurrence(rules=rules))


def _recurrence(data: bytes) -> object:
    return rules_of(data.decode("utf-8", "replace"), HANOI).between(dt.date(2026, 11, 1), dt.date(2026, 12, 1))


def _calendar(data: bytes) -> object:
    return read_calendar(data, time_zone=HANOI, foreign=Foreign(area="xa", is_spoken=True, at="05:30"))


def _m3u(data: bytes) -> object:
    return items_of(read_m3u(data), SOURCES)


def _xspf(data: bytes) -> object:
    return items_of(read_xspf(data), SOURCES)


def _calendars() -> Sequence[bytes]:
    now = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
    ours = [calendar_of([_programme(rules)], time_zone=HANOI, now=now) for rules in RULES]
    return [*ours, *(path.read_bytes() for path in sorted(CALENDARS.glob("*.ics")))]


CALENDAR: tuple[Target, ...] = (
    Target(
        name="recurrence",
        decode=_recurrence,
        declared=(RecurrenceError,),
        seeds=lambda: [rules.encode() for rules in RULES],
    ),
    Target(name="calendar", decode=_calendar, declared=(ExchangeError,), seeds=_calendars),
    Target(
        name="m3u",
        decode=_m3u,
        declared=(ExchangeError,),
        seeds=lambda: [write_m3u(ITEMS, title="Buổi sáng", feeds=FEEDS)],
    ),
    Target(
        name="xspf",
        decode=_xspf,
        declared=(ExchangeError,),
        seeds=lambda: [write_xspf(ITEMS, title="Buổi sáng", feeds=FEEDS)],
    ),
)
