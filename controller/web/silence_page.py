"""The silence page: what is silent by order, and who may change that. Vietnamese first, English beside."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from controller.people.rights import Action, areas_of, covers, is_fresh
from controller.people.sight import status_for
from controller.requests import EndSilence, StartSilence
from controller.web.access import sent_to
from controller.web.parts import CONSOLE, GATE, SETTINGS, VISITOR, form_of
from controller.web.render import render

_PATH: Final = "/silence"


def add_silence_page(application: web.Application) -> None:
    """Add the routes."""
    application.router.add_get(_PATH, _page)
    application.router.add_post(_PATH, _start)
    application.router.add_post(f"{_PATH}/release", _release)


async def _page(request: web.Request) -> web.Response:
    return render(request, "silence.html", **_facts(request))


async def _start(request: web.Request) -> web.Response:
    form = await form_of(request)
    wanted = StartSilence(
        area=form.get("area", "")[:40], node=form.get("node", "")[:23], reason=form.get("reason", "")[:200]
    )
    await request.app[CONSOLE].ask(wanted, by=request[VISITOR].actor)
    return sent_to(_PATH)


async def _release(request: web.Request) -> web.Response:
    form = await form_of(request)
    wanted = EndSilence(
        area=form.get("area", "")[:40], node=form.get("node", "")[:23], reason=form.get("reason", "")[:200]
    )
    await request.app[CONSOLE].ask(wanted, by=request[VISITOR].actor)
    return sent_to(_PATH)


def _facts(request: web.Request) -> dict[str, Any]:
    console, visitor = request.app[CONSOLE], request[VISITOR]
    tree = console.desk.site.tree
    status = status_for(visitor.principal, console.status(), tree)
    top = areas_of(visitor.principal, Action.SILENCE)

    def may(area: str) -> bool:
        return top is None or any(covers(each, area, tree.chain) for each in top)

    settings = request.app[SETTINGS]
    return {
        "now_ms": status.now_ms,
        "silences": status.silences,
        "releasable": {each.order for each in status.silences if may(each.area)},
        "areas": [(each.id, "\u2007\u2007" * tree.depth(each.id) + each.title) for each in tree.areas if may(each.id)],
        "nodes": [(each.id, each.title) for each in status.nodes if may(each.area)],
        "must_prove": not is_fresh(visitor.principal.proven_at_ms, request.app[GATE].clock(), settings.step_up_ms),
    }
