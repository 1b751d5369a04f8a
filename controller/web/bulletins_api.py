"""The API of bulletins: lists, versions, changes, decisions, undo; and what they sound like, before others hear it.

A body is a bulletin. Changes and decisions name the version that was read (`?version=`, or `version` in the body). Who
may ask was settled by `access`; that nobody approves what they wrote is the desk's rule.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import zoneinfo
from typing import Annotated, Final

import msgspec
from aiohttp import web

from controller.adapters.programme_office import BulletinDesk, BulletinFile
from controller.adapters.programme_store import HEADS_MAX
from controller.adapters.speech import SpokenMedia
from controller.errors import MediaError, RequestCode, RequestError, SpeechError
from controller.programmes.bulletin import Bulletin
from controller.programmes.programme import Language, Text
from controller.programmes.speech_text import VIETNAMESE
from controller.programmes.views import bulletin_row, bulletin_view
from controller.web.one_at_a_time import OneAtATime
from controller.web.parts import CONSOLE, VISITOR
from controller.web.programmes_api import NAME_CHARACTERS_MAX, UndoBody, question_of
from controller.web.programmes_parts import (
    BULLETINS,
    SPOKEN,
    body_of,
    json_of,
    number_of,
    require_area_said,
    require_seen,
    whole_of,
)
from controller.web.rules import API
from protocol.adapters.system_clock import read_now

SPEAKING: Final = web.AppKey("speaking", OneAtATime)
"""One text at a time: speaking costs a core, and emergencies need it more."""


class DecisionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Yes or no to the version that was read; a no says why."""

    version: int
    approve: bool
    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""


class SpeechBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text to be listened to."""

    text: Text
    language: Language = VIETNAMESE


def add_bulletins_api(application: web.Application, desk: BulletinDesk, spoken: SpokenMedia) -> None:
    """Add the routes."""
    application[BULLETINS] = desk
    application[SPOKEN] = spoken
    application[SPEAKING] = OneAtATime()
    routes = (
        ("GET", "/bulletins", _list),
        ("POST", "/bulletins", _add),
        ("GET", "/bulletins/{name}", _show),
        ("PUT", "/bulletins/{name}", _edit),
        ("DELETE", "/bulletins/{name}", _remove),
        ("POST", "/bulletins/{name}/undo", _undo),
        ("POST", "/bulletins/{name}/decision", _decide),
        ("GET", "/bulletins/{name}/versions/{number}", _version),
        ("GET", "/bulletins/{name}/sound", _sound),
        ("POST", "/speech", _speech),
    )
    for method, path, handler in routes:
        application.router.add_route(method, API + path, handler)


async def _list(request: web.Request) -> web.Response:
    """`area` (and what is above it), `archived=1`, `after` an id for the next page."""
    desk = request.app[BULLETINS]
    files = await desk.files(await desk.store.heads(question_of(request)))
    site, now = request.app[CONSOLE].desk.site, _local_now(request)
    rows = [bulletin_row(file.versions, state=file.state, airing=file.airing, site=site, now=now) for file in files]
    more = rows[-1]["id"] if len(rows) == HEADS_MAX else None
    return json_of({"bulletins": rows, "after": more})


async def _show(request: web.Request) -> web.Response:
    return _shown(request, await request.app[BULLETINS].file(_name(request)))


async def _add(request: web.Request) -> web.Response:
    bulletin = await body_of(request, Bulletin)
    require_area_said(request, bulletin.area)
    made = await request.app[BULLETINS].add(bulletin, by=request[VISITOR].actor)
    return _shown(request, BulletinFile(versions=[made], decisions=[]), status=201)


async def _edit(request: web.Request) -> web.Response:
    bulletin, name = await body_of(request, Bulletin), _name(request)
    if bulletin.id != name:
        raise RequestError(RequestCode.BAD_REQUEST, f"id: the address says {name!r}, and the body {bulletin.id!r}")
    read = whole_of(request, "version", is_needed=True) or 0
    await request.app[BULLETINS].edit(bulletin, read=read, by=request[VISITOR].actor)
    return await _show(request)


async def _remove(request: web.Request) -> web.Response:
    read = whole_of(request, "version", is_needed=True) or 0
    await request.app[BULLETINS].remove(_name(request), read=read, by=request[VISITOR].actor)
    return await _show(request)


async def _undo(request: web.Request) -> web.Response:
    body = await body_of(request, UndoBody)
    await request.app[BULLETINS].restore(_name(request), to=body.to, by=request[VISITOR].actor)
    return await _show(request)


async def _decide(request: web.Request) -> web.Response:
    body = await body_of(request, DecisionBody)
    made = await request.app[BULLETINS].decide(
        _name(request), read=body.version, is_approved=body.approve, reason=body.reason, by=request[VISITOR].actor
    )
    return _shown(request, made)


async def _version(request: web.Request) -> web.Response:
    found = await _one_version(request, number_of(request))
    return json_of({"id": found.id, "version": number_of(request), "bulletin": found})


async def _sound(request: web.Request) -> web.StreamResponse:
    """What would be heard of a version, the latest if none is named: the very file that the poles get."""
    number = whole_of(request, "version")
    if number is None:
        file = await request.app[BULLETINS].file(_name(request))
        number = file.versions[-1].number
    bulletin = await _one_version(request, number)
    if bulletin.audio is not None:
        return _file(request, bulletin.audio)
    return await _spoken(request, bulletin.text or "", bulletin.language)


async def _speech(request: web.Request) -> web.StreamResponse:
    """What a text would sound like."""
    body = await body_of(request, SpeechBody)
    return await _spoken(request, body.text, body.language)


async def _spoken(request: web.Request, text: str, language: str) -> web.StreamResponse:
    spoken = request.app[SPOKEN]
    try:
        async with request.app[SPEAKING].turn(request[VISITOR].principal.name):
            made = await asyncio.to_thread(spoken.say, text, language)
    except (MediaError, SpeechError) as error:
        raise RequestError(RequestCode.BAD_REQUEST, str(error)) from error
    return _file(request, made.sha256)


def _file(request: web.Request, sha256: str) -> web.StreamResponse:
    path = request.app[SPOKEN].path_of(sha256)
    if not path.is_file():
        raise RequestError(RequestCode.NOT_FOUND, f"the recording {sha256[:16]}… is gone; add it again")
    return web.FileResponse(path, headers={"Content-Type": "audio/ogg"})


async def _one_version(request: web.Request, number: int) -> Bulletin:
    name = _name(request)
    found = await request.app[BULLETINS].store.version(name, number)
    if found is None:
        raise RequestError(RequestCode.NOT_FOUND, f"{name!r} has no version {number}; its versions are listed")
    require_seen(request, found.paper.area, name)
    return found.paper


def _shown(request: web.Request, file: BulletinFile, status: int = 200) -> web.Response:
    bulletin = file.versions[-1].paper
    require_seen(request, bulletin.area, bulletin.id)
    view = bulletin_view(
        file.versions,
        file.decisions,
        state=file.state,
        airing=file.airing,
        site=request.app[CONSOLE].desk.site,
        now=_local_now(request),
    )
    return json_of(view, status=status)


def _local_now(request: web.Request) -> dt.datetime:
    zone = zoneinfo.ZoneInfo(request.app[CONSOLE].desk.site.time_zone)
    return dt.datetime.fromtimestamp(read_now().shared_ms / 1000, tz=zone).replace(tzinfo=None)


def _name(request: web.Request) -> str:
    return request.match_info["name"][:NAME_CHARACTERS_MAX]
