"""An iCalendar file becomes programmes: our own as they were, those of other programs with what the reader lets sound.

What an event of another program says is not yet what a loudspeaker should say: the caller names what sounds (a feed,
items, or the event's own words spoken). A programme of ours is taken from the property that our export wrote, or, where
another program has dropped that, from those that are known; what has been changed in another program goes before it.

Rules kept: bounded before it is parsed, and in events; an event that cannot be understood is left out with the reason,
never read half; an event that is cancelled or tentative is no programme; ids come from the UID, so that a file that is
read twice changes nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import unicodedata
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec
from icalendar import Calendar, Event

from controller.errors import ExchangeError, RecurrenceError
from controller.programmes.exchange.calendar_export import PROGRAMME_LINE, UID_DOMAIN
from controller.programmes.exchange.event_times import Zones, instant_of, text_of, time_lines, written
from controller.programmes.exchange.merging import merged
from controller.programmes.holidays import VIET_NAM, Holidays
from controller.programmes.programme import (
    ITEM_S_MAX,
    TEXT_CHARACTERS_MAX,
    Item,
    Override,
    Programme,
    Recurrence,
    local_of,
)
from controller.programmes.recurrence import rules_of
from protocol.messages import BroadcastClass

CALENDAR_BYTES_MAX: Final = 1024 * 1024
"""A few thousand events; reading it takes some seconds of a slow machine."""
EVENTS_MAX: Final = 2000
"""The worst that rules of so many can cost is some seconds."""
TITLE_CHARACTERS_MAX: Final = 200
SLUG_MAX: Final = 30
"""With the digest of the UID behind it an id has at most 40."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """What becomes of events of other programs: for whom they are and what sounds; one of `items`, `feed`, `is_spoken`.

    A feed is relayed as long as the event lasts. `at` is the time of events that last whole days.
    """

    area: str
    items: tuple[Item, ...] = ()
    feed: str | None = None
    is_spoken: bool = False
    language: str | None = None
    at: str | None = None
    broadcast_class: Literal[BroadcastClass.ROUTINE, BroadcastClass.PRIORITY] = BroadcastClass.ROUTINE


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """What a person should know of one event; `is_left_out` where it has become no programme."""

    of: str
    reason: str
    is_left_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadCalendar:
    """What a file holds."""

    programmes: tuple[Programme, ...]
    remarks: tuple[Remark, ...]


def read_calendar(
    data: bytes,
    *,
    time_zone: str,
    foreign: Foreign,
    known: Mapping[str, Programme] | None = None,
    holidays: Holidays = VIET_NAM,
) -> ReadCalendar:
    """The programmes of a file; `known` are ours by id. Raises ExchangeError where it is no calendar or too large."""
    programmes: dict[str, Programme] = {}
    remarks: list[Remark] = []
    for calendar in _parsed(data):
        reader = _Reader(
            zones=Zones(calendar, time_zone=time_zone),
            time_zone=time_zone,
            foreign=foreign,
            known=known or {},
            holidays=holidays,
            remarks=remarks,
        )
        for uid, events in _by_uid(calendar).items():
            try:
                programme = _checked(reader.programme_of(uid, events))
                if programme.id in programmes:
                    raise ExchangeError("trùng UID / the same UID stands twice")  # noqa: TRY301 - told like the others
                programmes[programme.id] = programme
            except (ExchangeError, RecurrenceError, ValueError, msgspec.ValidationError) as error:
                remarks.append(Remark(of=_told(events, uid), reason=str(error), is_left_out=True))
    return ReadCalendar(programmes=tuple(programmes.values()), remarks=tuple(remarks))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """Reads the events of one calendar; what a person should know goes to `remarks`."""

    zones: Zones
    time_zone: str
    foreign: Foreign
    known: Mapping[str, Programme]
    holidays: Holidays
    remarks: list[Remark]

    def programme_of(self, uid: str, events: Sequence[Event]) -> Programme:
        """The programme of events with one UID. Raises ExchangeError, RecurrenceError or ValueError."""
        masters = [event for event in events if "RECURRENCE-ID" not in event]
        if len(masters) != 1:
            raise ExchangeError(
                f"cần một sự kiện gốc / {len(masters)} events of this UID are no single dates of another; write one"
            )
        master, title = masters[0], _title(masters[0])
        state = str(master.get("STATUS", "")).upper()
        if state in {"CANCELLED", "TENTATIVE"}:
            raise ExchangeError(f"STATUS:{state}: chưa chắc phát / the event is not sure, so it is not taken")
        programme_id = _id_of(uid, title)
        kept = _kept(master) or self.known.get(programme_id)
        recurrence = Recurrence(rules=text_of(master, self.zones, at=self.foreign.at))
        dates = tuple(self._overrides(events, master, recurrence, kept))
        if kept is not None:
            found = merged(kept, recurrence, dates, title=title, time_zone=self.time_zone, holidays=self.holidays)
            if found.recurrence != kept.recurrence or found.overrides != kept.overrides:
                reason = "ngày giờ đã đổi ở chương trình khác / its dates were changed in another program"
                self.remarks.append(Remark(of=kept.id, reason=reason))
            return found
        return Programme(
            id=programme_id,
            title=title,
            area=self.foreign.area,
            items=_items_of(master, self.foreign),
            recurrence=recurrence,
            broadcast_class=self.foreign.broadcast_class,
            overrides=dates,
        )

    def _overrides(
        self, events: Sequence[Event], master: Event, recurrence: Recurrence, kept: Programme | None
    ) -> Iterator[Override]:
        """The single dates that differ; a date that the event does not have is told, for it never sounds."""
        rules = rules_of(recurrence.rules, self.zones.floating)
        at = self.foreign.at or f"{rules.start:%H:%M:%S}"
        known = {local_of(override.of): override for override in kept.overrides} if kept else {}
        for event in events:
            if event is master:
                continue
            named = list(time_lines(event, ("RECURRENCE-ID",)))
            if len(named) > 1:
                raise ExchangeError("RECURRENCE-ID: một ngày thôi / an event stands for one date; write one line of it")
            if named[0][1].get("RANGE", "").upper() == "THISANDFUTURE":
                raise ExchangeError("RANGE=THISANDFUTURE không được hỗ trợ / is not supported; write two events")
            of = instant_of(event, "RECURRENCE-ID", self.zones, zone=rules.zone, at=at)
            if of not in rules.between(of.date(), of.date()):
                reason = f"{written(of)}: không có lượt này / there is no such date, and it never sounds"
                self.remarks.append(Remark(of=_told([event], ""), reason=reason))
                continue
            if str(event.get("STATUS", "")).upper() == "CANCELLED":
                yield Override(of=written(of), items=())
                continue
            begins = instant_of(event, "DTSTART", self.zones, zone=rules.zone, at=at)
            title = _title(event) if "SUMMARY" in event and _title(event) != _title(master) else None
            items = known[of].items if of in known else None
            if kept is None and (other := _items_of(event, self.foreign)) != _items_of(master, self.foreign):
                items = other
            if begins != of or title is not None or items is not None:
                moved = written(begins) if begins != of else None
                yield Override(of=written(of), begins=moved, title=title, items=items)


def _parsed(data: bytes) -> list[Calendar]:
    if len(data) > CALENDAR_BYTES_MAX:
        raise ExchangeError(f"tệp lịch quá lớn / the calendar has {len(data)} bytes; at most {CALENDAR_BYTES_MAX}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ExchangeError("tệp lịch không phải UTF-8 / the calendar is not UTF-8; save it as UTF-8") from error
    try:
        with warnings.catch_warnings(action="ignore"):  # what the library guesses of a zone is judged here
            found = Calendar.from_ical(text, multiple=True)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError, OSError) as error:
        # OSError: a TZID that names a folder of the time zones' files
        raise ExchangeError(f"không phải tệp iCalendar / this is no iCalendar file: {str(error)[:200]}") from error
    calendars = [each for each in found if each.name == "VCALENDAR"]
    if not calendars:
        raise ExchangeError("không có VCALENDAR / the file has no VCALENDAR")
    count = sum(len(calendar.events) for calendar in calendars)
    if count > EVENTS_MAX:
        raise ExchangeError(f"quá nhiều sự kiện / the calendar has {count} events; at most {EVENTS_MAX}")
    return calendars


def _by_uid(calendar: Calendar) -> dict[str, list[Event]]:
    """Events that belong together; one without a UID is known by all that it says."""
    found: dict[str, list[Event]] = {}
    for event in calendar.events:
        uid = str(event.get("UID", "")).strip() or hashlib.sha256(event.to_ical()).hexdigest()
        found.setdefault(uid, []).append(event)
    return found


def _checked(programme: Programme) -> Programme:
    """The programme with every bound of its form. Raises msgspec.ValidationError."""
    return msgspec.convert(msgspec.to_builtins(programme), Programme)


def _items_of(event: Event, foreign: Foreign) -> tuple[Item, ...]:
    if foreign.feed is not None:
        return (Item(feed=foreign.feed, duration_s=_length_s(event)),)
    if foreign.is_spoken:
        words = str(event.get("DESCRIPTION", "")).strip() or str(event.get("SUMMARY", "")).strip()
        if not words:
            raise ExchangeError("không có lời để đọc / the event has no words to be spoken: SUMMARY or DESCRIPTION")
        return (Item(text=words[:TEXT_CHARACTERS_MAX], language=foreign.language),)
    if not foreign.items:
        raise ExchangeError(
            "chưa biết phát gì / what is to sound? Name items, a feed, or let the event's words be spoken"
        )
    return foreign.items


def _length_s(event: Event) -> int:
    try:
        length = event.duration
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ExchangeError("không rõ kéo dài bao lâu / how long it lasts cannot be read: DTEND, DURATION") from error
    seconds = round(length.total_seconds())
    if not 1 <= seconds <= ITEM_S_MAX:
        raise ExchangeError(
            f"kéo dài {seconds} giây / a feed is relayed from 1 s to a day; this event lasts {seconds} s"
        )
    return seconds


def _kept(master: Event) -> Programme | None:
    """The programme that our export wrote; None where there is none, or not a whole one."""
    if PROGRAMME_LINE not in master:
        return None
    try:
        return msgspec.json.decode(base64.b64decode(str(master[PROGRAMME_LINE]), validate=True), type=Programme)
    except (binascii.Error, msgspec.MsgspecError, ValueError):
        return None


def _title(event: Event) -> str:
    title = " ".join(str(event.get("SUMMARY", "")).split())
    return unicodedata.normalize("NFC", title)[:TITLE_CHARACTERS_MAX] or "(không tên)"


def _told(events: Sequence[Event], uid: str) -> str:
    return f"{_title(events[0])} [{uid[:60]}]" if uid else _title(events[0])


def _id_of(uid: str, title: str) -> str:
    """Of our own UIDs the id again; else letters of the title and a digest of the UID."""
    name, _, domain = uid.partition("@")
    if domain == UID_DOMAIN and re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", name):
        return name
    return f"{slug_of(title)}-{hashlib.sha256(uid.encode()).hexdigest()[:8]}"


def slug_of(text: str) -> str:
    """Plain letters of a text, for an id: `Buổi sáng` is `buoi-sang`."""
    plain = unicodedata.normalize("NFD", text.lower().replace("đ", "d")).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:SLUG_MAX].strip("-") or "lich"
