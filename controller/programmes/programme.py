"""What a programme is: items in order, and when they begin; as written by people, and as ready to be compiled.

`Programme` is what is kept, edited, exported and versioned. Its items say what is to be heard: a file of the site, a
media file of the catalogue, a text to be spoken, a feed or a bulletin. `ReadyProgramme` is the same with each item's
media and length known; the desk makes it of what is prepared and approved, and `occurrences.occurrences_of` dates it.

Rules kept: an item is exactly one thing; local times are written without an offset (`2026-11-22` or `2026-11-22T05:30`)
and mean the time zone of the programme's recurrence; a day that ends something is in it (`until` the 31st: the whole
31st). Nothing here reads clocks or files.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final

from msgspec import Meta, Struct

from controller.errors import RecurrenceError
from controller.programmes.recurrence import HolidayRule, rules_of
from protocol.identity import AREA_PATTERN, AreaId, MediaHash
from protocol.messages import BroadcastClass, MediaReference, Over
from protocol.turns import Turns

USUAL_ZONE: Final = "Asia/Ho_Chi_Minh"
"""By which a recurrence that names no zone is checked; most sites have it, so that it is read once."""
ITEMS_MAX: Final = 64
"""Items of one programme: a day of a quarter of an hour each."""
OVERRIDES_MAX: Final = 366
"""Single dates that differ: one a day for a year."""
ITEM_S_MAX: Final = 86_400
"""The longest time of a feed; an occurrence lasts at most a day."""
TEXT_CHARACTERS_MAX: Final = 20_000
"""Half an hour of speech, and more than a bulletin of one page."""
LUNAR_DAYS_MAX: Final = 8
"""Lunar days of one programme; as many rules as a recurrence may have."""
RULES_CHARACTERS_MAX: Final = 65_536
"""Eight rules and the most single dates of both kinds."""

Name = Annotated[str, Meta(pattern=AREA_PATTERN, description="an id: a-z, 0-9 and -, at most 40")]
Title = Annotated[str, Meta(min_length=1, max_length=200)]
Language = Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}\Z", description="BCP 47: vi, hmn, vi-VN")]
LocalInstant = Annotated[
    str,
    Meta(
        pattern=r"^(19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}(T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?)?\Z",
        description="a local day or minute: 2026-11-22 or 2026-11-22T05:30",
    ),
]
LocalMinute = Annotated[
    str,
    Meta(
        pattern=r"^(19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?\Z",
        description="a local instant: 2026-11-22T05:30",
    ),
]
FilePath = Annotated[str, Meta(min_length=1, max_length=4096)]
Text = Annotated[str, Meta(min_length=1, max_length=TEXT_CHARACTERS_MAX)]
LunarDay = Annotated[
    str,
    Meta(
        pattern=r"^([1-9]|[12][0-9]|30|last)(/([1-9]|1[0-2])L?)?\Z",
        description="a lunar day: 15 of each month, 10/3 of the third month, last/12 of the year, 1/6L of a leap month",
    ),
]
YearDay = Annotated[str, Meta(pattern=r"^[0-9]{2}-[0-9]{2}\Z", description="a day of the year: 05-31")]


class _Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One mapping of a written programme: no key that is not named here."""


class Item(_Part, frozen=True, kw_only=True):
    """One thing to be heard: exactly one of `file`, `media`, `text`, `feed` and `bulletin`.

    A feed says how long it is relayed; everything else is as long as it is. From `valid_from` until `valid_until` only
    it is heard; outside it is left out, and what follows moves up.
    """

    file: FilePath | None = None
    media: MediaHash | None = None
    text: Text | None = None
    feed: Name | None = None
    bulletin: Name | None = None
    language: Language | None = None
    duration_s: Annotated[int, Meta(ge=1, le=ITEM_S_MAX)] | None = None
    title: Title | None = None
    in_turns: bool = False
    chime: bool = False
    over: Over = Over.REPLACE
    valid_from: LocalInstant | None = None
    valid_until: LocalInstant | None = None

    def __post_init__(self) -> None:
        """Refuse an item that is nothing or two things, a feed without an end, and days that do not exist."""
        named = [key for key in ("file", "media", "text", "feed", "bulletin") if getattr(self, key) is not None]
        if len(named) != 1:
            raise ValueError(f"an item is one of file, media, text, feed or bulletin; this has {named or 'none'}")
        if (self.feed is None) != (self.duration_s is None):
            raise ValueError("duration_s says how long a feed is relayed: a feed needs it, nothing else has it")
        if self.language is not None and self.text is None:
            raise ValueError("language belongs to a text; media and bulletins know their own")
        if self.feed is not None and self.in_turns:
            raise ValueError("a feed is live and cannot be heard in turns")
        require_order(self.valid_from, self.valid_until)


class Season(_Part, frozen=True, kw_only=True):
    """Days of each year, both included; `from_day` after `until_day` goes over the new year (11-01 to 03-31)."""

    from_day: YearDay
    until_day: YearDay

    def __post_init__(self) -> None:
        """Refuse days that no year has."""
        for day in (self.from_day, self.until_day):
            try:
                dt.date.fromisoformat(f"2000-{day}")
            except ValueError as error:
                raise ValueError(f"{day}: no year has this day; write MM-DD, for example 05-31") from error

    def has(self, day: dt.date) -> bool:
        """Whether a day is in the season."""
        written = f"{day:%m-%d}"
        if self.from_day <= self.until_day:
            return self.from_day <= written <= self.until_day
        return written >= self.from_day or written <= self.until_day


class Recurrence(_Part, frozen=True, kw_only=True):
    """When a programme begins: RFC 5545 text, and what the text cannot say.

    `rules` are lines of DTSTART (with TZID, or the site's time zone), RRULE, RDATE and EXDATE. Lunar dates are RRULEs
    of RFC 7529: `RSCALE=X-VIETNAMESE;FREQ=MONTHLY;BYMONTHDAY=1,15` is mùng một and rằm of each month. `season` and
    `holidays` bound what the rules say, not the single days of RDATE.
    """

    rules: Annotated[str, Meta(min_length=1, max_length=RULES_CHARACTERS_MAX)]
    season: Season | None = None
    holidays: HolidayRule = HolidayRule.AS_USUAL

    def __post_init__(self) -> None:
        """Refuse rules that cannot be read."""
        try:
            rules_of(self.rules, USUAL_ZONE)
        except RecurrenceError as error:
            raise ValueError(str(error)) from error


class Override(_Part, frozen=True, kw_only=True):
    """One date that differs: what begins at `of` begins at `begins`, or has other items; no items: nothing sounds."""

    of: LocalMinute
    begins: LocalMinute | None = None
    title: Title | None = None
    items: Annotated[tuple[Item, ...], Meta(max_length=ITEMS_MAX)] | None = None

    def __post_init__(self) -> None:
        """Refuse instants that no calendar has, and a difference without one."""
        for instant in (self.of, self.begins):
            if instant is not None:
                local_of(instant)
        if self.begins is None and self.title is None and self.items is None:
            raise ValueError(f"the date {self.of} says no difference: begins, title or items")


class Programme(_Part, frozen=True, kw_only=True):
    """A programme as people write it.

    A priority programme with `before_upper` goes before priority programmes of the areas above, as its own area orders.
    """

    id: Name
    title: Title
    area: AreaId
    items: Annotated[tuple[Item, ...], Meta(min_length=1, max_length=ITEMS_MAX)]
    recurrence: Recurrence
    broadcast_class: BroadcastClass = BroadcastClass.ROUTINE
    overrides: Annotated[tuple[Override, ...], Meta(max_length=OVERRIDES_MAX)] = ()
    valid_from: LocalInstant | None = None
    valid_until: LocalInstant | None = None
    before_upper: bool = False

    def __post_init__(self) -> None:
        """Refuse one date with two differences, an end before the begin, what is never planned, or has no say."""
        require_planned_class(self.broadcast_class)
        if self.before_upper and self.broadcast_class is not BroadcastClass.PRIORITY:
            raise ValueError(f"programme {self.id}: before_upper is for programmes of class priority only")
        dates = [local_of(override.of) for override in self.overrides]
        if len(dates) != len(set(dates)):
            raise ValueError(f"programme {self.id}: two overrides for one date; write one with both differences")
        require_order(self.valid_from, self.valid_until)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyItem:
    """What sounds, and for how long: a media file or a feed; a file perhaps in turns, and then for the whole round.

    `duration_ms` includes the attention signal that it may begin with. `number` is its place in the written programme,
    where others before it are left out; so that ids stay when those come or go. Instants are local, as written.
    """

    title: str
    duration_ms: int
    media: MediaReference | None = None
    feed: str | None = None
    turns: Turns | None = None
    chime_ms: int = 0
    over: Over = Over.REPLACE
    number: int | None = None
    valid_from: str | None = None
    valid_until: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyOverride:
    """One date that differs, ready; `items` None: those of the programme."""

    begins: str | None = None
    items: tuple[ReadyItem, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyProgramme:
    """A programme with the items that can sound; `overrides` by the local instant that they are of."""

    id: str
    title: str
    area: str
    broadcast_class: BroadcastClass
    recurrence: Recurrence
    items: tuple[ReadyItem, ...]
    overrides: Mapping[str, ReadyOverride] = field(default_factory=dict)
    valid_from: str | None = None
    valid_until: str | None = None
    before_upper: bool = False


def weekly(at: str, days: tuple[str, ...] | None = None) -> Recurrence:
    """Each week at a local time of day (`05:30`) of the site; `days` of `mon` to `sun`, None: every day."""
    time = f"{at.replace(':', ''):0<6}"
    rule = "FREQ=DAILY" if days is None else "FREQ=WEEKLY;BYDAY=" + ",".join(day[:2].upper() for day in days)
    return Recurrence(rules=f"DTSTART:{EPOCH:%Y%m%d}T{time}\nRRULE:{rule}")


def lunar(at: str, days: Sequence[str]) -> Recurrence:
    """On lunar days at a local time of day (`05:30`) of the site; days as `LunarDay` has them."""
    by_month: dict[str, list[str]] = {}
    for text in days:
        day, _, month = text.partition("/")
        by_month.setdefault(month, []).append("-1" if day == "last" else day)
    lines = [f"DTSTART:{EPOCH:%Y%m%d}T{at.replace(':', ''):0<6}"]
    for month, numbers in by_month.items():
        frequency = f"FREQ=YEARLY;BYMONTH={month}" if month else "FREQ=MONTHLY"
        lines.append(f"RRULE:RSCALE=X-VIETNAMESE;{frequency};BYMONTHDAY={','.join(numbers)}")
    return Recurrence(rules="\n".join(lines))


EPOCH: Final = dt.date(2000, 1, 1)
"""Where a recurrence that was always there begins."""


def local_of(text: str) -> dt.datetime:
    """The local instant that is written; a day is its midnight. Raises ValueError where there is no such day."""
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text}: no such day; write 2026-11-22 or 2026-11-22T05:30") from error


def local_end_of(text: str) -> dt.datetime:
    """The first local instant that is past what is written: a day ends with it."""
    at = local_of(text)
    return at if "T" in text else at + dt.timedelta(days=1)


def require_planned_class(broadcast_class: BroadcastClass) -> None:
    """Raise ValueError for what is never planned."""
    if broadcast_class is BroadcastClass.EMERGENCY:
        raise ValueError("an emergency is raised, never planned; write routine or priority")


def require_order(valid_from: str | None, valid_until: str | None) -> None:
    """Raise ValueError where a time is over before it begins."""
    begin = local_of(valid_from) if valid_from else None
    end = local_end_of(valid_until) if valid_until else None
    if begin is not None and end is not None and begin >= end:
        raise ValueError(f"valid_until {valid_until} is not after valid_from {valid_from}")
