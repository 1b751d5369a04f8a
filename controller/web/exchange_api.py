"""The API that takes in and gives out programmes as the files of other programs: calendars and playlists.

Rules kept: `preview=1` tells what would come of a file before anything is kept; each programme is held against its
place like one that is written by hand, and what does not fit is left out with the reason; the others are kept in one
commit; everything that comes in is for the one area whose rights were asked, whatever the file says.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import zoneinfo
from typing import Any, Final

import msgspec
from aiohttp import web

from controller.configuration.config import TimeOfDay
from controller.configuration.site import Site
from controller.errors import ExchangeError, RequestCode, RequestError
from controller.media.catalogue import EntryState
from controller.programmes.exchange.calendar_export import calendar_of
from controller.programmes.exchange.calendar_import import (
    CALENDAR_BYTES_MAX,
    Foreign,
    ReadCalendar,
    Remark,
    read_calendar,
)
from controller.programmes.exchange.m3u import read_m3u, write_m3u
from controller.programmes.exchange.playlist import Sources, items_of
from controller.programmes.exchange.xspf import read_xspf, write_xspf
from controller.programmes.programme import Language, Name, Programme, Title, weekly
from controller.programmes.ready import ready_of
from controller.programmes.versions import Change, unknown
from controller.web.media_parts import LIBRARY, is_area_seen
from controller.web.one_at_a_time import OneAtATime
from controller.web.parts import CONSOLE, VISITOR
from controller.web.programmes_parts import PROGRAMMES, bytes_of, json_of
from controller.web.rules import API
from protocol.adapters.system_clock import read_now

_ALONE: Final = web.AppKey("calendars_alone", OneAtATime)
CALENDAR: Final = "ical"
_KINDS: Final = {
    CALENDAR: ("text/calendar; charset=utf-8", "ics"),
    "m3u": ("audio/x-mpegurl; charset=utf-8", "m3u8"),
    "xspf": ("application/xspf+xml", "xspf"),
}
_READ: Final = {"m3u": read_m3u, "xspf": read_xspf}
_WRITE: Final = {"m3u": write_m3u, "xspf": write_xspf}


class ImportQuestion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said beside the file."""

    area: str
    preview: str = ""
    at: TimeOfDay | None = None
    feed: Name | None = None
    spoken: str = ""
    language: Language | None = None
    id: Name | None = None
    title: Title | None = None
    days: str | None = None


def add_exchange_api(application: web.Application) -> None:
    """Add the routes."""
    application[_ALONE] = OneAtATime()
    application.router.add_route("GET", f"{API}/exchange/{{format}}", _export)
    application.router.add_route("POST", f"{API}/exchange/{{format}}", _import)


async def _export(request: web.Request) -> web.Response:
    """`area`: its own programmes; `id`: one; else all that can be heard where somebody sees."""
    kind, suffix = _kind_of(request)
    programmes = await _wanted(request)
    desk = request.app[CONSOLE].desk
    site, shelf = desk.site, desk.shelf
    lengths = {
        each.id: sum(item.duration_ms for item in ready_of(each, shelf=shelf, site=site).items) for each in programmes
    }
    now = dt.datetime.fromtimestamp(read_now().shared_ms / 1000, tz=zoneinfo.ZoneInfo(site.time_zone))
    if request.match_info["format"] == CALENDAR:
        async with request.app[_ALONE].turn(request[VISITOR].principal.name):
            data = await asyncio.to_thread(
                calendar_of, programmes, time_zone=site.time_zone, now=now, lengths_ms=lengths, holidays=site.holidays
            )
    else:
        data = _playlist_of(request, programmes)
    name = f"{request.query.get('id') or request.query.get('area') or site.controller}.{suffix}"
    safe = "".join(each if each.isalnum() or each in "-._" else "-" for each in name)[:80]
    headers = {"Content-Type": kind, "Content-Disposition": f'attachment; filename="{safe}"'}
    return web.Response(body=data, headers=headers)


async def _import(request: web.Request) -> web.Response:
    _kind_of(request)
    question = _question_of(request)
    data = await bytes_of(request, CALENDAR_BYTES_MAX)
    site, desk = request.app[CONSOLE].desk.site, request.app[PROGRAMMES]
    if question.area not in site.tree:
        raise RequestError(RequestCode.UNKNOWN_AREA, f"the area {question.area[:40]!r} is not known; see {API}/areas")
    try:
        if request.match_info["format"] == CALENDAR:
            async with request.app[_ALONE].turn(request[VISITOR].principal.name):
                found = await _of_calendar(site, question, data)
        else:
            found = _of_playlist(request, question, data)
    except (ExchangeError, ValueError) as error:
        raise RequestError(RequestCode.BAD_REQUEST, str(error)) from error
    fitting, remarks = [], list(found.remarks)
    for programme in found.programmes:
        homed = msgspec.structs.replace(programme, area=question.area)
        try:
            await desk.check_import(homed)
        except RequestError as error:
            remarks.append(Remark(of=f"{homed.id} {homed.title}", reason=error.message, is_left_out=True))
        else:
            fitting.append(homed)
    foreseen = await desk.foreseen(fitting)
    if not question.preview:
        await desk.take_in(fitting, by=request[VISITOR].actor)
    rows = [
        {"id": each.id, "title": each.title, "area": each.area, "change": _told(change)}
        for each, change in zip(fitting, foreseen, strict=True)
    ]
    return json_of({"programmes": rows, "remarks": remarks, "is_kept": not question.preview})


async def _of_calendar(site: Site, question: ImportQuestion, data: bytes) -> ReadCalendar:
    known = {each.id: each for each in site.programmes_of(question.area)}
    foreign = _foreign_of(question)
    return await asyncio.to_thread(
        read_calendar, data, time_zone=site.time_zone, foreign=foreign, known=known, holidays=site.holidays
    )


def _of_playlist(request: web.Request, question: ImportQuestion, data: bytes) -> ReadCalendar:
    """One programme, or other items for one that there is; raises ExchangeError, ValueError."""
    site = request.app[CONSOLE].desk.site
    library = request.app.get(LIBRARY)
    media: dict[str, str] = {}
    for entry in library.entries if library is not None else ():
        if entry.state is EntryState.KEPT and entry.area in site.tree.chain(question.area):
            media |= {entry.reference.sha256: entry.reference.sha256, entry.title: entry.reference.sha256}
            media.setdefault(entry.origin.name, entry.reference.sha256)
    sources = Sources(
        feeds={url: feed.id for feed in site.feeds.values() for url in feed.urls},
        media=media,
        bulletins=frozenset(site.bulletins),
    )
    read = items_of(_READ[request.match_info["format"]](data), sources)
    remarks = tuple(Remark(of=question.id or "", reason=reason, is_left_out=True) for reason in read.left_out)
    if question.id is None:
        raise ExchangeError("thiếu id / which programme is it to become? Say id (and at, where there is none yet)")
    held = next((each for each in site.programmes_of(question.area) if each.id == question.id), None)
    if not read.items:
        return ReadCalendar(programmes=(), remarks=remarks)
    if question.at is None and held is None:
        raise ExchangeError(f"thiếu giờ phát / when does {question.id} begin? Say at (HH:MM), and days")
    days = tuple(question.days.split(",")) if question.days else None
    recurrence = weekly(question.at, days) if question.at is not None else None
    if held is None:
        made = Programme(
            id=question.id,
            title=question.title or question.id,
            area=question.area,
            items=read.items,
            recurrence=recurrence or weekly("00:00"),
        )
    else:
        made = msgspec.structs.replace(
            held, items=read.items, title=question.title or held.title, recurrence=recurrence or held.recurrence
        )
    return ReadCalendar(programmes=(made,), remarks=remarks)


def _playlist_of(request: web.Request, programmes: list[Programme]) -> bytes:
    if len(programmes) != 1:
        what = "danh sách phát là của một chương trình / a playlist is of one programme: name it with id"
        raise RequestError(RequestCode.BAD_REQUEST, what)
    feeds = {feed.id: feed.urls[0] for feed in request.app[CONSOLE].desk.site.feeds.values()}
    return _WRITE[request.match_info["format"]](programmes[0].items, title=programmes[0].title, feeds=feeds)


def _told(change: Change | None) -> str:
    return "unchanged" if change is None else change.value


async def _wanted(request: web.Request) -> list[Programme]:
    site = request.app[CONSOLE].desk.site
    everything = [each for held in site.programmes.values() for each in held if is_area_seen(request, each.area)]
    name, area = request.query.get("id"), request.query.get("area")
    if area is not None and area not in site.tree:
        raise RequestError(RequestCode.UNKNOWN_AREA, f"the area {area[:40]!r} is not known; see {API}/areas")
    found = [each for each in everything if name in {None, each.id} and area in {None, each.area}]
    if name is not None and not found:
        raise unknown(name[:40])
    return found


def _foreign_of(question: ImportQuestion) -> Foreign:
    """What events of other programs let sound; without a word of it, events of ours are taken and no others."""
    if question.feed and question.spoken:
        raise ExchangeError("feed và spoken: chọn một / either relay a feed or speak the event's words, not both")
    return Foreign(
        area=question.area,
        feed=question.feed,
        is_spoken=bool(question.spoken),
        language=question.language,
        at=question.at,
    )


def _question_of(request: web.Request) -> ImportQuestion:
    plain: dict[str, Any] = dict(request.query)
    try:
        return msgspec.convert(plain, ImportQuestion)
    except msgspec.ValidationError as error:
        fields = ", ".join(ImportQuestion.__struct_fields__)
        raise RequestError(RequestCode.BAD_REQUEST, f"{error}; the address may say {fields}") from error


def _kind_of(request: web.Request) -> tuple[str, str]:
    kind = _KINDS.get(request.match_info["format"])
    if kind is None:
        known = ", ".join(_KINDS)
        raise RequestError(RequestCode.NOT_FOUND, f"there is no format {request.match_info['format'][:20]!r}; {known}")
    return kind
