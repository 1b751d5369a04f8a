"""Programmes and bulletins as API and commands show them; pure.

Whatever would not sound is told with its reason: state is what can be heard, not what was written.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from controller.configuration.site import MediaShelf, Site
from controller.programmes.bulletin import Bulletin, BulletinState, Decision
from controller.programmes.occurrences import begins_of
from controller.programmes.programme import Item, Programme, ReadyOverride, ReadyProgramme, local_end_of
from controller.programmes.sources import is_of_class, items_of, source_of
from controller.programmes.versions import Version
from protocol.units import SharedMs

DAY_MS: Final = 24 * 3600 * 1000
NEXT_MS: Final = 8 * DAY_MS
"""How far a list looks for a programme's next begin: what a plan covers."""
FAR_MS: Final = 400 * DAY_MS
"""How far one programme's next begins are looked for: a day that comes once a year is among them."""
BEGINS_SHOWN: Final = 5
DATABASE: Final = "database"
CONFIGURATION: Final = "configuration"


def programme_row(
    programme: Programme, version: Version[Programme] | None, *, site: Site, now_ms: int
) -> dict[str, Any]:
    """One line of a list; without a version it stands in the configuration."""
    begins = [] if version is not None and version.is_archived else next_begins(programme, site, now_ms, NEXT_MS)
    return {
        "id": programme.id,
        "title": programme.title,
        "area": programme.area,
        "area_title": site.tree.title(programme.area),
        "broadcast_class": programme.broadcast_class,
        "source": CONFIGURATION if version is None else DATABASE,
        "items": len(programme.items),
        "next_at_ms": begins[0] if begins else None,
        **version_row(version),
    }


def programme_view(
    programme: Programme,
    versions: Sequence[Version[Programme]],
    *,
    site: Site,
    shelf: MediaShelf,
    now_ms: int,
) -> dict[str, Any]:
    """Everything of one: what is written, when it begins next, what of it would not sound, and its versions."""
    head = versions[-1] if versions else None
    is_archived = head is not None and head.is_archived
    return {
        **programme_row(programme, head, site=site, now_ms=now_ms),
        "begins_ms": [] if is_archived else next_begins(programme, site, now_ms, FAR_MS),
        "problems": [] if is_archived else list(problems_of(programme, site, shelf)),
        "versions": [version_row(version) for version in versions],
        "programme": msgspec.to_builtins(programme),
    }


def bulletin_row(
    versions: Sequence[Version[Bulletin]],
    *,
    state: BulletinState,
    airing: int | None,
    site: Site,
    now: dt.datetime,
) -> dict[str, Any]:
    """One line of a list. `airs_version` is the one that may sound; `now` is the site's local time."""
    head, bulletin = versions[-1], versions[-1].paper
    aired = next((each.paper for each in versions if each.number == airing), None)
    is_over = aired is not None and now >= local_end_of(aired.valid_until)
    return {
        "id": bulletin.id,
        "title": bulletin.title,
        "area": bulletin.area,
        "area_title": site.tree.title(bulletin.area),
        "broadcast_class": bulletin.broadcast_class,
        "language": bulletin.language,
        "valid_until": bulletin.valid_until,
        "sound": "audio" if bulletin.audio is not None else "text",
        "state": state,
        "airs_version": None if is_over else airing,
        **version_row(head),
    }


def bulletin_view(
    versions: Sequence[Version[Bulletin]],
    decisions: Sequence[Decision],
    *,
    state: BulletinState,
    airing: int | None,
    site: Site,
    now: dt.datetime,
) -> dict[str, Any]:
    """Everything of one, with who decided what."""
    said = {each.number: each for each in decisions}
    bulletin = versions[-1].paper
    in_programmes = [
        {"id": programme.id, "title": programme.title, "area": programme.area}
        for programmes in site.programmes.values()
        for programme in programmes
        if any(item.bulletin == bulletin.id for item in items_of(programme))
    ]
    return {
        **bulletin_row(versions, state=state, airing=airing, site=site, now=now),
        "programmes": in_programmes,
        "versions": [
            {**version_row(version), "decision": msgspec.to_builtins(said.get(version.number))} for version in versions
        ],
        "bulletin": msgspec.to_builtins(bulletin),
    }


def version_row(version: Version[Any] | None) -> dict[str, Any]:
    """Who made a version, when and how; nothing is known of the configuration's."""
    if version is None:
        return {"version": None, "who": None, "at_ms": None, "change": None, "restores": None, "is_archived": False}
    return {
        "version": version.number,
        "who": version.who,
        "at_ms": version.at_ms,
        "change": version.change,
        "restores": version.restores or None,
        "is_archived": version.is_archived,
    }


def next_begins(programme: Programme, site: Site, now_ms: int, within_ms: int) -> list[int]:
    """When it begins next, BEGINS_SHOWN times at most."""
    empty = ReadyProgramme(
        id=programme.id,
        title=programme.title,
        area=programme.area,
        broadcast_class=programme.broadcast_class,
        recurrence=programme.recurrence,
        items=(),
        overrides={each.of: ReadyOverride(begins=each.begins) for each in programme.overrides},
        valid_from=programme.valid_from,
        valid_until=programme.valid_until,
    )
    until_ms = SharedMs(now_ms + within_ms)
    begins = begins_of(
        empty, time_zone=site.time_zone, from_ms=SharedMs(now_ms), until_ms=until_ms, holidays=site.holidays
    )
    return [begin.at_ms for begin in begins if now_ms <= begin.at_ms < until_ms][:BEGINS_SHOWN]


def problems_of(programme: Programme, site: Site, shelf: MediaShelf) -> Iterator[str]:
    """Each item that would not sound now, and why."""
    for index, item in enumerate(programme.items):
        why = _why_silent(programme, item, site, shelf)
        if why:
            yield f"items[{index}]: {why}"


def _why_silent(programme: Programme, item: Item, site: Site, shelf: MediaShelf) -> str:
    if item.feed is not None:
        return "" if item.feed in site.feeds else f"không có nguồn tiếp âm / the feed {item.feed} is not configured"
    if item.bulletin is not None:
        bulletin = site.bulletins.get(item.bulletin)
        if bulletin is None:
            return f"bản tin chưa được duyệt hoặc đã rút / the bulletin {item.bulletin} is not approved, or withdrawn"
        if bulletin.area not in site.tree.chain(programme.area):
            return f"bản tin của nơi khác / the bulletin {item.bulletin} is of {bulletin.area}"
        if not is_of_class(bulletin, programme.broadcast_class):
            return f"bản tin thông thường / the bulletin {item.bulletin} is routine, the programme priority"
    source = source_of(item, site.bulletins)
    if source is None or source.key in shelf.ready:
        return ""
    return shelf.refused.get(source.key) or "đang chuẩn bị âm thanh / its sound is being prepared"
