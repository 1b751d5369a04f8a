"""The people page: who there is, with which roles where; invite, change roles, disable, reset.

An administrator of a place sees and changes those whose roles all lie in that place, and nobody without any role; the
rules say so at the route.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from controller.adapters.people.office import Invited
from controller.errors import ControllerError
from controller.people.model import INVITE_MS, PersonView, grant_of
from controller.people.rights import EVERYWHERE, Action, Grant, Role, areas_of, covers
from controller.web.access import origin_of, sent_to
from controller.web.parts import CONSOLE, OFFICE, SETTINGS, STORE, VISITOR, form_of, posted
from controller.web.render import render


def add_people(application: web.Application) -> None:
    """Add the routes."""
    router = application.router
    router.add_get("/people", _page)
    router.add_post("/people", _invite)
    router.add_get("/people/{name}", _person_page)
    router.add_post("/people/{name}/roles", _set_roles)
    router.add_post("/people/{name}/disable", _disable)
    router.add_post("/people/{name}/reset", _reset)


async def _page(request: web.Request) -> web.Response:
    return await _listed(request)


async def _listed(request: web.Request, error: str = "", status: int = 200) -> web.Response:
    people = [view for view in await request.app[STORE].people() if _is_managed(request, view)]
    return render(
        request, "people.html", status=status, error=error, people=people, roles=list(Role), areas=_areas(request)
    )


async def _invite(request: web.Request) -> web.Response:
    form = await form_of(request)
    try:
        invited = await request.app[OFFICE].invite(
            form.get("name", ""), form.get("title", ""), await _grants(request), by=request[VISITOR].actor
        )
    except ControllerError as error:
        return await _listed(request, str(error), 400)
    return _shown_invite(request, invited)


async def _person_page(request: web.Request) -> web.Response:
    view = await request.app[OFFICE].known(request.match_info["name"])
    return _person(request, view, message=("Đã lưu.", "Saved.") if "done" in request.query else "")


def _person(request: web.Request, view: PersonView, **facts: Any) -> web.Response:  # noqa: ANN401 - what the page shows
    is_self = request[VISITOR].principal.name == view.person.name
    return render(request, "person.html", view=view, roles=list(Role), areas=_areas(request), is_self=is_self, **facts)


async def _set_roles(request: web.Request) -> web.Response:
    office = request.app[OFFICE]
    view = await office.known(request.match_info["name"])
    await office.set_grants(view, await _grants(request), by=request[VISITOR].actor)
    return sent_to(f"/people/{view.person.name}?done=roles")


async def _disable(request: web.Request) -> web.Response:
    office = request.app[OFFICE]
    view = await office.known(request.match_info["name"])
    await office.disable(view, by=request[VISITOR].actor)
    return sent_to(f"/people/{view.person.name}?done=disabled")


async def _reset(request: web.Request) -> web.Response:
    office = request.app[OFFICE]
    view = await office.known(request.match_info["name"])
    return _shown_invite(request, await office.reset(view, by=request[VISITOR].actor))


def _shown_invite(request: web.Request, invited: Invited) -> web.Response:
    return render(
        request,
        "invited.html",
        invited=invited,
        address=f"{origin_of(request.app[SETTINGS].listener)}/invite",
        hours=INVITE_MS // 3_600_000,
    )


async def _grants(request: web.Request) -> list[Grant]:
    known = frozenset(area.id for area in request.app[CONSOLE].desk.site.tree.areas)
    return [grant_of(each, known) for each in (await posted(request)).get("grant", ()) if each]


def _areas(request: web.Request) -> list[tuple[str, str]]:
    """The areas in which the caller may give roles, as a form offers them."""
    tree = request.app[CONSOLE].desk.site.tree
    top = areas_of(request[VISITOR].principal, Action.MANAGE_PEOPLE)
    areas = [
        (area.id, "\u2007\u2007" * tree.depth(area.id) + area.title)
        for area in tree.areas
        if top is None or any(covers(each, area.id, tree.chain) for each in top)
    ]
    return [*([(EVERYWHERE, "khắp nơi / everywhere")] if top is None else []), *areas]


def _is_managed(request: web.Request, view: PersonView) -> bool:
    tree = request.app[CONSOLE].desk.site.tree
    top = areas_of(request[VISITOR].principal, Action.MANAGE_PEOPLE)
    held = {grant.area for grant in view.grants} or {EVERYWHERE}
    return top is None or all(any(covers(each, area, tree.chain) for each in top) for area in held)
