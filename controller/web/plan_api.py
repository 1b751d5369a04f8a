"""What sounds on a pole in the coming days, by API: by the plans that stand, or by a draft that nobody has saved.

`GET /api/v1/plan?pole=N001&days=7` tells the plans that stand, `POST /api/v1/plan` with programmes what these would
change. Who may ask stands in `rules`; what is said is `planning.foresight`'s. Nothing is stored or published.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from aiohttp import web

from controller.configuration.site import MediaShelf
from controller.errors import RecurrenceError, RequestCode, RequestError
from controller.planning.foresight import Draft, Foresight, Supply, troubles_of
from controller.planning.views import PolePlanView
from controller.programmes.load import AREA_ITEMS_A_DAY_MAX, items_a_day_max
from controller.programmes.programme import Name, Programme
from controller.web.media_parts import LIBRARY
from controller.web.one_at_a_time import OneAtATime
from controller.web.parts import CONSOLE, VISITOR
from controller.web.rules import API
from protocol.adapters.system_clock import read_now

_ALONE: Final = web.AppKey("plan_runs", OneAtATime)
DAYS_DEFAULT: Final = 7
DRAFTED_MAX: Final = 64
"""Programmes of one draft; an area has some twenty."""


class DraftBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Programmes as they would be, and those that would go, for one pole."""

    pole: Annotated[str, msgspec.Meta(max_length=40)]
    days: int = DAYS_DEFAULT
    programmes: Annotated[tuple[Programme, ...], msgspec.Meta(max_length=DRAFTED_MAX)] = ()
    remove: Annotated[tuple[Name, ...], msgspec.Meta(max_length=DRAFTED_MAX)] = ()


def add_plan_api(application: web.Application) -> None:
    """Add the routes."""
    application[_ALONE] = OneAtATime()
    application.router.add_get(f"{API}/plan", _standing)
    application.router.add_post(f"{API}/plan", _drafted)


async def _standing(request: web.Request) -> web.Response:
    days = request.query.get("days", str(DAYS_DEFAULT))
    if not (days.isascii() and days.isdecimal()) or len(days) > 3:  # noqa: PLR2004 - more days than any plan has
        raise RequestError(RequestCode.BAD_REQUEST, f"days={days[:20]!r}: write a whole number of days")
    pole = request.query.get("pole", "")
    if not pole:
        raise RequestError(RequestCode.BAD_REQUEST, "pole is missing: /api/v1/plan?pole=NODE&days=7")
    foresight = _foresight(request, pole)
    async with request.app[_ALONE].turn(request[VISITOR].principal.name):
        return _json(await asyncio.to_thread(foresight.standing, pole, days=int(days)))


async def _drafted(request: web.Request) -> web.Response:
    try:
        body = msgspec.json.decode(await request.read(), type=DraftBody)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        said = f"{error}; the body is JSON with pole, days, programmes and remove"
        raise RequestError(RequestCode.BAD_REQUEST, said) from error
    programmes: dict[str, Programme | None] = dict.fromkeys(body.remove)
    programmes |= {programme.id: programme for programme in body.programmes}
    _require_bounded(body.programmes, request.app[CONSOLE].desk.site.time_zone)
    draft, foresight = Draft(programmes=programmes), _foresight(request, body.pole)
    tree = foresight.site.tree
    for programme in body.programmes:
        if programme.area not in tree:
            raise RequestError(RequestCode.UNKNOWN_AREA, f"programme {programme.id}: no area {programme.area!r}")
    async with request.app[_ALONE].turn(request[VISITOR].principal.name):
        return _json(await asyncio.to_thread(foresight.drafted, body.pole, draft, days=body.days))


def _require_bounded(programmes: Sequence[Programme], time_zone: str) -> None:
    """Raise RequestError for a draft that no area could keep."""
    try:
        items = sum(items_a_day_max(each, time_zone=time_zone) for each in programmes)
    except RecurrenceError as error:
        raise RequestError(RequestCode.BAD_REQUEST, str(error)) from error
    if items > AREA_ITEMS_A_DAY_MAX:
        what = f"tới {items} mục một ngày / up to {items} items a day; at most {AREA_ITEMS_A_DAY_MAX}"
        raise RequestError(RequestCode.TOO_MANY, what)


def _foresight(request: web.Request, pole: str) -> Foresight:
    """The desk as it stands now: a run is made beside the loop, so it gets copies of what the desk goes on changing."""
    desk = request.app[CONSOLE].desk
    site, shelf = desk.site, desk.shelf
    node = site.nodes.get(pole)
    plans = {area: desk.plan(area) for area in (site.tree.chain(node.area) if node else ())}
    copied = MediaShelf(ready=dict(shelf.ready), refused=dict(shelf.refused))
    library = request.app.get(LIBRARY)
    supply = Supply(
        has_media=(lambda _: True) if library is None else library.has_sound,
        troubles=troubles_of(request.app[CONSOLE].status().relays),
    )
    return Foresight(site=site, shelf=copied, plan_of=plans.get, now_ms=read_now().shared_ms, supply=supply)


def _json(view: PolePlanView) -> web.Response:
    return web.Response(body=msgspec.json.encode(view), content_type="application/json")
