"""The API of programmes: lists, versions, changes, undo. Bulletins have their own.

A body is a programme as it is written in the configuration, with `recurrence`. Changes name the version that was read
(`?version=`), so that nobody overwrites what they have not seen. Who may ask was settled by `access`; the
configuration's programmes are shown and changed nowhere but in their file.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from aiohttp import web

from controller.adapters.programme_office import ProgrammeDesk
from controller.adapters.programme_store import HEADS_MAX, HeadQuestion
from controller.errors import RequestCode, RequestError
from controller.people.sight import sounding_areas
from controller.programmes.programme import Programme
from controller.programmes.versions import Version, unknown
from controller.programmes.views import programme_row, programme_view
from controller.web.media_parts import is_area_seen
from controller.web.parts import CONSOLE, VISITOR
from controller.web.programmes_parts import (
    PROGRAMMES,
    VERSIONS_MAX,
    body_of,
    json_of,
    number_of,
    require_area_said,
    require_seen,
    whole_of,
)
from controller.web.rules import API
from protocol.adapters.system_clock import read_now

NAME_CHARACTERS_MAX: Final = 40


class UndoBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which version is to stand again; none: the one before the last."""

    to: Annotated[int, msgspec.Meta(ge=1, le=VERSIONS_MAX)] | None = None


def add_programmes_api(application: web.Application, desk: ProgrammeDesk) -> None:
    """Add the routes."""
    application[PROGRAMMES] = desk
    routes = (
        ("GET", "/programmes", _list),
        ("POST", "/programmes", _add),
        ("GET", "/programmes/{name}", _show),
        ("PUT", "/programmes/{name}", _edit),
        ("DELETE", "/programmes/{name}", _remove),
        ("POST", "/programmes/{name}/undo", _undo),
        ("GET", "/programmes/{name}/versions/{number}", _version),
    )
    for method, path, handler in routes:
        application.router.add_route(method, API + path, handler)


def asked_areas(request: web.Request) -> list[str] | None:
    """The areas of a list: those from which something can sound where somebody sees, or one and those above it."""
    tree = request.app[CONSOLE].desk.site.tree
    area = request.query.get("area")
    seen = sounding_areas(request[VISITOR].principal, tree)
    if area is None:
        return None if seen is None else sorted(seen)
    if area not in tree:
        raise RequestError(RequestCode.UNKNOWN_AREA, f"the area {area[:40]!r} is not known; see {API}/areas")
    return [each for each in tree.chain(area) if seen is None or each in seen]


def question_of(request: web.Request) -> HeadQuestion:
    """What a list asks of the database."""
    return HeadQuestion(
        areas=asked_areas(request),
        is_archived_too=bool(request.query.get("archived")),
        after=request.query.get("after", "")[:NAME_CHARACTERS_MAX],
    )


async def _list(request: web.Request) -> web.Response:
    """`area` (and what is above it), `archived=1`, `after` an id for the next page; the configuration's come first."""
    site, now_ms = request.app[CONSOLE].desk.site, read_now().shared_ms
    question = question_of(request)
    heads = await request.app[PROGRAMMES].store.heads(question)
    own = [each for each in site.own if question.areas is None or each.area in question.areas]
    rows = [] if question.after else [programme_row(each, None, site=site, now_ms=now_ms) for each in own]
    rows += [programme_row(each.paper, each, site=site, now_ms=now_ms) for each in heads]
    more = heads[-1].paper.id if len(heads) == HEADS_MAX else None
    return json_of({"programmes": rows, "after": more})


async def _show(request: web.Request) -> web.Response:
    name = _name(request)
    own = _own(request, name)
    versions = [] if own is not None else await request.app[PROGRAMMES].store.versions(name)
    if own is None and not versions:
        raise unknown(name)
    return _shown(request, own if own is not None else versions[-1].paper, versions)


async def _add(request: web.Request) -> web.Response:
    programme = await body_of(request, Programme)
    require_area_said(request, programme.area)
    made = await request.app[PROGRAMMES].add(programme, by=request[VISITOR].actor)
    return _shown(request, made.paper, [made], status=201)


async def _edit(request: web.Request) -> web.Response:
    programme, name = await body_of(request, Programme), _name(request)
    if programme.id != name:
        raise RequestError(RequestCode.BAD_REQUEST, f"id: the address says {name!r}, and the body {programme.id!r}")
    _require_stored(request, name)
    read = whole_of(request, "version", is_needed=True) or 0
    await request.app[PROGRAMMES].edit(programme, read=read, by=request[VISITOR].actor)
    return await _show(request)


async def _remove(request: web.Request) -> web.Response:
    name = _name(request)
    _require_stored(request, name)
    read = whole_of(request, "version", is_needed=True) or 0
    await request.app[PROGRAMMES].remove(name, read=read, by=request[VISITOR].actor)
    return await _show(request)


async def _undo(request: web.Request) -> web.Response:
    body, name = await body_of(request, UndoBody), _name(request)
    _require_stored(request, name)
    await request.app[PROGRAMMES].restore(name, to=body.to, by=request[VISITOR].actor)
    return await _show(request)


async def _version(request: web.Request) -> web.Response:
    name, number = _name(request), number_of(request)
    found = await request.app[PROGRAMMES].store.version(name, number)
    if found is None or not is_area_seen(request, found.paper.area):
        raise RequestError(RequestCode.NOT_FOUND, f"{name!r} has no version {number}; its versions are listed")
    return json_of({"id": name, "version": found.number, "programme": found.paper})


def _shown(
    request: web.Request, programme: Programme, versions: list[Version[Programme]], status: int = 200
) -> web.Response:
    require_seen(request, programme.area, programme.id)
    desk = request.app[CONSOLE].desk
    now_ms = read_now().shared_ms
    view = programme_view(programme, versions, site=desk.site, shelf=desk.shelf, now_ms=now_ms)
    return json_of(view, status=status)


def _own(request: web.Request, name: str) -> Programme | None:
    return next((each for each in request.app[CONSOLE].desk.site.own if each.id == name), None)


def _require_stored(request: web.Request, name: str) -> None:
    if _own(request, name) is not None:
        what = "nằm trong tệp cấu hình, hãy sửa ở đó / stands in the configuration file: change it there, then reload"
        raise RequestError(RequestCode.CONFLICT, f"{name!r} {what}")


def _name(request: web.Request) -> str:
    return request.match_info["name"][:NAME_CHARACTERS_MAX]
